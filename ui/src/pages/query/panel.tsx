// One expression with its result.

import { createMemo, createSignal, For, lazy, Show, Suspense } from 'solid-js';
import { type Answer, ApiError, ask, describe } from '../../api/client';
import { createPolled } from '../../api/polled';
import type { QueryResult } from '../../api/type';
import { Icon } from '../../component/icon';
import { Segments } from '../../component/segment';
import { Failed, Loading, Notice } from '../../component/state';
import { duration } from '../../format/time';
import { Explorer } from './explorer';
import { remember } from './history';
import { History } from './history-list';
import { mistakeOf } from './mistake';
import { type PanelState, span } from './panel-state';
import { ResultTable } from './result-table';
import { TimeRange } from './time-range';

const Editor = lazy(() => import('./editor'));
const Graph = lazy(() => import('./graph').then((module) => ({ default: module.Graph })));

interface Props {
  panel: PanelState;
  name: string;
  onChange: (change: Partial<PanelState>) => void;
  onRemove: (() => void) | undefined;
}

interface Question {
  expression: string;
  panel: PanelState;
}

interface Result extends Answer<QueryResult> {
  question: Question;
  span: ReturnType<typeof span>;
  tookMs: number;
}

async function fetchResult(question: Question, signal: AbortSignal): Promise<Result> {
  const begun = performance.now();
  const { panel, expression } = question;
  const at = span(panel, Date.now());
  const parameters =
    panel.tab === 'graph'
      ? { query: expression, start: at.start / 1000, end: at.end / 1000, step: at.step / 1000 }
      : { query: expression, time: panel.endMs === undefined ? undefined : panel.endMs / 1000 };
  const path = panel.tab === 'graph' ? 'query_range' : 'query';
  const answer = await ask<QueryResult>(path, parameters, { signal, method: 'POST' });
  return { ...answer, question, span: at, tookMs: performance.now() - begun };
}

export function Panel(props: Props) {
  const [text, setText] = createSignal(props.panel.expression);
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
    return error instanceof ApiError ? mistakeOf(props.panel.expression, error.message) : undefined;
  });
  const run = () => {
    remember(text());
    props.onChange({ expression: text() });
    setRuns((count) => count + 1);
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
        <Show
          when={question()}
          fallback={<p class="soft panel-hint">Write an expression, or look through the metrics.</p>}
        >
          <Show
            when={!result.error()}
            fallback={
              <Failed title="The query failed" error={describe(result.error())} retry={result.refresh} />
            }
          >
            <Show when={result.data()} fallback={<Loading />}>
              {(data) => <Shown result={data()} busy={result.busy()} onChange={props.onChange} />}
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

function Shown(props: { result: Result; busy: boolean; onChange: (change: Partial<PanelState>) => void }) {
  const matrix = () => {
    const { data, question } = props.result;
    return question.panel.tab === 'graph' && data.resultType === 'matrix' ? data.result : undefined;
  };
  const zoom = (start: number, end: number) => {
    const rangeMs = Math.max(1000, Math.round((end - start) / 1000) * 1000);
    props.onChange({ endMs: Math.round(end / 1000) * 1000, rangeMs });
  };
  return (
    <div classList={{ 'is-old': props.busy }}>
      <For each={props.result.warnings}>{(text) => <Notice tone="warn">{text}</Notice>}</For>
      <For each={props.result.infos}>{(text) => <Notice>{text}</Notice>}</For>
      <Show when={matrix()} fallback={<ResultTable data={props.result.data} />}>
        {(series) => (
          <Suspense fallback={<Loading />}>
            <Graph
              series={series()}
              span={props.result.span}
              mode={props.result.question.panel.mode}
              onZoom={zoom}
            />
          </Suspense>
        )}
      </Show>
      <p class="soft small panel-took">
        {duration(props.result.tookMs)}
        {props.result.question.panel.tab === 'graph' ? `, a step of ${duration(props.result.span.step)}` : ''}
      </p>
    </div>
  );
}
