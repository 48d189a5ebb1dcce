// The front page of a hub: are all clusters alive, what is wrong, since when?

import { createMemo, createSignal, For, Show } from 'solid-js';
import { createPolled } from '../../api/polled';
import { Figure, Meter, Sparkline, Unknown } from '../../component/figure';
import { found, Search } from '../../component/search';
import { Segments } from '../../component/segment';
import { Empty, Loaded, Notice, State } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { percent, short, whole } from '../../format/number';
import { ago, instant } from '../../format/time';
import { href, query, setQuery } from '../../router';
import { Page } from '../../shell/page';
import {
  type Cluster,
  type Counts,
  type Fare,
  type Fleet,
  fetchCounts,
  fetchFleet,
  fetchRates,
  LAGGING_SECONDS,
  RANKS,
  TONES,
} from './fleet';

const FARES: readonly Fare[] = ['silent', 'lagging', 'live', 'never seen'];

export default function ClustersPage() {
  const fleet = createPolled(
    () => true,
    (_, signal) => fetchFleet(signal),
    3000,
  );
  const counts = createPolled(
    () => true,
    (_, signal) => fetchCounts(signal),
    10_000,
  );
  const [asked, setAsked] = createSignal<Fleet>();
  const rates = createPolled(asked, fetchRates, 30_000);
  // The question of rates changes once, not with every answer about the fleet.
  createMemo(() => {
    const now = fleet.data();
    if (now && asked()?.known !== now.known) setAsked(now);
  });
  return (
    <Page title="Clusters">
      <Loaded of={fleet}>
        {(data) => (
          <Show when={data().clusters.length > 0} fallback={<None />}>
            <Overview fleet={data()} counts={counts.data()} />
            <List fleet={data()} counts={counts.data()} rates={rates.data()} />
          </Show>
        )}
      </Loaded>
    </Page>
  );
}

function None() {
  return (
    <Empty title="No cluster yet" icon="clusters">
      Make credentials with <code>nave cluster add NAME --hub.url=…</code>, start the hub with{' '}
      <code>--clusters.file=clusters.yml</code>, and run the printed command in the cluster. Clusters that
      write without credentials show up by their <code>cluster</code> label.
    </Empty>
  );
}

function sum(numbers: Iterable<number | undefined>): number {
  let total = 0;
  for (const number of numbers) total += number ?? 0;
  return total;
}

function Overview(props: { fleet: Fleet; counts: Counts | undefined }) {
  const clusters = () => props.fleet.clusters;
  const count = (fare: Fare) => clusters().filter((one) => one.fare === fare).length;
  const down = () => sum(props.counts?.targets.values() ?? []) - sum(props.counts?.up.values() ?? []);
  return (
    <dl class="figures clusters-figures">
      <Figure name="Clusters" note={`${whole(count('live'))} live`}>
        {whole(clusters().length)}
      </Figure>
      <Figure name="Silent" note={count('never seen') > 0 ? `${whole(count('never seen'))} never seen` : ''}>
        <span classList={{ bad: count('silent') > 0 }}>{whole(count('silent'))}</span>
      </Figure>
      <Figure name="Lagging" note={`behind by more than ${LAGGING_SECONDS} s`}>
        <span classList={{ warn: count('lagging') > 0 }}>{whole(count('lagging'))}</span>
      </Figure>
      <Figure name="Targets down" note={`of ${whole(sum(props.counts?.targets.values() ?? []))}`}>
        <Show when={props.counts} fallback={<Unknown />}>
          <span classList={{ bad: down() > 0 }}>{whole(down())}</span>
        </Show>
      </Figure>
      <Figure name="Alerts firing">
        <Show when={props.counts} fallback={<Unknown />}>
          {(known) => (
            <a href={href('/alerts')} classList={{ bad: sum(known().firing.values()) > 0 }}>
              {whole(sum(known().firing.values()))}
            </a>
          )}
        </Show>
      </Figure>
      <Figure name="Samples/s">{short(sum(clusters().map((one) => one.samplesPerSecond)))}</Figure>
      <Figure name="Series">{short(sum(clusters().map((one) => one.series)))}</Figure>
    </dl>
  );
}

