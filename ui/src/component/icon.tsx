// Small drawings. Each shape means one thing, so that no meaning hangs on colour alone.

import type { JSX } from 'solid-js';

const SHAPES = {
  clusters: 'M8 1.5v4M8 10.5v4M1.5 8h4M10.5 8h4M8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5',
  query: 'M1.5 13.5h13M2.5 10l3.5-4 3 2.5 4.5-6',
  targets: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6',
  discovery: 'M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2M10.6 10.6 14.5 14.5',
  alerts: 'M4 11.5V7a4 4 0 0 1 8 0v4.5M2.5 11.5h11M6.5 14h3',
  rules: 'M2 3.5h12M2 8h12M2 12.5h7',
  storage: 'M2.5 4c0-3.3 11-3.3 11 0s-11 3.3-11 0M2.5 4v8c0 3.3 11 3.3 11 0V4M2.5 8c0 3.3 11 3.3 11 0',
  config: 'M5.5 2 1.5 8l4 6M10.5 2l4 6-4 6',
  flags: 'M3 14.5v-13h9l-2 3.5 2 3.5H3',
  runtime: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M8 4.5V8l2.5 2',
  queue: 'M1.5 4h9M1.5 8h9M1.5 12h9M12 5.5 14.5 8 12 10.5',
  ok: 'M3 8.5 6.5 12 13 4.5',
  warn: 'M8 2 14.5 13.5h-13ZM8 6.5v3.2M8 11.6v.1',
  bad: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  idle: 'M3.5 8h9',
  close: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  menu: 'M2 4h12M2 8h12M2 12h12',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.5A6 6 0 1 1 6.5 2.5a5 5 0 0 0 7 7',
  auto: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 2v12M8 5l4.5-1M8 8h6M8 11l4.5 1',
  pause: 'M5.5 3v10M10.5 3v10',
  play: 'M4.5 2.5v11l9-5.5Z',
  help: 'M5.5 6a2.5 2.5 0 1 1 3.4 2.4c-.6.3-.9.7-.9 1.6M8 12.6v.1',
  copy: 'M5.5 5.5h8v8h-8ZM10.5 5.5v-3h-8v8h3',
  refresh: 'M13.5 8a5.5 5.5 0 1 1-1.6-3.9M13.5 1.5v3h-3',
  down: 'M3.5 6 8 10.5 12.5 6',
  external: 'M9 2.5h4.5V7M13.5 2.5 7.5 8.5M11 9.5v4H2.5V5h4',
} as const;

export type IconName = keyof typeof SHAPES;

/** A drawing that says nothing to screen readers; text beside it does. */
export function Icon(props: { name: IconName }): JSX.Element {
  return (
    <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" aria-hidden="true">
      <path d={SHAPES[props.name]} stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
