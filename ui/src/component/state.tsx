// How something fares, and what a page shows while it has nothing to show.

import { type JSX, Match, Show, Switch } from 'solid-js';
import { describe } from '../api/client';
import { connection } from '../api/connection';
import type { Polled } from '../api/polled';
import { Icon, type IconName } from './icon';

export type Tone = 'ok' | 'warn' | 'bad' | 'idle';

/** A word with a shape and a colour: `<State tone="bad">silent</State>`. */
export function State(props: { tone: Tone; title?: string; children: JSX.Element }) {
  return (
    <span class={`state is-${props.tone}`} title={props.title}>
      <Icon name={props.tone} />
      {props.children}
    </span>
  );
}

/** A page, or a part of one, that has nothing to show; `children` say what to do about it. */
export function Empty(props: { title: string; icon?: IconName; children?: JSX.Element }) {
  return (
    <div class="state-page">
      <Icon name={props.icon ?? 'idle'} />
      <h2>{props.title}</h2>
      <Show when={props.children}>
        <p>{props.children}</p>
      </Show>
    </div>
  );
}

/** A request that failed where nothing older can be shown. */
export function Failed(props: { title?: string; error: unknown; retry?: () => void }) {
  return (
    <div class="state-page is-bad" role="alert">
      <Icon name="warn" />
      <h2>{props.title ?? 'This could not be loaded'}</h2>
      <p>{describe(props.error)}</p>
      <Show when={props.retry}>
        {(retry) => (
          <button type="button" class="button" onClick={() => retry()()}>
            Try again
          </button>
        )}
      </Show>
    </div>
  );
}

/** Stands where an answer will; invisible at first, so that quick answers do not flicker. */
export function Loading(props: { lines?: number }) {
  return (
    <div class="skeleton" role="status">
      <span class="visually-hidden">Loading</span>
      {Array.from({ length: props.lines ?? 6 }, () => (
        <span aria-hidden="true" />
      ))}
    </div>
  );
}

/** A line above content that still stands. */
export function Notice(props: { tone?: 'warn' | 'bad'; children: JSX.Element; action?: JSX.Element }) {
  return (
    <div class="notice" classList={{ 'is-warn': props.tone === 'warn', 'is-bad': props.tone === 'bad' }}>
      <span>{props.children}</span>
      {props.action}
    </div>
  );
}

/** An answer that is loading, failed, or there; one that is there stays while newer ones fail. */
export function Loaded<T>(props: {
  of: Polled<T>;
  lines?: number;
  children: (data: () => T) => JSX.Element;
}) {
  const value = () => props.of.data();
  return (
    <Switch fallback={<Loading {...(props.lines === undefined ? {} : { lines: props.lines })} />}>
      <Match when={value() !== undefined}>
        {/* Where nothing answers, the banner says so. */}
        <Show when={connection() !== 'gone' && props.of.error()}>
          {(error) => (
            <Notice tone="warn">This is not up to date, the last request failed: {describe(error())}</Notice>
          )}
        </Show>
        {props.children(value as () => T)}
      </Match>
      <Match when={props.of.error()}>{(error) => <Failed error={error()} retry={props.of.refresh} />}</Match>
    </Switch>
  );
}
