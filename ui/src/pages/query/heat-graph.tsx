// A heatmap on a canvas: time to the right, buckets upwards, the stronger the colour the more observations.

import { createEffect, createMemo, createSignal, on, onCleanup, Show } from 'solid-js';
import uPlot from 'uplot';
import { short, whole } from '../../format/number';
import { instant, utc } from '../../format/time';
import { isDark } from '../../shell/theme';
import { boundText, type Heatmap, rangeText } from './heatmap';
import { axisOf, follow, HEIGHT, resolved, type Span, timeTexts, tzDate, zoomHook } from './plot';

interface Props {
  map: Heatmap;
  span: Span;
  onZoom: (start: number, end: number) => void;
}

/** The share of full colour; the square root keeps rare buckets visible. */
const strength = (count: number, most: number) => 0.12 + 0.88 * Math.sqrt(count / most);

export function HeatGraph(props: Props) {
  const [host, setHost] = createSignal<HTMLDivElement>();
  const [pointed, setPointed] = createSignal<{ step: number; row: number }>();
  const times = createMemo(() => {
    const count = Math.floor((props.span.end - props.span.start) / props.span.step) + 1;
    return Array.from({ length: count }, (_, i) => (props.span.start + i * props.span.step) / 1000);
  });
  let plot: uPlot | undefined;

  const paint = (self: uPlot, colour: string) => {
    const { ctx } = self;
    const { rows, most } = props.map;
    if (most <= 0) return;
    const half = props.span.step / 2000;
    const gap = self.bbox.height / rows.length > 12 ? 1 : 0;
    ctx.save();
    ctx.beginPath();
    ctx.rect(self.bbox.left, self.bbox.top, self.bbox.width, self.bbox.height);
    ctx.clip();
    ctx.fillStyle = colour;
    for (const [r, row] of rows.entries()) {
      const top = Math.round(self.valToPos(r + 1, 'y', true));
      const bottom = Math.round(self.valToPos(r, 'y', true));
      for (const [i, count] of row.counts.entries()) {
        const at = times()[i];
        if (count <= 0 || at === undefined) continue;
        const left = Math.floor(self.valToPos(at - half, 'x', true));
        const right = Math.floor(self.valToPos(at + half, 'x', true));
        ctx.globalAlpha = strength(count, most);
        ctx.fillRect(left, top, Math.max(1, right - left), Math.max(1, bottom - top - gap));
      }
    }
    ctx.restore();
  };

  const draw = () => {
    const place = host();
    plot?.destroy();
    if (!place) return;
    const { rows } = props.map;
    const axis = axisOf();
    const colour = resolved('--series-1');
    const every = Math.max(1, Math.ceil(rows.length / 14));
    const options: uPlot.Options = {
      width: Math.max(280, place.clientWidth),
      height: HEIGHT,
      tzDate,
      scales: {
        x: { range: () => [props.span.start / 1000, props.span.end / 1000] },
        y: { range: () => [0, rows.length] },
      },
      legend: { show: false },
      cursor: { drag: { x: true, y: false }, points: { show: false } },
      axes: [
        { ...axis, values: timeTexts },
        {
          ...axis,
          grid: { show: false },
          size: 62,
          splits: () => rows.map((_, i) => i + 1).filter((i) => (rows.length - i) % every === 0),
          values: (_, ticks) => ticks.map((tick) => boundText(rows[tick - 1]?.upper ?? Number.NaN)),
        },
      ],
      series: [{}, { show: true, paths: () => null, points: { show: false } }],
      hooks: {
        draw: [(self) => paint(self, colour)],
        setCursor: [point],
        setSelect: [zoomHook(props.onZoom)],
      },
    };
    plot = new uPlot(options, [times(), times().map(() => 0)], place);
  };
  const point = (self: uPlot) => {
    const { idx, top } = self.cursor;
    const row = top === undefined || top < 0 ? -1 : Math.floor(self.posToVal(top, 'y'));
    if (idx === null || idx === undefined || row < 0) setPointed(undefined);
    else setPointed({ step: idx, row });
  };

  createEffect(on([host, () => props.map, isDark, utc], draw));
  createEffect(() => {
    const place = host();
    if (place) onCleanup(follow(place, () => plot));
  });
  onCleanup(() => plot?.destroy());

  const cell = () => {
    const at = pointed();
    const row = at && props.map.rows[at.row];
    return at && row
      ? { at: (times()[at.step] ?? 0) * 1000, row, count: row.counts[at.step] ?? 0 }
      : undefined;
  };
  return (
    <>
      <div
        class="graph"
        ref={setHost}
        role="img"
        aria-label={`Heatmap of ${whole(props.map.rows.length)} buckets; the table shows the values`}
      />
      <p class="graph-point small" aria-hidden="true">
        <Show
          when={cell()}
          fallback={
            <span class="soft">
              {props.map.series > 1 ? `The sum of ${whole(props.map.series)} histograms. ` : ''}Point at a
              bucket to read it; drag to look closer.
            </span>
          }
        >
          {(one) => (
            <>
              <b>{instant(one().at)}</b> <b class="mono">{short(one().count)}</b>{' '}
              <span class="mono soft">{rangeText(one().row)}</span>
            </>
          )}
        </Show>
      </p>
    </>
  );
}
