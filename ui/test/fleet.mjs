// Made-up answers of a large hub, for states that a small real one cannot show.

export function clusters(count) {
  return {
    clusters: Array.from({ length: count }, (_, i) => {
      const silent = i % 97 === 3;
      const lagging = i % 41 === 5;
      return {
        name: `cluster-${String(i).padStart(4, '0')}`,
        silent,
        lastContact: new Date(Date.now() - (silent ? 900_000 : 800)).toISOString(),
        lagSeconds: silent ? 905 : lagging ? 240.5 : 1.2,
        samplesPerSecond: silent ? 0 : 900 + ((i * 37) % 5000),
        bytesPerSecond: 20_000,
        activeSeries: 1000 + ((i * 7919) % 90_000),
        requests: 1000,
        receivedBytes: 5e8,
        acceptedSamples: 5e7,
        rejectedSamples: { conflict: 0, series_limit: i % 29 === 7 ? 1200 + i : 0, too_old: 0 },
        throttledRequests: { samples_per_second: 0 },
        senderVersion: 'nave/0.1.0',
        clockSkewSeconds: 0.2,
        labels: { cluster: `cluster-${String(i).padStart(4, '0')}`, region: i % 2 ? 'eu' : 'us' },
        limits: i % 3 ? { series: 100_000 } : {},
      };
    }),
  };
}

const pad = (i) => String(i).padStart(5, '0');

function target(i) {
  const down = i % 211 === 17;
  return {
    discoveredLabels: {
      __address__: `10.0.${i >> 8}.${i & 255}:9100`,
      __meta_kubernetes_pod_name: `pod-${pad(i)}`,
    },
    labels: { instance: `host-${pad(i)}:9100`, job: `job-${i % 12}`, zone: `z${i % 3}` },
    scrapePool: `job-${i % 12}`,
    scrapeUrl: `http://host-${pad(i)}:9100/metrics`,
    globalUrl: `http://host-${pad(i)}:9100/metrics`,
    lastError: down ? 'server returned HTTP status 503 Service Unavailable' : '',
    lastScrape: new Date(Date.now() - (i % 15) * 1000).toISOString(),
    lastScrapeDuration: 0.01 + (i % 50) / 1000,
    health: down ? 'down' : 'up',
    scrapeInterval: '15s',
    scrapeTimeout: '10s',
  };
}

/** `targets/search` over `count` targets, with its parameters. */
export function targets(count) {
  const all = Array.from({ length: count }, (_, i) => target(i)).sort((a, b) =>
    a.health < b.health ? -1 : a.health > b.health ? 1 : 0,
  );
  const pools = Array.from({ length: 12 }, (_, i) => {
    const mine = all.filter((one) => one.scrapePool === `job-${i}`);
    const down = mine.filter((one) => one.health === 'down').length;
    return { name: `job-${i}`, up: mine.length - down, down, unknown: 0, dropped: 0 };
  });
  return (url) => {
    const get = (name) => url.searchParams.get(name) ?? '';
    const found = all.filter(
      (one) =>
        (!get('scrapePool') || one.scrapePool === get('scrapePool')) &&
        (!get('health') || one.health === get('health')) &&
        JSON.stringify(one).includes(get('search')),
    );
    return {
      pools,
      total: found.length,
      activeTargets: found.slice(0, Number(get('limit'))),
      droppedTargets: [],
    };
  };
}

const HOUR = 3_600_000;

export function blocks() {
  const now = Math.floor(Date.now() / HOUR) * HOUR;
  const day = 24 * HOUR;
  const midnight = Math.floor(now / day) * day;
  const block = (level, minTime, maxTime, i) => ({
    ulid: `01JD${level.toUpperCase().padEnd(6, 'X')}${String(i).padStart(16, '0')}`,
    level,
    minTime,
    maxTime,
    stats: {
      numSeries: 90_000 + i,
      numSamples: ((maxTime - minTime) / 15_000) * 90_000,
      numBytes: (maxTime - minTime) * 7,
    },
    tombstones: i % 4 === 0 ? 2 : 0,
  });
  const days = Array.from({ length: 12 }, (_, i) =>
    block('day', midnight - (12 - i) * day, midnight - (11 - i) * day, i),
  );
  const windows = [];
  for (let at = midnight; at + 2 * HOUR <= now; at += 2 * HOUR)
    windows.push(block('window', at, at + 2 * HOUR, windows.length));
  const parts = Array.from({ length: 5 }, (_, i) =>
    block('part', now - HOUR + i * 600_000, now - HOUR + i * 600_000 + 900_000, i),
  );
  return { blocks: [...days, ...windows, ...parts] };
}

export const RULES = {
  groups: [
    {
      name: 'nodes',
      file: '/etc/nave/rules/nodes.yml',
      interval: 30,
      evaluationTime: 0.012,
      lastEvaluation: new Date().toISOString(),
      rules: [
        {
          type: 'alerting',
          name: 'ClusterSilent',
          query: 'nave_cluster_silent == 1',
          duration: 60,
          labels: { severity: 'page' },
          annotations: {
            summary: 'Nothing came from cluster spoke1 for five minutes.',
            runbook: 'https://runbook.example/silent',
          },
          health: 'ok',
          evaluationTime: 0.0004,
          lastEvaluation: new Date().toISOString(),
          state: 'firing',
          alerts: [
            {
              labels: { alertname: 'ClusterSilent', cluster: 'spoke1', severity: 'page' },
              annotations: {
                summary: 'Nothing came from cluster spoke1 for five minutes.',
                runbook: 'https://runbook.example/silent',
              },
              state: 'firing',
              activeAt: new Date(Date.now() - 1_260_000).toISOString(),
              value: '1e+00',
            },
            {
              labels: { alertname: 'ClusterSilent', cluster: 'spoke2', severity: 'page' },
              annotations: { summary: 'Nothing came from cluster spoke2 for five minutes.' },
              state: 'pending',
              activeAt: new Date(Date.now() - 20_000).toISOString(),
              value: '1e+00',
            },
          ],
        },
        {
          type: 'recording',
          name: 'cluster:cpu_in_use:share',
          query: '1 - avg by (cluster) (rate(node_cpu_seconds_total{mode="idle"}[5m]))',
          health: 'ok',
          evaluationTime: 0.0051,
          lastEvaluation: new Date().toISOString(),
        },
        {
          type: 'recording',
          name: 'cluster:broken',
          query: 'sum(a) / on (cluster) group_left sum by (cluster) (b)',
          health: 'err',
          lastError: 'found duplicate series for the match group {} on the right hand-side of the operation',
          evaluationTime: 0.0021,
          lastEvaluation: new Date().toISOString(),
        },
      ],
    },
  ],
};
