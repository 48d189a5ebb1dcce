// What the page knows of the process that served it, before it asks for anything.

export type Mode = 'hub' | 'agent';

interface Served {
  mode: Mode;
  title: string;
  version: string;
}

/** Written into the page by the binary; the development server leaves it empty. */
function read(): Served {
  const unknown: Served = { mode: 'hub', title: 'Nave', version: '' };
  const content = document.querySelector('meta[name="nave"]')?.getAttribute('content');
  return content ? { ...unknown, ...(JSON.parse(content) as Partial<Served>) } : unknown;
}

export const served = read();

/** The path that all pages live below, with a slash at its end. */
export const basePath = document.querySelector('base') ? new URL('.', document.baseURI).pathname : '/';
