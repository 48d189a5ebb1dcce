// The series of a graph with their newest values; a click on the colour hides one, a click on the name shows it alone.

import { createMemo } from 'solid-js';
import type uPlot from 'uplot';
import type { MatrixSeries } from '../../api/type';
import { LabelSet, selector } from '../../component/label';
import { type Column, Table } from '../../component/table';
import { short } from '../../format/number';
import { COLOURS } from './plot';

interface Row {
  index: number;
  labels: Record<string, string>;
  last: number;
  max: number;
}

export function Legend(props: {
  series: readonly MatrixSeries[];
  data: uPlot.AlignedData;
  /** Tells panels apart in the address. */
  index: number;
  isShown: (index: number) => boolean;
  onToggle: (index: number) => void;
  onOnly: (index: number) => void;
}) {
  const rows = createMemo(() =>
    props.series.map((one, index): Row => {
      let last = Number.NaN;
      let max = Number.NEGATIVE_INFINITY;
      for (const value of props.data[index + 1] ?? []) {
        if (value === null || value === undefined) continue;
        last = value;
        max = Math.max(max, value);
      }
      return { index, labels: one.metric, last, max };
    }),
  );
  const columns: readonly Column<Row>[] = [
    {
      id: 'series',
      title: 'Series',
      head: true,
      sort: (row) => selector(row.labels),
      cell: (row) => (
        <span class="legend-name" classList={{ 'is-hidden': !props.isShown(row().index) }}>
          <button
            type="button"
            class="legend-toggle"
            aria-pressed={props.isShown(row().index)}
            aria-label={`Show ${selector(row().labels)}`}
            title={props.isShown(row().index) ? 'Hide' : 'Show'}
            onClick={() => props.onToggle(row().index)}
          >
            <span class={`swatch series-${(row().index % COLOURS) + 1}`} aria-hidden="true" />
          </button>
          <button
            type="button"
            class="row-link series-name"
            title={`${selector(row().labels)}: with Ctrl show or hide it, else show it alone`}
            onClick={(event) => {
              if (event.ctrlKey || event.metaKey) props.onToggle(row().index);
              else props.onOnly(row().index);
            }}
          >
            <LabelSet line labels={row().labels} />
          </button>
        </span>
      ),
    },
    {
      id: 'last',
      title: 'Last',
      number: true,
      width: '110px',
      sort: (row) => row.last,
      cell: (row) => (
        <span title={String(row().last)}>{Number.isNaN(row().last) ? '–' : short(row().last)}</span>
      ),
    },
    {
      id: 'max',
      title: 'Max',
      number: true,
      width: '110px',
      hide: 'narrow',
      sort: (row) => row.max,
      cell: (row) => (
        <span title={String(row().max)}>{Number.isFinite(row().max) ? short(row().max) : '–'}</span>
      ),
    },
  ];
  return (
    <Table
      label="Series of the graph"
      rows={rows()}
      columns={columns}
      sortParameter={`legend${props.index}`}
    />
  );
}
