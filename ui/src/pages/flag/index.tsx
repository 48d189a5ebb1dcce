// The command line, with every default.

import { createMemo, Show } from 'solid-js';
import { ask } from '../../api/client';
import { createPolled } from '../../api/polled';
import { CopyButton } from '../../component/copy';
import { found, Search } from '../../component/search';
import { Empty, Loaded } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { query, setQuery } from '../../router';
import { Page } from '../../shell/page';

interface Row {
  name: string;
  value: string;
}

const COLUMNS: readonly Column<Row>[] = [
  {
    id: 'name',
    title: 'Flag',
    head: true,
    width: '45%',
    sort: (row) => row.name,
    cell: (row) => (
      <code class="cut" title={row().name}>
        --{row().name}
      </code>
    ),
  },
  {
    id: 'value',
    title: 'Value',
    sort: (row) => row.value,
    cell: (row) => (
      <Show when={row().value !== ''} fallback={<span class="soft">not set</span>}>
        <code class="cut" title={row().value}>
          {row().value}
        </code>
      </Show>
    ),
  },
];

export default function FlagsPage() {
  const flags = createPolled(
    () => true,
    async (_, signal) => (await ask<Record<string, string>>('status/flags', {}, { signal })).data,
  );
  const search = () => query().get('search') ?? '';
  const rows = createMemo(() =>
    Object.entries(flags.data() ?? {})
      .map(([name, value]) => ({ name, value }))
      .filter((row) => found(`--${row.name} ${row.value}`, search()))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  );
  const line = () => rows().map((row) => `--${row.name}=${row.value}`);
  return (
    <Page
      title="Flags"
      tools={
        <Show when={flags.data()}>
          <CopyButton text={() => line().join('\n')} label="Copy" />
        </Show>
      }
    >
      <Loaded of={flags} lines={12}>
        {() => (
          <>
            <div class="filters">
              <Search
                value={search()}
                onInput={(text) => setQuery({ search: text })}
                label="Search flags and values"
              />
            </div>
            <Show
              when={rows().length > 0}
              fallback={<Empty title="No flag fits">Take back the search.</Empty>}
            >
              <Table label="Flags" rows={rows()} columns={COLUMNS} />
            </Show>
          </>
        )}
      </Loaded>
    </Page>
  );
}
