// Which targets are scraped, how that goes, and why it fails.

import { createMemo, createSignal, For, Show } from 'solid-js';
import { createPolled } from '../../api/polled';
import { queryPath } from '../../api/query';
import type { ActiveTarget } from '../../api/type';
import { Drawer } from '../../component/drawer';
import { Icon } from '../../component/icon';
import { LabelSet, selector } from '../../component/label';
import { Search } from '../../component/search';
import { Segments } from '../../component/segment';
import { Empty, Loaded, Notice, State } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { counted, whole } from '../../format/number';
import { ago, duration, instant, parseTime } from '../../format/time';
import { served } from '../../process';
import { href, query, setQuery } from '../../router';
import { Page } from '../../shell/page';
import { type Found, fetchTargets, LIMIT_MAX, PAGE, TONES, total } from './fetch';
import { Steps } from './steps';

export default function TargetsPage() {
  const [limit, setLimit] = createSignal(PAGE);
  const pool = () => query().get('pool') ?? '';
  const health = () => query().get('health') ?? '';
  const search = () => query().get('search') ?? '';
  const wanted = createMemo(() => ({
    state: 'active' as const,
    pool: pool(),
    health: health(),
    search: search(),
    limit: limit(),
  }));
  const targets = createPolled(wanted, fetchTargets, 5000);
  return (
    <Page title="Targets" note={<Summary found={targets.data()} />}>
      <Loaded of={targets}>
        {(found) => (
          <Show when={found().pools.length > 0} fallback={<None />}>
            <div class="filters">
              <Search
                value={search()}
                onInput={(text) => setQuery({ search: text })}
                label="Search labels, address, error"
              />
              <PoolSelect pools={found().pools.map((one) => one.name)} value={pool()} />
              <Segments
                label="Health"
                value={health()}
                choices={choices(found(), pool())}
                onChoose={(value) => setQuery({ health: value })}
              />
            </div>
            <Show
              when={found().activeTargets.length > 0}
              fallback={<Empty title="No target fits">Take back the search, the job or the health.</Empty>}
            >
              <List found={found()} />
              <More
                found={found()}
                limit={limit()}
                onMore={() => setLimit(Math.min(limit() + PAGE, LIMIT_MAX))}
              />
            </Show>
          </Show>
        )}
      </Loaded>
    </Page>
  );
}

/** One job out of all. */
export function PoolSelect(props: { pools: readonly string[]; value: string }) {
  return (
    <label>
      <span class="visually-hidden">Job</span>
      <select
        class="select"
        value={props.value}
        onChange={(event) => setQuery({ pool: event.currentTarget.value })}
      >
        <option value="">All jobs</option>
        <For each={props.pools}>
          {(name) => (
            <option value={name} selected={name === props.value}>
              {name}
            </option>
          )}
        </For>
      </select>
    </label>
  );
}

/** Says that the list was cut by the server. */
export function More(props: { found: Found; limit: number; onMore: () => void }) {
  const shown = () => props.found.activeTargets.length + props.found.droppedTargets.length;
  return (
    <Show when={shown() < props.found.total}>
      <p class="more">
        <span class="soft">
          The first {whole(shown())} of {whole(props.found.total)} are shown; the search looks through all.
        </span>
        <Show when={props.limit < LIMIT_MAX}>
          <button type="button" class="button is-small" onClick={() => props.onMore()}>
            Show more
          </button>
        </Show>
      </p>
    </Show>
  );
}

function None() {
  return (
    <Empty title="Nothing is scraped" icon="targets">
      <code>scrape_configs</code> of the configuration is empty.
      <Show when={served.mode === 'hub'}> What agents push needs none here.</Show>
    </Empty>
  );
}

function Summary(props: { found: Found | undefined }) {
  return (
    <Show when={props.found}>
      {(found) => (
        <>
          {counted(total(found().pools, 'up'), 'target')} up
          <Show when={total(found().pools, 'down') > 0}>
            , <b class="bad">{whole(total(found().pools, 'down'))} down</b>
          </Show>
          <Show when={total(found().pools, 'unknown') > 0}>
            , {whole(total(found().pools, 'unknown'))} not scraped yet
          </Show>
        </>
      )}
    </Show>
  );
}

function choices(found: Found, pool: string) {
  const pools = found.pools.filter((one) => pool === '' || one.name === pool);
  return [
    { value: '', text: 'All' },
    { value: 'down', text: `Down ${whole(total(pools, 'down'))}` },
    { value: 'up', text: `Up ${whole(total(pools, 'up'))}` },
    { value: 'unknown', text: `Unknown ${whole(total(pools, 'unknown'))}` },
  ];
}

