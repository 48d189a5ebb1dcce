// Histograms over time as rows of buckets: native ones, and classic ones with their label `le`.

import type { MatrixSeries } from '../../api/type';
import { parse, short } from '../../format/number';
import type { Span } from './plot';

/** One row; bounds as numbers. */
export interface Row {
  lower: number;
  upper: number;
  /** One count per step; 0 where there is none. */
  counts: Float64Array;
}

export interface Heatmap {
  /** From the lowest bucket to the highest. */
  rows: Row[];
  /** The highest count of any cell. */
  most: number;
  /** How many series were added up. */
  series: number;
}

/** A screen has no room for more; neighbours are put together. */
export const ROWS_MAX = 120;

export const hasNative = (series: readonly MatrixSeries[]) =>
  series.some((one) => (one.histograms?.length ?? 0) > 0);

export const hasClassic = (series: readonly MatrixSeries[]) =>
  series.some((one) => one.metric.le !== undefined && (one.values?.length ?? 0) > 0);

/** The heatmap of all series together; undefined when none has buckets. */
export function heatmap(series: readonly MatrixSeries[], span: Span): Heatmap | undefined {
  const steps = Math.floor((span.end - span.start) / span.step) + 1;
  const at = (seconds: number) => Math.round((seconds * 1000 - span.start) / span.step);
  const rows = hasNative(series) ? native(series, steps, at) : classic(series, steps, at);
  if (rows.length === 0) return undefined;
  const merged = merge(rows);
  let most = 0;
  for (const row of merged) for (const count of row.counts) most = Math.max(most, count);
  return { rows: merged, most, series: seriesOf(series) };
}

/** Classic ones are as many series as have the most common bucket. */
function seriesOf(series: readonly MatrixSeries[]): number {
  if (hasNative(series)) return series.length;
  const counts = new Map<string, number>();
  for (const { metric } of series) counts.set(metric.le ?? '', (counts.get(metric.le ?? '') ?? 0) + 1);
  return Math.max(...counts.values());
}

type Place = (seconds: number) => number;

function native(series: readonly MatrixSeries[], steps: number, at: Place): Row[] {
  const rows = new Map<string, Row>();
  for (const one of series) {
    for (const [seconds, { buckets = [] }] of one.histograms ?? []) {
      const step = at(seconds);
      if (step < 0 || step >= steps) continue;
      for (const [, lower, upper, count] of buckets) {
        const key = `${lower} ${upper}`;
        let row = rows.get(key);
        if (!row) {
          row = { lower: parse(lower), upper: parse(upper), counts: new Float64Array(steps) };
          rows.set(key, row);
        }
        add(row.counts, step, parse(count));
      }
    }
  }
  return [...rows.values()].sort((a, b) => a.upper - b.upper || a.lower - b.lower);
}

/** Counts of classic buckets hold those of all lower ones. */
function classic(series: readonly MatrixSeries[], steps: number, at: Place): Row[] {
  const sums = new Map<number, Float64Array>();
  for (const one of series) {
    const upper = parse(one.metric.le ?? '');
    if (one.metric.le === undefined || Number.isNaN(upper)) continue;
    const counts = sums.get(upper) ?? new Float64Array(steps);
    sums.set(upper, counts);
    for (const [seconds, text] of one.values ?? []) add(counts, at(seconds), parse(text));
  }
  const sorted = [...sums].sort(([a], [b]) => a - b);
  return sorted.map(([upper, counts], i) => {
    const [lower, below] = sorted[i - 1] ?? [Number.NEGATIVE_INFINITY, undefined];
    return { lower, upper, counts: counts.map((count, step) => Math.max(0, count - (below?.[step] ?? 0))) };
  });
}

function add(counts: Float64Array, step: number, count: number): void {
  if (Number.isFinite(count) && step >= 0 && step < counts.length) counts[step] = (counts[step] ?? 0) + count;
}

function merge(rows: Row[]): Row[] {
  const each = Math.ceil(rows.length / ROWS_MAX);
  if (each <= 1) return rows;
  const merged: Row[] = [];
  for (let i = 0; i < rows.length; i += each) {
    const group = rows.slice(i, i + each);
    const [first, last] = [group[0], group.at(-1)];
    if (!first || !last) continue;
    const counts = first.counts.map((_, step) =>
      group.reduce((sum, row) => sum + (row.counts[step] ?? 0), 0),
    );
    merged.push({ lower: first.lower, upper: last.upper, counts });
  }
  return merged;
}

/** A bound; far from 1 with an exponent. */
export function boundText(bound: number): string {
  const size = Math.abs(bound);
  return Number.isFinite(bound) && size > 0 && (size >= 1e15 || size < 1e-3)
    ? bound.toExponential(1)
    : short(bound);
}

/** `0.1 to 0.5`. */
export const rangeText = (row: Row) => `${boundText(row.lower)} to ${boundText(row.upper)}`;
