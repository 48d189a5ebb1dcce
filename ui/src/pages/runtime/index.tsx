// The process: since when, which version, which machine, what it uses.

import { createMemo, For, type JSX, Show } from 'solid-js';
import { ask } from '../../api/client';
import { fetchOwn, own } from '../../api/own';
import { createPolled } from '../../api/polled';
import type { BuildInfo, RuntimeInfo } from '../../api/type';
import { Figure, Meter, Unknown } from '../../component/figure';
import { Loaded, Notice } from '../../component/state';
import { bytes, percent, whole } from '../../format/number';
import { ago, duration, instant, now, parseTime } from '../../format/time';
import { served } from '../../process';
import { Page } from '../../shell/page';

interface Known {
  runtime: RuntimeInfo;
  build: BuildInfo;
  features: Record<string, Record<string, boolean>>;
}

async function fetchKnown(signal: AbortSignal): Promise<Known> {
  const [runtime, build, features] = await Promise.all([
    ask<RuntimeInfo>('status/runtimeinfo', {}, { signal }),
    ask<BuildInfo>('status/buildinfo', {}, { signal }),
    ask<Known['features']>('features', {}, { signal }),
  ]);
  return { runtime: runtime.data, build: build.data, features: features.data };
}

export default function RuntimePage() {
  const known = createPolled(
    () => true,
    (_, signal) => fetchKnown(signal),
    10_000,
  );
  const metrics = createPolled(
    () => true,
    (_, signal) => fetchOwn(signal),
    5000,
  );
  return (
    <Page title="Runtime">
      <Loaded of={known}>
        {(data) => (
          <>
            <Show when={!data().runtime.reloadConfigSuccess}>
              <Notice tone="bad">
                The last reload of the configuration failed; the one of{' '}
                {instant(parseTime(data().runtime.lastConfigTime) ?? 0)} is in use. The log says what is
                wrong.
              </Notice>
            </Show>
            <div class="stack">
              <Use runtime={data().runtime} metric={(name) => own(metrics.data(), name)} />
              <div class="columns">
                <Process runtime={data().runtime} />
                <Build build={data().build} features={data().features} />
              </div>
            </div>
          </>
        )}
      </Loaded>
    </Page>
  );
}

function Use(props: { runtime: RuntimeInfo; metric: (name: string) => number | undefined }) {
  const started = () => parseTime(props.runtime.startTime) ?? Number.NaN;
  const memory = () => props.metric('process_resident_memory_bytes');
  const share = () => (memory() ?? 0) / props.runtime.GOMEMLIMIT;
  const cpu = createMemo(
    () => (props.metric('process_cpu_seconds_total') ?? Number.NaN) / ((now() - started()) / 1000),
  );
  return (
    <dl class="figures">
      <Figure name="Up for" note={instant(started())}>
        {duration(Math.floor((now() - started()) / 1000) * 1000)}
      </Figure>
      <Figure
        name="Memory"
        note={
          <>
            {percent(share())} of {bytes(props.runtime.GOMEMLIMIT)}
            <Meter share={share()} label={`${percent(share())} of the memory there is`} />
          </>
        }
      >
        <Show when={memory() !== undefined} fallback={<Unknown />}>
          {bytes(memory() ?? 0)}
        </Show>
      </Figure>
      <Figure name="CPU" note="average since the start">
        <Show when={Number.isFinite(cpu())} fallback={<Unknown />}>
          {Number(cpu().toPrecision(2))} cores
        </Show>
      </Figure>
      <Figure name="Open files" note={`of ${whole(props.metric('process_max_fds') ?? Number.NaN)}`}>
        {whole(props.metric('process_open_fds') ?? Number.NaN)}
      </Figure>
      <Figure name="Damaged records" note="of the log, found at the start">
        <span classList={{ bad: props.runtime.corruptionCount > 0 }}>
          {whole(props.runtime.corruptionCount)}
        </span>
      </Figure>
    </dl>
  );
}

function Facts(props: { title: string; facts: readonly [string, JSX.Element][] }) {
  return (
    <section class="card" aria-label={props.title}>
      <h2>{props.title}</h2>
      <div class="card-body">
        <dl class="facts">
          <For each={props.facts}>
            {([name, fact]) => (
              <>
                <dt>{name}</dt>
                <dd>{fact}</dd>
              </>
            )}
          </For>
        </dl>
      </div>
    </section>
  );
}

function Process(props: { runtime: RuntimeInfo }) {
  const loaded = () => parseTime(props.runtime.lastConfigTime) ?? 0;
  const facts = (): [string, JSX.Element][] => [
    ['Mode', served.mode],
    ['Machine', props.runtime.hostname],
    ['Working directory', <code>{props.runtime.CWD}</code>],
    ['Server time', instant(parseTime(props.runtime.serverTime) ?? 0)],
    ['Configuration loaded', <span title={instant(loaded())}>{ago(loaded())}</span>],
    ['Last reload', props.runtime.reloadConfigSuccess ? 'worked' : 'failed'],
    ['Worker threads', whole(props.runtime.GOMAXPROCS)],
    ['Tasks', whole(props.runtime.goroutineCount)],
    ...(served.mode === 'hub' ? ([['Retention', props.runtime.storageRetention]] as [string, string][]) : []),
  ];
  return <Facts title="Process" facts={facts()} />;
}

function Build(props: { build: BuildInfo; features: Known['features'] }) {
  const enabled = () =>
    Object.values(props.features).flatMap((group) => Object.keys(group).filter((name) => group[name]));
  const facts = (): [string, JSX.Element][] => [
    ['Version', props.build.version],
    ['Behaves as', `Prometheus ${props.build.version.split('+')[0]}`],
    ['Revision', props.build.revision || <Unknown why="This build does not say" />],
    ['Built', props.build.buildDate || <Unknown why="This build does not say" />],
    ['Compiler', props.build.goVersion],
    ['Features', enabled().length > 0 ? enabled().join(', ') : <span class="soft">none switched on</span>],
  ];
  return <Facts title="Build" facts={facts()} />;
}
