// The editor of an expression: colours, completion of metrics, labels and functions, errors where they are.
//
// It lives in a shadow root: there its styles are constructed sheets, which the content security policy allows, where
// in the page they would be style elements, which it forbids.

import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
} from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, insertNewlineAndIndent } from '@codemirror/commands';
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic, forceLinting, linter, lintKeymap } from '@codemirror/lint';
import { Compartment, EditorState, Prec, StateEffect } from '@codemirror/state';
import { EditorView, highlightSpecialChars, keymap, placeholder } from '@codemirror/view';
import { tags } from '@lezer/highlight';
import { PromQLExtension } from '@prometheus-io/codemirror-promql';
import { createEffect, on, onCleanup, onMount } from 'solid-js';
import { basePath } from '../../process';
import type { Mistake } from './mistake';

interface Props {
  value: string;
  label: string;
  mistake: Mistake | undefined;
  onChange: (value: string) => void;
  onRun: () => void;
}

const COLOURS = HighlightStyle.define([
  { tag: tags.number, color: 'var(--warn)' },
  { tag: tags.string, color: 'var(--series-3)' },
  { tag: tags.labelName, color: 'var(--series-7)' },
  { tag: [tags.keyword, tags.modifier], color: 'var(--series-4)' },
  { tag: tags.function(tags.variableName), color: 'var(--accent)' },
  { tag: tags.operator, color: 'var(--series-5)' },
  { tag: tags.comment, color: 'var(--text-soft)', fontStyle: 'italic' },
  { tag: tags.invalid, color: 'var(--bad)' },
]);

const THEME = EditorView.theme({
  '&': { color: 'var(--text)', background: 'none', fontSize: '0.875rem' },
  '&.cm-focused': { outline: 'none' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5', overflowX: 'auto' },
  '.cm-content': { padding: '6px 4px', caretColor: 'var(--text)' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-placeholder': { color: 'var(--text-soft)' },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': {
    background: 'var(--accent-ground)',
    color: 'inherit',
  },
  '.cm-tooltip': {
    background: 'var(--surface)',
    color: 'var(--text)',
    border: '1px solid var(--line)',
    borderRadius: '6px',
    boxShadow: 'var(--shadow)',
  },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '300px' },
  '.cm-tooltip-autocomplete > ul > li': { padding: '2px 6px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': {
    background: 'var(--accent-ground)',
    color: 'var(--accent)',
  },
  '.cm-completionDetail': { color: 'var(--text-soft)', float: 'right', marginLeft: '16px' },
  '.cm-completionMatchedText': { textDecoration: 'none', fontWeight: '700' },
  '.cm-tooltip.cm-completionInfo': { padding: '6px 10px', maxWidth: '400px' },
  '.cm-completionIcon': { display: 'none' },
  '.cm-lintRange-error': { background: 'var(--bad-ground)', boxShadow: 'inset 0 -2px var(--bad)' },
  '.cm-diagnostic': { padding: '6px 10px' },
});

/** The server said something else of the expression. */
const answered = StateEffect.define<null>();

/** Colours, completion, and what is wrong: what the grammar sees while typing, and what the server said of a run. */
function promql(mistake: () => Mistake | undefined) {
  const extension = new PromQLExtension().activateLinter(false).setComplete({
    remote: {
      url: `${location.origin}${basePath.replace(/\/$/, '')}`,
      httpMethod: 'GET',
      // The page says what fails; completion just has nothing then.
      httpErrorHandler: () => {},
      cache: { maxAge: 60_000 },
    },
  });
  const grammar = extension.getLinter().promQL();
  const lint = linter(
    async (view) => {
      const said = mistake();
      return said ? [markOf(said, view)] : grammar(view);
    },
    {
      needsRefresh: (update) =>
        update.transactions.some((one) => one.effects.some((effect) => effect.is(answered))),
    },
  );
  return { extension, support: [extension.asExtension(), lint] };
}

/** One character, since the server says where something begins and not where it ends. */
function markOf(mistake: Mistake, view: EditorView): Diagnostic {
  const { length } = view.state.doc;
  const from = Math.max(0, Math.min(mistake.at, length - 1));
  return { from, to: Math.min(from + 1, length), severity: 'error', message: mistake.message };
}

/**
 * Typing over a selection. Left to itself Chromium keeps the look of what was there by a style attribute, which the
 * policy refuses, and says so in the console.
 */
const typeOver = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const { from, to, empty } = view.state.selection.main;
    const { data } = event;
    if (event.inputType !== 'insertText' || event.isComposing || empty || !data) return false;
    const insert = () =>
      view.state.update({
        changes: { from, to, insert: data },
        selection: { anchor: from + data.length },
        userEvent: 'input.type',
        scrollIntoView: true,
      });
    const handlers = view.state.facet(EditorView.inputHandler);
    if (!handlers.some((handler) => handler(view, from, to, data, insert))) view.dispatch(insert());
    return true;
  },
});

export default function Editor(props: Props) {
  let host: HTMLDivElement | undefined;
  let view: EditorView | undefined;
  // Panels are numbered anew when one goes.
  const named = new Compartment();
  const nameOf = () => EditorView.contentAttributes.of({ 'aria-label': props.label });
  createEffect(
    on(
      () => props.label,
      () => view?.dispatch({ effects: named.reconfigure(nameOf()) }),
      { defer: true },
    ),
  );
  const language = promql(() => props.mistake);
  onMount(() => {
    if (!host) return;
    const root = host.attachShadow({ mode: 'open' });
    const run = () => {
      props.onRun();
      return true;
    };
    const state = EditorState.create({
      doc: props.value,
      extensions: [
        Prec.highest(
          keymap.of([
            { key: 'Mod-Enter', run },
            { key: 'Shift-Enter', run: insertNewlineAndIndent },
          ]),
        ),
        history(),
        typeOver,
        highlightSpecialChars(),
        bracketMatching(),
        closeBrackets(),
        autocompletion(),
        syntaxHighlighting(COLOURS),
        language.support,
        // Above the keys that break lines, below those that take a completion.
        keymap.of([
          ...closeBracketsKeymap,
          ...completionKeymap,
          { key: 'Enter', run },
          ...historyKeymap,
          ...lintKeymap,
          ...defaultKeymap,
        ]),
        placeholder('Expression; Enter runs it, Shift-Enter breaks the line'),
        EditorView.lineWrapping,
        named.of(nameOf()),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) props.onChange(update.state.doc.toString());
        }),
        THEME,
      ],
    });
    view = new EditorView({ state, parent: root, root });
  });
  createEffect(
    on(
      () => props.value,
      (value) => {
        if (view && view.state.doc.toString() !== value) {
          view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value } });
        }
      },
    ),
  );
  const remark = () => {
    view?.dispatch({ effects: answered.of(null) });
    if (view) forceLinting(view);
  };
  createEffect(on(() => props.mistake, remark, { defer: true }));
  onCleanup(() => language.extension.destroy());
  onCleanup(() => view?.destroy());
  return <div class="editor-host" ref={host} />;
}
