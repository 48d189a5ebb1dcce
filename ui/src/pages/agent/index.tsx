// An agent's front page: does what it collects arrive, how far behind is it, what waits on disk.

import { createMemo, For, Show } from 'solid-js';
import { ask } from '../../api/client';
import { fetchOwn, type OwnMetrics, own } from '../../api/own';
import { createPolled, type Polled } from '../../api/polled';
import type { Labels } from '../../api/type';
import { Figure, Meter, Sparkline, Unknown } from '../../component/figure';
import { Empty, Loaded, Notice, State, type Tone } from '../../component/state';
import { bytes, percent, short, whole } from '../../format/number';
import { ago, duration, instant, parseTime } from '../../format/time';
import { href } from '../../router';
import { Page } from '../../shell/page';

interface Endpoint {
  name: string;
  url: string;
  lastError: string | null;
  lastErrorTime: string | null;
}

interface Known {
  at: number;
  metrics: OwnMetrics;
  endpoints: Endpoint[];
}

/** Polls kept for rates. */
const KEPT = 60;
const POLL_MS = 3000;
/** An endpoint that is further behind lags. */
const LAGGING_SECONDS = 60;

async function fetchKnown(signal: AbortSignal): Promise<Known> {
  const [metrics, endpoints] = await Promise.all([
    fetchOwn(signal),
    ask<{ endpoints: Endpoint[] }>('status/remote_write', {}, { signal }),
  ]);
  return { at: Date.now(), metrics, endpoints: endpoints.data.endpoints };
}

export default function AgentPage() {
  const known = createPolled(
    () => true,
    (_, signal) => fetchKnown(signal),
    POLL_MS,
  );
  const history = createMemo<Known[]>((before) => {
    const now = known.data();
    return now && now !== before.at(-1) ? [...before, now].slice(-KEPT) : before;
  }, []);
  return (
    <Page title="Agent">
      <Loaded of={known as Polled<Known>}>
        {(now) => (
          <div class="stack">
            <Overview metrics={now().metrics} history={history()} />
            <For each={now().endpoints.map((one) => one.name)} fallback={<None />}>
              {(name) => <One name={name} now={now()} history={history()} />}
            </For>
          </div>
        )}
      </Loaded>
    </Page>
  );
}

function None() {
  return (
    <Empty title="Nothing is pushed" icon="queue">
      The configuration has no <code>remote_write</code> and there is no <code>--hub.url</code>: what is
      scraped goes nowhere.
    </Empty>
  );
}

/** Growth per second of a counter between polls, oldest first. */
function rates(history: readonly Known[], name: string, wanted: Labels = {}): number[] {
  const found: number[] = [];
  for (const [i, now] of history.entries()) {
    const before = history[i - 1];
    if (!before) continue;
    const grown =
      (own(now.metrics, name, wanted) ?? Number.NaN) - (own(before.metrics, name, wanted) ?? Number.NaN);
    found.push(Math.max(0, grown) / ((now.at - before.at) / 1000));
  }
  return found;
}

/** Of the last few polls, since one alone may fall between two batches. */
function recent(all: readonly number[]): number | undefined {
  const last = all.slice(-5);
  return last.length > 0 ? last.reduce((sum, one) => sum + one, 0) / last.length : undefined;
}

function Rate(props: { values: readonly number[] }) {
  return (
    <Show when={recent(props.values) !== undefined} fallback={<Unknown why="Known after the second look" />}>
      {short(recent(props.values) ?? 0)}
    </Show>
  );
}

function Overview(props: { metrics: OwnMetrics; history: readonly Known[] }) {
  const queue = () => own(props.metrics, 'nave_remote_queue_bytes') ?? 0;
  const queueMax = () => own(props.metrics, 'nave_remote_queue_bytes_max') ?? Number.POSITIVE_INFINITY;
  const lost = () => own(props.metrics, 'nave_remote_queue_lost_samples_total') ?? 0;
  const taken = () => rates(props.history, 'prometheus_agent_samples_appended_total');
  const targets = () => own(props.metrics, 'prometheus_target_scrape_pool_targets');
  return (
    <dl class="figures">
      <Figure name="Samples/s collected">
        <Rate values={taken()} />
      </Figure>
      <Figure name="Series">{whole(own(props.metrics, 'prometheus_agent_active_series') ?? 0)}</Figure>
      <Figure name="Targets">
        <a href={href('/targets')}>{whole(targets() ?? 0)}</a>
      </Figure>
      <Figure
        name="Queue on disk"
        note={
          <>
            {percent(queue() / queueMax())} of {bytes(queueMax())}
            <Meter share={queue() / queueMax()} label={`${percent(queue() / queueMax())} of its limit`} />
          </>
        }
      >
        {bytes(queue())}
      </Figure>
      <Figure name="Lost samples" note="the queue was full or too old">
        <span classList={{ bad: lost() > 0 }}>{whole(lost())}</span>
      </Figure>
    </dl>
  );
}

