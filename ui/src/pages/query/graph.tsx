// A range result: lines, or a heatmap where it has buckets.

import { createMemo, Match, Show, Switch } from 'solid-js';
import type { MatrixSeries } from '../../api/type';
import { CopyButton } from '../../component/copy';
import { Empty, Notice } from '../../component/state';
import { counted } from '../../format/number';
import { rangeCsv } from './column';
import type { Exemplar } from './exemplar';
import { HeatGraph } from './heat-graph';
import { hasClassic, hasNative, heatmap } from './heatmap';
import { Lines } from './lines';
import type { Mode } from './panel-state';
import type { Span } from './plot';

export interface Props {
  /** Tells panels apart in the address. */
  index: number;
  series: readonly MatrixSeries[];
  exemplars: readonly Exemplar[];
  wantsExemplars: boolean;
  onExemplars: (wants: boolean) => void;
  span: Span;
  mode: Mode;
  /** The user chose a part of the time, in ms. */
  onZoom: (start: number, end: number) => void;
}

export function Graph(props: Props) {
  const lines = createMemo(() => props.series.filter((one) => (one.values?.length ?? 0) > 0));
  const wantsMap = () => props.mode === 'heatmap' || (lines().length === 0 && hasNative(props.series));
  const map = createMemo(() => {
    const any = hasNative(props.series) || hasClassic(props.series);
    return wantsMap() && any ? heatmap(props.series, props.span) : undefined;
  });
  return (
    <Show
      when={props.series.length > 0}
      fallback={
        <Empty title="No series">The expression is right, and nothing has these labels in this time.</Empty>
      }
    >
      <div class="filters">
        <span class="soft small">{counted(props.series.length, 'series', 'series')}</span>
        <CopyButton small label="Copy CSV" text={() => rangeCsv(props.series, props.span)} />
        <CopyButton small label="Copy JSON" text={() => JSON.stringify(props.series, null, 2)} />
        <button
          type="button"
          class="button is-small"
          aria-pressed={props.wantsExemplars}
          onClick={() => props.onExemplars(!props.wantsExemplars)}
        >
          Exemplars
        </button>
      </div>
      <Show when={props.wantsExemplars && props.exemplars.length === 0}>
        <Notice>The server has no exemplars of these series in this time.</Notice>
      </Show>
      <Switch>
        <Match when={map()}>
          {(found) => <HeatGraph map={found()} span={props.span} onZoom={props.onZoom} />}
        </Match>
        <Match when={true}>
          <Show when={props.mode === 'heatmap'}>
            <Notice>
              A heatmap needs buckets: native histograms, or series with the label <code>le</code> such as{' '}
              <code>sum by (le) (rate(…_bucket[5m]))</code>. These have none, so they are lines.
            </Notice>
          </Show>
          <Show when={lines().length < props.series.length}>
            <Notice>
              {counted(props.series.length - lines().length, 'series', 'series')} of native histograms have no
              line; the heatmap shows them.
            </Notice>
          </Show>
          <Lines {...props} series={lines()} />
        </Match>
      </Switch>
    </Show>
  );
}
