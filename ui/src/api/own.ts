// The process' own metrics, read from its page at `metrics`; works where there is no store.

import { parse } from '../format/number';
import { askText } from './client';
import type { Labels } from './type';

export interface OwnSample {
  labels: Labels;
  value: number;
}

/** Samples by metric name. */
export type OwnMetrics = Map<string, OwnSample[]>;

export async function fetchOwn(signal: AbortSignal): Promise<OwnMetrics> {
  return parsePage(await askText('metrics', { signal }));
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)/;
const PAIR = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"/g;

/** The text exposition format, as this process writes it. */
export function parsePage(text: string): OwnMetrics {
  const all: OwnMetrics = new Map();
  for (const line of text.split('\n')) {
    if (line.startsWith('#')) continue;
    const [, name, pairs, value] = LINE.exec(line) ?? [];
    if (name === undefined || value === undefined) continue;
    const labels: Labels = {};
    for (const [, label, text] of (pairs ?? '').matchAll(PAIR)) labels[label ?? ''] = unescaped(text ?? '');
    const sample = { labels, value: parse(value) };
    const known = all.get(name);
    if (known) known.push(sample);
    else all.set(name, [sample]);
  }
  return all;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, c: string) => (c === 'n' ? '\n' : c));
}

/** The sum of a metric over all its series that fit; undefined when there is none. */
export function own(metrics: OwnMetrics | undefined, name: string, wanted: Labels = {}): number | undefined {
  const samples = metrics?.get(name)?.filter(({ labels }) => {
    return Object.entries(wanted).every(([label, value]) => labels[label] === value);
  });
  return samples && samples.length > 0 ? samples.reduce((sum, one) => sum + one.value, 0) : undefined;
}
