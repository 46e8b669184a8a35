// The load report of this repository, in a browser: it needs nothing from outside, everything is
// there at the width of a desk and of a phone, in light and in dark.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Browser } from '../lib/browsers.mjs';

const OUT = new URL('../out/', import.meta.url).pathname;
const RESULTS = new URL('../../../perf/results/', import.meta.url);

let chromium;

before(async () => {
  chromium = await Browser.launch('chromium');
});

after(() => chromium?.close());

for (const name of ['canonical', 'compare-janus']) {
  test(`the report ${name} is legible`, async () => {
    const page = await chromium.newPage();
    const errors = [];
    const requests = [];
    page.on('pageerror', (error) => errors.push(error.message));
    page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
    page.on('request', (request) => requests.push(request.url()));
    const url = new URL(`${name}.html`, RESULTS).href;
    await mkdir(OUT, { recursive: true });
    for (const [width, colorScheme] of [[1280, 'light'], [390, 'dark']]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 900 });
      await page.goto(url);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      assert.equal(wide, false, `nothing of it is beside ${width} pixels`);
      const plots = page.locator('svg');
      assert.ok(await plots.count() > 0);
      for (const plot of await plots.all()) {
        const box = await plot.boundingBox();
        assert.ok(box.width > 200 && box.height > 100, `a plot of ${box.width} x ${box.height}`);
      }
      assert.ok(await page.locator('table').count() > 1);
      assert.doesNotMatch(await page.locator('body').innerText(), /NaN|undefined|\binf\b/);
      await page.screenshot({ path: `${OUT}report-${name}-${width}.png`, fullPage: true });
    }
    assert.deepEqual(errors, []);
    assert.deepEqual([...new Set(requests)], [url], 'it needs nothing else');
  });
}
