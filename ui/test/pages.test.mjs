// Every page against a real hub with two clusters and hostile text in labels, help and targets: in dark, light and at
// the width of a phone.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { checkAccess, launch, open, shoot } from './browser.mjs';
import { HOSTILE, startLab, until } from './lab.mjs';

/** Path, what shows that the page has its data, and what the console may say. */
const HUB_PAGES = {
  clusters: { path: '/clusters', shows: 'a:text("spoke2")' },
  cluster: { path: '/clusters/spoke1', shows: '.ranking li >> nth=3' },
  query: { path: '/query?g0.expr=up', shows: 'text=8 series' },
  alerts: { path: '/alerts', shows: 'text=There are no alerting rules' },
  rules: { path: '/rules', shows: 'text=There are no rules' },
  targets: { path: '/targets', shows: 'button:text("127.0.0.1:1")' },
  discovery: { path: '/service-discovery', shows: 'td:has-text("picked")' },
  storage: { path: '/tsdb-status', shows: '[aria-label="series by Metric"]' },
  config: { path: '/config', shows: 'text=job_name' },
  flags: { path: '/flags', shows: 'text=--clusters.file' },
  runtime: { path: '/status', shows: 'text=Worker threads' },
  missing: { path: '/clusters/no/such', shows: 'h1' },
};
const AGENT_PAGES = {
  agent: { path: '/agent', shows: 'text=Pending samples' },
  'agent-targets': { path: '/targets', shows: 'td:has-text("nave-agent")' },
  'agent-discovery': { path: '/service-discovery', shows: 'td:has-text("nave-agent")' },
  'agent-config': { path: '/config', shows: 'text=job_name' },
  'agent-flags': { path: '/flags', shows: 'text=--hub.url' },
  'agent-runtime': { path: '/status', shows: 'text=Worker threads' },
};
/** Not every version lists its blocks. */
const ALLOW = ['404 (Not Found)'];

let lab;
let browser;
before(async () => {
  [lab, browser] = await Promise.all([startLab(), launch()]);
});
after(async () => {
  await browser?.close();
  await lab?.stop();
});

async function visit(server, { path, shows }, how) {
  const page = await open(browser, { allow: ALLOW, ...how });
  await page.goto(server.url + path);
  await page.locator(shows).first().waitFor();
  return page;
}

describe('every page', () => {
  const all = [
    ...Object.entries(HUB_PAGES).map(([name, what]) => [name, what, () => lab.hub]),
    ...Object.entries(AGENT_PAGES).map(([name, what]) => [name, what, () => lab.agents.spoke1]),
  ];
  for (const [name, what, server] of all) {
    if (name === 'missing') continue;
    test(`${name}: clean and accessible, dark and light`, async () => {
      for (const dark of [false, true]) {
        const page = await visit(server(), what, { dark });
        await checkAccess(page);
        await shoot(page, `${name}-${dark ? 'dark' : 'light'}`);
        await page.checkClean();
        await page.context().close();
      }
    });
    test(`${name}: nothing is cut off at the width of a phone`, async () => {
      const page = await visit(server(), what, { width: 390, height: 780 });
      await checkAccess(page);
      await shoot(page, `${name}-phone`);
      const wide = await page.evaluate(() => document.querySelector('.main').scrollWidth > innerWidth);
      assert.equal(wide, false, 'the page scrolls sideways');
      await page.checkClean();
      await page.context().close();
    });
  }
});

