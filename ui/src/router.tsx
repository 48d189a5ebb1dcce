// Which page the address means, and how links change it without a new load.
//
// Addresses are paths below the base path. Links are plain `<a href>` elements; clicks on them are taken over
// here, so that opening in a new tab and copying an address work as everywhere.

import { type Component, createMemo, createRoot, createSignal, Show } from 'solid-js';
import { Dynamic } from 'solid-js/web';
import { basePath } from './process';

export interface Place {
  /** Below the base path, with a slash in front. */
  path: string;
  /** With the question mark, or empty. */
  search: string;
}

/** What is in the path where a route says `:name`. */
export type Parameters = Record<string, string>;

export interface Route {
  /** Such as `/clusters/:name`. */
  path: string;
  page: Component<{ parameters: Parameters }>;
}

function read(): Place {
  const { pathname, search } = window.location;
  const path = pathname.startsWith(basePath) ? pathname.slice(basePath.length - 1) : pathname;
  return { path: path === '/' ? path : path.replace(/\/+$/, ''), search };
}

const [place, setPlace] = createSignal(read(), {
  equals: (a, b) => a.path === b.path && a.search === b.search,
});

/** Where the user is. */
export { place };

/** The parameters of the address. */
export const query = createRoot(() => createMemo(() => new URLSearchParams(place().search)));

/** The address of a path below the base path, for `href`. */
export function href(path: string): string {
  return basePath + path.replace(/^\//, '');
}

/** Goes to a path below the base path; a replaced address does not stay in the history. */
export function go(path: string, how: { replace?: boolean } = {}): void {
  const url = href(path);
  if (how.replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  setPlace(read());
}

/** Changes parameters of this page's address; `null` and `''` take one away. Nothing enters the history. */
export function setQuery(changes: Record<string, string | null>): void {
  const next = new URLSearchParams(place().search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') next.delete(name);
    else next.set(name, value);
  }
  const search = next.toString();
  go(place().path + (search ? `?${search}` : ''), { replace: true });
}

/** Follows the browser's buttons and clicks on links; called once. */
export function startRouter(): void {
  window.addEventListener('popstate', () => setPlace(read()));
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.composedPath().find((node) => node instanceof HTMLAnchorElement);
    if (!link || link.target || link.hasAttribute('download') || link.dataset.native !== undefined) return;
    const url = new URL(link.href, document.baseURI);
    if (url.origin !== location.origin || !url.pathname.startsWith(basePath)) return;
    event.preventDefault();
    go(url.pathname.slice(basePath.length) + url.search);
  });
}

/** The parameters when `path` fits `pattern`, both with a slash in front. */
export function match(pattern: string, path: string): Parameters | undefined {
  const wanted = pattern.split('/');
  const parts = path.split('/');
  if (wanted.length !== parts.length) return undefined;
  const parameters: Parameters = {};
  for (const [i, want] of wanted.entries()) {
    const part = parts[i] ?? '';
    if (want.startsWith(':')) parameters[want.slice(1)] = decode(part);
    else if (want !== part) return undefined;
  }
  return parameters;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The page of the address. */
export function Pages(props: { routes: readonly Route[]; missing: Component }) {
  const found = createMemo(() => {
    for (const route of props.routes) {
      const parameters = match(route.path, place().path);
      if (parameters) return { route, parameters };
    }
    return undefined;
  });
  // A page that is shown already stays, with other parameters.
  const page = createMemo(() => found()?.route.page);
  return (
    <Show when={page()} fallback={<Dynamic component={props.missing} />}>
      <Dynamic component={page()} parameters={found()?.parameters ?? {}} />
    </Show>
  );
}
