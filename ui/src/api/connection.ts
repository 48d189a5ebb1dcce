// Whether the process answers. Requests of pages tell it; a heartbeat asks while nobody else does.

import { createSignal } from 'solid-js';
import { basePath } from '../process';

/** `starting` is a process that answers but is not ready. */
export type Connection = 'up' | 'starting' | 'gone';

const BEAT_MS = 5000;
/** While it is gone, so that pages go on soon after it is back. */
const LOST_BEAT_MS = 1500;
const TIMEOUT_MS = 4000;

const [connection, setConnection] = createSignal<Connection>('up');
/** When the process was first found gone, in ms; undefined while it answers. */
const [goneSince, setGoneSince] = createSignal<number>();
/** Counts returns of the process; pages ask again when it grows. */
const [returns, setReturns] = createSignal(0);

export { connection, goneSince, returns };

let heard = Date.now();

/** Something answered. */
export function noteAnswer(): void {
  heard = Date.now();
  if (connection() === 'gone') void beat();
}

/** Nothing answered. */
export function noteSilence(): void {
  if (goneSince() === undefined) setGoneSince(Date.now());
  setConnection('gone');
}

async function beat(): Promise<void> {
  try {
    const response = await fetch(`${basePath}-/ready`, {
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (response.status === 502 || response.status === 504) return noteSilence();
    heard = Date.now();
    if (!response.ok) {
      setGoneSince(undefined);
      setConnection('starting');
      return;
    }
    const wasAway = connection() !== 'up';
    setGoneSince(undefined);
    setConnection('up');
    if (wasAway) setReturns((count) => count + 1);
  } catch {
    noteSilence();
  }
}

/** Called once. */
export function startHeartbeat(): void {
  const next = async () => {
    const quiet = Date.now() - heard;
    const lost = connection() !== 'up';
    if (!document.hidden && (lost || quiet >= BEAT_MS)) await beat();
    setTimeout(next, lost ? LOST_BEAT_MS : BEAT_MS / 2);
  };
  setTimeout(next, BEAT_MS);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) void beat();
  });
}