function List(props: { found: Found }) {
  const [open, setOpen] = createSignal<{ url: string; pool: string }>();
  const target = createMemo(() => {
    const wanted = open();
    return (
      wanted &&
      props.found.activeTargets.find((one) => one.scrapeUrl === wanted.url && one.scrapePool === wanted.pool)
    );
  });
  const columns: readonly Column<ActiveTarget>[] = [
    {
      id: 'health',
      title: 'State',
      width: '104px',
      cell: (row) => <State tone={TONES[row().health]}>{row().health}</State>,
    },
    {
      id: 'pool',
      title: 'Job',
      width: '15%',
      sort: (row) => row.scrapePool,
      cell: (row) => <span title={row().scrapePool}>{row().scrapePool}</span>,
    },
    {
      id: 'instance',
      title: 'Instance',
      width: '20%',
      head: true,
      sort: (row) => row.labels.instance ?? row.scrapeUrl,
      cell: (row) => (
        <button
          type="button"
          class="row-link cut"
          title={row().scrapeUrl}
          onClick={() => setOpen({ url: row().scrapeUrl, pool: row().scrapePool })}
        >
          {row().labels.instance ?? row().scrapeUrl}
        </button>
      ),
    },
    {
      id: 'labels',
      title: 'Labels and last error',
      hide: 'narrow',
      cell: (row) => (
        <Show
          when={row().lastError}
          fallback={<LabelSet line labels={row().labels} omit={['instance', 'job']} />}
        >
          <span class="bad" title={row().lastError}>
            {row().lastError}
          </span>
        </Show>
      ),
    },
    {
      id: 'last',
      title: 'Last scrape',
      number: true,
      width: '118px',
      hide: 'narrow',
      sort: (row) => parseTime(row.lastScrape) ?? 0,
      cell: (row) => (
        <Show when={parseTime(row().lastScrape)} fallback={<span class="soft">never</span>}>
          {(at) => <span title={instant(at(), { millis: true })}>{ago(at())}</span>}
        </Show>
      ),
    },
    {
      id: 'duration',
      title: 'Took',
      number: true,
      width: '80px',
      hide: 'medium',
      sort: (row) => row.lastScrapeDuration,
      cell: (row) => duration(row().lastScrapeDuration * 1000),
    },
  ];
  return (
    <>
      <Table label="Targets" rows={props.found.activeTargets} columns={columns} />
      <Show when={target()}>
        {(one) => (
          <Drawer title={one().labels.instance ?? one().scrapeUrl} onClose={() => setOpen(undefined)}>
            <Detail target={one()} />
          </Drawer>
        )}
      </Show>
    </>
  );
}

function Detail(props: { target: ActiveTarget }) {
  const target = () => props.target;
  const up = () => selector({ __name__: 'up', ...target().labels });
  // Polls bring equal labels in new objects; the rules are asked for once.
  const labels = createMemo(() => target().discoveredLabels, undefined, {
    equals: (a, b) => JSON.stringify(a) === JSON.stringify(b),
  });
  return (
    <>
      <Show when={target().lastError}>
        <Notice tone="bad">{target().lastError}</Notice>
      </Show>
      <dl class="facts">
        <dt>State</dt>
        <dd>
          <State tone={TONES[target().health]}>{target().health}</State>
        </dd>
        <dt>Address</dt>
        <dd>
          <Address url={target().globalUrl} text={target().scrapeUrl} />
        </dd>
        <dt>Job</dt>
        <dd>{target().scrapePool}</dd>
        <dt>Last scrape</dt>
        <dd>
          <Show when={parseTime(target().lastScrape)} fallback="never">
            {(at) =>
              `${instant(at(), { millis: true })}, ${ago(at())}, took ${duration(target().lastScrapeDuration * 1000)}`
            }
          </Show>
        </dd>
        <dt>Interval</dt>
        <dd>
          {target().scrapeInterval}, timeout {target().scrapeTimeout}
        </dd>
        <dt>Labels</dt>
        <dd>
          <LabelSet labels={target().labels} />
        </dd>
        <dt>Discovered labels</dt>
        <dd>
          <LabelSet labels={target().discoveredLabels} />
        </dd>
      </dl>
      <Show when={served.mode === 'hub'}>
        <p>
          <a class="button" href={href(queryPath(up()))}>
            <Icon name="query" />
            Query up of this target
          </a>
        </p>
      </Show>
      <h3>Relabel rules</h3>
      <Steps pool={target().scrapePool} labels={labels()} dropped={false} />
    </>
  );
}

/** A link only where it is one that a browser may follow: targets choose their own address. */
function Address(props: { url: string; text: string }) {
  const safe = () => /^https?:\/\//.test(props.url);
  return (
    <Show when={safe()} fallback={props.text}>
      <a href={props.url} target="_blank" rel="noreferrer">
        {props.text}
      </a>
    </Show>
  );
}
