// Asks the API of this process. Every answer passes here, so that the shell knows whether it is reachable.

import { basePath } from '../process';
import { noteAnswer, noteSilence } from './connection';

export interface Answer<T> {
  data: T;
  warnings: string[];
  infos: string[];
}

/** A request that was answered with an error, or not at all. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** The API's `errorType`; `unreachable` when nothing answered, `http` for an answer that is not the API's. */
    readonly kind: string,
    /** The HTTP status; 0 when nothing answered. */
    readonly status: number,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export type Parameters = Record<string, string | number | readonly string[] | undefined>;

export interface Options {
  signal?: AbortSignal;
  /** POST sends the parameters as a form; for expressions that do not fit an address. */
  method?: 'GET' | 'POST';
}

/** Parameters as they stand in an address; lists repeat their name, what is undefined is left out. */
export function encode(parameters: Parameters): URLSearchParams {
  const encoded = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    if (typeof value === 'object') for (const one of value) encoded.append(name, one);
    else encoded.append(name, String(value));
  }
  return encoded;
}

/** Asks `api/v1/<path>` and gives `data` with warnings and infos; throws `ApiError`, or `AbortError`. */
export async function ask<T>(
  path: string,
  parameters: Parameters = {},
  options: Options = {},
): Promise<Answer<T>> {
  const encoded = encode(parameters).toString();
  const post = options.method === 'POST';
  const url = `${basePath}api/v1/${path}${!post && encoded ? `?${encoded}` : ''}`;
  const init: RequestInit = { headers: { accept: 'application/json' }, signal: options.signal ?? null };
  if (post) {
    init.method = 'POST';
    init.body = new URLSearchParams(encoded);
  }
  const response = await reach(url, init);
  const body = (await response.json().catch(() => undefined)) as Body<T> | undefined;
  if (body?.status === 'success') {
    return { data: body.data, warnings: body.warnings ?? [], infos: body.infos ?? [] };
  }
  if (body?.status === 'error') throw new ApiError(body.error, body.errorType, response.status);
  throw new ApiError(
    `The server answered ${response.status} ${response.statusText}`.trim(),
    'http',
    response.status,
  );
}

type Body<T> =
  | { status: 'success'; data: T; warnings?: string[]; infos?: string[] }
  | { status: 'error'; errorType: string; error: string };

/** Asks a path that is not the API's, such as `metrics`; gives its text. */
export async function askText(path: string, options: Options = {}): Promise<string> {
  const response = await reach(basePath + path, { signal: options.signal ?? null });
  const text = await response.text();
  if (!response.ok) {
    throw new ApiError(text.trim() || `The server answered ${response.status}`, 'http', response.status);
  }
  return text;
}

async function reach(url: string, init: RequestInit): Promise<Response> {
  try {
    const response = await fetch(url, init);
    // A proxy before a server that is gone answers for it.
    if (response.status === 502 || response.status === 504) noteSilence();
    else noteAnswer();
    return response;
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    noteSilence();
    throw new ApiError('The server does not answer', 'unreachable', 0);
  }
}

/** The text of anything that was thrown. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
