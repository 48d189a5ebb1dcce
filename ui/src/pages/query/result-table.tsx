// An instant result as a table.

import { createMemo, Show } from 'solid-js';
import type { HistogramPair, QueryResult, SamplePair } from '../../api/type';
import { CopyButton } from '../../component/copy';
import { LabelSet, selector } from '../../component/label';
import { Empty, Notice } from '../../component/state';
import { type Column, Table } from '../../component/table';
import { counted, parse, whole } from '../../format/number';
import { instant } from '../../format/time';

interface Row {
  name: string;
  labels: Record<string, string>;
  text: string;
  value: number;
}

/** Rows above this are not shown; copying takes all. */
const SHOWN_MAX = 10_000;

function histogramText([, histogram]: HistogramPair): string {
  return `count ${histogram.count}, sum ${histogram.sum}, ${counted(histogram.buckets?.length ?? 0, 'bucket')}`;
}

const at = ([seconds, value]: SamplePair) => `${value} @ ${instant(seconds * 1000, { millis: true })}`;

export function rowsOf(data: QueryResult): Row[] {
  switch (data.resultType) {
    case 'scalar':
    case 'string':
      return [{ name: data.resultType, labels: {}, text: data.result[1], value: parse(data.result[1]) }];
    case 'vector':
      return data.result.map(({ metric, value, histogram }) => ({
        name: selector(metric),
        labels: metric,
        text: value ? value[1] : histogram ? histogramText(histogram) : '',
        value: value ? parse(value[1]) : Number.NaN,
      }));
    case 'matrix':
      return data.result.map(({ metric, values = [], histograms = [] }) => ({
        name: selector(metric),
        labels: metric,
        text:
          values.length > 0
            ? `${counted(values.length, 'sample')}: ${values.slice(-3).map(at).join(', ')}`
            : histograms.slice(-1).map(histogramText).join(),
        value: values.length,
      }));
  }
}

const COLUMNS: readonly Column<Row>[] = [
  {
    id: 'series',
    title: 'Series',
    head: true,
    sort: (row) => row.name,
    cell: (row) => (
      <Show when={Object.keys(row().labels).length > 0} fallback={<span class="soft">{row().name}</span>}>
        <span class="series-name">
          <Show when={row().labels.__name__}>{(name) => <b class="mono">{name()}</b>}</Show>
          <LabelSet line labels={row().labels} omit={['__name__']} />
        </span>
      </Show>
    ),
  },
  {
    id: 'value',
    title: 'Value',
    number: true,
    width: '26%',
    sort: (row) => row.value,
    cell: (row) => (
      <span class="mono" title={row().text}>
        {row().text}
      </span>
    ),
  },
];

const csvField = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

export const csvLine = (fields: readonly string[]) => fields.map(csvField).join(',');

/** A column per label, then the value. */
export function csv(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.labels)))].sort();
  const lines = rows.map((row) => [...names.map((name) => row.labels[name] ?? ''), row.text]);
  return [[...names, 'value'], ...lines].map(csvLine).join('\n');
}

export function ResultTable(props: { index: number; data: QueryResult }) {
  const rows = createMemo(() => rowsOf(props.data));
  return (
    <Show
      when={rows().length > 0}
      fallback={
        <Empty title="No series">The expression is right, and nothing has these labels at this time.</Empty>
      }
    >
      <div class="filters">
        <span class="soft small">{counted(rows().length, 'series', 'series')}</span>
        <CopyButton small label="Copy CSV" text={() => csv(rows())} />
        <CopyButton small label="Copy JSON" text={() => JSON.stringify(props.data, null, 2)} />
      </div>
      <Show when={rows().length > SHOWN_MAX}>
        <Notice>The first {whole(SHOWN_MAX)} are shown; copying takes all.</Notice>
      </Show>
      <Table
        label="Result"
        rows={rows().slice(0, SHOWN_MAX)}
        columns={COLUMNS}
        sortParameter={`order${props.index}`}
      />
    </Show>
  );
}
