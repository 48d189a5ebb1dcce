// Times and durations as people read them. Instants are ms since 1970 unless a name says otherwise.

import { createSignal } from 'solid-js';

const ZONE_KEY = 'nave.utc';

const [utc, setUtcSignal] = createSignal(localStorage.getItem(ZONE_KEY) === 'true');

/** Whether times are shown in UTC; a choice that stays. */
export { utc };

export function setUtc(on: boolean): void {
  localStorage.setItem(ZONE_KEY, String(on));
  setUtcSignal(on);
}

/** The time now; grows every second, so that ages on the page grow too. */
const [now, setNow] = createSignal(Date.now());
setInterval(() => {
  if (!document.hidden) setNow(Date.now());
}, 1000);

export { now };

const UNITS: [string, number][] = [
  ['y', 365 * 86_400_000],
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
];

/** The two largest units: `3d 4h`, `12m 5s`, `850ms`. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms)) return '–';
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 1000) return ms < 10 && ms > 0 ? `${Number(ms.toPrecision(2))}ms` : `${Math.round(ms)}ms`;
  if (ms < 10_000) return `${Number((ms / 1000).toFixed(1))}s`;
  let rest = Math.round(ms / 1000) * 1000;
  const parts: string[] = [];
  for (const [name, size] of UNITS) {
    const count = Math.floor(rest / size);
    if (count > 0) {
      parts.push(`${count}${name}`);
      rest -= count * size;
    } else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(' ');
}

/** How long ago, in whole steps: `now`, `42s ago`. */
export function ago(at: number): string {
  const ms = now() - at;
  if (ms < -1500) return `in ${duration(-ms)}`;
  if (ms < 1000) return 'now';
  return `${duration(Math.floor(ms / 1000) * 1000)} ago`;
}

const two = (value: number) => String(value).padStart(2, '0');

/** `2026-11-20 12:00:00`, in the zone that was chosen. */
export function instant(at: number, how: { millis?: boolean } = {}): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return '–';
  const shifted = utc() ? date : new Date(at - date.getTimezoneOffset() * 60_000);
  const text = shifted.toISOString();
  return `${text.slice(0, 10)} ${text.slice(11, how.millis ? 23 : 19)}`;
}

/** The zone's name: `UTC` or `UTC+02:00`. */
export function zone(at = Date.now()): string {
  const minutes = utc() ? 0 : -new Date(at).getTimezoneOffset();
  if (minutes === 0) return 'UTC';
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** An RFC 3339 time of the API; undefined for none and for Go's zero time, which means never. */
export function parseTime(text: string | null | undefined): number | undefined {
  if (!text || text.startsWith('0001-01-01')) return undefined;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

const DURATION = /(\d+)(ms|[smhdwy])/g;
const SIZES: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

/** A duration as Prometheus writes it, such as `1h30m`, in ms; undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  const trimmed = text.trim();
  if (!/^(\d+(ms|[smhdwy]))+$/.test(trimmed)) return undefined;
  let total = 0;
  for (const [, count, unit] of trimmed.matchAll(DURATION)) total += Number(count) * (SIZES[unit ?? ''] ?? 0);
  return total;
}