/** A cluster with its counts; one object, so that columns can sort by all of it. */
interface Row extends Cluster {
  up: number | undefined;
  targets: number | undefined;
  firing: number | undefined;
  rates: readonly number[] | undefined;
}

function List(props: { fleet: Fleet; counts: Counts | undefined; rates: Map<string, number[]> | undefined }) {
  const search = () => query().get('search') ?? '';
  const only = () => query().get('state') ?? '';
  const rows = createMemo(() => {
    const { counts, rates } = props;
    const all = props.fleet.clusters.map(
      (one): Row => ({
        ...one,
        up: counts?.up.get(one.name) ?? (counts ? 0 : undefined),
        targets: counts?.targets.get(one.name) ?? (counts ? 0 : undefined),
        firing: counts ? (counts.firing.get(one.name) ?? 0) : undefined,
        rates: rates?.get(one.name),
      }),
    );
    // Worst first, then by name; a chosen column sorts on top of this.
    return all.sort((a, b) => RANKS[a.fare] - RANKS[b.fare] || (a.name < b.name ? -1 : 1));
  });
  const shown = createMemo(() =>
    rows().filter(
      (row) =>
        (only() === '' || row.fare === only()) &&
        found(`${row.name} ${Object.values(row.row?.labels ?? {}).join(' ')}`, search()),
    ),
  );
  const choices = () => [
    { value: '', text: 'All' },
    ...FARES.filter((fare) => fare === only() || props.fleet.clusters.some((one) => one.fare === fare)).map(
      (fare) => ({ value: fare as string, text: fare[0]?.toUpperCase() + fare.slice(1) }),
    ),
  ];
  return (
    <section class="clusters-list" aria-label="All clusters">
      <Show when={!props.fleet.known}>
        <Notice>
          These clusters are known by the <code>cluster</code> label of their samples. With{' '}
          <code>--clusters.file</code> the hub also knows who they are, their last contact, their limits and
          what was refused.
        </Notice>
      </Show>
      <div class="filters">
        <Search value={search()} onInput={(text) => setQuery({ search: text })} label="Search clusters" />
        <Segments
          label="State"
          value={only()}
          choices={choices()}
          onChoose={(state) => setQuery({ state })}
        />
        <span class="soft small">
          {shown().length === rows().length ? '' : `${whole(shown().length)} of ${whole(rows().length)}`}
        </span>
      </div>
      <Show
        when={shown().length > 0}
        fallback={<Empty title="No cluster fits">Take back the search or the state.</Empty>}
      >
        <Table label="Clusters" rows={shown()} columns={COLUMNS} />
      </Show>
    </section>
  );
}

