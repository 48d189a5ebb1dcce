// What weighs in the head: series by metric, cluster, job or label pair; values and memory by label.

import { createMemo, createSignal, For, Show } from 'solid-js';
import { describe } from '../../api/client';
import { createPolled } from '../../api/polled';
import { queryPath } from '../../api/query';
import type { TsdbStatus } from '../../api/type';
import { Meter } from '../../component/figure';
import { quote } from '../../component/label';
import { found, Search } from '../../component/search';
import { Segments } from '../../component/segment';
import { Empty, Loaded, Notice } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { bytes, percent, whole } from '../../format/number';
import { href, query, setQuery } from '../../router';
import { DIMENSIONS, type Dimension, fetchBefore, fetchStatus } from './fetch';

const LIMITS = [20, 100, 1000, 10_000];
const LIMIT_DEFAULT = 20;

interface Row {
  name: string;
  value: number;
  share: number;
  /** Series an hour ago; undefined when that was not asked. */
  before: number | undefined;
}

export function Cardinality() {
  const dimension = (): Dimension => {
    const asked = query().get('by');
    return asked && asked in DIMENSIONS ? (asked as Dimension) : 'metric';
  };
  const limit = () => LIMITS.find((one) => String(one) === query().get('limit')) ?? LIMIT_DEFAULT;
  const status = createPolled(limit, fetchStatus, 30_000);
  return (
    <section class="card" aria-label="Cardinality">
      <div class="card-head">
        <h2>Cardinality</h2>
        <span class="soft">of what is in memory</span>
      </div>
      <div class="card-body">
        <div class="filters">
          <Segments
            label="Count by"
            value={dimension()}
            choices={Object.entries(DIMENSIONS).map(([value, how]) => ({
              value: value as Dimension,
              text: how.title,
            }))}
            onChoose={(by) => setQuery({ by })}
          />
          <label class="soft small">
            Top{' '}
            <select
              class="select"
              value={String(limit())}
              onChange={(event) => setQuery({ limit: event.currentTarget.value })}
            >
              <For each={LIMITS}>
                {(one) => (
                  <option value={String(one)} selected={one === limit()}>
                    {whole(one)}
                  </option>
                )}
              </For>
            </select>
          </label>
        </div>
        <Loaded of={status}>{(data) => <Ranking status={data()} dimension={dimension()} />}</Loaded>
      </div>
    </section>
  );
}

function Ranking(props: { status: TsdbStatus; dimension: Dimension }) {
  const how = () => DIMENSIONS[props.dimension];
  const [growthOf, setGrowthOf] = createSignal<string>();
  const before = createPolled(growthOf, fetchBefore);
  const wantsGrowth = () => growthOf() !== undefined && growthOf() === how().label;
  const search = () => query().get('search') ?? '';
  const rows = createMemo(() => {
    const list = how().list(props.status);
    const total = how().unit === 'series' ? props.status.headStats.numSeries : 0;
    const most = list?.[0]?.value ?? 1;
    const known = wantsGrowth() ? before.data() : undefined;
    return list
      ?.filter((row) => found(row.name, search()))
      .map(
        (row): Row => ({
          ...row,
          share: row.value / (total || most),
          before: known && (known.get(row.name) ?? 0),
        }),
      );
  });
  return (
    <Show
      when={rows()}
      fallback={<Empty title="Not known yet">This version of the hub does not count series this way.</Empty>}
    >
      {(all) => (
        <>
          <div class="filters">
            <Search
              value={search()}
              onInput={(text) => setQuery({ search: text })}
              label="Search in this list"
            />
            <Show when={how().label}>
              {(label) => (
                <button
                  type="button"
                  class="button is-small"
                  aria-pressed={wantsGrowth()}
                  disabled={before.busy()}
                  title="Counts the series of an hour ago; that reads the index of all of them"
                  onClick={() => setGrowthOf(wantsGrowth() ? undefined : label())}
                >
                  {before.busy() ? 'Counting…' : 'Growth in an hour'}
                </button>
              )}
            </Show>
          </div>
          <Show when={wantsGrowth() && before.error()}>
            {(error) => (
              <Notice tone="warn">The series of an hour ago could not be counted: {describe(error())}</Notice>
            )}
          </Show>
          <Show when={all().length > 0} fallback={<Empty title="Nothing is in this list" />}>
            <Table
              label={`${how().unit} by ${how().title}`}
              rows={all()}
              columns={columns(props.dimension, wantsGrowth() && before.data() !== undefined)}
              sortParameter="ranking"
            />
          </Show>
        </>
      )}
    </Show>
  );
}

function columns(dimension: Dimension, growth: boolean): readonly Column<Row>[] {
  const how = DIMENSIONS[dimension];
  const show = how.unit === 'bytes' ? bytes : whole;
  const all: (Column<Row> | false)[] = [
    {
      id: 'name',
      title: how.title,
      head: true,
      sort: (row) => row.name,
      cell: (row) => (
        <a class="cut mono" title={row().name} href={href(pathOf(dimension, row().name))}>
          {row().name}
        </a>
      ),
    },
    {
      id: 'value',
      title: how.unit[0]?.toUpperCase() + how.unit.slice(1),
      number: true,
      width: '120px',
      sort: (row) => row.value,
      cell: (row) => show(row().value),
    },
    growth && {
      id: 'growth',
      title: 'Growth, 1h',
      number: true,
      width: '120px',
      sort: (row) => row.value - (row.before ?? row.value),
      cell: (row) => <Growth row={row()} />,
    },
    {
      id: 'share',
      title: how.unit === 'series' ? 'Of all series' : 'Of the first',
      width: '24%',
      hide: 'narrow',
      cell: (row) => (
        <span class="share">
          <span class="small soft">{percent(row().share)}</span>
          <Meter plain share={row().share} label={percent(row().share)} />
        </span>
      ),
    },
  ];
  return all.filter((column) => column !== false);
}

function Growth(props: { row: Row }) {
  const by = () => props.row.value - (props.row.before ?? 0);
  return (
    <span classList={{ warn: by() > 0, soft: by() <= 0 }}>
      {by() > 0 ? '+' : ''}
      {whole(by())}
    </span>
  );
}

/** A query that shows what the row counts. */
function pathOf(dimension: Dimension, name: string): string {
  switch (dimension) {
    case 'values':
    case 'bytes': {
      const label = /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) ? name : quote(name);
      return queryPath(`topk(20, count by (${label}) ({${label}!=""}))`, { table: true });
    }
    case 'pair': {
      const [label = '', ...value] = name.split('=');
      const shown = /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) ? label : quote(label);
      return queryPath(`topk(20, count by (__name__) ({${shown}=${quote(value.join('='))}}))`, {
        table: true,
      });
    }
    case 'metric':
      return queryPath(`topk(20, count by (job, instance) ({__name__=${quote(name)}}))`, { table: true });
    default:
      return queryPath(`topk(20, count by (__name__) ({${dimension}=${quote(name)}}))`, { table: true });
  }
}
