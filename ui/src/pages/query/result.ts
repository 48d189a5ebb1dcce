// Asks what a panel wants to know.

import { type Answer, ApiError, ask, type Options } from '../../api/client';
import type { QueryResult } from '../../api/type';
import { type Exemplar, fetchExemplars } from './exemplar';
import { type PanelState, span } from './panel-state';
import type { Span } from './plot';

export interface Question {
  expression: string;
  panel: PanelState;
}

/** `plan` is Nave's own, and there where it was asked for. */
export type Planned = QueryResult & { plan?: string };

export interface Result extends Answer<Planned> {
  question: Question;
  span: Span;
  /** Whether it was a range query. */
  isRange: boolean;
  exemplars: readonly Exemplar[];
  tookMs: number;
}

/**
 * More than a page can show; the server's warning says when there were more. Ranges have no limit: with one the
 * server does not use what it kept of earlier runs, and its own budgets bound them.
 */
const ROWS_MAX = 50_000;
const CUT = 'results truncated due to limit';

export async function fetchResult(question: Question, signal: AbortSignal): Promise<Result> {
  const begun = performance.now();
  const { panel, expression } = question;
  const at = span(panel, Date.now());
  const options: Options = { signal, method: 'POST' };
  // The plan is of the whole run, of which one series is enough.
  const explain = panel.tab === 'explain' ? 1 : undefined;
  const instant = () => {
    const time = panel.endMs === undefined ? undefined : panel.endMs / 1000;
    return ask<Planned>('query', { query: expression, time, explain, limit: explain ?? ROWS_MAX }, options);
  };
  const range = () => {
    const times = { start: at.start / 1000, end: at.end / 1000, step: at.step / 1000 };
    return ask<Planned>('query_range', { query: expression, ...times, explain, limit: explain }, options);
  };
  const wanted = panel.tab === 'graph' && panel.exemplars;
  // A server without exemplars is none that failed.
  const exemplars = wanted ? fetchExemplars(expression, at.start, at.end, signal).catch(() => []) : [];
  let isRange = panel.tab !== 'table';
  let answer: Answer<Planned>;
  try {
    answer = await (isRange ? range() : instant());
  } catch (error) {
    // Such as a range selector alone, whose plan there is at one time only.
    if (!explain || !(error instanceof ApiError) || !error.message.includes('for range query')) throw error;
    isRange = false;
    answer = await instant();
  }
  return {
    ...answer,
    warnings: explain ? answer.warnings.filter((text) => text !== CUT) : answer.warnings,
    question,
    span: at,
    isRange,
    exemplars: await exemplars,
    tookMs: performance.now() - begun,
  };
}
