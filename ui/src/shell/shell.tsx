// The frame: navigation, banner, the page.

import { createEffect, createSignal, ErrorBoundary, type JSX, on, Show, Suspense } from 'solid-js';
import { Failed, Loading } from '../component/state';
import { place } from '../router';
import { Banner } from './banner';
import { Help, listenToKeys } from './keyboard';
import { Navigation } from './navigation';
import { ScrollContext } from './scroll';

export function Shell(props: { children: JSX.Element }) {
  const [main, setMain] = createSignal<HTMLElement>();
  const [help, setHelp] = createSignal(false);
  listenToKeys(() => setHelp(true));
  // Another page begins at its top.
  createEffect(
    on(
      () => place().path,
      () => main()?.scrollTo(0, 0),
      { defer: true },
    ),
  );
  return (
    <div class="shell">
      <button type="button" class="skip" onClick={() => main()?.focus()}>
        Skip to the page
      </button>
      <Banner />
      <Navigation onHelp={() => setHelp(true)} />
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <main class="main" id="main" tabIndex={0} ref={setMain}>
        <ScrollContext.Provider value={main}>
          <ErrorBoundary fallback={(error, reset) => <Broken error={error} reset={reset} />}>
            <Suspense
              fallback={
                <div class="page">
                  <Loading />
                </div>
              }
            >
              {props.children}
            </Suspense>
          </ErrorBoundary>
        </ScrollContext.Provider>
      </main>
      <Show when={help()}>
        <Help onClose={() => setHelp(false)} />
      </Show>
    </div>
  );
}

/** A mistake of ours in a page; the frame goes on, and so does another page. */
function Broken(props: { error: unknown; reset: () => void }) {
  createEffect(on(place, () => props.reset(), { defer: true }));
  return (
    <div class="page">
      <Failed title="This page has a bug" error={props.error} retry={props.reset} />
    </div>
  );
}
