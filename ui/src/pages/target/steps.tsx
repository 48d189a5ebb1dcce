// What each relabel rule did to the labels of a target, and which one dropped it.

import { createMemo, For, Show } from 'solid-js';
import { createPolled } from '../../api/polled';
import type { Labels } from '../../api/type';
import { Loaded, Notice, State } from '../../component/state';
import { fetchSteps, type Step } from './fetch';

export function Steps(props: { pool: string; labels: Labels; dropped: boolean }) {
  const steps = createPolled(() => ({ pool: props.pool, labels: props.labels }), fetchSteps);
  return (
    <Loaded of={steps} lines={4}>
      {(all) => (
        <>
          <Show when={props.dropped && all().every((step) => step.keep)}>
            <Notice>
              No rule drops it: it has no address after relabelling, is the same as another target, or is
              above the pool's target limit.
            </Notice>
          </Show>
          <Show when={all().length > 0} fallback={<p class="soft">The job has no relabel rules.</p>}>
            <ol class="steps">
              <For each={all()}>
                {(step, i) => <One step={step} before={all()[i() - 1]?.output ?? props.labels} />}
              </For>
            </ol>
          </Show>
        </>
      )}
    </Loaded>
  );
}

interface Change {
  name: string;
  before: string | undefined;
  after: string | undefined;
}

/** Labels that differ, by name. */
export function changes(before: Labels, after: Labels): Change[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names
    .filter((name) => before[name] !== after[name])
    .map((name) => ({ name, before: before[name], after: after[name] }));
}

function One(props: { step: Step; before: Labels }) {
  const changed = createMemo(() => (props.step.keep ? changes(props.before, props.step.output) : []));
  return (
    <li classList={{ 'is-drop': !props.step.keep }}>
      <div class="step-head">
        <code>{rule(props.step.rule)}</code>
        <Show when={!props.step.keep}>
          <State tone="bad">drops the target</State>
        </Show>
      </div>
      <Show
        when={changed().length > 0}
        fallback={
          <Show when={props.step.keep}>
            <span class="soft small">changes nothing</span>
          </Show>
        }
      >
        <ul class="small">
          <For each={changed()}>
            {(change) => (
              <li class="mono wrap-anywhere">
                {change.name}: <del>{change.before ?? ''}</del>{' '}
                <Show when={change.after !== undefined} fallback="removed">
                  <ins>{change.after}</ins>
                </Show>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </li>
  );
}

const DEFAULTS: Record<string, unknown> = {
  separator: ';',
  regex: '(.*)',
  replacement: '$1',
  action: 'replace',
};

/** A rule on one line, without what is the default anyway. */
function rule(fields: Record<string, unknown>): string {
  const { action, ...rest } = fields;
  const parts = Object.entries(rest).filter(([name, value]) => value !== DEFAULTS[name] && value !== 0);
  const text = parts.map(([name, value]) => `${name}: ${JSON.stringify(value)}`).join(', ');
  return `${String(action ?? 'replace')} ${text}`.trim();
}
