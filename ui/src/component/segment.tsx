// One choice out of few.

import { For, type JSX } from 'solid-js';

export interface Choice<T extends string> {
  value: T;
  text: JSX.Element;
}

export function Segments<T extends string>(props: {
  label: string;
  value: T;
  choices: readonly Choice<T>[];
  onChoose: (value: T) => void;
}) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset cannot stand in a line of buttons
    <div class="segments" role="group" aria-label={props.label}>
      <For each={props.choices}>
        {(choice) => (
          <button
            type="button"
            class="button is-small"
            aria-pressed={props.value === choice.value}
            onClick={() => props.onChoose(choice.value)}
          >
            {choice.text}
          </button>
        )}
      </For>
    </div>
  );
}
