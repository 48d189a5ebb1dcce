// Exemplars: single observations that a client kept, such as with the identity of a trace.

import { ask } from '../../api/client';
import type { Labels } from '../../api/type';
import { parse } from '../../format/number';

export interface Exemplar {
  /** Of the series. */
  series: Labels;
  /** Of the observation. */
  labels: Labels;
  value: number;
  /** In ms. */
  at: number;
}

interface Answered {
  seriesLabels: Labels;
  exemplars: { labels: Labels; value: string; timestamp: number }[];
}

/** More than these would cover the lines; the newest are kept. */
export const EXEMPLARS_MAX = 1000;

/** Exemplars of the series that the expression selects, newest first; times in ms. */
export async function fetchExemplars(
  expression: string,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Exemplar[]> {
  const parameters = { query: expression, start: start / 1000, end: end / 1000 };
  const { data } = await ask<Answered[]>('query_exemplars', parameters, { signal, method: 'POST' });
  const all = data.flatMap(({ seriesLabels, exemplars }) =>
    exemplars.map(({ labels, value, timestamp }) => {
      return { series: seriesLabels, labels, value: parse(value), at: timestamp * 1000 };
    }),
  );
  return all.sort((a, b) => b.at - a.at).slice(0, EXEMPLARS_MAX);
}
