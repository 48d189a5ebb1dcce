// Lines on a canvas by uPlot, with what the pointer is at and the legend.

import { createEffect, createMemo, createSignal, on, onCleanup, Show } from 'solid-js';
import uPlot from 'uplot';
import { selector } from '../../component/label';
import { Notice } from '../../component/state';
import { counted, short, whole } from '../../format/number';
import { instant, utc } from '../../format/time';
import { isDark } from '../../shell/theme';
import { columns, stack } from './column';
import type { Exemplar } from './exemplar';
import { ExemplarList, nearest, paintExemplars } from './exemplar-list';
import type { Props } from './graph';
import { Legend } from './legend';
import { axisOf, COLOURS, follow, HEIGHT, resolved, timeTexts, tzDate, zoomHook } from './plot';

/** Lines above this are not drawn. */
const LINES_MAX = 5000;
/** Above this a line that is pointed at is not lifted out, since that draws all others anew. */
const LIFTED_MAX = 500;

interface Pointed {
  at: number;
  series: number | undefined;
  value: number;
  exemplar: Exemplar | undefined;
}

export function Lines(props: Props) {
  const [host, setHost] = createSignal<HTMLDivElement>();
  const [pointed, setPointed] = createSignal<Pointed>();
  /** By name, so that a newer answer hides the same. */
  const [hidden, setHidden] = createSignal<ReadonlySet<string>>(new Set());
  const shown = createMemo(() => props.series.slice(0, LINES_MAX));
  const names = createMemo(() => shown().map((one) => selector(one.metric)));
  const isShown = (series: number) => !hidden().has(names()[series] ?? '');
  let begun = 0;
  const data = createMemo(() => {
    begun = performance.now();
    return columns(shown(), props.span);
  });
  let plot: uPlot | undefined;
  let focused: number | undefined;

  const point = (self: uPlot, series: number | undefined) => {
    if (series !== undefined) focused = series > 0 ? series - 1 : undefined;
    const { idx, left = -1, top = -1 } = self.cursor;
    if (idx === null || idx === undefined || left < 0) {
      setPointed(undefined);
      return;
    }
    const value = focused === undefined ? Number.NaN : (data()[focused + 1]?.[idx] ?? Number.NaN);
    const at = (data()[0][idx] ?? 0) * 1000;
    setPointed({ at, series: focused, value, exemplar: nearest(self, props.exemplars, left, top) });
  };

  const seriesOf = (stacked: boolean): uPlot.Series[] => {
    const palette = Array.from({ length: COLOURS }, (_, i) => resolved(`--series-${i + 1}`));
    const thin = shown().length > 100;
    return shown().map((_, i) => {
      const stroke = palette[i % COLOURS] ?? '#888';
      const fill = stroke.replace('rgb(', 'rgba(').replace(')', ', 0.25)');
      return {
        stroke,
        width: thin ? 1 : 1.4,
        show: isShown(i),
        // A sample between two gaps has no line.
        points: { show: !thin && isLonely(data()[i + 1]), size: 5, fill: stroke },
        ...(stacked ? { fill } : {}),
      };
    });
  };

  const draw = () => {
    const place = host();
    plot?.destroy();
    if (!place) return;
    begun ||= performance.now();
    const stacked = props.mode === 'stacked';
    const axis = axisOf();
    const colour = resolved('--text');
    const ground = resolved('--surface');
    const options: uPlot.Options = {
      width: Math.max(280, place.clientWidth),
      height: HEIGHT,
      tzDate,
      scales: {
        x: { range: () => [props.span.start / 1000, props.span.end / 1000] },
        // An area says how much there is only from zero on.
        y: stacked
          ? { range: (_, min, max) => uPlot.rangeNum(Math.min(0, min), Math.max(0, max), 0.05, true) }
          : {},
      },
      legend: { show: false },
      cursor: { drag: { x: true, y: false }, points: { show: false }, focus: { prox: 24 } },
      focus: { alpha: shown().length > LIFTED_MAX ? 1 : 0.3 },
      axes: [
        { ...axis, values: timeTexts },
        { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => short(tick)) },
      ],
      series: [{}, ...seriesOf(stacked)],
      hooks: {
        draw: [
          (self) => {
            paintExemplars(self, props.exemplars, colour, ground);
            // What tests and the browser's own tools see: from the answer to the last line.
            if (begun) performance.measure('graph', { start: begun });
            begun = 0;
          },
        ],
        setSeries: [(self, index) => point(self, index ?? 0)],
        setCursor: [(self) => point(self, undefined)],
        setSelect: [zoomHook(props.onZoom)],
      },
    };
    plot = new uPlot(options, stacked ? stack(data(), isShown) : data(), place);
  };

  const stackedHidden = () => (props.mode === 'stacked' ? hidden() : undefined);
  createEffect(on([host, data, () => props.mode, isDark, utc, stackedHidden], draw));
  createEffect(
    on(
      () => props.exemplars,
      () => plot?.redraw(false),
      { defer: true },
    ),
  );
  createEffect(
    on(
      hidden,
      () => {
        if (props.mode === 'stacked') return;
        plot?.batch((self: uPlot) => {
          for (const i of shown().keys()) {
            const show = isShown(i);
            if (self.series[i + 1]?.show !== show) self.setSeries(i + 1, { show }, false);
          }
        });
      },
      { defer: true },
    ),
  );
  createEffect(() => {
    const place = host();
    if (place) onCleanup(follow(place, () => plot));
  });
  onCleanup(() => plot?.destroy());

  const toggle = (index: number) => {
    const next = new Set(hidden());
    const name = names()[index] ?? '';
    if (!next.delete(name)) next.add(name);
    setHidden(next);
  };
  /** The one alone, or all of them again when it is alone. */
  const only = (index: number) => {
    const alone = isShown(index) && hidden().size === names().length - 1;
    setHidden(new Set(alone ? [] : names().filter((_, i) => i !== index)));
  };
  return (
    <>
      <Show when={props.series.length > LINES_MAX}>
        <Notice>
          The first {whole(LINES_MAX)} of {whole(props.series.length)} series are drawn,{' '}
          {whole(props.series.length - LINES_MAX)} are hidden; topk or an aggregation makes them fewer.
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
          {(at) => <Reading pointed={at()} names={names()} />}
        </Show>
      </p>
      <Show when={hidden().size > 0}>
        <Notice
          action={
            <button type="button" class="button is-small" onClick={() => setHidden(new Set<string>())}>
              Show all
            </button>
          }
        >
          {counted(names().filter((name) => hidden().has(name)).length, 'series', 'series')} hidden by the
          legend.
        </Notice>
      </Show>
      <Legend
        index={props.index}
        series={shown()}
        data={data()}
        isShown={isShown}
        onToggle={toggle}
        onOnly={only}
      />
      <ExemplarList index={props.index} exemplars={props.exemplars} />
    </>
  );
}

/** What the pointer is at, in one line. */
function Reading(props: { pointed: Pointed; names: readonly string[] }) {
  const series = () => props.pointed.series;
  return (
    <Show
      when={props.pointed.exemplar}
      fallback={
        <>
          <b>{instant(props.pointed.at)}</b>{' '}
          <Show when={series() !== undefined}>
            <b class="mono">{Number.isNaN(props.pointed.value) ? '–' : props.pointed.value}</b>{' '}
            <span class="mono soft">{props.names[series() ?? 0]}</span>
          </Show>
        </>
      }
    >
      {(one) => (
        <>
          <b>{instant(one().at, { millis: true })}</b> exemplar <b class="mono">{one().value}</b>{' '}
          <span class="mono soft">
            {selector(one().labels)} of {selector(one().series)}
          </span>
        </>
      )}
    </Show>
  );
}

/** Whether a line between neighbours would show nothing of the column. */
function isLonely(column: uPlot.AlignedData[number] | undefined): boolean {
  const values = Array.from(column ?? []);
  const there = (i: number) => values[i] !== null && values[i] !== undefined;
  return values.some((_, i) => there(i)) && !values.some((_, i) => there(i) && there(i + 1));
}
