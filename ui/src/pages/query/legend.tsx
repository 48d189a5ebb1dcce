// The series of a graph with their newest values; a click shows one alone.

import { createMemo } from 'solid-js';
import type uPlot from 'uplot';
import type { MatrixSeries } from '../../api/type';
import { LabelSet, selector } from '../../component/label';
import { type Column, Table } from '../../component/table';
import { short } from '../../format/number';
import { COLOURS } from './graph';

interface Row {
  index: number;
  labels: Record<string, string>;
  last: number;
  max: number;
}

export function Legend(props: {
  series: readonly MatrixSeries[];
  data: uPlot.AlignedData;
  only: number | undefined;
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
        <button
          type="button"
          class="row-link series-name"
          aria-pressed={props.only === row().index}
          title={`${selector(row().labels)}: show it alone`}
          onClick={() => props.onOnly(row().index)}
        >
          <span class={`swatch series-${(row().index % COLOURS) + 1}`} aria-hidden="true" />
          <LabelSet line labels={row().labels} />
        </button>
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
  return <Table label="Series of the graph" rows={rows()} columns={columns} sortParameter="legend" />;
}
