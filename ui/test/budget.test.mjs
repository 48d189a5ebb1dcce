// What a first visit costs, and pages below a path prefix.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { launch, open } from './browser.mjs';
import { startLab } from './lab.mjs';

const PREFIX = '/deep/nave';

let lab;
let browser;
before(async () => {
  [lab, browser] = await Promise.all([startLab({ prefix: PREFIX, agents: false }), launch()]);
});
after(async () => {
  await browser?.close();
  await lab?.stop();
});

/** Bytes of script on the wire, compressed, of a first visit. */
async function scriptBytes(path, shows) {
  const page = await open(browser, { origin: new URL(lab.hub.url).origin });
  const session = await page.context().newCDPSession(page);
  await session.send('Network.enable');
  const scripts = new Set();
  let bytes = 0;
  session.on('Network.responseReceived', (event) => {
    if (event.type !== 'Script') return;
    scripts.add(event.requestId);
    const coding = event.response.headers['content-encoding'] ?? event.response.headers['Content-Encoding'];
    assert.ok(coding === 'br' || coding === 'gzip', `${event.response.url} is not compressed`);
  });
  session.on('Network.loadingFinished', (event) => {
    if (scripts.has(event.requestId)) bytes += event.encodedDataLength;
  });
  await page.goto(lab.hub.url + path);
  await page.locator(shows).first().waitFor();
  await page.waitForLoadState('networkidle');
  await page.checkClean();
  await page.context().close();
  return bytes;
}

test('the front page loads under 90 kB of script, the query page under 250 kB', async () => {
  const front = await scriptBytes('/clusters', 'a:text("spoke3")');
  const query = await scriptBytes('/query?g0.expr=up&g0.tab=graph', '.graph canvas');
  console.log(`script on the wire: front page ${front} bytes, query page ${query} bytes`);
  assert.ok(front > 5_000 && front < 90_000, `front page: ${front}`);
  assert.ok(query < 250_000, `query page: ${query}`);
});

test('the front page is there in under a second', async () => {
  const times = [];
  for (let i = 0; i < 5; i += 1) {
    const page = await open(browser);
    const begun = performance.now();
    await page.goto(`${lab.hub.url}/clusters`, { waitUntil: 'commit' });
    await page.getByRole('link', { name: 'spoke3' }).waitFor();
    times.push(Math.round(performance.now() - begun));
    await page.context().close();
  }
  console.log(`front page with its data, ms: ${times.join(' ')}`);
  // Others may work on this machine too; one good visit shows what the page needs.
  assert.ok(Math.min(...times) < 1000, `${times}`);
});

test('everything works below a prefix', async () => {
  const page = await open(browser, { allow: ['404 (Not Found)'] });
  await page.goto(`${lab.hub.url}/`);
  await page.getByRole('link', { name: 'spoke3' }).click();
  await page.getByRole('heading', { name: 'spoke3', level: 1 }).waitFor();
  assert.equal(new URL(page.url()).pathname, `${PREFIX}/clusters/spoke3`);
  await page.reload();
  await page.getByRole('heading', { name: 'spoke3', level: 1 }).waitFor();
  for (const name of [
    'Targets',
    'Service discovery',
    'Storage',
    'Config',
    'Flags',
    'Runtime',
    'Alerts',
    'Rules',
    'Query',
  ]) {
    await page.getByRole('navigation').getByRole('link', { name, exact: true }).click();
    await page.getByRole('heading', { name, level: 1 }).waitFor();
    assert.ok(new URL(page.url()).pathname.startsWith(`${PREFIX}/`), page.url());
  }
  await page.goto(`${new URL(lab.hub.url).origin}${PREFIX}/graph?g0.expr=up`);
  assert.equal(new URL(page.url()).pathname, `${PREFIX}/query`);
  await page.checkClean();
});

test('files with a hash are kept for ever, the page is asked for again', async () => {
  const page = await fetch(`${lab.hub.url}/targets`);
  const html = await page.text();
  assert.equal(page.headers.get('cache-control'), 'no-cache');
  const script = /src="\.\/(assets\/[^"]+)"/.exec(html)[1];
  const file = await fetch(`${lab.hub.url}/${script}`, { headers: { 'accept-encoding': 'br' } });
  assert.match(file.headers.get('cache-control'), /immutable/);
  assert.equal(file.headers.get('content-encoding'), 'br');
  const again = await fetch(`${lab.hub.url}/targets`, {
    headers: { 'if-none-match': page.headers.get('etag') },
  });
  assert.equal(again.status, 304);
});
