// The query page: any number of panels, all of them in the address.

import './query.css';

import { createEffect, For, on, Show } from 'solid-js';
import { createStore, reconcile } from 'solid-js/store';
import { CopyButton } from '../../component/copy';
import { go, place, query } from '../../router';
import { Page } from '../../shell/page';
import { Panel } from './panel';
import { emptyPanel, type PanelState, readPanels, writePanels } from './panel-state';

export default function QueryPage() {
  const [panels, setPanels] = createStore<PanelState[]>(readPanels(query()));
  // A link to this page from this page, and the browser's buttons.
  createEffect(
    on(
      query,
      (now) => {
        if (place().path === '/query' && writePanels(readPanels(now)) !== writePanels(panels)) {
          setPanels(reconcile(readPanels(now)));
        }
      },
      { defer: true },
    ),
  );
  const share = (next: readonly PanelState[], how = { replace: false }) => {
    const search = writePanels(next, query());
    if (`?${search}` !== place().search) go(`/query?${search}`, how);
  };
  const change = (index: number, part: Partial<PanelState>) => {
    setPanels(index, part);
    share(panels);
  };
  const remove = (index: number) => {
    setPanels((all) => all.filter((_, i) => i !== index));
    share(panels);
  };
  const add = () => {
    const last = panels.at(-1) ?? emptyPanel();
    setPanels(panels.length, { ...last, expression: '' });
  };
  return (
    <Page title="Query" tools={<CopyButton label="Copy link" text={() => location.href} />}>
      <div class="stack">
        {/* Keyed by the panel, so that what is typed in one stays in it when another goes. */}
        <For each={panels}>
          {(panel, index) => (
            <Panel
              panel={panel}
              index={index()}
              name={`Panel ${index() + 1}`}
              onChange={(part) => change(index(), part)}
              onRemove={panels.length > 1 ? () => remove(index()) : undefined}
            />
          )}
        </For>
        <Show when={panels.length < 20}>
          <p>
            <button type="button" class="button" onClick={add}>
              Add a panel
            </button>
          </p>
        </Show>
      </div>
    </Page>
  );
}