const COLUMNS: readonly Column<Row>[] = [
  {
    id: 'name',
    title: 'Cluster',
    head: true,
    sort: (row) => row.name,
    cell: (row) => <a href={href(`/clusters/${encodeURIComponent(row().name)}`)}>{row().name}</a>,
  },
  {
    id: 'state',
    title: 'State',
    width: '124px',
    sort: (row) => RANKS[row.fare],
    cell: (row) => <State tone={TONES[row().fare]}>{row().fare}</State>,
  },
  {
    id: 'last',
    title: 'Last sample',
    width: '118px',
    sort: (row) => row.lastSample ?? 0,
    cell: (row) => (
      <Show when={row().lastSample} fallback={<Unknown />}>
        {(at) => <span title={instant(at())}>{ago(at())}</span>}
      </Show>
    ),
  },
  {
    id: 'rate',
    title: 'Samples/s',
    number: true,
    width: '100px',
    hide: 'narrow',
    sort: (row) => row.samplesPerSecond ?? Number.NaN,
    cell: (row) => (
      <Show when={row().samplesPerSecond !== undefined} fallback={<Unknown />}>
        {short(row().samplesPerSecond ?? 0)}
      </Show>
    ),
  },
  {
    id: 'trend',
    title: 'Last 30 min',
    width: '110px',
    hide: 'medium',
    cell: (row) => (
      <Show when={drawable(row().rates)} fallback={<Unknown why="The hub has no history of it yet" />}>
        {(values) => <Sparkline values={values()} label="Samples per second in the last 30 minutes" />}
      </Show>
    ),
  },
  {
    id: 'series',
    title: 'Series',
    number: true,
    width: '132px',
    hide: 'narrow',
    sort: (row) => row.series ?? Number.NaN,
    cell: (row) => <Series row={row()} />,
  },
  {
    id: 'targets',
    title: 'Targets up',
    number: true,
    width: '108px',
    sort: (row) => (row.targets ?? 0) - (row.up ?? 0),
    cell: (row) => (
      <Show when={row().targets !== undefined} fallback={<Unknown />}>
        <span
          classList={{
            bad: row().up !== row().targets,
            strong: row().up !== row().targets,
            soft: row().targets === 0,
          }}
        >
          {whole(row().up ?? 0)}/{whole(row().targets ?? 0)}
        </span>
      </Show>
    ),
  },
  {
    id: 'firing',
    title: 'Alerts',
    number: true,
    width: '68px',
    hide: 'narrow',
    sort: (row) => row.firing ?? Number.NaN,
    cell: (row) => (
      <Show when={row().firing !== undefined} fallback={<Unknown />}>
        <span classList={{ bad: (row().firing ?? 0) > 0, soft: row().firing === 0 }}>
          {whole(row().firing ?? 0)}
        </span>
      </Show>
    ),
  },
  {
    id: 'rejected',
    title: 'Rejected',
    number: true,
    width: '110px',
    hide: 'medium',
    sort: (row) => sum(row.rejected.map(([, count]) => count)),
    cell: (row) => <Rejected row={row()} />,
  },
];

/** A line needs two points. */
function drawable(values: readonly number[] | undefined): readonly number[] | undefined {
  return values && values.filter(Number.isFinite).length > 1 ? values : undefined;
}

function Series(props: { row: Row }) {
  const max = () => props.row.seriesMax;
  return (
    <Show when={props.row.series !== undefined} fallback={<Unknown />}>
      <span title={`${whole(props.row.series ?? 0)} series${max() ? `, at most ${whole(max() ?? 0)}` : ''}`}>
        {short(props.row.series ?? 0)}
        <Show when={max()}>
          {(max) => (
            <>
              <span class="soft"> of {short(max())}</span>
              <Meter
                share={(props.row.series ?? 0) / max()}
                label={`${percent((props.row.series ?? 0) / max())} of the limit`}
              />
            </>
          )}
        </Show>
      </span>
    </Show>
  );
}

/** How many samples were refused, and the reason that most were refused for. */
function Rejected(props: { row: Row }) {
  const most = () => [...props.row.rejected].sort(([, a], [, b]) => b - a)[0];
  return (
    <Show when={props.row.row} fallback={<Unknown why="Counted only with a clusters file" />}>
      <Show when={most()} fallback={<span class="soft">0</span>}>
        {(most) => (
          <span class="warn" title={props.row.rejected.map(([why, n]) => `${why}: ${whole(n)}`).join('\n')}>
            {short(sum(props.row.rejected.map(([, count]) => count)))} <span class="small">{most()[0]}</span>
          </span>
        )}
      </Show>
    </Show>
  );
}

/** Reasons with their counts, for the page of one cluster. */
export function Reasons(props: { counts: readonly [string, number][]; none: string }) {
  return (
    <Show when={props.counts.length > 0} fallback={<span class="soft">{props.none}</span>}>
      <ul>
        <For each={props.counts}>
          {([reason, count]) => (
            <li>
              <span class="strong">{whole(count)}</span> {reason}
            </li>
          )}
        </For>
      </ul>
    </Show>
  );
}
