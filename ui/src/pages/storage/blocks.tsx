// The blocks on disk: when, how much.

import { createSignal, Show } from 'solid-js';
import { createPolled } from '../../api/polled';
import type { BlockRow } from '../../api/type';
import { Drawer } from '../../component/drawer';
import { Empty, Loaded } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { bytes, counted, short, whole } from '../../format/number';
import { duration, instant } from '../../format/time';
import { fetchBlocks } from './fetch';
import { Timeline } from './timeline';

const sum = (blocks: readonly BlockRow[], of: keyof BlockRow['stats']) =>
  blocks.reduce((total, block) => total + block.stats[of], 0);

export function Blocks() {
  const blocks = createPolled(
    () => true,
    (_, signal) => fetchBlocks(signal),
    30_000,
  );
  return (
    <section class="card" aria-label="Blocks">
      <div class="card-head">
        <h2>Blocks</h2>
        <Show when={blocks.data()}>
          {(all) => (
            <span class="soft">
              {counted(all().length, 'block')}, {short(sum(all(), 'numSamples'))} samples,{' '}
              {bytes(sum(all(), 'numBytes'))}
            </span>
          )}
        </Show>
      </div>
      <div class="card-body">
        <Loaded of={blocks} lines={4}>
          {(known) => (
            <Show
              when={known()}
              fallback={
                <Empty title="Not known yet">This version of the hub does not list its blocks.</Empty>
              }
            >
              {(all) => <List blocks={all()} />}
            </Show>
          )}
        </Loaded>
      </div>
    </section>
  );
}

function List(props: { blocks: readonly BlockRow[] }) {
  const [open, setOpen] = createSignal<BlockRow>();
  return (
    <Show
      when={props.blocks.length > 0}
      fallback={
        <Empty title="No block yet" icon="storage">
          Everything is in the head and its log; blocks are cut from it as time goes on.
        </Empty>
      }
    >
      <div class="stack">
        <Timeline blocks={props.blocks} onOpen={setOpen} />
        <Table
          label="Blocks"
          rows={props.blocks}
          columns={columns(setOpen)}
          sort="-from"
          sortParameter="blocks"
        />
      </div>
      <Show when={open()}>
        {(block) => (
          <Drawer title={`Block ${block().ulid}`} onClose={() => setOpen(undefined)}>
            <Detail block={block()} />
          </Drawer>
        )}
      </Show>
    </Show>
  );
}

function columns(open: (block: BlockRow) => void): readonly Column<BlockRow>[] {
  return [
    {
      id: 'block',
      title: 'Block',
      head: true,
      sort: (row) => row.ulid,
      cell: (row) => (
        <button type="button" class="row-link cut mono" onClick={() => open(row())}>
          {row().ulid}
        </button>
      ),
    },
    { id: 'level', title: 'Level', width: '90px', sort: (row) => row.level, cell: (row) => row().level },
    {
      id: 'from',
      title: 'From',
      number: true,
      width: '170px',
      sort: (row) => row.minTime,
      cell: (row) => instant(row().minTime),
    },
    {
      id: 'span',
      title: 'Covers',
      number: true,
      width: '96px',
      hide: 'narrow',
      sort: (row) => row.maxTime - row.minTime,
      cell: (row) => duration(row().maxTime - row().minTime),
    },
    {
      id: 'series',
      title: 'Series',
      number: true,
      width: '90px',
      hide: 'narrow',
      sort: (row) => row.stats.numSeries,
      cell: (row) => short(row().stats.numSeries),
    },
    {
      id: 'samples',
      title: 'Samples',
      number: true,
      width: '90px',
      hide: 'narrow',
      sort: (row) => row.stats.numSamples,
      cell: (row) => short(row().stats.numSamples),
    },
    {
      id: 'bytes',
      title: 'Size',
      number: true,
      width: '100px',
      sort: (row) => row.stats.numBytes,
      cell: (row) => bytes(row().stats.numBytes),
    },
    {
      id: 'density',
      title: 'Bytes/sample',
      number: true,
      width: '128px',
      hide: 'medium',
      sort: (row) => row.stats.numBytes / row.stats.numSamples,
      cell: (row) => short(row().stats.numBytes / row().stats.numSamples),
    },
  ];
}

function Detail(props: { block: BlockRow }) {
  return (
    <dl class="facts">
      <dt>Level</dt>
      <dd>{props.block.level}</dd>
      <dt>From</dt>
      <dd>{instant(props.block.minTime, { millis: true })}</dd>
      <dt>To</dt>
      <dd>{instant(props.block.maxTime, { millis: true })}</dd>
      <dt>Covers</dt>
      <dd>{duration(props.block.maxTime - props.block.minTime)}</dd>
      <dt>Series</dt>
      <dd>{whole(props.block.stats.numSeries)}</dd>
      <dt>Samples</dt>
      <dd>{whole(props.block.stats.numSamples)}</dd>
      <dt>Size</dt>
      <dd>{bytes(props.block.stats.numBytes)}</dd>
      <dt>Deletions pending</dt>
      <dd>{whole(props.block.tombstones ?? 0)}</dd>
    </dl>
  );
}
