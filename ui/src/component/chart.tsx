// A small graph with axes for overviews: a few lines, their newest values, and the values under the pointer.
// The query page has the large one.

import { createMemo, createSignal, For, Show } from 'solid-js';
import type { Lines } from '../api/query';
import { instant } from '../format/time';

const WIDTH = 600;
const HEIGHT = 140;

interface Props {
  data: Lines;
  title: string;
  name: (labels: Record<string, string>) => string;
  format: (value: number) => string;
  /** The top of the axis; else what the highest value needs. */
  top?: number;
}

export function Chart(props: Props) {
  const [at, setAt] = createSignal<number>();
  const top = createMemo(() => {
    if (props.top !== undefined) return props.top;
    const most = Math.max(0, ...props.data.lines.flatMap((line) => line.values.filter(Number.isFinite)));
    return most > 0 ? most * 1.1 : 1;
  });
  const count = () => Math.round((props.data.to - props.data.from) / props.data.step);
  const x = (i: number) => (count() > 0 ? (i / count()) * WIDTH : 0);
  const y = (value: number) => HEIGHT - (Math.min(value, top()) / top()) * HEIGHT;
  const draw = (values: readonly number[]) => {
    let path = '';
    let open = false;
    for (const [i, value] of values.entries()) {
      const known = Number.isFinite(value);
      if (known) path += `${open ? 'L' : 'M'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
      // A point between gaps is a short line, else nothing of it is seen.
      if (known && !open && !Number.isFinite(values[i + 1])) path += 'h-4';
      open = known;
    }
    return path;
  };
  const point = (event: PointerEvent & { currentTarget: Element }) => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    setAt(Math.max(0, Math.min(count(), Math.round(share * count()))));
  };
  const last = (values: readonly number[]) => values.findLast(Number.isFinite);
  const value = (values: readonly number[]) => {
    const i = at();
    return i === undefined ? last(values) : values[i];
  };
  return (
    <figure class="chart">
      <div class="chart-plot">
        <div class="chart-scale" aria-hidden="true">
          <span>{props.format(top())}</span>
          <span>{props.format(top() / 2)}</span>
          <span>{props.format(0)}</span>
        </div>
        <svg
          viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
          preserveAspectRatio="none"
          role="img"
          aria-label={props.title}
          onPointerMove={point}
          onPointerLeave={() => setAt(undefined)}
        >
          <path class="chart-grid" d={`M0 ${HEIGHT}H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 .5H${WIDTH}`} />
          <For each={props.data.lines}>
            {(line, i) => <path class={`chart-line series-${(i() % 8) + 1}`} d={draw(line.values)} />}
          </For>
          <Show when={at() !== undefined}>
            <path class="chart-cursor" d={`M${x(at() ?? 0)} 0V${HEIGHT}`} />
          </Show>
        </svg>
      </div>
      <figcaption>
        <ul class="chart-legend">
          <For each={props.data.lines}>
            {(line, i) => (
              <li>
                <span class={`swatch series-${(i() % 8) + 1}`} aria-hidden="true" />
                <span class="cut">{props.name(line.labels)}</span>
                <b>{props.format(value(line.values) ?? Number.NaN)}</b>
              </li>
            )}
          </For>
        </ul>
        <span class="soft small">
          {at() === undefined
            ? `${instant(props.data.from).slice(11, 16)} – ${instant(props.data.to).slice(11, 16)}`
            : instant(props.data.from + (at() ?? 0) * props.data.step)}
        </span>
      </figcaption>
    </figure>
  );
}
