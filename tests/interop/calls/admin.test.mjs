// The admin page, in a browser, beside a call: it shows the room and what is in it, at the width of
// a desk and of a phone, and a name that is written like HTML stays text.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { Browser } from '../lib/browsers.mjs';
import { Guest } from '../lib/guest.mjs';
import { Server } from '../lib/server.mjs';

const OUT = new URL('../out/', import.meta.url).pathname;
const NAME = '<b>Ada</b>';

let server;
let chromium;

before(async () => {
  server = await Server.start();
  chromium = await Browser.launch('chromium');
});

after(async () => {
  await chromium?.close();
  await server?.stop();
});

test('the admin page shows a call as it goes on', async () => {
  const camera = { width: 320, height: 180, frameRate: 10 };
  const ada = await Guest.enter(chromium, server, 'Canal talk', NAME, camera);
  const grace = await Guest.enter(chromium, server, 'Canal talk', 'Grace', camera);
  await grace.decodes(ada);

  const page = await chromium.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto(`${server.url}/admin`);
  await page.getByRole('button', { name: 'Canal talk' }).click();
  await page.getByRole('cell', { name: NAME }).first().waitFor();
  // Rates come with the second round.
  await page.waitForFunction(() => {
    const cells = [...document.querySelectorAll('#members tr')].map((line) => line.cells);
    return cells.some((line) => line[4].textContent === 'VP8' && Number(line[6].textContent) > 0);
  });
  const members = await page.locator('#members').innerText();
  assert.match(members, /connected, connected/);
  assert.match(members, /opus/);
  assert.equal(await page.locator('#members b').count(), 0, 'a name is text');
  assert.equal(await page.locator('.shard').count(), 2);
  await mkdir(OUT, { recursive: true });
  await page.screenshot({ path: `${OUT}admin-desk.png`, fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false, 'nothing of it is beside a phone');
  await page.screenshot({ path: `${OUT}admin-phone.png`, fullPage: true });
  assert.deepEqual(errors, []);
});
