// The pages of the mode, in groups.

import { createMemo, createSignal, For, type JSX } from 'solid-js';
import { live, setLive } from '../api/polled';
import { Icon, type IconName } from '../component/icon';
import { setUtc, utc, zone } from '../format/time';
import { served } from '../process';
import { href, place } from '../router';
import { nextTheme, theme } from './theme';

export interface Entry {
  path: string;
  title: string;
  icon: IconName;
  /** The second key after `g` that goes there. */
  key: string;
}

interface Group {
  title: string;
  entries: readonly Entry[];
}

const COLLECT: Group = {
  title: 'Collection',
  entries: [
    { path: '/targets', title: 'Targets', icon: 'targets', key: 't' },
    { path: '/service-discovery', title: 'Service discovery', icon: 'discovery', key: 'd' },
  ],
};
const STATUS: readonly Entry[] = [
  { path: '/config', title: 'Config', icon: 'config', key: 'o' },
  { path: '/flags', title: 'Flags', icon: 'flags', key: 'f' },
  { path: '/status', title: 'Runtime', icon: 'runtime', key: 'i' },
];
const HUB: readonly Group[] = [
  {
    title: 'Overview',
    entries: [
      { path: '/clusters', title: 'Clusters', icon: 'clusters', key: 'c' },
      { path: '/query', title: 'Query', icon: 'query', key: 'q' },
    ],
  },
  {
    title: 'Alerting',
    entries: [
      { path: '/alerts', title: 'Alerts', icon: 'alerts', key: 'a' },
      { path: '/rules', title: 'Rules', icon: 'rules', key: 'r' },
    ],
  },
  COLLECT,
  {
    title: 'System',
    entries: [{ path: '/tsdb-status', title: 'Storage', icon: 'storage', key: 's' }, ...STATUS],
  },
];
const AGENT: readonly Group[] = [
  { title: 'Overview', entries: [{ path: '/agent', title: 'Agent', icon: 'queue', key: 'a' }] },
  COLLECT,
  { title: 'System', entries: STATUS },
];

export const groups: readonly Group[] = served.mode === 'hub' ? HUB : AGENT;
export const entries: readonly Entry[] = groups.flatMap((group) => group.entries);

export function Navigation(props: { onHelp: () => void }) {
  const [open, setOpen] = createSignal(false);
  const current = createMemo(() => `/${place().path.split('/')[1] ?? ''}`);
  return (
    <aside class="side" classList={{ 'is-open': open() }}>
      <div class="brand-row">
        <a class="brand" href={href(entries[0]?.path ?? '/')}>
          <Logo />
          <span>{served.title}</span>
          <small>{served.mode}</small>
        </a>
        <button
          type="button"
          class="button is-quiet menu"
          aria-expanded={open()}
          aria-label="Pages"
          onClick={() => setOpen(!open())}
        >
          <Icon name="menu" />
        </button>
      </div>
      <nav class="nav" aria-label="Pages">
        <For each={groups}>
          {(group) => (
            <>
              <h2>{group.title}</h2>
              <ul>
                <For each={group.entries}>
                  {(entry) => (
                    <li>
                      <a
                        href={href(entry.path)}
                        aria-current={current() === entry.path ? 'page' : undefined}
                        onClick={() => setOpen(false)}
                      >
                        <Icon name={entry.icon} />
                        {entry.title}
                      </a>
                    </li>
                  )}
                </For>
              </ul>
            </>
          )}
        </For>
      </nav>
      <Tools onHelp={props.onHelp} />
      <p class="version">{served.version}</p>
    </aside>
  );
}

const THEMES = { auto: 'as the system', light: 'light', dark: 'dark' } as const;
const THEME_ICONS = { auto: 'auto', light: 'sun', dark: 'moon' } as const;

function Tools(props: { onHelp: () => void }) {
  return (
    <div class="tools">
      <Tool
        icon={live() ? 'pause' : 'play'}
        label={live() ? 'Pages are kept up to date; pause' : 'Pages are paused; go on'}
        onClick={() => setLive(!live())}
        pressed={!live()}
      />
      <Tool icon={THEME_ICONS[theme()]} label={`Colours: ${THEMES[theme()]}; change`} onClick={nextTheme} />
      <Tool icon="help" label="Keyboard" onClick={props.onHelp} />
      <button
        type="button"
        class="button is-quiet is-small"
        title="Zone of all times; change between local and UTC"
        onClick={() => setUtc(!utc())}
      >
        {utc() ? 'UTC' : zone()}
        <span class="visually-hidden">{utc() ? ': show local times' : ': show times in UTC'}</span>
      </button>
    </div>
  );
}

function Tool(props: { icon: IconName; label: string; onClick: () => void; pressed?: boolean }): JSX.Element {
  return (
    <button
      type="button"
      class="button is-quiet is-small"
      title={props.label}
      aria-label={props.label}
      aria-pressed={props.pressed}
      onClick={() => props.onClick()}
    >
      <Icon name={props.icon} />
    </button>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 32 32" fill="none" stroke="currentColor" stroke-width="2.4" aria-hidden="true">
      <circle cx="16" cy="16" r="12" />
      <circle cx="16" cy="16" r="3.2" fill="currentColor" />
      <path d="M16 12.5V4.5M19 17.8l7 4M13 17.8l-7 4" stroke-linecap="round" />
    </svg>
  );
}
