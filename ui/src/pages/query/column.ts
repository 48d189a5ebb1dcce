// Range results as columns, as a plot takes them.

import type uPlot from 'uplot';
import type { MatrixSeries } from '../../api/type';
import { selector } from '../../component/label';
import { parse } from '../../format/number';
import type { Span } from './plot';
import { csvLine } from './result-table';

export const stepsOf = (span: Span) => Math.floor((span.end - span.start) / span.step) + 1;

/** One column of times in seconds, then one of values per series, `null` where there is none. */
export function columns(series: readonly MatrixSeries[], span: Span): uPlot.AlignedData {
  const count = stepsOf(span);
  const times = Array.from({ length: count }, (_, i) => (span.start + i * span.step) / 1000);
  const values = series.map((one) => {
    const column = new Array<number | null>(count).fill(null);
    for (const [seconds, text] of one.values ?? []) {
      const value = parse(text);
      const i = Math.round((seconds * 1000 - span.start) / span.step);
      if (i >= 0 && i < count && Number.isFinite(value)) column[i] = value;
    }
    return column;
  });
  return [times, ...values];
}

/** Each shown series on top of those before it. */
export function stack(data: uPlot.AlignedData, isShown: (series: number) => boolean): uPlot.AlignedData {
  const [times, ...values] = data;
  const sums = new Array<number>(times.length).fill(0);
  const stacked = values.map((column, series) =>
    Array.from(column, (value, i) => {
      if (value === null || value === undefined || !isShown(series)) return null;
      sums[i] = (sums[i] ?? 0) + value;
      return sums[i] ?? null;
    }),
  );
  return [times, ...stacked];
}

/** A line per time, a column per series; times as RFC 3339. */
export function rangeCsv(series: readonly MatrixSeries[], span: Span): string {
  const lines = [csvLine(['time', ...series.map((one) => selector(one.metric))])];
  const texts = series.map((one) => {
    return new Map(one.values?.map(([seconds, text]) => [Math.round(seconds * 1000), text]));
  });
  for (let at = span.start; at <= span.end; at += span.step) {
    lines.push(csvLine([new Date(at).toISOString(), ...texts.map((one) => one.get(Math.round(at)) ?? '')]));
  }
  return lines.join('\n');
}
