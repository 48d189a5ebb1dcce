// What one row of a list has to tell, at the side; Escape and a click beside it close it.

import { createSignal, type JSX, onCleanup, onMount } from 'solid-js';
import { ScrollContext } from '../shell/scroll';
import { Icon } from './icon';

export function Drawer(props: { title: string; onClose: () => void; children: JSX.Element }) {
  const [dialog, setDialog] = createSignal<HTMLDialogElement>();
  onMount(() => {
    const before = document.activeElement;
    dialog()?.showModal();
    onCleanup(() => before instanceof HTMLElement && before.focus());
  });
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard closes it by Escape, which the element knows
    <dialog
      ref={setDialog}
      class="drawer"
      aria-label={props.title}
      onClose={() => props.onClose()}
      onClick={(event) => event.target === dialog() && props.onClose()}
    >
      <div class="drawer-head">
        <h2>{props.title}</h2>
        <button type="button" class="button is-quiet" aria-label="Close" onClick={() => props.onClose()}>
          <Icon name="close" />
        </button>
      </div>
      <div class="drawer-body">
        <ScrollContext.Provider value={dialog}>{props.children}</ScrollContext.Provider>
      </div>
    </dialog>
  );
}
