// Pages of a real Chromium that hold every test to the same promises: no console error, no request off the
// origin, no script from hostile text, no violation of the accessibility rules A and AA.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Where screenshots go; looked at by people, not compared. */
export const SHOTS = process.env.NAVE_SHOTS ?? fileURLToPath(new URL('../.cache/shots', import.meta.url));

export function launch() {
  return chromium.launch({
    executablePath: process.env.NAVE_CHROMIUM ?? '/usr/bin/chromium',
    // Root has no sandbox; the pages are our own.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}

/**
 * A page with an empty profile. `allow` lists what the console may say, such as of requests that fail on
 * purpose.
 */
export async function open(browser, { dark = false, width = 1360, height = 850, allow = [], origin } = {}) {
  const context = await browser.newContext({
    colorScheme: dark ? 'dark' : 'light',
    viewport: { width, height },
    timezoneId: 'Europe/Berlin',
  });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const wrong = [];
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    if (!allow.some((one) => message.text().includes(one))) wrong.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`script: ${error.stack}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^https?:$/.test(url.protocol) && url.origin !== (origin ?? new URL(page.url()).origin)) {
      if (page.url() !== 'about:blank') wrong.push(`request off the origin: ${url}`);
    }
  });
  /** Fails when anything went wrong since the last look. */
  page.checkClean = async () => {
    if (await page.evaluate(() => 'pwned' in window)) wrong.push('hostile text ran as script');
    assert.deepEqual(wrong.splice(0), []);
  };
  return page;
}

/** Rules A and AA of WCAG 2.0 to 2.2. */
const TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];

export async function checkAccess(page) {
  // Evaluated by the debugger, which the content security policy does not bind.
  await page.evaluate(axeSource);
  const violations = await page.evaluate(
    async (tags) => (await window.axe.run(document, { runOnly: { type: 'tag', values: tags } })).violations,
    TAGS,
  );
  const told = violations.map(
    (one) =>
      `${one.id}: ${one.help}\n${one.nodes
        .slice(0, 3)
        .map((node) => `  ${node.html}\n  ${node.failureSummary}`)
        .join('\n')}`,
  );
  assert.deepEqual(told, []);
}

export async function shoot(page, name) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

/** Answers `api/v1/<path>` of a page with `data` instead of the server; an Error is an answer with it. */
export async function answer(page, path, data) {
  await page.route(
    (url) => url.pathname.endsWith(`/api/v1/${path}`),
    (route) => {
      const error = data instanceof Error;
      const body = error
        ? { status: 'error', errorType: 'internal', error: data.message }
        : {
            status: 'success',
            data:
              typeof data === 'function'
                ? data(new URL(route.request().url()), route.request().postData())
                : data,
          };
      return route.fulfill({ status: error ? 500 : 200, json: body });
    },
  );
}
