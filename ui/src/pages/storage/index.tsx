// The store: how much is in it, what it may take, what weighs.

import { createMemo, For, Show } from 'solid-js';
import { fetchOwn, type OwnMetrics, own } from '../../api/own';
import { createPolled } from '../../api/polled';
import { type Lines, queryPath } from '../../api/query';
import type { RuntimeInfo, TsdbStatus } from '../../api/type';
import { Chart } from '../../component/chart';
import { Figure, Meter, Unknown } from '../../component/figure';
import { Loaded } from '../../component/state';
import { bytes, percent, short, whole } from '../../format/number';
import { ago, instant } from '../../format/time';
import { href } from '../../router';
import { Page } from '../../shell/page';
import { Blocks } from './blocks';
import { Cardinality } from './cardinality';
import { fetchGraph, fetchRuntime, fetchStatus, GRAPHS } from './fetch';

interface Known {
  status: TsdbStatus;
  runtime: RuntimeInfo;
  metrics: OwnMetrics;
}

export default function StoragePage() {
  const known = createPolled(
    () => true,
    async (_, signal): Promise<Known> => {
      const [status, runtime, metrics] = await Promise.all([
        fetchStatus(1, signal),
        fetchRuntime(signal),
        fetchOwn(signal),
      ]);
      return { status, runtime, metrics };
    },
    5000,
  );
  return (
    <Page title="Storage">
      <div class="stack">
        <Loaded of={known}>
          {(data) => (
            <>
              <Head status={data().status} metrics={data().metrics} />
              <Budgets runtime={data().runtime} metrics={data().metrics} />
            </>
          )}
        </Loaded>
        <section class="card" aria-label="The last six hours">
          <h2>The last six hours</h2>
          <div class="card-body columns">
            <For each={GRAPHS}>{(graph) => <Graph {...graph} />}</For>
            <Show when={known.data()?.status.newSeriesByMinute}>
              {(minutes) => <NewSeries minutes={minutes()} />}
            </Show>
          </div>
        </section>
        <Blocks />
        <Cardinality />
      </div>
    </Page>
  );
}

function Head(props: { status: TsdbStatus; metrics: OwnMetrics }) {
  const head = () => props.status.headStats;
  // An empty head has the largest and the smallest number there.
  const known = () =>
    Math.abs(head().minTime) < 8.64e15 && Math.abs(head().maxTime) < 8.64e15 && head().maxTime > 0;
  return (
    <dl class="figures">
      <Figure name="Series in memory">{whole(head().numSeries)}</Figure>
      <Figure name="Label pairs">{whole(head().numLabelPairs)}</Figure>
      <Figure name="Chunks">{whole(head().chunkCount)}</Figure>
      <Figure name="Oldest sample" note={known() && instant(head().minTime)}>
        <Show when={known()} fallback={<Unknown why="There is no sample" />}>
          {ago(head().minTime)}
        </Show>
      </Figure>
      <Figure name="Newest sample" note={known() && instant(head().maxTime)}>
        <Show when={known()} fallback={<Unknown why="There is no sample" />}>
          {ago(head().maxTime)}
        </Show>
      </Figure>
      <Figure name="Late samples" note="older than the newest of their series">
        {short(own(props.metrics, 'prometheus_tsdb_head_out_of_order_samples_appended_total') ?? Number.NaN)}
      </Figure>
    </dl>
  );
}

function Budgets(props: { runtime: RuntimeInfo; metrics: OwnMetrics }) {
  const get = (name: string) => own(props.metrics, name);
  const memory = () => get('process_resident_memory_bytes') ?? 0;
  const disk = createMemo(
    () =>
      (get('prometheus_tsdb_wal_storage_size_bytes') ?? 0) +
      (get('prometheus_tsdb_storage_blocks_bytes') ?? 0),
  );
  const quota = () => get('prometheus_tsdb_retention_limit_bytes') ?? 0;
  return (
    <dl class="figures">
      <Figure
        name="Memory"
        note={
          <>
            {percent(memory() / props.runtime.GOMEMLIMIT)} of {bytes(props.runtime.GOMEMLIMIT)}
            <Meter share={memory() / props.runtime.GOMEMLIMIT} label="Share of the memory there is" />
          </>
        }
      >
        {bytes(memory())}
      </Figure>
      <Figure
        name="Disk"
        note={
          <Show when={quota() > 0} fallback="no size limit">
            {percent(disk() / quota())} of {bytes(quota())}
            <Meter share={disk() / quota()} label="Share of the size limit" />
          </Show>
        }
      >
        {bytes(disk())}
      </Figure>
      <Figure name="Log">{bytes(get('prometheus_tsdb_wal_storage_size_bytes') ?? Number.NaN)}</Figure>
      <Figure name="Blocks">{bytes(get('prometheus_tsdb_storage_blocks_bytes') ?? Number.NaN)}</Figure>
      <Figure name="Retention" note={quota() > 0 ? `and at most ${bytes(quota())}` : 'older samples go'}>
        {props.runtime.storageRetention || <Unknown />}
      </Figure>
      <Figure name="Damaged records" note="of the log, found at the start">
        <span classList={{ bad: props.runtime.corruptionCount > 0 }}>
          {whole(props.runtime.corruptionCount)}
        </span>
      </Figure>
    </dl>
  );
}

/** What churns: series that were not there before, by minute. */
function NewSeries(props: { minutes: readonly { time: number; value: number }[] }) {
  const lines = createMemo((): Lines => {
    const step = 60_000;
    const to = Math.floor(Date.now() / step) * step;
    const from = to - 6 * 60 * step;
    const values = new Array<number>(6 * 60 + 1).fill(0);
    for (const { time, value } of props.minutes) {
      const i = Math.round((time - from) / step);
      if (i >= 0 && i < values.length) values[i] = value;
    }
    return { from, to, step, lines: [{ labels: {}, values }] };
  });
  return (
    <div class="host">
      <h3>New series per minute</h3>
      <Chart data={lines()} title="New series per minute" name={() => 'hub'} format={short} />
    </div>
  );
}

function Graph(props: { title: string; expression: string }) {
  const lines = createPolled(() => props.expression, fetchGraph, 30_000);
  return (
    <div class="host">
      <h3>
        <a href={href(queryPath(props.expression, { range: '6h' }))}>{props.title}</a>
      </h3>
      <Loaded of={lines} lines={5}>
        {(data) => (
          <Show
            when={data().lines.length > 0}
            fallback={<p class="soft">Not known: the hub does not scrape itself.</p>}
          >
            <Chart data={data()} title={props.title} name={() => 'hub'} format={short} />
          </Show>
        )}
      </Loaded>
    </div>
  );
}
