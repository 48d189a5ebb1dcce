// Label sets as small pairs of name and value.

import { createMemo, For, Show } from 'solid-js';
import type { Labels } from '../api/type';

/** The pairs of a label set, sorted by name; `line` cuts them at the end of one line. */
export function LabelSet(props: { labels: Labels; omit?: readonly string[]; line?: boolean }) {
  const pairs = createMemo(() =>
    Object.entries(props.labels)
      .filter(([name]) => !props.omit?.includes(name))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  return (
    <Show when={pairs().length > 0} fallback={<span class="soft">none</span>}>
      <span class="labels" classList={{ 'is-line': props.line === true }} title={selector(props.labels)}>
        <For each={pairs()}>
          {([name, value]) => (
            <span class="label">
              <i>{name}=</i>
              {value === '' ? '""' : value}
            </span>
          )}
        </For>
      </span>
    </Show>
  );
}

const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/;
const METRIC = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;

/** The text in double quotes as PromQL reads it. */
export function quote(text: string): string {
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  return `"${escaped}"`;
}

/** A label set as a selector that finds it: `up{job="node"}`. */
export function selector(labels: Labels): string {
  const { __name__: metric, ...rest } = labels;
  const pairs = Object.entries(rest).map(([name, value]) => {
    return `${NAME.test(name) ? name : quote(name)}=${quote(value)}`;
  });
  if (metric !== undefined && METRIC.test(metric))
    return pairs.length > 0 ? `${metric}{${pairs.join(', ')}}` : metric;
  if (metric !== undefined) pairs.unshift(quote(metric));
  return `{${pairs.join(', ')}}`;
}
