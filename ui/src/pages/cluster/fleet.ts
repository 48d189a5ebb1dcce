// What the hub knows of its clusters, from credentials where there is a clusters file, else from the samples
// themselves.

import { ask } from '../../api/client';
import { by, instant, type Lines, range } from '../../api/query';
import type { ClusterRow } from '../../api/type';
import { quote } from '../../component/label';
import type { Tone } from '../../component/state';
import { parseTime } from '../../format/time';

export type Fare = 'silent' | 'lagging' | 'live' | 'never seen';

/** A cluster whose newest sample is older than this lags, though it still talks. */
export const LAGGING_SECONDS = 90;
/** Without a clusters file: nothing for longer means silent. */
const SILENT_SECONDS = 300;

export interface Cluster {
  name: string;
  fare: Fare;
  /** Of the newest sample, in ms. */
  lastSample: number | undefined;
  lastContact: number | undefined;
  lagSeconds: number | undefined;
  samplesPerSecond: number | undefined;
  series: number | undefined;
  seriesMax: number | undefined;
  rejected: [reason: string, count: number][];
  throttled: [limit: string, count: number][];
  /** The row of the API; undefined when the cluster is known from samples only. */
  row: ClusterRow | undefined;
}

export interface Fleet {
  /** Whether there is a clusters file. */
  known: boolean;
  clusters: Cluster[];
}

export const TONES: Record<Fare, Tone> = { live: 'ok', lagging: 'warn', silent: 'bad', 'never seen': 'idle' };
/** Worst first. */
export const RANKS: Record<Fare, number> = { silent: 0, lagging: 1, 'never seen': 2, live: 3 };

export async function fetchFleet(signal: AbortSignal): Promise<Fleet> {
  const { data } = await ask<{ clusters: ClusterRow[] }>('clusters', {}, { signal });
  if (data.clusters.length > 0) return { known: true, clusters: data.clusters.map(fromRow) };
  return { known: false, clusters: await fromSamples(signal) };
}

function fromRow(row: ClusterRow): Cluster {
  const lastContact = parseTime(row.lastContact);
  const lag = row.lagSeconds ?? undefined;
  return {
    name: row.name,
    fare: fare(lastContact !== undefined, row.silent, lag),
    lastSample: lag === undefined ? undefined : Date.now() - lag * 1000,
    lastContact,
    lagSeconds: lag,
    samplesPerSecond: lastContact === undefined ? undefined : row.samplesPerSecond,
    // The hub's own metrics about a cluster count as its series; they say nothing of one that never wrote.
    series: lastContact === undefined ? undefined : row.activeSeries,
    seriesMax: row.limits.series,
    rejected: Object.entries(row.rejectedSamples).filter(([, count]) => count > 0),
    throttled: Object.entries(row.throttledRequests).filter(([, count]) => count > 0),
    row,
  };
}

function fare(seen: boolean, silent: boolean, lag: number | undefined): Fare {
  if (!seen) return 'never seen';
  if (silent) return 'silent';
  return lag !== undefined && lag > LAGGING_SECONDS ? 'lagging' : 'live';
}

/** The newest sample of each cluster: to the sample of those that live, to the minute of those that went silent in the last hour. */
const NEWEST = `max by (cluster) (
  label_replace(timestamp(up{cluster!=""}), "of", "now", "", "")
  or label_replace(max_over_time(timestamp(up{cluster!=""})[1h:1m]), "of", "hour", "", "")
)`;

async function fromSamples(signal: AbortSignal): Promise<Cluster[]> {
  const [last, rates, series] = await Promise.all([
    by('cluster', NEWEST, signal),
    by('cluster', 'sum by (cluster) (sum_over_time(scrape_samples_scraped{cluster!=""}[1m])) / 60', signal),
    by('cluster', 'sum by (cluster) (scrape_samples_post_metric_relabeling{cluster!=""})', signal),
  ]);
  return [...last].map(([name, seconds]) => {
    const lag = Date.now() / 1000 - seconds;
    return {
      name,
      fare: fare(true, lag > SILENT_SECONDS, lag),
      lastSample: seconds * 1000,
      lastContact: undefined,
      lagSeconds: lag,
      samplesPerSecond: rates.get(name) ?? 0,
      series: series.get(name),
      seriesMax: undefined,
      rejected: [],
      throttled: [],
      row: undefined,
    };
  });
}

