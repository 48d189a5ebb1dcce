// An answer that is kept up to date: asked again by time, when its question changes, when the tab comes back
// and when the process does. What was known stays on the page while a newer answer is under way or fails.

import { type Accessor, createEffect, createSignal, on, onCleanup, untrack } from 'solid-js';
import { returns } from './connection';

export interface Polled<T> {
  /** The last good answer. */
  data: Accessor<T | undefined>;
  /** Why the last request failed; undefined when it worked. */
  error: Accessor<unknown>;
  /** Whether a request is under way. */
  busy: Accessor<boolean>;
  /** When the answer came, in ms. */
  at: Accessor<number | undefined>;
  refresh: () => void;
}

const [live, setLive] = createSignal(true);

/** Whether pages ask again by themselves; a switch in the shell. */
export { live, setLive };

/**
 * Calls `fetch` with what `question` says, now, whenever that changes, and every `everyMs` (0: only then).
 * A question of `undefined` asks nothing.
 */
export function createPolled<Q, T>(
  question: () => Q | undefined,
  fetch: (question: Q, signal: AbortSignal) => Promise<T>,
  everyMs = 0,
): Polled<T> {
  const [data, setData] = createSignal<T>();
  const [error, setError] = createSignal<unknown>();
  const [busy, setBusy] = createSignal(false);
  const [at, setAt] = createSignal<number>();
  let running: AbortController | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const run = async () => {
    clearTimeout(timer);
    running?.abort();
    const asked = untrack(question);
    if (asked === undefined) return;
    const mine = new AbortController();
    running = mine;
    setBusy(true);
    try {
      const answer = await fetch(asked, mine.signal);
      if (mine.signal.aborted) return;
      setData(() => answer);
      setError(undefined);
      setAt(Date.now());
    } catch (failure) {
      if (mine.signal.aborted) return;
      setError(() => failure);
    }
    setBusy(false);
    schedule();
  };

  const schedule = () => {
    clearTimeout(timer);
    if (everyMs > 0 && untrack(live) && !document.hidden) timer = setTimeout(run, everyMs);
  };

  createEffect(
    on(question, (asked, before) => {
      // An answer to another question must not stand under this one.
      if (before !== undefined && asked === undefined) setData(undefined);
      void run();
    }),
  );
  createEffect(on(returns, () => void run(), { defer: true }));
  createEffect(on(live, (on) => (on ? void run() : clearTimeout(timer)), { defer: true }));
  const onVisible = () =>
    document.hidden ? clearTimeout(timer) : everyMs > 0 && untrack(live) && void run();
  document.addEventListener('visibilitychange', onVisible);
  onCleanup(() => {
    document.removeEventListener('visibilitychange', onVisible);
    clearTimeout(timer);
    running?.abort();
  });
  return { data, error, busy, at, refresh: () => void run() };
}
