// What the store says of itself.

import { ApiError, ask } from '../../api/client';
import { instant, type Lines, range } from '../../api/query';
import type { BlockRow, Count, RuntimeInfo, TsdbStatus } from '../../api/type';

export async function fetchStatus(limit: number, signal: AbortSignal): Promise<TsdbStatus> {
  return (await ask<TsdbStatus>('status/tsdb', { limit }, { signal })).data;
}

export async function fetchRuntime(signal: AbortSignal): Promise<RuntimeInfo> {
  return (await ask<RuntimeInfo>('status/runtimeinfo', {}, { signal })).data;
}

/** All blocks, oldest first; `null` where the process has no such list. */
export async function fetchBlocks(signal: AbortSignal): Promise<BlockRow[] | null> {
  try {
    const { data } = await ask<{ blocks: BlockRow[] }>('status/tsdb/blocks', {}, { signal });
    return [...data.blocks].sort((a, b) => a.minTime - b.minTime);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

/** The hub's own series have no cluster; those of other servers that push do. */
export const GRAPHS = [
  { title: 'Series in memory', expression: 'max(prometheus_tsdb_head_series{cluster=""})' },
  {
    title: 'Samples/s taken',
    expression: 'sum(rate(prometheus_tsdb_head_samples_appended_total{cluster=""}[1m]))',
  },
] as const;

export function fetchGraph(expression: string, signal: AbortSignal): Promise<Lines> {
  return range(expression, 6 * 3_600_000, 120, signal);
}

export type Dimension = 'metric' | 'job' | 'cluster' | 'pair' | 'values' | 'bytes';

interface How {
  title: string;
  /** What is counted. */
  unit: string;
  list: (status: TsdbStatus) => readonly Count[] | undefined;
  /** The label to group by; for the query and the growth. */
  label?: string;
}

export const DIMENSIONS: Record<Dimension, How> = {
  metric: { title: 'Metric', unit: 'series', list: (s) => s.seriesCountByMetricName, label: '__name__' },
  cluster: { title: 'Cluster', unit: 'series', list: (s) => s.seriesCountByCluster, label: 'cluster' },
  job: { title: 'Job', unit: 'series', list: (s) => s.seriesCountByJob, label: 'job' },
  pair: { title: 'Label pair', unit: 'series', list: (s) => s.seriesCountByLabelValuePair },
  values: { title: 'Label', unit: 'values', list: (s) => s.labelValueCountByLabelName },
  bytes: { title: 'Label memory', unit: 'bytes', list: (s) => s.memoryInBytesByLabelName },
};

/** Series by the values of `label` an hour ago. */
export async function fetchBefore(label: string, signal: AbortSignal): Promise<Map<string, number>> {
  const points = await instant(`count by (${label}) ({${label}!=""} offset 1h)`, signal);
  return new Map(points.map((point) => [point.labels[label] ?? '', point.value]));
}
