// Blocks over time: a lane per level, a bar per block; overlapping ones stand above each other.

import { createMemo, createSignal, For, Show } from 'solid-js';
import type { BlockRow } from '../../api/type';
import { bytes, whole } from '../../format/number';
import { duration, instant } from '../../format/time';

interface Bar {
  block: BlockRow;
  row: number;
}

interface Lane {
  level: string;
  bars: Bar[];
  rows: number;
}

const ROW = 14;
const WIDTH = 1000;
const ORDER = ['day', 'window', 'part'];
/** Two bars closer than this many ms touch, not overlap. */
const SLACK_MS = 1;

export function lanes(blocks: readonly BlockRow[]): Lane[] {
  const byLevel = new Map<string, BlockRow[]>();
  for (const block of blocks) {
    const known = byLevel.get(block.level);
    if (known) known.push(block);
    else byLevel.set(block.level, [block]);
  }
  const rank = (level: string) => (ORDER.indexOf(level) + ORDER.length + 1) % (ORDER.length + 1);
  return [...byLevel]
    .sort(([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .map(([level, all]) => {
      const ends: number[] = [];
      const bars = all.map((block) => {
        let row = ends.findIndex((end) => end <= block.minTime + SLACK_MS);
        if (row < 0) row = ends.length;
        ends[row] = block.maxTime;
        return { block, row };
      });
      return { level, bars, rows: ends.length };
    });
}

export function Timeline(props: { blocks: readonly BlockRow[]; onOpen: (block: BlockRow) => void }) {
  const [pointed, setPointed] = createSignal<BlockRow>();
  const all = createMemo(() => lanes(props.blocks));
  const from = createMemo(() => Math.min(...props.blocks.map((block) => block.minTime)));
  const to = createMemo(() => Math.max(...props.blocks.map((block) => block.maxTime), from() + 1));
  const x = (at: number) => ((at - from()) / (to() - from())) * WIDTH;
  const ticks = createMemo(() => [0, 0.25, 0.5, 0.75, 1].map((share) => from() + share * (to() - from())));
  return (
    <figure class="timeline" aria-label="Blocks over time">
      <For each={all()}>
        {(lane) => (
          <div class="timeline-lane">
            <span class="soft small">{lane.level}</span>
            <svg
              viewBox={`0 0 ${WIDTH} ${lane.rows * ROW}`}
              preserveAspectRatio="none"
              height={lane.rows * ROW}
              role="img"
              aria-label={`${whole(lane.bars.length)} blocks of level ${lane.level}; the table below lists them`}
            >
              <For each={lane.bars}>
                {(bar) => (
                  // biome-ignore lint/a11y/noStaticElementInteractions: the table below does the same by keyboard
                  <rect
                    x={x(bar.block.minTime)}
                    y={bar.row * ROW + 1}
                    width={Math.max(2, x(bar.block.maxTime) - x(bar.block.minTime) - 1)}
                    height={ROW - 2}
                    classList={{ 'is-pointed': pointed()?.ulid === bar.block.ulid }}
                    onPointerEnter={() => setPointed(bar.block)}
                    onPointerLeave={() => setPointed(undefined)}
                    onClick={() => props.onOpen(bar.block)}
                  />
                )}
              </For>
            </svg>
          </div>
        )}
      </For>
      <div class="timeline-ticks soft small" aria-hidden="true">
        <For each={ticks()}>{(at) => <span>{instant(at).slice(5, 16)}</span>}</For>
      </div>
      <figcaption class="small soft">
        <Show when={pointed()} fallback="Point at a block to see what it holds.">
          {(block) => (
            <>
              <code>{block().ulid}</code>, {block().level}, {instant(block().minTime)} for{' '}
              {duration(block().maxTime - block().minTime)}: {whole(block().stats.numSeries)} series,{' '}
              {whole(block().stats.numSamples)} samples, {bytes(block().stats.numBytes)}
            </>
          )}
        </Show>
      </figcaption>
    </figure>
  );
}
