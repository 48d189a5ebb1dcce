// What people see when things die: a cluster that falls silent, a hub that is gone and comes back, an agent whose hub
// does not answer.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { checkAccess, launch, open, shoot } from './browser.mjs';
import { startLab, until } from './lab.mjs';

const ALLOW = [
  'ERR_CONNECTION_REFUSED',
  '404 (Not Found)',
  '503 (Service Unavailable)',
  'ERR_EMPTY_RESPONSE',
];

let lab;
let browser;
before(async () => {
  [lab, browser] = await Promise.all([startLab(), launch()]);
});
after(async () => {
  await browser?.close();
  await lab?.stop();
});

test('a killed spoke turns silent, and live again', async () => {
  const page = await open(browser, { allow: ALLOW });
  await page.goto(`${lab.hub.url}/clusters`);
  const row = page.getByRole('row').filter({ hasText: 'spoke1' });
  await row.getByText('live').waitFor();
  await lab.agents.spoke1.stop();
  await row.getByText('silent').waitFor({ timeout: 30_000 });
  const first = await page.locator('tbody th').first().innerText();
  assert.equal(first, 'spoke1', 'what is wrong stands first');
  await checkAccess(page);
  await shoot(page, 'clusters-silent');
  await row.getByRole('link').click();
  await page.locator('.page-head').getByText('silent').waitFor();
  await shoot(page, 'cluster-silent');
  await lab.agents.spoke1.start();
  await page.locator('.page-head').getByText('live').waitFor({ timeout: 30_000 });
  await page.checkClean();
});

test('a killed hub shows a banner at once, keeps what was there, and recovers by itself', async () => {
  const page = await open(browser, { allow: ALLOW });
  const agent = await open(browser, { allow: ALLOW });
  await page.goto(`${lab.hub.url}/clusters`);
  await agent.goto(`${lab.agents.spoke2.url}/agent`);
  await agent.getByText('up to date').waitFor({ timeout: 30_000 });
  await page.getByRole('row').filter({ hasText: 'spoke2' }).getByText('live').waitFor();
  await lab.hub.stop();
  const banner = page.getByText('The hub does not answer since');
  await banner.waitFor({ timeout: 10_000 });
  assert.equal(await page.getByRole('link', { name: 'spoke2' }).count(), 1, 'what was known stays');
  await checkAccess(page);
  await shoot(page, 'hub-gone');
  // Another page opens too, as far as its files are there, and says that it has nothing.
  await page.getByRole('link', { name: 'Clusters' }).click();
  await agent.getByText('Last failure').waitFor({ timeout: 30_000 });
  await checkAccess(agent);
  await shoot(agent, 'agent-hub-gone');
  await lab.hub.start();
  await banner.waitFor({ state: 'hidden', timeout: 20_000 });
  await until('the list is up to date', async () => !(await page.getByText('not up to date').count()));
  await page.getByRole('row').filter({ hasText: 'spoke2' }).getByText('live').waitFor({ timeout: 30_000 });
  await agent.getByText(/retrying|up to date/).waitFor({ timeout: 30_000 });
  await page.checkClean();
  await agent.checkClean();
});
