// A panel without an expression: where to begin.

import { For } from 'solid-js';
import { Icon } from '../../component/icon';

const EXAMPLES: readonly (readonly [string, string])[] = [
  ['Targets that are down', 'up == 0'],
  ['Samples per second by cluster', 'sum by (cluster) (nave_cluster_samples_per_second)'],
  ['Metrics with the most series', 'topk(10, count by (__name__) ({__name__!=""}))'],
];

export function Start(props: { onPick: (expression: string) => void; onMetrics: () => void }) {
  return (
    <div class="start">
      <p class="soft">
        Write an expression above, look through the{' '}
        <button type="button" class="row-link" onClick={() => props.onMetrics()}>
          metrics
        </button>
        , or begin with one of these:
      </p>
      <ul class="start-list">
        <For each={EXAMPLES}>
          {([what, expression]) => (
            <li>
              <button type="button" class="button" onClick={() => props.onPick(expression)}>
                <Icon name="play" />
                <span>{what}</span>
                <code class="soft">{expression}</code>
              </button>
            </li>
          )}
        </For>
      </ul>
    </div>
  );
}
