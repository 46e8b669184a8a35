// The admin page, in a browser, beside a call: it shows the room and what is in it, at the width of
// a desk and of a phone, with long names, by keyboard; a name that is written like HTML stays text.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Browser } from '../lib/browsers.mjs';
import { Guest } from '../lib/guest.mjs';
import { BINARY, Server } from '../lib/server.mjs';

const OUT = new URL('../out/', import.meta.url).pathname;
const NAME = '<b>Ada</b>';
const LONG = 'A room with a name that is as long as names of rooms may be '.repeat(2).trim();

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
  await Guest.enter(chromium, server, LONG, LONG, camera);
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
  assert.equal(await page.textContent('#state'), 'Live');
  const cut = await page.evaluate(() => [...document.querySelectorAll('.wide')]
    .filter((table) => table.scrollWidth > table.clientWidth).length);
  assert.equal(cut, 0, 'every number is seen on a desk, however long a name');
  await mkdir(OUT, { recursive: true });
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${OUT}admin-desk.png`, fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.equal(wide, false, 'nothing of it is beside a phone');
  await page.evaluate(() => scrollTo(0, 0));
  await page.screenshot({ path: `${OUT}admin-phone.png`, fullPage: true });

  await page.keyboard.press('Tab');
  await page.getByRole('button', { name: LONG }).focus();
  const before = await page.textContent('#time');
  await page.waitForFunction((was) => document.querySelector('#time').textContent !== was, before);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: `In ${LONG}` }).waitFor();
  assert.deepEqual(errors, []);
});

test('where a token is needed it asks for one and shows nothing before', async () => {
  const secret = join(await mkdtemp(join(tmpdir(), 'corinth-admin-')), 'secret');
  await writeFile(secret, '0123456789abcdef0123456789abcdef');
  const key = `test=${secret}`;
  const other = await Server.start('--token-key', key);
  const page = await chromium.newPage();
  try {
    await page.goto(`${other.url}/admin`);
    await page.getByText('a token is needed').waitFor();
    assert.equal(await page.isVisible('main'), false);
    const options = ['token', '--token-key', key, '--room', '*', '--rights', 'admin'];
    await page.fill('#token', (await promisify(execFile)(BINARY, options)).stdout);
    await page.getByRole('button', { name: 'Use it' }).click();
    await page.getByText('No rooms.').waitFor();
    assert.equal(await page.isVisible('#token-form'), false);
  } finally {
    await page.close();
    await other.stop();
    await rm(dirname(secret), { recursive: true });
  }
});
