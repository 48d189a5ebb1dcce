// A table that keeps only the rows on the screen in the document. Rows are of one height.

import {
  type Accessor,
  createMemo,
  createSignal,
  For,
  Index,
  type JSX,
  onCleanup,
  onMount,
  Show,
  useContext,
} from 'solid-js';
import { query, setQuery } from '../router';
import { ScrollContext } from '../shell/scroll';

export interface Column<T> {
  id: string;
  title: string;
  /** Called once per row on the screen; read `row()` inside of what it gives. */
  cell: (row: Accessor<T>) => JSX.Element;
  /** What to sort by; without it the column cannot be sorted by. */
  sort?: (row: T) => number | string;
  /** Numbers stand at the right and are sorted biggest first. */
  number?: boolean;
  /** CSS width of the column; columns without one share what is left. */
  width?: string;
  /** Where the column goes away: below 1100 or below 760 pixels. */
  hide?: 'medium' | 'narrow';
  /** The cell that names the row. */
  head?: boolean;
}

interface Props<T> {
  /** Read by screen readers. */
  label: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  /** Column id, with a minus in front for biggest first; in the address as `sort` once the user has chosen. */
  sort?: string;
  /** The parameter of the address that holds the sort; two tables on a page need two. */
  sortParameter?: string;
  /** When rows come from the server by pages: how many there are in all, and who asks for others. */
  rowHeight?: number;
}

/** Tables below this are in the document as a whole, where the browser's search finds everything. */
const WHOLE_ROWS_MAX = 120;
const SPARE_ROWS = 12;

export function Table<T>(props: Props<T>) {
  const scroll = useContext(ScrollContext);
  const height = () => props.rowHeight ?? 36;
  const parameter = () => props.sortParameter ?? 'sort';
  const sort = () => query().get(parameter()) ?? props.sort ?? '';
  const sorted = createMemo(() => order(props.rows, props.columns, sort()));
  const [window, setWindow] = createSignal({ from: 0, to: WHOLE_ROWS_MAX });
  let body: HTMLTableSectionElement | undefined;

  const measure = () => {
    const view = scroll();
    if (!view || !body) return;
    const above = view.getBoundingClientRect().top - body.getBoundingClientRect().top;
    const from = Math.max(0, Math.floor(above / height()) - SPARE_ROWS);
    const to = Math.ceil((above + view.clientHeight) / height()) + SPARE_ROWS;
    setWindow((old) => (old.from === from && old.to === to ? old : { from, to: Math.max(to, from) }));
  };
  onMount(() => {
    const view = scroll();
    measure();
    view?.addEventListener('scroll', measure, { passive: true });
    const resized = new ResizeObserver(measure);
    if (view) resized.observe(view);
    onCleanup(() => {
      view?.removeEventListener('scroll', measure);
      resized.disconnect();
    });
  });

  const shown = createMemo(() => {
    const all = sorted();
    if (all.length <= WHOLE_ROWS_MAX) return { from: 0, rows: all, below: 0 };
    const from = Math.min(window().from, Math.max(0, all.length - 1));
    const rows = all.slice(from, window().to);
    return { from, rows, below: all.length - from - rows.length };
  });

  const choose = (column: Column<T>) => {
    const first = column.number ? `-${column.id}` : column.id;
    const second = column.number ? column.id : `-${column.id}`;
    setQuery({ [parameter()]: sort() === first ? second : first });
  };
  const direction = (column: Column<T>) => {
    if (sort() === column.id) return 'ascending';
    return sort() === `-${column.id}` ? 'descending' : undefined;
  };

  return (
    <div class="table-frame">
      <table class="table" aria-label={props.label} aria-rowcount={props.rows.length + 1}>
        <colgroup>
          <For each={props.columns}>
            {(column) => <col class={hidden(column)} style={{ width: column.width }} />}
          </For>
        </colgroup>
        <thead>
          <tr>
            <For each={props.columns}>
              {(column) => (
                <th
                  scope="col"
                  class={hidden(column)}
                  classList={{ 'is-number': column.number === true }}
                  aria-sort={direction(column)}
                >
                  <Show when={column.sort} fallback={column.title}>
                    <button type="button" class="sorter" onClick={() => choose(column)}>
                      {column.title}
                      <Show when={direction(column)}>
                        {(way) => <span aria-hidden="true">{way() === 'ascending' ? '↑' : '↓'}</span>}
                      </Show>
                    </button>
                  </Show>
                </th>
              )}
            </For>
          </tr>
        </thead>
        <tbody ref={body}>
          <Spacer rows={shown().from} height={height()} columns={props.columns.length} />
          <Index each={shown().rows}>
            {(row, index) => (
              <tr aria-rowindex={shown().from + index + 2}>
                <For each={props.columns}>{(column) => <Cell column={column} row={row} />}</For>
              </tr>
            )}
          </Index>
          <Spacer rows={shown().below} height={height()} columns={props.columns.length} />
        </tbody>
      </table>
    </div>
  );
}

function Cell<T>(props: { column: Column<T>; row: Accessor<T> }) {
  const classes = () => [hidden(props.column), props.column.number ? 'is-number' : ''].join(' ').trim();
  return (
    <Show when={props.column.head} fallback={<td class={classes()}>{props.column.cell(props.row)}</td>}>
      <th scope="row" class={classes()}>
        {props.column.cell(props.row)}
      </th>
    </Show>
  );
}

/** Holds the place of rows that are not in the document. */
function Spacer(props: { rows: number; height: number; columns: number }) {
  return (
    <Show when={props.rows > 0}>
      <tr class="spacer">
        <td colSpan={props.columns} style={{ height: `${props.rows * props.height}px` }} />
      </tr>
    </Show>
  );
}

function hidden<T>(column: Column<T>): string {
  return column.hide ? `hide-${column.hide}` : '';
}

/** Rows by a column; equal ones stay as they came. Rows without a number (NaN) stand last. */
export function order<T>(rows: readonly T[], columns: readonly Column<T>[], sort: string): readonly T[] {
  const down = sort.startsWith('-');
  const by = columns.find((column) => column.id === sort.replace(/^-/, ''))?.sort;
  if (!by) return rows;
  const keyed = rows.map((row) => ({ row, key: by(row) }));
  keyed.sort((a, b) => compare(a.key, b.key, down));
  return keyed.map(({ row }) => row);
}

function compare(a: number | string, b: number | string, down: boolean): number {
  if (typeof a === 'number' && typeof b === 'number') {
    if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
    return down ? b - a : a - b;
  }
  const order = names.compare(String(a), String(b));
  return down ? -order : order;
}

const names = new Intl.Collator('en', { numeric: true });
