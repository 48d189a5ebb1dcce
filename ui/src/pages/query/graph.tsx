// A range result as lines, on a canvas by uPlot.

import { createEffect, createMemo, createSignal, on, onCleanup, Show } from 'solid-js';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { MatrixSeries } from '../../api/type';
import { selector } from '../../component/label';
import { Empty, Notice } from '../../component/state';
import { parse, short, whole } from '../../format/number';
import { instant, utc } from '../../format/time';
import { isDark } from '../../shell/theme';
import { Legend } from './legend';
import type { Mode } from './panel-state';

/** Lines above this are not drawn. */
export const LINES_MAX = 5000;
export const COLOURS = 8;
const HEIGHT = 360;

export interface Span {
  start: number;
  end: number;
  step: number;
}

interface Props {
  series: readonly MatrixSeries[];
  span: Span;
  mode: Mode;
  /** The user chose a part of the time, in ms. */
  onZoom: (start: number, end: number) => void;
}

/** One column of times in seconds, then one of values per series, `null` where there is none. */
export function columns(series: readonly MatrixSeries[], span: Span): uPlot.AlignedData {
  const count = Math.floor((span.end - span.start) / span.step) + 1;
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

/** Each series on top of those before it. */
export function stack(data: uPlot.AlignedData): uPlot.AlignedData {
  const [times, ...values] = data;
  const sums = new Array<number>(times.length).fill(0);
  const stacked = values.map((column) =>
    Array.from(column, (value, i) => {
      if (value === null || value === undefined) return null;
      sums[i] = (sums[i] ?? 0) + value;
      return sums[i] ?? null;
    }),
  );
  return [times, ...stacked];
}

const colour = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** `light-dark()` is for style sheets; a canvas needs the colour itself. */
function resolved(name: string): string {
  const probe = document.createElement('span');
  probe.style.color = colour(name);
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export function Graph(props: Props) {
  const [host, setHost] = createSignal<HTMLDivElement>();
  const [pointed, setPointed] = createSignal<{ at: number; series: number | undefined; value: number }>();
  const [only, setOnly] = createSignal<number>();
  const shown = createMemo(() => props.series.slice(0, LINES_MAX));
  const names = createMemo(() => shown().map((one) => selector(one.metric) || '{}'));
  const data = createMemo(() => columns(shown(), props.span));
  let plot: uPlot | undefined;

  const draw = () => {
    const place = host();
    plot?.destroy();
    if (!place) return;
    const begun = performance.now();
    const palette = Array.from({ length: COLOURS }, (_, i) => resolved(`--series-${i + 1}`));
    const stacked = props.mode === 'stacked';
    const many = shown().length > 100;
    const axis = {
      stroke: resolved('--text-soft'),
      grid: { stroke: resolved('--line'), width: 1 },
      ticks: { stroke: resolved('--line'), width: 1 },
    };
    const options: uPlot.Options = {
      width: Math.max(280, place.clientWidth),
      height: HEIGHT,
      tzDate: (seconds) =>
        utc() ? uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC') : new Date(seconds * 1000),
      scales: { x: { range: () => [props.span.start / 1000, props.span.end / 1000] } },
      legend: { show: false },
      cursor: { drag: { x: true, y: false }, points: { show: false }, focus: { prox: 24 } },
      focus: { alpha: many ? 0.15 : 0.35 },
      axes: [
        { ...axis, values: timeTexts },
        { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => short(tick)) },
      ],
      series: [
        {},
        ...shown().map((_, i): uPlot.Series => {
          const stroke = palette[i % COLOURS] ?? '#888';
          return {
            stroke,
            width: many ? 1 : 1.4,
            show: only() === undefined || only() === i,
            points: { show: false },
            ...(stacked ? { fill: stroke.replace('rgb(', 'rgba(').replace(')', ', 0.25)') } : {}),
          };
        }),
      ],
      hooks: {
        // What tests and the browser's own tools see.
        ready: [() => performance.measure('graph', { start: begun })],
        setSeries: [
          (self, index) => {
            point(self, index ?? undefined);
          },
        ],
        setCursor: [(self) => point(self, undefined)],
        setSelect: [
          (self) => {
            const { left, width } = self.select;
            if (width < 4) return;
            props.onZoom(self.posToVal(left, 'x') * 1000, self.posToVal(left + width, 'x') * 1000);
          },
        ],
      },
    };
    plot = new uPlot(options, stacked ? stack(data()) : data(), place);
  };

  let focused: number | undefined;
  const point = (self: uPlot, series: number | undefined) => {
    if (series !== undefined) focused = series > 0 ? series - 1 : undefined;
    const at = self.cursor.idx;
    if (at === null || at === undefined || (self.cursor.left ?? -1) < 0) {
      setPointed(undefined);
      return;
    }
    const value = focused === undefined ? Number.NaN : (data()[focused + 1]?.[at] ?? Number.NaN);
    setPointed({ at: (data()[0][at] ?? 0) * 1000, series: focused, value });
  };

  createEffect(on([host, data, () => props.mode, isDark, utc, only], draw));
  createEffect(() => {
    const place = host();
    if (!place) return;
    const resized = new ResizeObserver(() => {
      if (plot && place.clientWidth > 0 && plot.width !== place.clientWidth) {
        plot.setSize({ width: place.clientWidth, height: HEIGHT });
      }
    });
    resized.observe(place);
    onCleanup(() => resized.disconnect());
  });
  onCleanup(() => plot?.destroy());

  return (
    <Show
      when={props.series.length > 0}
      fallback={
        <Empty title="No series">The expression is right, and nothing has these labels in this time.</Empty>
      }
    >
      <Show when={props.series.length > LINES_MAX}>
        <Notice>
          The first {whole(LINES_MAX)} of {whole(props.series.length)} series are drawn; topk or an
          aggregation makes them fewer.
        </Notice>
      </Show>
      <Show when={props.series.some((one) => (one.histograms?.length ?? 0) > 0 && !one.values?.length)}>
        <Notice>
          Native histograms have no line; the table shows them, and <code>histogram_quantile</code> makes
          lines of them.
        </Notice>
      </Show>
      <div
        class="graph"
        ref={setHost}
        role="img"
        aria-label={`Graph of ${whole(shown().length)} series; the legend below lists them`}
      />
      <p class="graph-point small" aria-hidden="true">
        <Show
          when={pointed()}
          fallback={<span class="soft">Point at a line to read it; drag to look closer.</span>}
        >
          {(at) => (
            <>
              <b>{instant(at().at)}</b>{' '}
              <Show when={at().series !== undefined}>
                <b class="mono">{Number.isNaN(at().value) ? '–' : at().value}</b>{' '}
                <span class="mono soft">{names()[at().series ?? 0]}</span>
              </Show>
            </>
          )}
        </Show>
      </p>
      <Legend
        series={shown()}
        data={data()}
        only={only()}
        onOnly={(i) => setOnly(only() === i ? undefined : i)}
      />
    </Show>
  );
}

/** Clock times, with the date where the day changes. */
function timeTexts(_: uPlot, ticks: number[]): string[] {
  let day = '';
  return ticks.map((seconds) => {
    const text = instant(seconds * 1000);
    const same = text.slice(5, 10) === day;
    day = text.slice(5, 10);
    const clock = text.endsWith(':00') ? text.slice(11, 16) : text.slice(11);
    return same ? clock : `${clock}\n${day}`;
  });
}
