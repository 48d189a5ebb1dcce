// One cluster: how it fares, its targets, its metrics, its hosts.

import { createMemo, createSignal, For, Show } from 'solid-js';
import { createPolled } from '../../api/polled';
import { queryPath } from '../../api/query';
import { Chart } from '../../component/chart';
import { Figure, Meter, Unknown } from '../../component/figure';
import { LabelSet, quote } from '../../component/label';
import { found, Search } from '../../component/search';
import { Empty, Loaded, Loading, State } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { bytes, counted, percent, short, whole } from '../../format/number';
import { ago, duration, instant } from '../../format/time';
import { href, type Parameters } from '../../router';
import { Page } from '../../shell/page';
import {
  type Cluster,
  type ClusterTarget,
  fetchFleet,
  fetchHostGraph,
  fetchTargets,
  fetchTopMetrics,
  HOST_GRAPHS,
  type HostGraph,
  TONES,
} from './fleet';
import { Reasons } from './index';

export default function ClusterPage(props: { parameters: Parameters }) {
  const name = () => props.parameters.name ?? '';
  const fleet = createPolled(
    name,
    async (wanted, signal) => {
      const all = await fetchFleet(signal);
      return { cluster: all.clusters.find((one) => one.name === wanted) };
    },
    3000,
  );
  const cluster = () => fleet.data()?.cluster;
  return (
    <Page
      title={name()}
      note={<Show when={cluster()}>{(one) => <State tone={TONES[one().fare]}>{one().fare}</State>}</Show>}
      tools={
        <>
          <a class="button" href={href('/clusters')}>
            All clusters
          </a>
          <a class="button" href={href(queryPath(`{cluster=${quote(name())}}`, { table: true }))}>
            Query its series
          </a>
        </>
      }
    >
      <Loaded of={fleet}>
        {() => (
          <Show
            when={cluster()}
            fallback={
              <Empty title="The hub knows no such cluster" icon="clusters">
                It is neither in the clusters file nor the <code>cluster</code> label of a target's samples of
                the last hour.
              </Empty>
            }
          >
            {(one) => <Found cluster={one()} />}
          </Show>
        )}
      </Loaded>
    </Page>
  );
}

function Found(props: { cluster: Cluster }) {
  const name = createMemo(() => props.cluster.name);
  return (
    <div class="stack">
      <Figures cluster={props.cluster} />
      <Hosts name={name()} />
      <div class="columns columns-wide">
        <Targets name={name()} />
        <TopMetrics name={name()} series={props.cluster.series} />
      </div>
      <Show when={props.cluster.row}>
        <Credentials cluster={props.cluster} />
      </Show>
    </div>
  );
}

function Figures(props: { cluster: Cluster }) {
  const one = () => props.cluster;
  const share = () => (one().series ?? 0) / (one().seriesMax ?? Number.POSITIVE_INFINITY);
  return (
    <dl class="figures">
      <Figure name="Last contact" note={one().lastContact && instant(one().lastContact ?? 0)}>
        <Show when={one().lastContact} fallback={<Unknown why="Known only with a clusters file" />}>
          {(at) => ago(at())}
        </Show>
      </Figure>
      <Figure name="Newest sample" note={one().lastSample && instant(one().lastSample ?? 0)}>
        <Show when={one().lagSeconds !== undefined} fallback={<Unknown />}>
          {duration(Math.max(0, one().lagSeconds ?? 0) * 1000)} behind
        </Show>
      </Figure>
      <Figure name="Samples/s" note={one().row && `${bytes(one().row?.bytesPerSecond ?? 0)}/s`}>
        <Show when={one().samplesPerSecond !== undefined} fallback={<Unknown />}>
          {short(one().samplesPerSecond ?? 0)}
        </Show>
      </Figure>
      <Figure
        name="Series"
        note={
          <Show when={one().seriesMax} fallback={one().row ? 'no limit' : ''}>
            {(max) => (
              <>
                {percent(share())} of {short(max())}
                <Meter share={share()} label={`${percent(share())} of the limit`} />
              </>
            )}
          </Show>
        }
      >
        <Show when={one().series !== undefined} fallback={<Unknown />}>
          {whole(one().series ?? 0)}
        </Show>
      </Figure>
      <Figure name="Rejected samples" note={one().row && 'since the hub started'}>
        <Show when={one().row} fallback={<Unknown why="Counted only with a clusters file" />}>
          <span classList={{ warn: one().rejected.length > 0 }}>
            {short(one().rejected.reduce((total, [, count]) => total + count, 0))}
          </span>
        </Show>
      </Figure>
    </dl>
  );
}

function Hosts(props: { name: string }) {
  return (
    <section class="card" aria-label="Hosts">
      <h2>Hosts</h2>
      <div class="card-body columns hosts">
        <For each={HOST_GRAPHS}>{(graph) => <Host graph={graph} name={props.name} />}</For>
      </div>
    </section>
  );
}

const FORMATS = { share: percent, bytes, number: short };

function Host(props: { graph: HostGraph; name: string }) {
  const lines = createPolled(
    () => props.name,
    (name, signal) => fetchHostGraph(props.graph, name, signal),
    15_000,
  );
  return (
    <div class="host">
      <h3>
        <a href={href(queryPath(props.graph.expression(quote(props.name))))}>{props.graph.title}</a>
      </h3>
      <Loaded of={lines} lines={5}>
        {(data) => (
          <Show
            when={data().lines.length > 0}
            fallback={<p class="soft">No node metrics of this cluster in the last hour.</p>}
          >
            <Chart
              data={data()}
              title={props.graph.title}
              name={(labels) => labels.instance ?? ''}
              format={FORMATS[props.graph.unit]}
              {...(props.graph.unit === 'share' ? { top: 1 } : {})}
            />
          </Show>
        )}
      </Loaded>
    </div>
  );
}

