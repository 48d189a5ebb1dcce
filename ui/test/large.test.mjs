// Lists of thousands, and pages in states that a small hub does not have: full, empty and failing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answer, checkAccess, launch, open, shoot } from './browser.mjs';
import { blocks, clusters, RULES, targets } from './fleet.mjs';
import { startLab, until } from './lab.mjs';

let lab;
let browser;
before(async () => {
  [lab, browser] = await Promise.all([startLab({ agents: false }), launch()]);
});
after(async () => {
  await browser?.close();
  await lab?.stop();
});

const rowsInDocument = (page) => page.locator('tbody tr').count();

/** Goes through the whole list and gives the median time between two frames; the worst is other programs' doing. */
const scrollThrough = (page) =>
  page.evaluate(async () => {
    const main = document.querySelector('.main');
    const frames = [];
    let last = performance.now();
    for (let at = 0; at < main.scrollHeight; at += 2500) {
      main.scrollTo(0, at);
      await new Promise(requestAnimationFrame);
      frames.push(performance.now() - last);
      last = performance.now();
    }
    main.scrollTo(0, main.scrollHeight);
    await new Promise(requestAnimationFrame);
    frames.sort((a, b) => a - b);
    return Math.round(frames[frames.length >> 1]);
  });

test('1,000 clusters stay usable', async () => {
  const page = await open(browser);
  await answer(page, 'clusters', clusters(1000));
  await page.goto(`${lab.hub.url}/clusters`);
  await page.locator('a:text("cluster-0003")').waitFor();
  assert.ok((await rowsInDocument(page)) < 100);
  await checkAccess(page);
  await shoot(page, 'clusters-1000');
  const frame = await scrollThrough(page);
  console.log(
    `1,000 clusters: a frame takes ${frame} ms, ${await rowsInDocument(page)} rows in the document`,
  );
  await page.locator('a:text("cluster-0999")').waitFor();
  assert.ok(frame < 200, `${frame} ms`);
  await page.getByRole('searchbox').fill('antarctica 0123');
  await page.getByText('No cluster fits').waitFor();
  await page.getByRole('searchbox').fill('0124');
  await until('one row', async () => (await rowsInDocument(page)) === 1);
  await page.getByRole('searchbox').fill('');
  await page.getByRole('button', { name: 'Lagging' }).click();
  await until('only lagging ones', async () => (await page.locator('td .is-ok').count()) === 0);
  await page.checkClean();
});

test('10,000 targets stay usable', async () => {
  const page = await open(browser);
  await answer(page, 'targets/search', targets(10_000));
  await page.goto(`${lab.hub.url}/targets`);
  await page.getByText('The first 500 of 10,000 are shown').waitFor();
  assert.ok((await rowsInDocument(page)) < 100);
  assert.equal(await page.locator('tbody td .state').first().innerText(), 'down');
  await shoot(page, 'targets-10000');
  for (let i = 0; i < 3; i += 1) {
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByText(`The first ${(1000 + i * 500).toLocaleString('en-US')} of`).waitFor();
  }
  const frame = await scrollThrough(page);
  console.log(`2,000 of 10,000 targets: a frame takes ${frame} ms`);
  assert.ok(frame < 200, `${frame} ms`);
  await page.getByRole('searchbox').fill('host-09999');
  await until('one row', async () => (await rowsInDocument(page)) === 1);
  await page.checkClean();
});

test('alerts and rules, when there are any', async () => {
  const page = await open(browser);
  await answer(page, 'rules', RULES);
  await page.goto(`${lab.hub.url}/alerts`);
  await page.getByText('1 firing, 1 pending').waitFor();
  await shoot(page, 'alerts-full');
  await page.getByRole('button', { name: 'ClusterSilent' }).first().click();
  await page.getByRole('dialog').getByText('Nothing came from cluster spoke1').waitFor();
  await checkAccess(page);
  await page.keyboard.press('Escape');
  await page.goto(`${lab.hub.url}/rules`);
  await page.getByText('found duplicate series').waitFor();
  await checkAccess(page);
  await shoot(page, 'rules-full');
  await page.getByRole('button', { name: 'Failing' }).click();
  await until('one rule', async () => (await page.locator('.rules > li').count()) === 1);
  await page.checkClean();
});

test('blocks on a timeline', async () => {
  const page = await open(browser);
  await answer(page, 'status/tsdb/blocks', blocks());
  await page.goto(`${lab.hub.url}/tsdb-status`);
  await page.locator('.timeline rect').first().hover();
  await page.locator('figcaption code').waitFor();
  await page.locator('[aria-label="Blocks"]').first().scrollIntoViewIfNeeded();
  await checkAccess(page);
  await shoot(page, 'storage-blocks');
  await page.locator('.timeline rect').first().click();
  await page.getByRole('dialog').getByText('Deletions pending').waitFor();
  await page.checkClean();
});

const FAILING = {
  clusters: ['/clusters', 'clusters'],
  targets: ['/targets', 'targets/search'],
  discovery: ['/service-discovery', 'targets/search'],
  alerts: ['/alerts', 'rules'],
  rules: ['/rules', 'rules'],
  storage: ['/tsdb-status', 'status/tsdb'],
  config: ['/config', 'status/config'],
  flags: ['/flags', 'status/flags'],
  runtime: ['/status', 'status/runtimeinfo'],
};

for (const [name, [path, asked]] of Object.entries(FAILING)) {
  test(`${name}: an error is shown with its text, and trying again works`, async () => {
    for (const dark of [false, true]) {
      const page = await open(browser, { dark, allow: ['500 (Internal Server Error)', '404 (Not Found)'] });
      await answer(page, asked, new Error('the disk <b>caught</b> fire'));
      await page.goto(lab.hub.url + path);
      await page.getByText('the disk <b>caught</b> fire').first().waitFor();
      await checkAccess(page);
      await shoot(page, `${name}-error-${dark ? 'dark' : 'light'}`);
      await page.unrouteAll();
      const again = page.getByRole('button', { name: 'Try again' });
      while ((await again.count()) > 0) {
        await again.first().click();
        await page.waitForTimeout(200);
      }
      assert.equal(await page.getByText('caught').count(), 0);
      await page.checkClean();
      await page.context().close();
    }
  });
}

const EMPTY = {
  clusters: [
    '/clusters',
    { clusters: { clusters: [] }, query: { resultType: 'vector', result: [] } },
    'No cluster yet',
  ],
  targets: [
    '/targets',
    { 'targets/search': { pools: [], total: 0, activeTargets: [], droppedTargets: [] } },
    'Nothing is scraped',
  ],
  discovery: [
    '/service-discovery',
    { 'targets/search': { pools: [], total: 0, activeTargets: [], droppedTargets: [] } },
    'Nothing is discovered',
  ],
  blocks: ['/tsdb-status', { 'status/tsdb/blocks': { blocks: [] } }, 'No block yet'],
};

for (const [name, [path, answers, expect]] of Object.entries(EMPTY)) {
  test(`${name}: empty says what to do`, async () => {
    const page = await open(browser);
    for (const [asked, data] of Object.entries(answers)) await answer(page, asked, data);
    await page.goto(lab.hub.url + path);
    await page.getByText(expect).waitFor();
    await checkAccess(page);
    await shoot(page, `${name}-empty`);
    await page.checkClean();
  });
}
