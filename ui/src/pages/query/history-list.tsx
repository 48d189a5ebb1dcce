// Expressions that were run before, to run one again.

import { createMemo, createSignal, For, Show } from 'solid-js';
import { Drawer } from '../../component/drawer';
import { found, Search } from '../../component/search';
import { Empty } from '../../component/state';
import { readHistory } from './history';

export function History(props: { onPick: (expression: string) => void; onClose: () => void }) {
  const all = readHistory();
  const [search, setSearch] = createSignal('');
  const shown = createMemo(() => all.filter((one) => found(one, search())));
  return (
    <Drawer title="History" onClose={props.onClose}>
      <Show
        when={all.length > 0}
        fallback={<Empty title="Nothing was run yet">This browser keeps the last hundred.</Empty>}
      >
        <Search value={search()} onInput={setSearch} label="Search the history" />
        <ul class="history">
          <For each={shown()} fallback={<li class="soft">None fits.</li>}>
            {(expression) => (
              <li>
                <button
                  type="button"
                  class="row-link mono wrap-anywhere"
                  onClick={() => props.onPick(expression)}
                >
                  {expression}
                </button>
              </li>
            )}
          </For>
        </ul>
      </Show>
    </Drawer>
  );
}
