// The head of a page: its title, a note, its tools; sets the document's title.

import { createEffect, type JSX, Show } from 'solid-js';
import { served } from '../process';

export function Page(props: {
  title: string;
  note?: JSX.Element;
  tools?: JSX.Element;
  children: JSX.Element;
}) {
  createEffect(() => {
    document.title = `${props.title} · ${served.title}`;
  });
  return (
    <div class="page">
      <header class="page-head">
        <h1>{props.title}</h1>
        <Show when={props.note}>
          <span class="head-note">{props.note}</span>
        </Show>
        <Show when={props.tools}>
          <div class="head-tools">{props.tools}</div>
        </Show>
      </header>
      {props.children}
    </div>
  );
}
