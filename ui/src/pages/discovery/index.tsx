// What discovery found: labels before and after relabelling, and why a target was dropped.

import { createMemo, createSignal, For, Show } from 'solid-js';
import { createPolled } from '../../api/polled';
import type { ActiveTarget, DroppedTarget, Labels } from '../../api/type';
import { Drawer } from '../../component/drawer';
import { LabelSet } from '../../component/label';
import { Search } from '../../component/search';
import { Segments } from '../../component/segment';
import { Empty, Loaded, Notice } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { whole } from '../../format/number';
import { query, setQuery } from '../../router';
import { Page } from '../../shell/page';
import { More, PoolSelect } from '../target';
import { type Found, fetchTargets, LIMIT_MAX, PAGE, total } from '../target/fetch';
import { Steps } from '../target/steps';

export default function DiscoveryPage() {
  const [limit, setLimit] = createSignal(PAGE);
  const pool = () => query().get('pool') ?? '';
  const search = () => query().get('search') ?? '';
  const dropped = () => query().get('state') === 'dropped';
  const wanted = createMemo(() => ({
    state: dropped() ? ('dropped' as const) : ('active' as const),
    pool: pool(),
    health: '',
    search: search(),
    limit: limit(),
  }));
  const targets = createPolled(wanted, fetchTargets, 10_000);
  return (
    <Page title="Service discovery">
      <Loaded of={targets}>
        {(found) => (
          <Show
            when={found().pools.length > 0}
            fallback={<Empty title="Nothing is discovered">The configuration has no jobs.</Empty>}
          >
            <Jobs found={found()} chosen={pool()} />
            <div class="filters">
              <Search
                value={search()}
                onInput={(text) => setQuery({ search: text })}
                label={dropped() ? 'Search discovered labels' : 'Search labels and addresses'}
              />
              <PoolSelect pools={found().pools.map((one) => one.name)} value={pool()} />
              <Segments
                label="What became of them"
                value={dropped() ? 'dropped' : ''}
                choices={[
                  { value: '', text: 'Scraped' },
                  { value: 'dropped', text: 'Dropped' },
                ]}
                onChoose={(state) => setQuery({ state })}
              />
            </div>
            <List found={found()} dropped={dropped()} pool={pool()} />
            <More
              found={found()}
              limit={limit()}
              onMore={() => setLimit(Math.min(limit() + PAGE, LIMIT_MAX))}
            />
          </Show>
        )}
      </Loaded>
    </Page>
  );
}

function Jobs(props: { found: Found; chosen: string }) {
  const rows = createMemo(() =>
    props.found.pools.filter((one) => props.chosen === '' || one.name === props.chosen),
  );
  const active = (one: { up: number; down: number; unknown: number }) => one.up + one.down + one.unknown;
  return (
    <p class="jobs soft">
      {whole(rows().reduce((sum, one) => sum + active(one), 0))} scraped, {whole(total(rows(), 'dropped'))}{' '}
      dropped in {rows().length === 1 ? '1 job' : `${whole(rows().length)} jobs`}
      <For
        each={rows()
          .filter((one) => active(one) === 0)
          .slice(0, 8)}
      >
        {(one) => (
          <>
            ; <b class="warn">{one.name} gives no target</b>
          </>
        )}
      </For>
    </p>
  );
}

/** Labels that say little; the drawer shows them. */
const PLAIN = [
  '__address__',
  '__metrics_path__',
  '__scheme__',
  '__scrape_interval__',
  '__scrape_timeout__',
  'job',
];

interface Row {
  pool: string;
  discovered: Labels;
  /** None for a dropped target. */
  labels: Labels | undefined;
}

function rowsOf(active: readonly ActiveTarget[], dropped: readonly DroppedTarget[]): Row[] {
  return [
    ...active.map((one) => ({ pool: one.scrapePool, discovered: one.discoveredLabels, labels: one.labels })),
    ...dropped.map((one) => ({ pool: one.scrapePool, discovered: one.discoveredLabels, labels: undefined })),
  ];
}

function List(props: { found: Found; dropped: boolean; pool: string }) {
  const [open, setOpen] = createSignal<Row>();
  const rows = createMemo(() => rowsOf(props.found.activeTargets, props.found.droppedTargets));
  const counted = () =>
    total(
      props.found.pools.filter((one) => props.pool === '' || one.name === props.pool),
      'dropped',
    );
  const columns = createMemo((): readonly Column<Row>[] => [
    {
      id: 'address',
      title: 'Address',
      width: '22%',
      head: true,
      sort: (row) => row.discovered.__address__ ?? '',
      cell: (row) => (
        <button type="button" class="row-link cut" onClick={() => setOpen(row())}>
          {row().discovered.__address__ || 'no address'}
        </button>
      ),
    },
    {
      id: 'pool',
      title: 'Job',
      width: '15%',
      sort: (row) => row.pool,
      cell: (row) => <span title={row().pool}>{row().pool}</span>,
    },
    {
      id: 'discovered',
      title: 'Discovered labels',
      hide: 'narrow',
      cell: (row) => <LabelSet line labels={row().discovered} omit={PLAIN} />,
    },
    ...(props.dropped
      ? []
      : [
          {
            id: 'labels',
            title: 'Final labels',
            hide: 'narrow',
            cell: (row) => <LabelSet line labels={row().labels ?? {}} />,
          } satisfies Column<Row>,
        ]),
  ]);
  return (
    <>
      <Show
        when={rows().length > 0}
        fallback={
          <Empty title={props.dropped ? 'No dropped target' : 'No target fits'}>
            {props.dropped && counted() > 0
              ? `${whole(counted())} were dropped, but keep_dropped_targets keeps none of them.`
              : ''}
          </Empty>
        }
      >
        <Table label="Discovered targets" rows={rows()} columns={columns()} />
      </Show>
      <Show when={open()}>
        {(row) => (
          <Drawer
            title={row().discovered.__address__ || 'Discovered target'}
            onClose={() => setOpen(undefined)}
          >
            <Detail row={row()} />
          </Drawer>
        )}
      </Show>
    </>
  );
}

function Detail(props: { row: Row }) {
  return (
    <>
      <Show when={!props.row.labels}>
        <Notice tone="warn">Dropped by job {props.row.pool}; the rules below say where.</Notice>
      </Show>
      <h3>Discovered labels</h3>
      <LabelSet labels={props.row.discovered} />
      <Show when={props.row.labels}>
        {(labels) => (
          <>
            <h3>Final labels</h3>
            <LabelSet labels={labels()} />
          </>
        )}
      </Show>
      <h3>Relabel rules</h3>
      <Steps pool={props.row.pool} labels={props.row.discovered} dropped={!props.row.labels} />
    </>
  );
}
