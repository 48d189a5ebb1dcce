// The configuration in use, secrets hidden.

import { createMemo, For, Show } from 'solid-js';
import { ask } from '../../api/client';
import { createPolled } from '../../api/polled';
import { CopyButton } from '../../component/copy';
import { found, Search } from '../../component/search';
import { Empty, Loaded } from '../../component/state';
import { whole } from '../../format/number';
import { query, setQuery } from '../../router';
import { Page } from '../../shell/page';

/** Lines above this are not drawn; copying takes all. */
const LINES_MAX = 5000;

export default function ConfigPage() {
  const config = createPolled(
    () => true,
    async (_, signal) => (await ask<{ yaml: string }>('status/config', {}, { signal })).data.yaml,
    30_000,
  );
  return (
    <Page
      title="Config"
      note="as it is in use; secrets are hidden"
      tools={<Show when={config.data()}>{(yaml) => <CopyButton text={yaml} label="Copy" />}</Show>}
    >
      <Loaded of={config} lines={12}>
        {(yaml) => <Yaml text={yaml()} />}
      </Loaded>
    </Page>
  );
}

function Yaml(props: { text: string }) {
  const search = () => query().get('search') ?? '';
  const lines = createMemo(() => props.text.trimEnd().split('\n'));
  const shown = createMemo(() =>
    lines()
      .map((text, i) => ({ number: i + 1, text }))
      .filter((line) => search() === '' || found(line.text, search())),
  );
  return (
    <>
      <div class="filters">
        <Search value={search()} onInput={(text) => setQuery({ search: text })} label="Only lines with" />
        <span class="soft small">
          {search() === ''
            ? `${whole(lines().length)} lines`
            : `${whole(shown().length)} of ${whole(lines().length)} lines`}
        </span>
      </div>
      <Show when={shown().length > 0} fallback={<Empty title="No line fits">Take back the search.</Empty>}>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
        <section class="code yaml" aria-label="Configuration" tabIndex={0}>
          <ol>
            <For each={shown().slice(0, LINES_MAX)}>
              {(line) => <Line number={line.number} text={line.text} />}
            </For>
          </ol>
        </section>
      </Show>
      <Show when={shown().length > LINES_MAX}>
        <p class="more soft">The first {whole(LINES_MAX)} lines are shown; copying takes all.</p>
      </Show>
    </>
  );
}

const KEY = /^(\s*(?:- )*)([^\s:#'"][^:#]*)(:)(.*)$/;

function Line(props: { number: number; text: string }) {
  const parts = createMemo(() => KEY.exec(props.text));
  return (
    <li value={props.number}>
      <Show when={parts()} fallback={props.text}>
        {(found) => (
          <>
            {found()[1]}
            <b>{found()[2]}</b>
            {found()[3]}
            {found()[4]}
          </>
        )}
      </Show>
    </li>
  );
}