const PREFIX = 'prometheus_remote_storage_';

function One(props: { name: string; now: Known; history: readonly Known[] }) {
  const wanted = () => ({ remote_name: props.name });
  const get = (name: string) => own(props.now.metrics, PREFIX + name, wanted());
  const endpoint = () => props.now.endpoints.find((one) => one.name === props.name);
  // Of what was collected: nothing new to send is no lag.
  const lag = () =>
    Math.max(
      0,
      (get('queue_highest_timestamp_seconds') ?? 0) - (get('queue_highest_sent_timestamp_seconds') ?? 0),
    );
  const behind = () => {
    const newest = Math.max(
      own(props.now.metrics, `${PREFIX}highest_timestamp_in_seconds`) ?? 0,
      get('queue_highest_timestamp_seconds') ?? 0,
    );
    const sent = get('queue_highest_sent_timestamp_seconds') ?? 0;
    return sent === 0 ? undefined : Math.max(0, newest - sent, lag());
  };
  const failedAt = () => parseTime(endpoint()?.lastErrorTime);
  const sent = () => rates(props.history, `${PREFIX}samples_total`, wanted());
  const fare = (): [Tone, string] => {
    const late = behind();
    if (late === undefined) return failedAt() ? ['bad', 'never reached'] : ['idle', 'nothing sent yet'];
    const recently = failedAt() !== undefined && props.now.at - (failedAt() ?? 0) < 30_000;
    if (late > LAGGING_SECONDS) return ['bad', 'behind'];
    return recently ? ['warn', 'retrying'] : ['ok', 'up to date'];
  };
  return (
    <section class="card" aria-label={`Endpoint ${props.name}`}>
      <div class="card-head">
        <State tone={fare()[0]}>{fare()[1]}</State>
        <h2 class="wrap-anywhere">{props.name}</h2>
        <code class="soft wrap-anywhere">{endpoint()?.url}</code>
      </div>
      <div class="card-body stack">
        <Show when={endpoint()?.lastError}>
          {(why) => (
            <Notice tone={fare()[0] === 'ok' ? 'warn' : 'bad'}>
              Last failure, {ago(failedAt() ?? 0)} ({instant(failedAt() ?? 0)}): {why()}
            </Notice>
          )}
        </Show>
        <dl class="figures">
          <Figure name="Behind" note="newest sent to newest collected">
            <Show when={behind() !== undefined} fallback={<Unknown why="Nothing was sent yet" />}>
              {duration((behind() ?? 0) * 1000)}
            </Show>
          </Figure>
          <Figure name="Pending samples" note="in memory, on their way">
            {short(get('samples_pending') ?? 0)}
          </Figure>
          <Figure name="Samples/s sent" note={<Sparkline values={sent()} label="Samples per second sent" />}>
            <Rate values={sent()} />
          </Figure>
          <Figure name="Bytes/s sent">
            <Show
              when={recent(rates(props.history, `${PREFIX}bytes_total`, wanted())) !== undefined}
              fallback={<Unknown why="Known after the second look" />}
            >
              {bytes(recent(rates(props.history, `${PREFIX}bytes_total`, wanted())) ?? 0)}
            </Show>
          </Figure>
          <Figure
            name="Shards"
            note={`${whole(get('shards_min') ?? 0)} to ${whole(get('shards_max') ?? 0)}, wanted ${whole(Math.ceil(get('shards_desired') ?? 0))}`}
          >
            {whole(get('shards') ?? 0)}
          </Figure>
        </dl>
        <Totals now={props.now} wanted={wanted()} />
      </div>
    </section>
  );
}

/** Samples since the start, by what became of them. */
function Totals(props: { now: Known; wanted: Labels }) {
  const get = (name: string) => own(props.now.metrics, PREFIX + name, props.wanted) ?? 0;
  const dropped = () =>
    (props.now.metrics.get(`${PREFIX}samples_dropped_total`) ?? []).filter(
      (one) => one.labels.remote_name === props.wanted.remote_name && one.value > 0,
    );
  return (
    <dl class="facts">
      <dt>Sent since the start</dt>
      <dd>
        {whole(get('samples_total'))} samples, {bytes(get('bytes_total'))}
      </dd>
      <dt>Retried</dt>
      <dd>{whole(get('samples_retried_total'))} samples</dd>
      <dt>Refused for good</dt>
      <dd classList={{ bad: get('samples_failed_total') > 0 }}>
        {whole(get('samples_failed_total'))} samples
      </dd>
      <dt>Dropped</dt>
      <dd>
        <For each={dropped()} fallback="none">
          {(one) => (
            <div class="warn">
              {whole(one.value)} {one.labels.reason?.replaceAll('_', ' ')}
            </div>
          )}
        </For>
      </dd>
    </dl>
  );
}
