// What is wrong now: alerts that fire or are about to.

import { createMemo, createSignal, For, Show } from 'solid-js';
import { ask } from '../../api/client';
import { createPolled } from '../../api/polled';
import { queryPath } from '../../api/query';
import type { Alert, AlertState, RuleGroup } from '../../api/type';
import { Drawer } from '../../component/drawer';
import { LabelSet } from '../../component/label';
import { found, Search } from '../../component/search';
import { Segments } from '../../component/segment';
import { Empty, Loaded, State, type Tone } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { whole } from '../../format/number';
import { ago, duration, instant, parseTime } from '../../format/time';
import { href, query, setQuery } from '../../router';
import { Page } from '../../shell/page';

export const TONES: Record<AlertState, Tone> = {
  firing: 'bad',
  pending: 'warn',
  inactive: 'ok',
  unknown: 'idle',
};

interface Row extends Alert {
  name: string;
  expression: string;
  holdSeconds: number;
  since: number | undefined;
}

interface Known {
  rows: Row[];
  /** Alerting rules, whether they have alerts or not. */
  rules: number;
}

export async function fetchAlerts(signal: AbortSignal): Promise<Known> {
  const { data } = await ask<{ groups: RuleGroup[] }>('rules', { type: 'alert' }, { signal });
  const rules = data.groups.flatMap((group) => group.rules);
  const rows = rules.flatMap((rule) =>
    (rule.alerts ?? []).map((alert) => ({
      ...alert,
      name: rule.name,
      expression: rule.query,
      holdSeconds: rule.duration ?? 0,
      since: parseTime(alert.activeAt),
    })),
  );
  const rank = { firing: 0, pending: 1, unknown: 2, inactive: 3 };
  rows.sort((a, b) => rank[a.state] - rank[b.state] || (b.since ?? 0) - (a.since ?? 0));
  return { rows, rules: rules.length };
}

export default function AlertsPage() {
  const alerts = createPolled(
    () => true,
    (_, signal) => fetchAlerts(signal),
    5000,
  );
  return (
    <Page
      title="Alerts"
      note={
        <Show when={alerts.data()?.rows.length}>
          {whole(alerts.data()?.rows.filter((row) => row.state === 'firing').length ?? 0)} firing,{' '}
          {whole(alerts.data()?.rows.filter((row) => row.state === 'pending').length ?? 0)} pending
        </Show>
      }
    >
      <Loaded of={alerts}>
        {(known) => (
          <Show when={known().rows.length > 0} fallback={<Quiet rules={known().rules} />}>
            <List rows={known().rows} />
          </Show>
        )}
      </Loaded>
    </Page>
  );
}

function Quiet(props: { rules: number }) {
  return (
    <Show
      when={props.rules > 0}
      fallback={
        <Empty title="There are no alerting rules" icon="alerts">
          Nothing can fire. <code>rule_files</code> of the configuration names the files that hold rules.
        </Empty>
      }
    >
      <Empty title="Nothing fires" icon="ok">
        {props.rules === 1 ? 'The one alerting rule is' : `All ${whole(props.rules)} alerting rules are`}{' '}
        quiet. <a href={href('/rules')}>Rules</a>
      </Empty>
    </Show>
  );
}

function List(props: { rows: readonly Row[] }) {
  const [open, setOpen] = createSignal<Row>();
  const search = () => query().get('search') ?? '';
  const only = () => query().get('state') ?? '';
  const shown = createMemo(() =>
    props.rows.filter(
      (row) =>
        (only() === '' || row.state === only()) &&
        found(`${row.name} ${Object.entries(row.labels).flat().join(' ')}`, search()),
    ),
  );
  const columns: readonly Column<Row>[] = [
    {
      id: 'state',
      title: 'State',
      width: '122px',
      cell: (row) => <State tone={TONES[row().state]}>{row().state}</State>,
    },
    {
      id: 'name',
      title: 'Alert',
      width: '24%',
      head: true,
      sort: (row) => row.name,
      cell: (row) => (
        <button type="button" class="row-link cut" onClick={() => setOpen(row())}>
          {row().name}
        </button>
      ),
    },
    {
      id: 'labels',
      title: 'Labels',
      hide: 'narrow',
      cell: (row) => <LabelSet line labels={row().labels} omit={['alertname']} />,
    },
    {
      id: 'since',
      title: 'Active',
      number: true,
      width: '120px',
      sort: (row) => row.since ?? 0,
      cell: (row) => <Show when={row().since}>{(at) => <span title={instant(at())}>{ago(at())}</span>}</Show>,
    },
    {
      id: 'value',
      title: 'Value',
      number: true,
      width: '110px',
      hide: 'medium',
      cell: (row) => <span title={row().value}>{row().value}</span>,
    },
  ];
  return (
    <>
      <div class="filters">
        <Search value={search()} onInput={(text) => setQuery({ search: text })} label="Search alerts" />
        <Segments
          label="State"
          value={only()}
          choices={[
            { value: '', text: 'All' },
            { value: 'firing', text: 'Firing' },
            { value: 'pending', text: 'Pending' },
          ]}
          onChoose={(state) => setQuery({ state })}
        />
      </div>
      <Show
        when={shown().length > 0}
        fallback={<Empty title="No alert fits">Take back the search or the state.</Empty>}
      >
        <Table label="Alerts" rows={shown()} columns={columns} />
      </Show>
      <Show when={open()}>
        {(row) => (
          <Drawer title={row().name} onClose={() => setOpen(undefined)}>
            <Detail row={row()} />
          </Drawer>
        )}
      </Show>
    </>
  );
}

function Detail(props: { row: Row }) {
  return (
    <>
      <dl class="facts">
        <dt>State</dt>
        <dd>
          <State tone={TONES[props.row.state]}>{props.row.state}</State>
        </dd>
        <dt>Active since</dt>
        <dd>{props.row.since ? `${instant(props.row.since)}, ${ago(props.row.since)}` : '–'}</dd>
        <dt>Held for</dt>
        <dd>{duration(props.row.holdSeconds * 1000)} before it fires</dd>
        <dt>Value</dt>
        <dd>{props.row.value}</dd>
        <dt>Labels</dt>
        <dd>
          <LabelSet labels={props.row.labels} />
        </dd>
        <For each={Object.entries(props.row.annotations)}>
          {([name, text]) => (
            <>
              <dt>{name}</dt>
              <dd>{text}</dd>
            </>
          )}
        </For>
      </dl>
      <pre class="code expression">{props.row.expression}</pre>
      <p>
        <a class="button" href={href(queryPath(props.row.expression))}>
          Query the expression
        </a>
      </p>
    </>
  );
}
