// All metrics with what they are, to pick one.

import { createMemo, createSignal, Show } from 'solid-js';
import { ApiError, ask } from '../../api/client';
import { createPolled } from '../../api/polled';
import type { MetadataEntry, TsdbStatus } from '../../api/type';
import { Drawer } from '../../component/drawer';
import { selector } from '../../component/label';
import { found, Search } from '../../component/search';
import { Empty, Loaded, Notice } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { counted, short, whole } from '../../format/number';

interface Metric {
  name: string;
  type: string;
  help: string;
  /** How many series; NaN where the server counted only the largest metrics. */
  series: number;
}

const NAMES_MAX = 50_000;
/** The server gives no more. */
const COUNTS_MAX = 10_000;
const SUFFIX = /_(total|sum|count|bucket|created|info)$/;

async function fetchMetrics(signal: AbortSignal): Promise<Metric[]> {
  const [names, metadata, counts] = await Promise.all([
    ask<string[]>('label/__name__/values', { limit: NAMES_MAX }, { signal }),
    ask<Record<string, MetadataEntry[]>>('metadata', { limit_per_metric: 1 }, { signal }),
    fetchCounts(signal),
  ]);
  return names.data.map((name) => {
    const known = (metadata.data[name] ?? metadata.data[name.replace(SUFFIX, '')])?.[0];
    return { name, type: known?.type ?? '', help: known?.help ?? '', series: counts.get(name) ?? Number.NaN };
  });
}

/** Series by metric; empty where the server counts none. */
async function fetchCounts(signal: AbortSignal): Promise<Map<string, number>> {
  try {
    const { data } = await ask<TsdbStatus>('status/tsdb', { limit: COUNTS_MAX }, { signal });
    return new Map(data.seriesCountByMetricName.map(({ name, value }) => [name, value]));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApiError) return new Map();
    throw error;
  }
}

export function Explorer(props: { onPick: (expression: string) => void; onClose: () => void }) {
  const metrics = createPolled(
    () => true,
    (_, signal) => fetchMetrics(signal),
  );
  const [search, setSearch] = createSignal('');
  const rows = createMemo(() =>
    (metrics.data() ?? []).filter((one) => found(`${one.name} ${one.help} ${one.type}`, search())),
  );
  const columns: readonly Column<Metric>[] = [
    {
      id: 'name',
      title: 'Metric',
      head: true,
      width: '46%',
      sort: (row) => row.name,
      cell: (row) => (
        <button
          type="button"
          class="row-link cut mono"
          title={row().name}
          onClick={() => props.onPick(selector({ __name__: row().name }))}
        >
          {row().name}
        </button>
      ),
    },
    {
      id: 'series',
      title: 'Series',
      number: true,
      width: '74px',
      sort: (row) => row.series,
      cell: (row) => (Number.isNaN(row().series) ? <span class="soft">–</span> : short(row().series)),
    },
    {
      id: 'type',
      title: 'Type',
      width: '92px',
      sort: (row) => row.type,
      cell: (row) => <span class="soft">{row().type}</span>,
    },
    {
      id: 'help',
      title: 'Help',
      hide: 'narrow',
      cell: (row) => <span title={row().help}>{row().help}</span>,
    },
  ];
  return (
    <Drawer title="Metrics" onClose={props.onClose}>
      <Loaded of={metrics}>
        {(all) => (
          <>
            <div class="filters">
              <Search value={search()} onInput={setSearch} label="Search names and help" />
              <span class="soft small">{counted(rows().length, 'metric')}</span>
            </div>
            <Show when={all().length >= NAMES_MAX}>
              <Notice>Only the first {whole(NAMES_MAX)} names are here.</Notice>
            </Show>
            <Show
              when={rows().length > 0}
              fallback={<Empty title="No metric fits">Take back the search.</Empty>}
            >
              <Table label="Metrics" rows={rows()} columns={columns} sortParameter="metrics" />
            </Show>
          </>
        )}
      </Loaded>
    </Drawer>
  );
}
