// The demo page as people use it: with the keyboard, in two tabs, on a phone, without a camera, and
// while the server comes and goes. What flows through the call is judged in chromium.test.mjs.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Browser } from '../lib/browsers.mjs';
import { Client, newRoom } from '../lib/client.mjs';
import { until } from '../lib/expect.mjs';
import { Guest } from '../lib/guest.mjs';
import { Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 60_000 };
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

test('a second tab proposes the same room, and asks for another name', TIMEOUT, async () => {
  const [first, second] = [await chromium.newPage(), await chromium.newPage()];
  for (const page of [first, second]) await page.goto(server.url);
  assert.equal(await second.inputValue('#room-name'), await first.inputValue('#room-name'));

  const room = newRoom();
  await first.fill('#room-name', room);
  await first.fill('#peer-name', 'ada');
  await first.click('#join');
  await first.waitForSelector('body[data-view="call"]');
  await second.goto(server.url);
  assert.equal(await second.inputValue('#room-name'), room);
  assert.equal(await second.inputValue('#peer-name'), '');
  assert.equal(await focus(second), 'peer-name');
  await first.reload();
  assert.equal(await first.inputValue('#peer-name'), 'ada', 'it is the same person after a reload');
  for (const page of [first, second]) await page.close();
});

test('the same name twice: the first one is out, and told why', TIMEOUT, async () => {
  const room = newRoom();
  const older = await Guest.enter(chromium, server, room, 'ada');
  const newer = await Guest.enter(chromium, server, room, 'ada');
  await until('the older one is in the lobby', async () => (await older.state()).view === 'lobby');
  assert.match((await older.state()).error, /under your name/);
  await newer.sees(newer, { audio: 'live', video: 'live' });
  await close(older, newer);
});

test('who leaves before anything is sent leaves without an error', TIMEOUT, async () => {
  const guest = new Guest('ada', await chromium.newPage());
  await guest.page.goto(`${server.url}/?room=${newRoom()}&name=ada`);
  await guest.page.evaluate(() => {
    new MutationObserver(() => {
      if (document.body.dataset.view === 'call') document.querySelector('#leave').click();
    }).observe(document.body, { attributes: true });
    document.querySelector('#join').click();
  });
  await until('the page is in the call no more', async () => (
    await guest.page.evaluate(() => document.title) === 'corinth'
      && (await guest.state()).connection === 'closed'));
  await sleep(500);
  const { view, error } = await guest.state();
  assert.deepEqual([view, error, await focus(guest.page)], ['lobby', '', 'join']);
  await close(guest);
});

test('all by keyboard: the focus stays where it is needed', TIMEOUT, async () => {
  const room = newRoom();
  const bob = await Guest.enter(chromium, server, room, 'bob');
  const { page } = bob;
  const ada = await Guest.enter(chromium, server, room, 'ada');
  await bob.sees(ada, { audio: 'live', video: 'live' });
  await page.bringToFront();

  const twice = async (selector, sees) => {
    await page.focus(selector);
    for (const wanted of sees) {
      await page.keyboard.press('Space');
      await wanted();
    }
  };
  await twice('#microphone', ['paused', 'live'].map((audio) => () => ada.sees(bob, { audio })));
  await twice('[data-peer="ada"] [data-action="stop-video"]',
    ['stopped', 'live'].map((video) => () => bob.sees(ada, { video })));

  await page.focus('#leave');
  await page.keyboard.press('Enter');
  await until('bob is in the lobby', async () => (await bob.state()).view === 'lobby');
  assert.equal(await focus(page), 'join');
  await page.fill('#peer-name', 'x'.repeat(129));
  await page.focus('#join');
  await page.keyboard.press('Enter');
  await until('the name is refused', async () => /too long/.test((await bob.state()).error));
  assert.equal(await focus(page), 'join');
  await close(ada, bob);
});

test('camera and microphone refused: in the call all the same, and told so', TIMEOUT, async () => {
  const guest = new Guest('ada', await chromium.newPage());
  await guest.page.addInitScript(() => {
    if (!navigator.mediaDevices) return; // about:blank, before the page
    navigator.mediaDevices.getUserMedia = async () => {
      throw new DOMException('Permission denied', 'NotAllowedError');
    };
  });
  const room = newRoom();
  await guest.page.goto(`${server.url}/?room=${room}&name=ada`);
  await guest.click('#join');
  await until('ada is in the call', async () => (await guest.state()).view === 'call');
  assert.match((await guest.state()).error, /refused.*do not see or hear you/);
  await guest.sees(guest, { audio: 'none', video: 'none' });
  const other = await Guest.enter(chromium, server, room, 'bob');
  await guest.sees(other, { audio: 'live', video: 'live' });
  await other.sees(guest, { audio: 'none', video: 'none' });
  await close(guest, other);
});

test('the server goes and comes back: told, and in the call again, muted as before', TIMEOUT,
  async () => {
    let flaky = await Server.start();
    try {
      const room = newRoom();
      const [ada, bob] = [
        await Guest.enter(chromium, flaky, room, 'ada'),
        await Guest.enter(chromium, flaky, room, 'bob'),
      ];
      await bob.click('#microphone');
      await ada.sees(bob, { audio: 'paused', video: 'live' });
      await flaky.stop();
      await ada.page.waitForSelector('#notice:has-text("The connection to the server is lost")');
      assert.equal((await ada.state()).connection, 'closed');
      await ada.sees(bob, { audio: 'none', video: 'none' });

      flaky = await Server.start('--http', new URL(flaky.url).host);
      await ada.sees(bob, { audio: 'paused', video: 'live' });
      await bob.sees(ada, { audio: 'live', video: 'live' });
      assert.equal((await ada.state()).error, '');
      assert.equal(await ada.page.isVisible('#notice'), false);
      for (const { page } of [ada, bob]) await page.close();
    } finally {
      await flaky.stop();
    }
  });

test('many people on a phone: two beside each other, the rest is scrolled to', TIMEOUT, async () => {
  const room = newRoom();
  const guest = await Guest.enter(chromium, server, room, 'ada');
  await guest.page.setViewportSize({ width: 360, height: 740 });
  const others = await Promise.all(Array.from({ length: 40 }, (_, i) => (
    Client.join(server, room, `${i} ${'long '.repeat(20)}`))));
  await until('all are there', async () => (await guest.state()).tiles.length === 41);
  const { narrowest, scrolls, overflows } = await guest.page.evaluate(() => {
    const widths = [...document.querySelectorAll('.tile')].map((tile) => tile.clientWidth);
    const { scrollHeight, clientHeight } = document.querySelector('#tiles');
    const { scrollWidth, clientWidth } = document.documentElement;
    return {
      narrowest: Math.min(...widths), scrolls: scrollHeight > clientHeight,
      overflows: scrollWidth > clientWidth,
    };
  });
  assert.ok(narrowest >= 150, `a tile is ${narrowest} px wide`);
  assert.deepEqual([scrolls, overflows], [true, false]);
  for (const other of others) other.drop();
  await close(guest);
});

/** The id of what has the keyboard's focus. */
function focus(page) {
  return page.evaluate(() => document.activeElement.id);
}

/** Closes the pages, none of which has complained. */
async function close(...guests) {
  for (const { name, page, complaints } of guests) {
    assert.deepEqual(complaints, [], name);
    await page.close();
  }
}
