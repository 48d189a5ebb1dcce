// The panels of the page as they stand in its address, in upstream's words (`g0.expr`, `g0.tab` ...), so that links of
// Prometheus' pages, old and new, open here and links from here open there.

import { parseDuration } from '../../format/time';

export type Tab = 'table' | 'graph' | 'explain';
export type Mode = 'lines' | 'stacked' | 'heatmap';

export interface PanelState {
  expression: string;
  tab: Tab;
  rangeMs: number;
  /** The end of the graph and the time of the table, in ms; undefined is now. */
  endMs: number | undefined;
  /** Undefined: as many steps as fit the graph. */
  stepMs: number | undefined;
  mode: Mode;
  exemplars: boolean;
}

export const HOUR_MS = 3_600_000;
/** An address may name any number of panels; each costs queries. */
const PANELS_MAX = 20;

export function emptyPanel(): PanelState {
  return {
    expression: '',
    tab: 'table',
    rangeMs: HOUR_MS,
    endMs: undefined,
    stepMs: undefined,
    mode: 'lines',
    exemplars: false,
  };
}

export function readPanels(query: URLSearchParams): PanelState[] {
  const panels: PanelState[] = [];
  for (let i = 0; i < PANELS_MAX && query.has(`g${i}.expr`); i += 1) {
    const get = (name: string) => query.get(`g${i}.${name}`) ?? '';
    panels.push({
      expression: get('expr'),
      tab: readTab(get('tab')),
      rangeMs: parseDuration(get('range_input')) || HOUR_MS,
      endMs: readTime(get('end_input') || get('moment_input')),
      stepMs: readStep(get('step_input')),
      mode: readMode(get('display_mode'), get('stacked')),
      exemplars: get('show_exemplars') === '1',
    });
  }
  return panels.length > 0 ? panels : [emptyPanel()];
}

/** Old links number the tabs. */
function readTab(text: string): Tab {
  if (text === '0' || text === 'graph') return 'graph';
  return text === 'explain' ? 'explain' : 'table';
}

function readMode(mode: string, stacked: string): Mode {
  if (mode === 'stacked' || mode === 'heatmap') return mode;
  return stacked === '1' ? 'stacked' : 'lines';
}

/** Upstream writes UTC without a zone: `2026-11-20 12:00:00`. */
export function readTime(text: string): number | undefined {
  if (text === '') return undefined;
  const at = Date.parse(/[zZ]|[+-]\d\d:\d\d$/.test(text) ? text : `${text.replace(' ', 'T')}Z`);
  return Number.isNaN(at) ? undefined : at;
}

/** Steps are seconds in old links, durations in new ones. */
function readStep(text: string): number | undefined {
  const seconds = Number(text);
  if (text !== '' && seconds > 0) return seconds * 1000;
  return parseDuration(text) || undefined;
}

/** The address' parameters with these panels; those that are no panel's stay as they are in `before`. */
export function writePanels(panels: readonly PanelState[], before = new URLSearchParams()): string {
  const query = new URLSearchParams();
  for (const [name, value] of before) if (!/^g\d+\./.test(name)) query.append(name, value);
  for (const [i, panel] of panels.entries()) {
    const set = (name: string, value: string) => query.set(`g${i}.${name}`, value);
    set('expr', panel.expression);
    set('tab', panel.tab);
    set('range_input', durationText(panel.rangeMs));
    if (panel.endMs !== undefined)
      set('end_input', new Date(panel.endMs).toISOString().slice(0, 19).replace('T', ' '));
    if (panel.stepMs !== undefined) set('step_input', String(panel.stepMs / 1000));
    if (panel.mode !== 'lines') set('display_mode', panel.mode);
    if (panel.exemplars) set('show_exemplars', '1');
  }
  return query.toString();
}

const UNITS: [string, number][] = [
  ['d', 86_400_000],
  ['h', HOUR_MS],
  ['m', 60_000],
  ['s', 1000],
  ['ms', 1],
];

/** A duration that PromQL reads: `1h30m`. */
export function durationText(ms: number): string {
  let rest = Math.round(ms);
  let text = '';
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text || '0s';
}

/** The step that gives a graph about as many points as it has room for. */
export function autoStep(rangeMs: number): number {
  return Math.max(1000, Math.ceil(rangeMs / 240 / 1000) * 1000);
}

/** What the graph shows: until now unless an end was chosen, so that the newest samples are on it. */
export function span(panel: PanelState, now: number): { start: number; end: number; step: number } {
  const step = panel.stepMs ?? autoStep(panel.rangeMs);
  const end = panel.endMs ?? Math.floor(now / 1000) * 1000;
  return { start: end - panel.rangeMs, end, step };
}