describe('pages and what they do', () => {
  test('the front page leads to a cluster, and back', async () => {
    const page = await open(browser);
    await page.goto(`${lab.hub.url}/`);
    await page.getByRole('link', { name: 'spoke2' }).click();
    await page.getByRole('heading', { name: 'spoke2', level: 1 }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/clusters/spoke2');
    await page.locator('.chart-line').first().waitFor({ state: 'attached' });
    await page.goBack();
    await page.getByRole('heading', { name: 'Clusters', level: 1 }).waitFor();
    await page.getByRole('link', { name: 'spoke1' }).click();
    await page.getByRole('heading', { name: 'spoke1', level: 1 }).waitFor();
    await page.reload();
    await page.getByRole('heading', { name: 'spoke1', level: 1 }).waitFor();
    await page.checkClean();
  });

  test('search, state and sort are in the address and survive a reload', async () => {
    const page = await open(browser);
    await page.goto(`${lab.hub.url}/clusters`);
    const names = () => page.locator('tbody th').allInnerTexts();
    await page.getByRole('button', { name: 'Cluster', exact: true }).click();
    await page.getByRole('button', { name: 'Cluster', exact: true }).click();
    await until('names from z to a', async () => (await names()).join() === 'spoke3,spoke2,spoke1');
    await page.getByRole('searchbox', { name: 'Search clusters' }).fill('spoke1');
    await until('one row', async () => (await names()).join() === 'spoke1');
    await page.reload();
    await until('one row again', async () => (await names()).join() === 'spoke1');
    assert.match(page.url(), /sort=-name/);
    await page.checkClean();
  });

  test('a target tells its error, and a dropped one the rule that dropped it', async () => {
    const page = await open(browser);
    await page.goto(`${lab.hub.url}/targets`);
    await page.locator('button:text("127.0.0.1:1")').click();
    const drawer = page.getByRole('dialog');
    await drawer.getByText('connection refused').waitFor();
    await drawer.getByText('The job has no relabel rules.').waitFor();
    await page.keyboard.press('Escape');
    await drawer.waitFor({ state: 'hidden' });
    await page.goto(`${lab.hub.url}/service-discovery?state=dropped`);
    await page.locator('button:text("127.0.0.1:2")').click();
    await drawer
      .locator('li.is-drop', { hasText: 'regex: ".+:[23]"' })
      .getByText('drops the target')
      .waitFor();
    await checkAccess(page);
    await shoot(page, 'discovery-dropped');
    await page.checkClean();
  });

  test('hostile labels are text', async () => {
    const page = await open(browser, { allow: ALLOW });
    for (const [path, at] of [
      ['/targets?search=odd', 'td .label'],
      ['/service-discovery?search=picked', 'td .label'],
      ['/tsdb-status?by=pair&limit=1000&search=onerror', 'tbody th a'],
    ]) {
      await page.goto(lab.hub.url + path);
      const text = await page.locator(at).filter({ hasText: 'onerror' }).first().textContent();
      assert.ok(text.includes(HOSTILE), `${path}: ${text}`);
      assert.equal(await page.locator('.main img, .main script').count(), 0);
      await page.checkClean();
    }
    // Also from the address.
    await page.goto(
      `${lab.hub.url}/targets?search=${encodeURIComponent(HOSTILE)}&pool=${encodeURIComponent(HOSTILE)}`,
    );
    await page.getByText('No target fits').waitFor();
    await page.goto(`${lab.hub.url}/clusters/${encodeURIComponent(HOSTILE)}`).catch(() => {});
    await page.getByText('The hub knows no such cluster').waitFor();
    await page.checkClean();
  });

  test('keys go to pages and to the search', async () => {
    const page = await open(browser);
    await page.goto(`${lab.hub.url}/clusters`);
    await page.getByRole('link', { name: 'spoke1' }).waitFor();
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
    await page.keyboard.type('gt');
    assert.equal(new URL(page.url()).pathname, '/clusters', 'typing is no key');
    await page.locator('h1').click();
    await page.keyboard.press('g');
    await page.keyboard.press('t');
    await page.getByRole('heading', { name: 'Targets', level: 1 }).waitFor();
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
    await checkAccess(page);
    await page.keyboard.press('Escape');
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor({ state: 'hidden' });
    await page.checkClean();
  });

  test('colours and zone are chosen and stay', async () => {
    const page = await open(browser);
    await page.goto(`${lab.hub.url}/status`);
    await page.getByText('Worker threads').waitFor();
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await ground();
    await page.getByRole('button', { name: /^Colours/ }).click();
    await page.getByRole('button', { name: /^Colours/ }).click();
    assert.notEqual(await ground(), light);
    await page.getByRole('button', { name: 'UTC+01:00' }).click();
    await page.reload();
    await page.getByRole('button', { name: /show local times/ }).waitFor();
    assert.notEqual(await ground(), light);
    await page.checkClean();
  });

  test('old links arrive with their arguments', async () => {
    const page = await open(browser);
    await page.goto(`${lab.hub.url}/graph?g0.expr=up&g0.tab=1`);
    const url = new URL(page.url());
    assert.deepEqual([url.pathname, url.searchParams.get('g0.expr')], ['/query', 'up']);
  });

  test('the built UI carries its policy, and the policy holds', async () => {
    const response = await fetch(`${lab.hub.url}/clusters`);
    const policy = response.headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe/);
    const page = await open(browser, { allow: ['Content Security Policy'] });
    await page.goto(`${lab.hub.url}/clusters`);
    await page.evaluate(() => {
      const script = document.createElement('script');
      script.textContent = 'window.pwned = 1';
      document.body.append(script);
    });
    await page.checkClean();
  });
});
