// The query page: heatmap, explain view, exemplars, the legend, times by keyboard, copies, what is cancelled.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { answer, checkAccess, launch, open, shoot } from './browser.mjs';
import { HOSTILE, startLab, until } from './lab.mjs';

let lab;
let browser;
before(async () => {
  [lab, browser] = await Promise.all([startLab(), launch()]);
});
after(async () => {
  await browser?.close();
  await lab?.stop();
});

const address = (expression, more = {}) => {
  const query = new URLSearchParams({ 'g0.expr': expression });
  for (const [name, value] of Object.entries(more)) query.set(`g0.${name}`, value);
  return `/query?${query}`;
};
const parameter = (page, name) => new URL(page.url()).searchParams.get(`g0.${name}`);
const editor = (page) => page.getByRole('textbox', { name: 'Expression of Panel 1' });

async function visit(path, how = {}, prepare = async () => {}) {
  const page = await open(browser, how);
  await prepare(page);
  await page.goto(lab.hub.url + path);
  await editor(page).waitFor();
  return page;
}

/** Which part of the canvas is not empty, in percent. */
const painted = (page) =>
  page.evaluate(() => {
    const canvas = document.querySelector('.graph canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 3; i < data.length; i += 4) if (data[i] > 0) count += 1;
    return (100 * count) / (data.length / 4);
  });

/** Each look in dark, light and on a phone: nothing wrong, nothing cut off. */
async function checkLooks(name, path, shows, prepare) {
  for (const [look, how] of [
    ['light', {}],
    ['dark', { dark: true }],
    ['phone', { width: 390, height: 780 }],
  ]) {
    const page = await visit(path, how, prepare);
    await page.locator(shows).first().waitFor();
    await checkAccess(page);
    await shoot(page, `query-${name}-${look}`);
    const wide = await page.evaluate(() => document.querySelector('.main').scrollWidth > innerWidth);
    assert.equal(wide, false, `${name} ${look}: the page scrolls sideways`);
    await page.checkClean();
    await page.context().close();
  }
}

describe('the explain view', () => {
  const expression = 'sum by (cluster) (rate(nave_cluster_accepted_samples_total[1m])) / 2';

  test('shows the plan with time per node, and survives a reload', async () => {
    const page = await visit(address(expression));
    await page.getByRole('button', { name: 'Explain' }).click();
    const plan = page.getByRole('table', { name: 'Plan' });
    await plan.getByRole('rowheader', { name: /^binary \// }).waitFor();
    const texts = await plan.locator('tbody tr').allInnerTexts();
    const scan = texts.find((text) => text.startsWith('rate ['));
    assert.match(scan, /nave_cluster_accepted_samples_total/);
    assert.match(scan, /\d+(\.\d+)?(ms|s)/, 'a time');
    assert.equal(await page.getByText('truncated').count(), 0, 'the plan is whole');
    assert.equal(parameter(page, 'tab'), 'explain');
    await page.reload();
    await plan.getByRole('rowheader', { name: /^binary \// }).waitFor();
    await page.checkClean();
  });

  test('an expression without a range has its plan at one time', async () => {
    const page = await visit(address('up[1m]', { tab: 'explain' }), { allow: ['400 (Bad Request)'] });
    await page.getByText('at one time').waitFor();
    await page.getByRole('rowheader', { name: /^samples \[/ }).waitFor();
    await page.checkClean();
  });

  test('its looks', () => checkLooks('explain', address(expression, { tab: 'explain' }), '.plan tbody tr'));
});

describe('heatmaps', () => {
  const expression = 'sum by (le) (rate(odd_seconds_bucket[10s]))';
  const where = { tab: 'graph', range_input: '1m' };

  test('classic buckets: chosen by a button, read by the pointer, in the address', async () => {
    const page = await visit(address(expression, where));
    await page.getByRole('table', { name: 'Series of the graph' }).waitFor();
    const lines = await painted(page);
    await page.getByRole('button', { name: 'Heatmap' }).click();
    await page.getByRole('img', { name: 'Heatmap of 5 buckets' }).waitFor();
    await until('the address to have it', async () => parameter(page, 'display_mode') === 'heatmap');
    // Data of the last seconds fill their part, which lines do not.
    await until('cells on the canvas', async () => {
      await page.getByRole('button', { name: 'Run' }).click();
      await page.waitForTimeout(500);
      return (await painted(page)) > lines + 3;
    });
    await page.locator('.graph .u-over').hover({ position: { x: 900, y: 30 } });
    await page.getByText('5 to +Inf').waitFor();
    await page.checkClean();
  });

  /** Native histograms, with one bucket more at each step. */
  const native = (count) => (_, post) => {
    const get = (name) => Number(new URLSearchParams(post).get(name));
    const histograms = Array.from({ length: 60 }, (_, i) => {
      const buckets = Array.from({ length: count }, (_, b) => [
        0,
        `${2 ** b}`,
        `${2 ** (b + 1)}`,
        `${b * i}`,
      ]);
      return [get('start') + i * get('step'), { count: '9', sum: '9', buckets }];
    });
    return { resultType: 'matrix', result: [{ metric: { job: 'native' }, histograms }] };
  };

  test('native histograms are one without being asked; many buckets are put together', async () => {
    for (const [buckets, rows] of [
      [12, 12],
      [300, 100],
    ]) {
      const page = await visit(address('native', { tab: 'graph' }), {}, (page) =>
        answer(page, 'query_range', native(buckets)),
      );
      await page.getByRole('img', { name: `Heatmap of ${rows} buckets` }).waitFor();
      await until('cells', async () => (await painted(page)) > 5);
      await checkAccess(page);
      await shoot(page, `query-native-${buckets}`);
      await page.checkClean();
      await page.context().close();
    }
  });

  test('without buckets the page says what it needs', async () => {
    const page = await visit(address('up', { tab: 'graph', display_mode: 'heatmap' }));
    await page.getByText('A heatmap needs buckets').waitFor();
    await page.getByRole('table', { name: 'Series of the graph' }).waitFor();
    await page.checkClean();
  });

  test('its looks', () =>
    checkLooks('heatmap', address(expression, { ...where, display_mode: 'heatmap' }), '.graph canvas'));
});

describe('exemplars', () => {
  const path = address('rate(odd_total[10s])', { tab: 'graph', range_input: '5m', show_exemplars: '1' });
  const some = (page) => {
    const exemplars = Array.from({ length: 20 }, (_, i) => ({
      labels: { trace_id: `trace-${i}`, note: HOSTILE },
      value: String(8 + (i % 7)),
      timestamp: Date.now() / 1000 - 5 - i * 9,
    }));
    return answer(page, 'query_exemplars', [
      { seriesLabels: { __name__: 'odd_total', team: HOSTILE }, exemplars },
    ]);
  };

  test('stand on the graph and in a list, as text', async () => {
    const page = await visit(path, {}, some);
    const list = page.getByRole('table', { name: 'Exemplars' });
    await list.getByText('trace-0').waitFor();
    assert.ok((await list.innerText()).includes(HOSTILE));
    assert.equal(await page.locator('.main img, .main script').count(), 0);
    await page.getByRole('button', { name: 'Exemplars', exact: true }).click();
    await list.waitFor({ state: 'hidden' });
    assert.equal(parameter(page, 'show_exemplars'), null);
    await page.checkClean();
  });

  test('a server that has none says so', async () => {
    const page = await visit(path);
    await page.getByText('The server has no exemplars').waitFor();
    await page.checkClean();
  });

  test('their looks', () => checkLooks('exemplars', path, '.exemplars tbody tr', some));
});

test('the legend hides and shows series', async () => {
  const page = await visit(address('up', { tab: 'graph', range_input: '5m' }));
  const legend = page.getByRole('table', { name: 'Series of the graph' });
  await legend.waitFor();
  const toggles = legend.getByRole('button', { name: /^Show / });
  const shown = () => toggles.evaluateAll((all) => all.filter((one) => one.ariaPressed === 'true').length);
  const all = await toggles.count();
  assert.ok(all > 3 && (await shown()) === all);
  const picture = () => page.evaluate(() => document.querySelector('.graph canvas').toDataURL());
  const before = await picture();
  await toggles.first().focus();
  await page.keyboard.press('Space');
  await page.getByText('1 series hidden by the legend').waitFor();
  assert.equal(await shown(), all - 1);
  await checkAccess(page);
  const name = legend.locator('button.series-name').nth(1);
  await name.click();
  await until('one alone', async () => (await shown()) === 1);
  await until('another picture', async () => (await picture()) !== before);
  await name.click();
  await until('all again', async () => (await shown()) === all);
  await until('the picture of all', async () => (await picture()) === before);
  await name.click({ modifiers: ['Control'] });
  await until('all but one', async () => (await shown()) === all - 1);
  await page.getByRole('button', { name: 'Show all' }).click();
  await until('all again', async () => (await shown()) === all);
  // What is hidden stays hidden in newer answers, also when stacked.
  await toggles.first().click();
  await page.getByRole('button', { name: 'Stacked' }).click();
  await until('the address to have it', async () => parameter(page, 'display_mode') === 'stacked');
  await page.getByText('1 series hidden by the legend').waitFor();
  await page.checkClean();
});

test('times by keyboard: relative, absolute, in the zone of the page; what is none is marked', async () => {
  const page = await visit(address('up', { tab: 'graph' }));
  const range = page.getByLabel('Range', { exact: true });
  await range.focus();
  await page.keyboard.press('ArrowUp');
  await until('two hours', async () => parameter(page, 'range_input') === '2h');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await until('half an hour', async () => parameter(page, 'range_input') === '30m');
  const end = page.getByLabel('End', { exact: true });
  const write = async (text) => {
    await end.fill(text);
    await end.press('Enter');
  };
  await write('2026-11-20 13:00:00');
  // The browser of the tests is in Berlin; the address is in UTC.
  await until('the end', async () => parameter(page, 'end_input') === '2026-11-20 12:00:00');
  await page.getByRole('button', { name: 'UTC+01:00' }).click();
  assert.equal(await end.inputValue(), '2026-11-20 12:00:00');
  for (const text of ['-2h', 'now-2h', '2h ago']) {
    await write('now');
    await until('no end', async () => parameter(page, 'end_input') === null);
    await write(text);
    await until(text, async () => {
      const at = Date.parse(`${parameter(page, 'end_input')?.replace(' ', 'T')}Z`);
      return Math.abs(Date.now() - 7_200_000 - at) < 60_000;
    });
  }
  await write('whenever');
  assert.equal(await end.getAttribute('aria-invalid'), 'true');
  await checkAccess(page);
  await page.keyboard.press('Escape');
  const step = page.getByLabel('Step', { exact: true });
  await step.fill('1m');
  await step.press('Enter');
  await until('the step', async () => parameter(page, 'step_input') === '60');
  await page.checkClean();
});

test('CSV and JSON of tables and graphs', async () => {
  const page = await open(browser);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const copied = async (name) => {
    await page.getByRole('button', { name }).click();
    await page.getByText('Copied').waitFor();
    await page.getByText('Copied').waitFor({ state: 'hidden' });
    return page.evaluate(() => navigator.clipboard.readText());
  };
  await page.goto(lab.hub.url + address('odd_total{job="odd"}'));
  await page.getByText('2 series').waitFor();
  const table = await copied('Copy CSV');
  assert.equal(table.split('\n')[0], '__name__,instance,job,kind,team,value');
  assert.ok(table.includes(`"${HOSTILE.replaceAll('"', '""')}"`), table);
  assert.equal(JSON.parse(await copied('Copy JSON')).result.length, 2);
  await page.getByRole('button', { name: 'Graph' }).click();
  await page.getByRole('table', { name: 'Series of the graph' }).waitFor();
  const graph = (await copied('Copy CSV')).split('\n');
  assert.match(graph[0], /^time,"odd_total\{/);
  assert.match(graph.at(-1), /^2\d{3}-\d\d-\d\dT[\d:.]+Z,\d*,\d*$/);
  assert.equal(JSON.parse(await copied('Copy JSON')).length, 2);
  await page.checkClean();
});

test('a query that is superseded is cancelled', async () => {
  const page = await open(browser, { allow: ['ERR_ABORTED'] });
  const failed = [];
  page.on('requestfailed', (request) => failed.push(request.postData() ?? ''));
  await page.route('**/api/v1/query', async (route) => {
    // The first never comes back by itself.
    if (!route.request().postData().includes('slow')) await route.continue();
  });
  await page.goto(lab.hub.url + address('slow'));
  await page.getByRole('status').filter({ hasText: 'Loading' }).waitFor();
  await shoot(page, 'query-loading');
  await editor(page).click();
  await page.keyboard.press('Control+a');
  await page.keyboard.type('vector(7)');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Run' }).click();
  await page.getByText('1 series').waitFor();
  await until('the first to be cancelled', async () => failed.some((body) => body.includes('slow')));
  assert.match(failed[0], /limit=\d+/, 'answers are bounded');
  await page.checkClean();
});

test('metrics have their type, help and number of series', async () => {
  const page = await visit('/query');
  await page.getByRole('button', { name: 'Metrics', exact: true }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('searchbox').fill('odd_seconds_bucket');
  const row = dialog.locator('tbody tr').filter({ hasText: 'odd_seconds_bucket' });
  await row.getByText('How long things take.').waitFor();
  assert.match(await row.innerText(), /10\s+histogram/);
  await dialog.getByRole('searchbox').fill('');
  await dialog.getByRole('button', { name: 'Series', exact: true }).click();
  const counts = await dialog.locator('tbody td:nth-child(2)').allInnerTexts();
  const numbers = counts.map(Number).filter((count) => !Number.isNaN(count));
  assert.deepEqual(numbers.slice(0, 20), [...numbers].sort((a, b) => b - a).slice(0, 20));
  await checkAccess(page);
  await page.checkClean();
});

test('10,000 rows stay usable, and more are cut with a word', async () => {
  for (const count of [10_000, 12_000]) {
    const result = Array.from({ length: count }, (_, i) => ({
      metric: { __name__: 'many', instance: `host-${String(i).padStart(5, '0')}:9100` },
      value: [1_795_176_000, String(i)],
    }));
    const page = await visit(address('many'), {}, (page) =>
      answer(page, 'query', { resultType: 'vector', result }),
    );
    await page.getByText(`${count.toLocaleString('en-US')} series`).waitFor();
    const cut = await page.getByText('The first 10,000 are shown').count();
    assert.equal(cut, count > 10_000 ? 1 : 0);
    assert.ok((await page.locator('tbody tr').count()) < 100, 'the table is virtual');
    const begun = performance.now();
    await page.getByRole('button', { name: 'Value' }).click();
    await page.getByText('host-09999:9100').first().waitFor();
    console.log(`${count} rows: sorted in ${Math.round(performance.now() - begun)} ms`);
    await page.evaluate(() => document.querySelector('.main').scrollTo(0, 1e7));
    await page.getByText('host-00000:9100').first().waitFor();
    await page.checkClean();
    await page.context().close();
  }
});

test('the history is bounded', async () => {
  const page = await visit('/query');
  const key = 'nave.query.history';
  await page.evaluate(
    (key) => localStorage.setItem(key, JSON.stringify(Array.from({ length: 300 }, (_, i) => `old_${i}`))),
    key,
  );
  await editor(page).click();
  await page.keyboard.type('vector(1)');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Enter');
  await page.getByText('1 series').waitFor();
  const kept = await page.evaluate((key) => JSON.parse(localStorage.getItem(key)), key);
  assert.deepEqual([kept.length, kept[0], kept[1]], [100, 'vector(1)', 'old_0']);
  await page.checkClean();
});

test('completion knows functions, labels and values; the keyboard alone is enough', async () => {
  const page = await visit('/query');
  const option = (name) => page.getByRole('option', { name }).first();
  await editor(page).focus();
  await page.keyboard.type('sum(rat', { delay: 30 });
  await option(/^rate\b/).waitFor();
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+a');
  await page.keyboard.type('up{jo', { delay: 30 });
  await option(/^job/).waitFor();
  await page.keyboard.type('b="od', { delay: 30 });
  await option(/^odd/).waitFor();
  await checkAccess(page);
  // Its first moments a list takes no key, so that nobody takes what was not read.
  await page.waitForTimeout(200);
  await page.keyboard.press('Enter');
  await until('the value in the editor', async () => /job="odd"\}?$/.test(await editor(page).innerText()));
  await page.keyboard.press('Control+Enter');
  await page.getByText('1 series').waitFor();
  await page.keyboard.press('Tab');
  await until('the focus at Run', () =>
    page.getByRole('button', { name: 'Run' }).evaluate((one) => one === document.activeElement),
  );
  await page.checkClean();
});

test('panels keep what is theirs when one goes, and the back button brings back what was run', async () => {
  const page = await visit('/query?g0.expr=vector(1)&g1.expr=vector(2)&g2.expr=vector(3)');
  const text = async (n) => {
    const box = page.getByRole('textbox', { name: `Expression of Panel ${n}` });
    return (await box.count()) === 1 ? box.innerText() : undefined;
  };
  await until('the third', async () => (await text(3)) === 'vector(3)');
  await page.getByRole('textbox', { name: 'Expression of Panel 3' }).click();
  await page.keyboard.press('End');
  await page.keyboard.type(' + 4');
  await page.getByRole('button', { name: 'Remove Panel 1' }).click();
  await until('two', async () => (await text(3)) === undefined);
  assert.deepEqual([await text(1), await text(2)], ['vector(2)', 'vector(3) + 4']);
  await page.getByRole('region', { name: 'Panel 2' }).getByRole('button', { name: 'Run' }).click();
  await page.getByRole('region', { name: 'Panel 2' }).getByText('7', { exact: true }).waitFor();
  await page.goBack();
  await until('what was run before', async () => (await text(2)) === 'vector(3)');
  await page.goBack();
  await until('three again', async () => (await text(3)) === 'vector(3)');
  assert.equal(await text(1), 'vector(1)');
  await page.getByRole('button', { name: 'Add a panel' }).click();
  await until('four', async () => (await text(4)) !== undefined);
  await page.checkClean();
});

test('hostile text in the address is text', async () => {
  const page = await visit(address(HOSTILE, { range_input: HOSTILE, end_input: HOSTILE, tab: 'explain' }), {
    allow: ['400 (Bad Request)'],
  });
  await page.getByText('The query failed').waitFor();
  assert.equal(await editor(page).innerText(), HOSTILE);
  const plan = await visit(address(`up{team!=${JSON.stringify(HOSTILE)}}`, { tab: 'explain' }));
  await plan.getByRole('rowheader', { name: /onerror/ }).waitFor();
  for (const one of [page, plan]) {
    assert.equal(await one.locator('.main img, .main script').count(), 0);
    await one.checkClean();
  }
});

describe('states', () => {
  test('empty, with something to begin with', async () => {
    await checkLooks('empty', '/query', '.start');
    const page = await visit('/query');
    await page.getByRole('button', { name: 'Targets that are down' }).click();
    await page.getByRole('table', { name: 'Result' }).getByText('broken').waitFor();
    assert.equal(parameter(page, 'expr'), 'up == 0');
    await page.checkClean();
  });
  test('no data', () => checkLooks('nothing', address('nothing_here', { tab: 'graph' }), 'text=No series'));
  test('an error of the server, and the way back', async () => {
    const page = await visit(address('up'), { allow: ['500 (Internal'] }, (page) =>
      answer(page, 'query', new Error('the disk is gone')),
    );
    await page.getByText('the disk is gone').waitFor();
    await checkAccess(page);
    await page.unrouteAll();
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('table', { name: 'Result' }).waitFor();
    await page.checkClean();
  });
});
