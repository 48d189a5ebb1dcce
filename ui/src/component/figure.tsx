// Figures: a row of large numbers, shares as bars, and lines of a word's size.

import { createMemo, type JSX, Show } from 'solid-js';

/** A number with its name; `note` stands below it. Goes into `<dl class="figures">`. */
export function Figure(props: { name: string; note?: JSX.Element; title?: string; children: JSX.Element }) {
  return (
    <div class="figure" title={props.title}>
      <dt>{props.name}</dt>
      <dd>
        {props.children}
        <Show when={props.note}>
          <small>{props.note}</small>
        </Show>
      </dd>
    </div>
  );
}

/** A figure that the API does not give (yet). */
export function Unknown(props: { why?: string }) {
  return (
    <span class="soft" title={props.why ?? 'Not known yet'}>
      –<span class="visually-hidden">not known yet</span>
    </span>
  );
}

/** A share between 0 and 1 as a bar; yellow above 0.8, red above 0.95 unless `plain`. */
export function Meter(props: { share: number; label: string; plain?: boolean }) {
  const share = () => Math.min(1, Math.max(0, props.share || 0));
  return (
    <svg
      class="meter"
      classList={{
        'is-warn': !props.plain && share() > 0.8 && share() <= 0.95,
        'is-bad': !props.plain && share() > 0.95,
      }}
      viewBox="0 0 100 6"
      preserveAspectRatio="none"
      role="img"
      aria-label={props.label}
    >
      <rect width={share() * 100} height="6" />
    </svg>
  );
}

/** A line without axes; gaps where a value is NaN. The ground is zero. */
export function Sparkline(props: { values: readonly number[]; label: string }) {
  const paths = createMemo(() => draw(props.values));
  return (
    <svg class="spark" viewBox="0 0 100 24" preserveAspectRatio="none" role="img" aria-label={props.label}>
      <path class="area" d={paths().area} />
      <path d={paths().line} />
    </svg>
  );
}

function draw(values: readonly number[]): { line: string; area: string } {
  const top = Math.max(...values.filter(Number.isFinite), 0) || 1;
  const step = values.length > 1 ? 100 / (values.length - 1) : 0;
  let line = '';
  let area = '';
  let start: number | undefined;
  for (const [i, value] of values.entries()) {
    const x = (i * step).toFixed(1);
    if (!Number.isFinite(value)) {
      if (start !== undefined) area += `L${((i - 1) * step).toFixed(1)} 24Z`;
      start = undefined;
      continue;
    }
    const y = (23 - (value / top) * 22).toFixed(1);
    line += `${start === undefined ? 'M' : 'L'}${x} ${y}`;
    area += start === undefined ? `M${x} 24L${x} ${y}` : `L${x} ${y}`;
    start ??= i;
  }
  if (start !== undefined) area += 'L100 24Z';
  return { line, area };
}
