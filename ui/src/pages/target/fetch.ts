// Targets by pages; the server searches and counts.

import { ask } from '../../api/client';
import type { ActiveTarget, DroppedTarget, Health, Labels } from '../../api/type';
import type { Tone } from '../../component/state';

export interface PoolCounts {
  name: string;
  up: number;
  down: number;
  unknown: number;
  dropped: number;
}

export interface Found {
  pools: PoolCounts[];
  /** How many fit, of which `activeTargets` and `droppedTargets` hold the first. */
  total: number;
  activeTargets: ActiveTarget[];
  droppedTargets: DroppedTarget[];
}

export interface Wanted {
  state: 'active' | 'dropped';
  pool: string;
  health: string;
  search: string;
  limit: number;
}

export const PAGE = 500;
export const LIMIT_MAX = 5000;

export const TONES: Record<Health, Tone> = { up: 'ok', down: 'bad', unknown: 'idle' };

export async function fetchTargets(wanted: Wanted, signal: AbortSignal): Promise<Found> {
  const { state, pool, health, search, limit } = wanted;
  const { data } = await ask<Found>(
    'targets/search',
    { state, scrapePool: pool, health, search, limit },
    { signal },
  );
  return data;
}

/** A rule and the labels after it. */
export interface Step {
  rule: Record<string, unknown>;
  output: Labels;
  keep: boolean;
}

export async function fetchSteps(
  target: { pool: string; labels: Labels },
  signal: AbortSignal,
): Promise<Step[]> {
  const { data } = await ask<{ steps: Step[] }>(
    'targets/relabel_steps',
    { scrapePool: target.pool, labels: JSON.stringify(target.labels) },
    { signal },
  );
  return data.steps;
}

export function total(pools: readonly PoolCounts[], of: Exclude<keyof PoolCounts, 'name'>): number {
  return pools.reduce((sum, pool) => sum + pool[of], 0);
}
