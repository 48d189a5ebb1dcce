// The text of a plan, as the server explains it, read into nodes.

export interface PlanNode {
  text: string;
  depth: number;
  series: number;
  samples: number;
  /** With everything below it, in ms. */
  timeMs: number;
  /** Without what is below it, in ms. */
  ownMs: number;
}

const FIGURES = / \[series=(\d+) samples=(\d+) time=([\d.]+)ms\]$/;

/** One node per line, two spaces per level. */
export function readPlan(plan: string): PlanNode[] {
  const nodes = plan.split('\n').flatMap((line): PlanNode[] => {
    if (line.trim() === '') return [];
    const depth = Math.floor((line.length - line.trimStart().length) / 2);
    const found = FIGURES.exec(line);
    const text = (found ? line.slice(0, found.index) : line).trim();
    const timeMs = Number(found?.[3] ?? 0);
    return [
      {
        text,
        depth,
        series: Number(found?.[1] ?? 0),
        samples: Number(found?.[2] ?? 0),
        timeMs,
        ownMs: timeMs,
      },
    ];
  });
  for (const [i, node] of nodes.entries()) {
    let below = 0;
    for (let j = i + 1; j < nodes.length && (nodes[j]?.depth ?? 0) > node.depth; j += 1) {
      if (nodes[j]?.depth === node.depth + 1) below += nodes[j]?.timeMs ?? 0;
    }
    node.ownMs = Math.max(0, node.timeMs - below);
  }
  return nodes;
}
