// How much time the graph shows, until when, in which steps.

import { createEffect, createSignal, For, on, Show } from 'solid-js';
import { Icon } from '../../component/icon';
import { instant, parseDuration, utc } from '../../format/time';
import { autoStep, durationText, type PanelState } from './panel-state';

const RANGES = [
  '1m',
  '5m',
  '15m',
  '30m',
  '1h',
  '2h',
  '6h',
  '12h',
  '1d',
  '2d',
  '7d',
  '14d',
  '30d',
  '90d',
  '365d',
];

interface Props {
  panel: PanelState;
  onChange: (change: Partial<PanelState>) => void;
}

export function TimeRange(props: Props) {
  const step = (by: 1 | -1) => {
    const sizes = RANGES.map((text) => parseDuration(text) ?? 0);
    const next =
      by > 0
        ? sizes.find((size) => size > props.panel.rangeMs)
        : sizes.findLast((size) => size < props.panel.rangeMs);
    if (next !== undefined) props.onChange({ rangeMs: next });
  };
  return (
    <>
      <Show when={props.panel.tab !== 'table'}>
        <span class="segments">
          <button type="button" class="button is-small" aria-label="Show less time" onClick={() => step(-1)}>
            −
          </button>
          <Field
            label="Range"
            value={durationText(props.panel.rangeMs)}
            read={(text) => parseDuration(text) || undefined}
            onRead={(rangeMs) => props.onChange({ rangeMs })}
            suggestions={RANGES}
            hint="such as 1h30m; the arrow keys change it"
            onStep={step}
          />
          <button type="button" class="button is-small" aria-label="Show more time" onClick={() => step(1)}>
            +
          </button>
        </span>
      </Show>
      <EndField {...props} />
      <Show when={props.panel.tab !== 'table'}>
        <Field
          label="Step"
          value={props.panel.stepMs === undefined ? '' : durationText(props.panel.stepMs)}
          placeholder={`step ${durationText(autoStep(props.panel.rangeMs))}`}
          read={(text) => (text === '' ? null : parseDuration(text) || undefined)}
          onRead={(stepMs) => props.onChange({ stepMs: stepMs ?? undefined })}
        />
      </Show>
    </>
  );
}

/** The end, in the zone that all times are shown in; empty is now. */
function EndField(props: Props) {
  const read = (text: string): number | null | undefined => {
    if (text === '' || text === 'now') return null;
    // Relative to now: `-2h`, `now-2h`, `2h ago`.
    const [, minus, since] = /^(?:now)?\s*-\s*(\S+)$|^(\S+)\s+ago$/.exec(text) ?? [];
    const back = parseDuration(minus ?? since ?? '');
    if (back !== undefined) return Math.round((Date.now() - back) / 1000) * 1000;
    const at = Date.parse(text.replace(' ', 'T') + (utc() ? 'Z' : ''));
    return Number.isNaN(at) ? undefined : at;
  };
  const move = (by: 1 | -1) => {
    const end = (props.panel.endMs ?? Date.now()) + by * (props.panel.rangeMs / 2);
    props.onChange({ endMs: Math.min(Date.now(), Math.round(end / 1000) * 1000) });
  };
  return (
    <span class="segments">
      <button type="button" class="button is-small" aria-label="Earlier" onClick={() => move(-1)}>
        ‹
      </button>
      <Field
        wide
        label={props.panel.tab === 'table' ? 'Time' : 'End'}
        value={props.panel.endMs === undefined ? '' : instant(props.panel.endMs)}
        placeholder="now"
        hint="a time, or -2h for two hours ago; the arrow keys move it"
        onStep={move}
        read={read}
        onRead={(endMs) => props.onChange({ endMs: endMs ?? undefined })}
      />
      <button type="button" class="button is-small" aria-label="Later" onClick={() => move(1)}>
        ›
      </button>
      <Show when={props.panel.endMs !== undefined}>
        <button
          type="button"
          class="button is-small"
          aria-label="Until now"
          onClick={() => props.onChange({ endMs: undefined })}
        >
          <Icon name="close" />
        </button>
      </Show>
    </span>
  );
}

/** A text that is read when it is left; one that cannot be read is marked and changes nothing. */
function Field<T>(props: {
  label: string;
  value: string;
  placeholder?: string;
  wide?: boolean;
  suggestions?: readonly string[];
  /** What can be written, beside the label. */
  hint?: string;
  /** The arrow keys; 1 is up. */
  onStep?: (by: 1 | -1) => void;
  read: (text: string) => T | undefined;
  onRead: (value: T) => void;
}) {
  const [wrong, setWrong] = createSignal(false);
  let input: HTMLInputElement | undefined;
  const id = `list-${Math.random().toString(36).slice(2)}`;
  createEffect(
    on(
      () => props.value,
      () => setWrong(false),
    ),
  );
  const take = () => {
    const text = input?.value.trim() ?? '';
    if (text === props.value) {
      setWrong(false);
      return;
    }
    const value = props.read(text);
    setWrong(value === undefined);
    if (value !== undefined) props.onRead(value);
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key === 'Enter') take();
    else if (event.key === 'Escape' && input) input.value = props.value;
    else if (props.onStep && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
      event.preventDefault();
      props.onStep(event.key === 'ArrowUp' ? 1 : -1);
    }
  };
  return (
    <label class="field" classList={{ 'is-wide': props.wide === true }}>
      <span class="visually-hidden">{props.label}</span>
      <input
        ref={input}
        class="input"
        classList={{ 'is-wrong': wrong() }}
        value={props.value}
        placeholder={props.placeholder ?? ''}
        title={props.hint ? `${props.label}: ${props.hint}` : props.label}
        autocomplete="off"
        spellcheck={false}
        aria-invalid={wrong()}
        list={props.suggestions ? id : undefined}
        onChange={take}
        onKeyDown={onKey}
      />
      <Show when={props.suggestions}>
        {(texts) => (
          <datalist id={id}>
            <For each={texts()}>{(text) => <option value={text} />}</For>
          </datalist>
        )}
      </Show>
    </label>
  );
}
