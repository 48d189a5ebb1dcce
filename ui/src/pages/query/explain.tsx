// How the server ran a query: its plan, with what each node gave and the time it took.

import { createMemo, For, Show } from 'solid-js';
import { CopyButton } from '../../component/copy';
import { Empty } from '../../component/state';
import { counted, percent, whole } from '../../format/number';
import { duration } from '../../format/time';
import { readPlan } from './plan';

export function Explain(props: { plan: string | undefined; range: boolean }) {
  const nodes = createMemo(() => readPlan(props.plan ?? ''));
  const total = () => Math.max(nodes()[0]?.timeMs ?? 0, 1e-6);
  return (
    <Show
      when={nodes().length > 0}
      fallback={<Empty title="No plan">The server gave none with its answer.</Empty>}
    >
      <div class="filters">
        <span class="soft small">
          {counted(nodes().length, 'node')},{' '}
          {props.range ? 'over the whole range' : 'at one time: this expression has no range'}; what stands
          further in feeds the node above it.
        </span>
        <CopyButton small label="Copy plan" text={() => props.plan ?? ''} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <section class="table-frame" tabIndex={0} aria-label="Nodes of the plan">
        <table class="table plan" aria-label="Plan">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col" class="is-number plan-figure">
                Series
              </th>
              <th scope="col" class="is-number plan-figure">
                Samples
              </th>
              <th scope="col" class="is-number plan-figure" title="Without what is below it">
                Own time
              </th>
              <th scope="col" class="plan-share hide-narrow">
                Share
              </th>
            </tr>
          </thead>
          <tbody>
            <For each={nodes()}>
              {(node) => (
                <tr>
                  <th
                    scope="row"
                    class="mono plan-node"
                    style={{ 'padding-left': `${10 + node.depth * 18}px` }}
                  >
                    {node.text}
                  </th>
                  <td class="is-number">{whole(node.series)}</td>
                  <td class="is-number">{whole(node.samples)}</td>
                  <td class="is-number" title={`${node.timeMs} ms with what is below it`}>
                    {duration(node.ownMs)}
                  </td>
                  <td class="hide-narrow">
                    <span class="plan-bar">
                      <svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
                        <rect height="6" width={Math.min(100, (node.ownMs / total()) * 100)} />
                      </svg>
                      <span class="small soft">{percent(node.ownMs / total())}</span>
                    </span>
                  </td>
                </tr>
              )}
            </For>
          </tbody>
        </table>
      </section>
    </Show>
  );
}
