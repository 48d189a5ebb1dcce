// A real hub with two clusters' agents, with real data, for the tests and for looking at pages by hand:
// `node test/lab.mjs` starts one and leaves it until Ctrl-C.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The binary: NAVE_BIN, else what cargo built last. */
export function binary() {
  if (process.env.NAVE_BIN) return process.env.NAVE_BIN;
  const target = process.env.CARGO_TARGET_DIR ?? fileURLToPath(new URL('../../target', import.meta.url));
  return join(target, 'debug', 'nave');
}

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Asks until `probe` gives something, and says what it waited for when it does not. */
export async function until(what, probe, timeoutMs = 60_000) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const answer = await probe().catch(() => undefined);
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs / 1000} s in vain for ${what}`);
    await sleep(100);
  }
}

/** Labels and help that must stay text. */
export const HOSTILE = `"><img src=x onerror="window.pwned=1"><script>window.pwned=1</script>`;

class Server {
  constructor(name, home, port, args, prefix = '') {
    Object.assign(this, { name, home, port, args, prefix });
    this.url = `http://127.0.0.1:${port}${prefix}`;
  }

  async start() {
    const log = openSync(join(this.home, 'log'), 'a');
    const env = { ...process.env, NAVE_DIE_WITH_PARENT: '1' };
    this.child = spawn(binary(), this.args, { cwd: this.home, env, stdio: ['ignore', log, log] });
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.once('exit', () => {
      this.child = undefined;
    });
    await until(`${this.name} to be ready (its log is ${this.home}/log)`, async () => {
      if (!this.child) throw new Error(readFileSync(join(this.home, 'log'), 'utf8').slice(-2000));
      return (await fetch(`${this.url}/-/ready`)).ok;
    });
    return this;
  }

  async stop(signal = 'SIGKILL') {
    if (!this.child) return;
    this.child.kill(signal);
    await this.ended;
  }

  async api(path) {
    const answer = await (await fetch(`${this.url}/api/v1/${path}`)).json();
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`);
    return answer.data;
  }
}

const HUB_CONFIG = (port, prefix, odd) => `
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: hub
    metrics_path: ${prefix}/metrics
    static_configs:
      - targets: ['127.0.0.1:${port}']
  - job_name: odd
    static_configs:
      - targets: ['127.0.0.1:${odd}']
        labels: {team: ${JSON.stringify(HOSTILE)}}
  - job_name: broken
    static_configs:
      - targets: ['127.0.0.1:1']
  - job_name: picked
    static_configs:
      - targets: ['127.0.0.1:${odd}', '127.0.0.1:2', '127.0.0.1:3']
        labels: {zone: ${JSON.stringify(HOSTILE)}}
    relabel_configs:
      - {source_labels: [__address__], target_label: host, regex: '(.+):.+'}
      - {source_labels: [__address__], regex: '.+:[23]', action: drop}
`;

const AGENT_CONFIG = (port) => `
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: nave-agent
    static_configs:
      - targets: ['127.0.0.1:${port}']
`;

/** A page with counters, histograms of both kinds and hostile text. */
function oddPage() {
  const escaped = HOSTILE.replaceAll('\\', '\\\\').replaceAll('"', '\\"');
  const started = Date.now();
  return createHttp((_, response) => {
    const n = Math.floor((Date.now() - started) / 100);
    response.setHeader('content-type', 'text/plain; version=0.0.4');
    response.end(
      `# HELP odd_total ${HOSTILE}\n# TYPE odd_total counter\nodd_total{kind="${escaped}"} ${n}\nodd_total{kind="plain"} ${2 * n}\n` +
        '# HELP odd_seconds How long things take.\n# TYPE odd_seconds histogram\n' +
        [0.1, 0.5, 1, 5].map((le, i) => `odd_seconds_bucket{le="${le}"} ${n * (i + 1)}\n`).join('') +
        `odd_seconds_bucket{le="+Inf"} ${n * 5}\nodd_seconds_sum ${n * 3}\nodd_seconds_count ${n * 5}\n`,
    );
  });
}

/**
 * Starts the hub and the agents `spoke1` and `spoke2`, and waits until both clusters' samples are there.
 * `hub`: more arguments; `prefix`: a path that the hub lives below; `agents`: whether there are any.
 */
export async function startLab({ hub: more = [], prefix = '', agents: wantAgents = true } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'nave-ui-'));
  const odd = oddPage();
  await new Promise((resolve) => odd.listen(0, '127.0.0.1', resolve));
  const port = await freePort();
  const home = (name) => {
    mkdirSync(join(dir, name));
    return join(dir, name);
  };
  const hubHome = home('hub');
  writeFileSync(join(hubHome, 'prometheus.yml'), HUB_CONFIG(port, prefix, odd.address().port));
  const names = wantAgents ? ['spoke1', 'spoke2'] : [];
  writeFileSync(join(hubHome, 'clusters.yml'), 'clusters: {}\n');
  for (const name of [...names, 'spoke3']) {
    const token = join(dir, `${name}.token`);
    execFileSync(binary(), ['cluster', 'add', name, `--hub.token-file=${token}`], { cwd: hubHome });
  }
  const hub = new Server(
    'hub',
    hubHome,
    port,
    [
      'hub',
      '--clusters.file=clusters.yml',
      '--clusters.silent-after=4s',
      `--web.listen-address=127.0.0.1:${port}`,
      `--web.external-url=http://127.0.0.1:${port}${prefix}`,
      ...more,
    ],
    prefix,
  );
  const agents = {};
  for (const name of names) {
    const port = await freePort();
    const agentHome = home(name);
    writeFileSync(join(agentHome, 'prometheus.yml'), AGENT_CONFIG(port));
    agents[name] = new Server(name, agentHome, port, [
      'agent',
      '--config.file=prometheus.yml',
      '--exporter.node',
      `--hub.url=${hub.url}`,
      `--hub.token-file=${join(dir, `${name}.token`)}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ]);
  }
  const lab = {
    dir,
    hub,
    agents,
    oddPort: odd.address().port,
    async stop() {
      await Promise.all([hub, ...Object.values(agents)].map((one) => one.stop()));
      odd.close();
      odd.closeAllConnections();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  try {
    await hub.start();
    await Promise.all(Object.values(agents).map((one) => one.start()));
    if (wantAgents) {
      await until('samples of both clusters', async () => {
        const { clusters } = await hub.api('clusters');
        return clusters.filter((one) => one.acceptedSamples > 100).length === 2;
      });
    }
  } catch (error) {
    await lab.stop();
    throw error;
  }
  return lab;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const lab = await startLab();
  console.log(`hub ${lab.hub.url}`);
  for (const one of Object.values(lab.agents)) console.log(`${one.name} ${one.url}`);
  process.once('SIGINT', () => lab.stop().then(() => process.exit(0)));
  process.once('SIGTERM', () => lab.stop().then(() => process.exit(0)));
}
