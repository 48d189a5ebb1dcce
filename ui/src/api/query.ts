// PromQL for pages that show figures; the query page has its own way.

import { parse } from '../format/number';
import { ask } from './client';
import type { Labels, QueryResult } from './type';

export interface Point {
  labels: Labels;
  value: number;
}

export interface Line {
  labels: Labels;
  /** One per step from `from` on; NaN where there is none. */
  values: number[];
}

export interface Lines {
  /** In ms. */
  from: number;
  to: number;
  step: number;
  lines: Line[];
}

/** The floats of an instant vector, now. */
export async function instant(expression: string, signal: AbortSignal, limit?: number): Promise<Point[]> {
  const { data } = await ask<QueryResult>('query', { query: expression, limit }, { signal, method: 'POST' });
  if (data.resultType !== 'vector') return [];
  return data.result.flatMap(({ metric, value }) =>
    value ? [{ labels: metric, value: parse(value[1]) }] : [],
  );
}

/** Values of an instant vector by one label. */
export async function by(
  label: string,
  expression: string,
  signal: AbortSignal,
): Promise<Map<string, number>> {
  const points = await instant(expression, signal);
  return new Map(points.map((point) => [point.labels[label] ?? '', point.value]));
}

/** The floats of a range until now, at `steps` + 1 steps. */
export async function range(
  expression: string,
  spanMs: number,
  steps: number,
  signal: AbortSignal,
): Promise<Lines> {
  const step = Math.max(1000, Math.round(spanMs / steps / 1000) * 1000);
  const to = Math.floor(Date.now() / step) * step;
  const from = to - Math.round(spanMs / step) * step;
  const parameters = { query: expression, start: from / 1000, end: to / 1000, step: step / 1000 };
  const { data } = await ask<QueryResult>('query_range', parameters, { signal, method: 'POST' });
  if (data.resultType !== 'matrix') return { from, to, step, lines: [] };
  const count = Math.round((to - from) / step) + 1;
  const lines = data.result.map(({ metric, values }) => {
    const line = new Array<number>(count).fill(Number.NaN);
    for (const [at, text] of values ?? []) line[Math.round((at * 1000 - from) / step)] = parse(text);
    return { labels: metric, values: line };
  });
  return { from, to, step, lines };
}

/** The address of the query page with this expression, as a graph. */
export function queryPath(expression: string, how: { range?: string; table?: boolean } = {}): string {
  const parameters = new URLSearchParams({
    'g0.expr': expression,
    'g0.tab': how.table ? '1' : '0',
    'g0.range_input': how.range ?? '1h',
  });
  return `/query?${parameters}`;
}