function Targets(props: { name: string }) {
  const targets = createPolled(() => props.name, fetchTargets, 10_000);
  const [search, setSearch] = createSignal('');
  const shown = createMemo(() =>
    (targets.data() ?? []).filter((one) => found(`${one.job} ${one.instance}`, search())),
  );
  const down = () => (targets.data() ?? []).filter((one) => !one.up).length;
  return (
    <section aria-label="Targets">
      <div class="filters">
        <h2>Targets</h2>
        <Show when={targets.data()}>
          <span class="soft">
            {counted(targets.data()?.length ?? 0, 'target')}
            {down() > 0 ? `, ${whole(down())} down` : ''}
          </span>
        </Show>
        <Search value={search()} onInput={setSearch} label="Search targets" />
      </div>
      <Loaded of={targets}>
        {(all) => (
          <Show
            when={all().length > 0}
            fallback={
              <Empty title="No target">
                No <code>up</code> series of this cluster in the last minutes.
              </Empty>
            }
          >
            <Table label="Targets of the cluster" rows={shown()} columns={TARGETS} sort="state" />
          </Show>
        )}
      </Loaded>
    </section>
  );
}

const TARGETS: readonly Column<ClusterTarget>[] = [
  {
    id: 'state',
    title: 'State',
    width: '92px',
    sort: (row) => Number(row.up),
    cell: (row) => <State tone={row().up ? 'ok' : 'bad'}>{row().up ? 'up' : 'down'}</State>,
  },
  {
    id: 'job',
    title: 'Job',
    width: '28%',
    sort: (row) => row.job,
    cell: (row) => <span title={row().job}>{row().job}</span>,
  },
  {
    id: 'instance',
    title: 'Instance',
    head: true,
    sort: (row) => row.instance,
    cell: (row) => <span title={row().instance}>{row().instance}</span>,
  },
  {
    id: 'samples',
    title: 'Samples',
    number: true,
    width: '92px',
    hide: 'narrow',
    sort: (row) => row.samples ?? Number.NaN,
    cell: (row) => short(row().samples ?? Number.NaN),
  },
  {
    id: 'time',
    title: 'Scrape',
    number: true,
    width: '86px',
    hide: 'narrow',
    sort: (row) => row.seconds ?? Number.NaN,
    cell: (row) => duration((row().seconds ?? Number.NaN) * 1000),
  },
];

function TopMetrics(props: { name: string; series: number | undefined }) {
  const [wanted, setWanted] = createSignal(false);
  // Counting every series of a large cluster costs, so a large one is asked on demand.
  const small = createMemo(() => (props.series ?? 0) < 200_000);
  const top = createPolled(() => (small() || wanted() ? props.name : undefined), fetchTopMetrics, 60_000);
  const most = () => top.data()?.[0]?.value ?? 1;
  return (
    <section class="card" aria-label="Metrics with most series">
      <h2>Metrics with most series</h2>
      <div class="card-body">
        <Show
          when={small() || wanted()}
          fallback={
            <button type="button" class="button" onClick={() => setWanted(true)}>
              Count {short(props.series ?? 0)} series
            </button>
          }
        >
          <Loaded of={top}>
            {(rows) => (
              <ol class="ranking">
                <For each={rows()} fallback={<li class="soft">No series now.</li>}>
                  {(row) => (
                    <li>
                      <a
                        class="cut mono"
                        href={href(queryPath(`{__name__=${quote(row.name)}, cluster=${quote(props.name)}}`))}
                      >
                        {row.name}
                      </a>
                      <b>{whole(row.value)}</b>
                      <Meter plain share={row.value / most()} label={`${whole(row.value)} series`} />
                    </li>
                  )}
                </For>
              </ol>
            )}
          </Loaded>
        </Show>
      </div>
    </section>
  );
}

function Credentials(props: { cluster: Cluster }) {
  return (
    <Show when={props.cluster.row} fallback={<Loading />}>
      {(row) => (
        <section class="card" aria-label="Sender and limits">
          <h2>Sender and limits</h2>
          <div class="card-body columns">
            <dl class="facts">
              <dt>Sender</dt>
              <dd>{row().senderVersion || <Unknown />}</dd>
              <dt>Its clock</dt>
              <dd>
                <Show
                  when={row().clockSkewSeconds !== null}
                  fallback={<Unknown why="The sender does not say" />}
                >
                  {duration(Math.abs(row().clockSkewSeconds ?? 0) * 1000)}{' '}
                  {(row().clockSkewSeconds ?? 0) < 0 ? 'behind' : 'ahead of'} the hub's
                </Show>
              </dd>
              <dt>Labels stamped</dt>
              <dd>
                <LabelSet labels={row().labels} />
              </dd>
              <dt>Accepted</dt>
              <dd>
                {whole(row().acceptedSamples)} samples in {counted(row().requests, 'request')},{' '}
                {bytes(row().receivedBytes)}
              </dd>
            </dl>
            <dl class="facts">
              <dt>Rejected samples</dt>
              <dd>
                <Reasons counts={props.cluster.rejected} none="none" />
              </dd>
              <dt>Throttled requests</dt>
              <dd>
                <Reasons counts={props.cluster.throttled} none="none" />
              </dd>
              <dt>Limits</dt>
              <dd>
                <For each={Object.entries(row().limits)} fallback={<span class="soft">none</span>}>
                  {([limit, most]) => (
                    <div>
                      {limit.replaceAll('_', ' ')} <b>{whole(most)}</b>
                    </div>
                  )}
                </For>
              </dd>
            </dl>
          </div>
        </section>
      )}
    </Show>
  );
}
