// Keys: `g` and a letter goes to a page, `/` to the search, `?` shows them all.

import { For, onCleanup, onMount } from 'solid-js';
import { Icon } from '../component/icon';
import { go } from '../router';
import { entries } from './navigation';
import { nextTheme } from './theme';

const CHORD_MS = 1200;

function isTyping(event: KeyboardEvent): boolean {
  const at = event.composedPath()[0];
  if (!(at instanceof HTMLElement)) return false;
  return at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName);
}

/** Listens until the owner goes. */
export function listenToKeys(help: () => void): void {
  let chord = Number.NEGATIVE_INFINITY;
  const onKey = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isTyping(event)) return;
    if (document.querySelector('dialog[open]')) return;
    if (event.key === 'g') {
      chord = event.timeStamp;
      return;
    }
    if (event.timeStamp - chord < CHORD_MS) {
      chord = Number.NEGATIVE_INFINITY;
      const entry = entries.find((one) => one.key === event.key);
      if (entry) go(entry.path);
      return;
    }
    if (event.key === '/') {
      const search = document.querySelector<HTMLInputElement>('[data-search]');
      if (!search) return;
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === '?') help();
    else if (event.key === 't') nextTheme();
  };
  onMount(() => document.addEventListener('keydown', onKey));
  onCleanup(() => document.removeEventListener('keydown', onKey));
}

/** All keys, in a dialog. */
export function Help(props: { onClose: () => void }) {
  let dialog: HTMLDialogElement | undefined;
  onMount(() => dialog?.showModal());
  return (
    <dialog ref={dialog} class="dialog" aria-label="Keyboard" onClose={() => props.onClose()}>
      <div class="drawer-head">
        <h2>Keyboard</h2>
        <button type="button" class="button is-quiet" aria-label="Close" onClick={() => props.onClose()}>
          <Icon name="close" />
        </button>
      </div>
      <div class="drawer-body">
        <dl class="facts">
          <For each={entries}>
            {(entry) => (
              <>
                <dt>
                  <kbd>g</kbd> <kbd>{entry.key}</kbd>
                </dt>
                <dd>{entry.title}</dd>
              </>
            )}
          </For>
          <dt>
            <kbd>/</kbd>
          </dt>
          <dd>Search in the list</dd>
          <dt>
            <kbd>t</kbd>
          </dt>
          <dd>Colours: system, light, dark</dd>
          <dt>
            <kbd>Esc</kbd>
          </dt>
          <dd>Close what is open</dd>
        </dl>
      </div>
    </dialog>
  );
}
