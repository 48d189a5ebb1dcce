// Copies a text. Browsers give the clipboard only to secure pages; plain http has the older way.

import { createSignal } from 'solid-js';
import { Icon } from './icon';

export async function copyText(text: string): Promise<boolean> {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused; the older way may still work.
    }
  }
  const area = document.createElement('textarea');
  area.value = text;
  area.setAttribute('readonly', '');
  area.className = 'visually-hidden';
  // A modal dialog keeps the focus inside.
  (document.querySelector('dialog[open]') ?? document.body).append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  return copied;
}

/** A button that copies what `text` gives. */
export function CopyButton(props: { text: () => string; label: string; small?: boolean }) {
  const [said, setSaid] = createSignal('');
  const copy = async () => {
    setSaid((await copyText(props.text())) ? 'Copied' : 'Not allowed');
    setTimeout(() => setSaid(''), 1500);
  };
  return (
    <button type="button" class="button" classList={{ 'is-small': props.small === true }} onClick={copy}>
      <Icon name="copy" />
      <span aria-live="polite">{said() || props.label}</span>
    </button>
  );
}
