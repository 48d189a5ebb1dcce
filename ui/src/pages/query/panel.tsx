// One expression with its result.

import {
  createEffect,
  createMemo,
  createSignal,
  For,
  lazy,
  Match,
  on,
  Show,
  Suspense,
  Switch,
} from 'solid-js';
import { ApiError, ask, describe } from '../../api/client';
import { createPolled } from '../../api/polled';
import { Icon } from '../../component/icon';
import { Segments } from '../../component/segment';
import { Failed, Loading, Notice } from '../../component/state';
import { duration } from '../../format/time';
import { Explain } from './explain';
import { Explorer } from './explorer';
import { remember } from './history';
import { History } from './history-list';
import { mistakeOf } from './mistake';
import type { PanelState } from './panel-state';
import { fetchResult, type Question, type Result } from './result';
import { ResultTable } from './result-table';
import { Start } from './start';
import { TimeRange } from './time-range';

const Editor = lazy(() => import('./editor'));
const Graph = lazy(() => import('./graph').then((module) => ({ default: module.Graph })));

interface Props {
  panel: PanelState;
  /** From 0. */
  index: number;
  name: string;
  onChange: (change: Partial<PanelState>) => void;
  onRemove: (() => void) | undefined;
}

export function Panel(props: Props) {
  const [text, setText] = createSignal(props.panel.expression);
  // The browser's buttons and links change it from outside.
  createEffect(
    on(
      () => props.panel.expression,
      (expression) => setText(expression),
      { defer: true },
    ),
  );
  const [tool, setTool] = createSignal<'metrics' | 'history'>();
  const [runs, setRuns] = createSignal(0);
  const question = createMemo((): Question | undefined => {
    runs();
    const { expression } = props.panel;
    // Read here, so that every change of them asks again.
    const panel = { ...props.panel };
    return expression.trim() === '' ? undefined : { expression, panel };
  });
  const result = createPolled(question, fetchResult);
  const mistake = createMemo(() => {
    const error = result.error();
    // What is being changed is not what was run.
    if (text() !== props.panel.expression) return undefined;
    return error instanceof ApiError ? mistakeOf(props.panel.expression, error.message) : undefined;
  });
  const run = () => {
    remember(text());
    props.onChange({ expression: text() });
    setRuns((count) => count + 1);
  };
  const start = (expression: string) => {
    setText(expression);
    run();
  };
  const insert = (expression: string) => {
    setText(expression);
    setTool(undefined);
  };
  const format = async () => {
    try {
      const { data } = await ask<string>('format_query', { query: text() }, { method: 'POST' });
      setText(data);
    } catch {
      // Running it says what is wrong, and where.
      run();
    }
  };
  return (
    <section class="card panel" aria-label={props.name}>
      <div class="panel-head">
        <div class="panel-editor">
          <Suspense fallback={<span class="soft mono">{text() || 'Loading the editor'}</span>}>
            <Editor
              value={text()}
              label={`Expression of ${props.name}`}
              mistake={mistake()}
              onChange={setText}
              onRun={run}
            />
          </Suspense>
        </div>
        <button type="button" class="button is-primary" onClick={run}>
          Run
        </button>
      </div>
      <div class="panel-tools">
        <Segments
          label="Show as"
          value={props.panel.tab}
          choices={[
            { value: 'table', text: 'Table' },
            { value: 'graph', text: 'Graph' },
            { value: 'explain', text: 'Explain' },
          ]}
          onChoose={(tab) => props.onChange({ tab, expression: text() })}
        />
        <TimeRange panel={props.panel} onChange={props.onChange} />
        <Show when={props.panel.tab === 'graph'}>
          <Segments
            label="Lines"
            value={props.panel.mode}
            choices={[
              { value: 'lines', text: 'Lines' },
              { value: 'stacked', text: 'Stacked' },
              { value: 'heatmap', text: 'Heatmap' },
            ]}
            onChoose={(mode) => props.onChange({ mode })}
          />
        </Show>
        <span class="head-end panel-buttons">
          <button type="button" class="button is-small" onClick={() => setTool('metrics')}>
            Metrics
          </button>
          <button type="button" class="button is-small" onClick={() => setTool('history')}>
            History
          </button>
          <button type="button" class="button is-small" onClick={format}>
            Format
          </button>
          <Show when={props.onRemove}>
            {(remove) => (
              <button
                type="button"
                class="button is-small is-quiet"
                aria-label={`Remove ${props.name}`}
                onClick={() => remove()()}
              >
                <Icon name="close" />
              </button>
            )}
          </Show>
        </span>
      </div>
      <div class="panel-body" aria-busy={result.busy()}>
        <Show when={question()} fallback={<Start onPick={start} onMetrics={() => setTool('metrics')} />}>
          <Show
            when={!result.error()}
            fallback={
              <Failed title="The query failed" error={describe(result.error())} retry={result.refresh} />
            }
          >
            <Show when={result.data()} fallback={<Loading />}>
              {(data) => (
                <Shown index={props.index} result={data()} busy={result.busy()} onChange={props.onChange} />
              )}
            </Show>
          </Show>
        </Show>
      </div>
      <Show when={tool() === 'metrics'}>
        <Explorer onPick={insert} onClose={() => setTool(undefined)} />
      </Show>
      <Show when={tool() === 'history'}>
        <History onPick={insert} onClose={() => setTool(undefined)} />
      </Show>
    </section>
  );
}

function Shown(props: {
  index: number;
  result: Result;
  busy: boolean;
  onChange: (change: Partial<PanelState>) => void;
}) {
  const panel = () => props.result.question.panel;
  const matrix = () => {
    const { data } = props.result;
    return panel().tab === 'graph' && data.resultType === 'matrix' ? data.result : undefined;
  };
  const zoom = (start: number, end: number) => {
    const rangeMs = Math.max(1000, Math.round((end - start) / 1000) * 1000);
    props.onChange({ endMs: Math.round(end / 1000) * 1000, rangeMs });
  };
  return (
    <div classList={{ 'is-old': props.busy }}>
      <For each={props.result.warnings}>{(text) => <Notice tone="warn">{text}</Notice>}</For>
      <For each={props.result.infos}>{(text) => <Notice>{text}</Notice>}</For>
      <Switch fallback={<ResultTable index={props.index} data={props.result.data} />}>
        <Match when={panel().tab === 'explain'}>
          <Explain plan={props.result.data.plan} range={props.result.isRange} />
        </Match>
        <Match when={matrix()}>
          {(series) => (
            <Suspense fallback={<Loading />}>
              <Graph
                index={props.index}
                series={series()}
                exemplars={props.result.exemplars}
                span={props.result.span}
                mode={panel().mode}
                wantsExemplars={panel().exemplars}
                onExemplars={(exemplars) => props.onChange({ exemplars })}
                onZoom={zoom}
              />
            </Suspense>
          )}
        </Match>
      </Switch>
      <p class="soft small panel-took">
        {duration(props.result.tookMs)}
        {props.result.isRange ? `, a step of ${duration(props.result.span.step)}` : ''}
      </p>
    </div>
  );
}
