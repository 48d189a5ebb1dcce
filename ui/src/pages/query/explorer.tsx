// All metrics with what they are, to pick one.

import { createMemo, createSignal, Show } from 'solid-js';
import { ask } from '../../api/client';
import { createPolled } from '../../api/polled';
import type { MetadataEntry } from '../../api/type';
import { Drawer } from '../../component/drawer';
import { selector } from '../../component/label';
import { found, Search } from '../../component/search';
import { Empty, Loaded, Notice } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { counted, whole } from '../../format/number';

interface Metric {
  name: string;
  type: string;
  help: string;
}

const NAMES_MAX = 50_000;
const SUFFIX = /_(total|sum|count|bucket|created|info)$/;

async function fetchMetrics(signal: AbortSignal): Promise<Metric[]> {
  const [names, metadata] = await Promise.all([
    ask<string[]>('label/__name__/values', { limit: NAMES_MAX }, { signal }),
    ask<Record<string, MetadataEntry[]>>('metadata', { limit_per_metric: 1 }, { signal }),
  ]);
  return names.data.map((name) => {
    const known = (metadata.data[name] ?? metadata.data[name.replace(SUFFIX, '')])?.[0];
    return { name, type: known?.type ?? '', help: known?.help ?? '' };
  });
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
      width: '52%',
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
    { id: 'type', title: 'Type', width: '92px', cell: (row) => <span class="soft">{row().type}</span> },
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