/** Counts by cluster that come from samples. */
export interface Counts {
  up: Map<string, number>;
  targets: Map<string, number>;
  firing: Map<string, number>;
}

export async function fetchCounts(signal: AbortSignal): Promise<Counts> {
  const [up, targets, firing] = await Promise.all([
    by('cluster', 'sum by (cluster) (up{cluster!=""})', signal),
    by('cluster', 'count by (cluster) (up{cluster!=""})', signal),
    by('cluster', 'count by (cluster) (ALERTS{alertstate="firing", cluster!=""})', signal),
  ]);
  return { up, targets, firing };
}

/** Samples per second of each cluster in the last half hour. */
export async function fetchRates(fleet: Fleet, signal: AbortSignal): Promise<Map<string, number[]>> {
  const own = 'max by (cluster) (nave_cluster_samples_per_second)';
  const counted = 'sum by (cluster) (sum_over_time(scrape_samples_scraped{cluster!=""}[1m])) / 60';
  const lines = await range(fleet.known ? own : counted, 1_800_000, 30, signal);
  return new Map(lines.lines.map((line) => [line.labels.cluster ?? '', line.values]));
}

export interface ClusterTarget {
  job: string;
  instance: string;
  up: boolean;
  samples: number | undefined;
  seconds: number | undefined;
}

/** Targets of a cluster, as its samples say. */
export async function fetchTargets(cluster: string, signal: AbortSignal): Promise<ClusterTarget[]> {
  const matcher = `{cluster=${quote(cluster)}}`;
  const [up, samples, seconds] = await Promise.all([
    instant(`up${matcher}`, signal, 20_000),
    instant(`scrape_samples_scraped${matcher}`, signal, 20_000),
    instant(`scrape_duration_seconds${matcher}`, signal, 20_000),
  ]);
  const key = (labels: Record<string, string>) => `${labels.job}\n${labels.instance}`;
  const samplesOf = new Map(samples.map((point) => [key(point.labels), point.value]));
  const secondsOf = new Map(seconds.map((point) => [key(point.labels), point.value]));
  return up.map(({ labels, value }) => ({
    job: labels.job ?? '',
    instance: labels.instance ?? '',
    up: value === 1,
    samples: samplesOf.get(key(labels)),
    seconds: secondsOf.get(key(labels)),
  }));
}

/** The metrics of a cluster with most series. */
export async function fetchTopMetrics(cluster: string, signal: AbortSignal) {
  const points = await instant(`topk(20, count by (__name__) ({cluster=${quote(cluster)}}))`, signal);
  return points
    .map((point) => ({ name: point.labels.__name__ ?? '', value: point.value }))
    .sort((a, b) => b.value - a.value);
}

export interface HostGraph {
  title: string;
  unit: 'share' | 'bytes' | 'number';
  expression: (cluster: string) => string;
}

/** What a host graph shows: `cluster` is the quoted name. */
export const HOST_GRAPHS: readonly HostGraph[] = [
  {
    title: 'CPU in use',
    unit: 'share',
    expression: (c) => `1 - avg by (instance) (rate(node_cpu_seconds_total{cluster=${c}, mode="idle"}[5m]))`,
  },
  {
    title: 'Memory in use',
    unit: 'share',
    expression: (c) =>
      `1 - max by (instance) (node_memory_MemAvailable_bytes{cluster=${c}} / node_memory_MemTotal_bytes{cluster=${c}})`,
  },
  {
    title: 'Fullest file system',
    unit: 'share',
    expression: (c) =>
      `1 - min by (instance) (node_filesystem_avail_bytes{cluster=${c}, fstype!~"tmpfs|overlay|squashfs"} / node_filesystem_size_bytes{cluster=${c}, fstype!~"tmpfs|overlay|squashfs"})`,
  },
  {
    title: 'Network, bytes/s received',
    unit: 'bytes',
    expression: (c) =>
      `sum by (instance) (rate(node_network_receive_bytes_total{cluster=${c}, device!="lo"}[5m]))`,
  },
];

/** The ten highest lines of a host graph; a graph of more tells nothing. */
export function fetchHostGraph(graph: HostGraph, cluster: string, signal: AbortSignal): Promise<Lines> {
  return range(`topk(10, ${graph.expression(quote(cluster))})`, 3_600_000, 120, signal);
}
