// Exemplars on the graph as diamonds, and below it as a list.

import { Show } from 'solid-js';
import type uPlot from 'uplot';
import { LabelSet } from '../../component/label';
import { type Column, Table } from '../../component/table';
import { instant } from '../../format/time';
import type { Exemplar } from './exemplar';

const SIZE_PX = 5;
const NEAR_PX = 10;

/** In pixels of the canvas; those above or below the scale stand at its edge. */
function place(self: uPlot, one: Exemplar): [number, number] {
  const { top, height } = self.bbox;
  const y = self.valToPos(one.value, 'y', true);
  return [self.valToPos(one.at / 1000, 'x', true), Math.min(top + height, Math.max(top, y))];
}

export function paintExemplars(self: uPlot, all: readonly Exemplar[], colour: string, ground: string): void {
  if (all.length === 0) return;
  const { ctx } = self;
  const size = SIZE_PX * devicePixelRatio;
  ctx.save();
  ctx.fillStyle = colour;
  ctx.strokeStyle = ground;
  ctx.lineWidth = devicePixelRatio;
  for (const one of all) {
    const [x, y] = place(self, one);
    if (!Number.isFinite(x) || !Number.isFinite(y)) continue;
    ctx.beginPath();
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.closePath();
    ctx.fill();
    ctx.stroke();
  }
  ctx.restore();
}

/** The exemplar under the pointer, which is at `left`, `top` of the plot. */
export function nearest(
  self: uPlot,
  all: readonly Exemplar[],
  left: number,
  top: number,
): Exemplar | undefined {
  let best: Exemplar | undefined;
  let least = NEAR_PX;
  for (const one of all) {
    const [x, y] = place(self, one);
    const far = Math.hypot(
      (x - self.bbox.left) / devicePixelRatio - left,
      (y - self.bbox.top) / devicePixelRatio - top,
    );
    if (far < least) [best, least] = [one, far];
  }
  return best;
}

const COLUMNS: readonly Column<Exemplar>[] = [
  {
    id: 'labels',
    title: 'Exemplar',
    head: true,
    cell: (row) => <LabelSet line labels={row().labels} />,
  },
  {
    id: 'series',
    title: 'Series',
    hide: 'narrow',
    cell: (row) => <LabelSet line labels={row().series} />,
  },
  {
    id: 'value',
    title: 'Value',
    number: true,
    width: '110px',
    sort: (row) => row.value,
    cell: (row) => row().value,
  },
  {
    id: 'time',
    title: 'Time',
    width: '210px',
    sort: (row) => row.at,
    cell: (row) => instant(row().at, { millis: true }),
  },
];

export function ExemplarList(props: { index: number; exemplars: readonly Exemplar[] }) {
  return (
    <Show when={props.exemplars.length > 0}>
      <div class="exemplars">
        <Table
          label="Exemplars"
          rows={props.exemplars}
          columns={COLUMNS}
          sortParameter={`exemplars${props.index}`}
        />
      </div>
    </Show>
  );
}
