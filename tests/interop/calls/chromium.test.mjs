// Calls between Chromium pages over the demo page: everyone sees and hears everyone, and what one
// does shows on the others' pages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser } from '../lib/browsers.mjs';
import { assertInSync, call, pairs, watch } from '../lib/call.mjs';
import { Guest } from '../lib/guest.mjs';
import { until } from '../lib/expect.mjs';
import { Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 120_000 };
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

test('two pages: ten seconds of both, in sync', TIMEOUT, async (t) => {
  await call(server, 'two', { ada: chromium, bob: chromium }, async (guests) => {
    await watch(guests);
    (await assertInSync(guests)).forEach((line) => t.diagnostic(line));
    for (const guest of guests) {
      const { connection, tiles } = await guest.state();
      assert.equal(connection, 'connected');
      assert.deepEqual(tiles.map(({ self }) => self).sort(), [false, true]);
    }
  });
});

test('pause and resume, stop and play: the others see it, and only they', TIMEOUT, async () => {
  const seats = { ada: chromium, bob: chromium, cyd: chromium };
  await call(server, 'buttons', seats, async ([ada, bob, cyd]) => {
    for (const { viewer, other } of pairs([ada, bob, cyd])) await viewer.decodes(other);

    await ada.click('#microphone');
    await ada.sees(ada, { audio: 'paused' });
    for (const viewer of [bob, cyd]) await viewer.sees(ada, { audio: 'paused', video: 'live' });
    await bob.stands(ada, 'audio');
    await bob.flows(ada, 'video');
    await ada.click('#microphone');
    for (const viewer of [bob, cyd]) {
      await viewer.sees(ada, { audio: 'live' });
      await viewer.flows(ada, 'audio');
    }

    await ada.click('#camera');
    for (const viewer of [bob, cyd]) await viewer.sees(ada, { audio: 'live', video: 'paused' });
    await cyd.stands(ada, 'video');
    await cyd.flows(ada, 'audio');
    await ada.click('#camera');
    for (const viewer of [bob, cyd]) {
      await viewer.sees(ada, { video: 'live' });
      await viewer.flows(ada, 'video');
    }

    await bob.clickOn(ada, 'stop-video');
    await bob.sees(ada, { video: 'stopped', audio: 'live' });
    await bob.stands(ada, 'video');
    await bob.flows(ada, 'audio');
    await cyd.sees(ada, { video: 'live' });
    await cyd.flows(ada, 'video');
    await bob.clickOn(ada, 'stop-video');
    await bob.sees(ada, { video: 'live' });
    await bob.flows(ada, 'video');
  });
});

test('four pages: ten seconds of all; one leaves, one dies, one comes back', TIMEOUT, async (t) => {
  const seats = { ada: chromium, bob: chromium, cyd: chromium, dan: chromium };
  await call(server, 'four', seats, async (guests, room) => {
    const [ada, bob, cyd, dan] = guests;
    await watch(guests);
    (await assertInSync(guests)).forEach((line) => t.diagnostic(line));

    await cyd.click('#leave');
    await until('cyd is back in the lobby', async () => (await cyd.state()).view === 'lobby');
    for (const viewer of [ada, bob, dan]) await viewer.seesGone(cyd);

    await kill(dan);
    guests.splice(guests.indexOf(dan), 1);
    for (const viewer of [ada, bob]) await viewer.seesGone(dan);

    await ada.flows(bob, 'video');
    const again = await Guest.enter(chromium, server, room, 'dan');
    guests.push(again);
    for (const { viewer, other } of pairs([ada, bob, again])) await viewer.decodes(other);
  });
});

/** Kills the page's process, as a browser out of memory does: no word of farewell. */
async function kill(guest) {
  const devtools = await guest.page.context().newCDPSession(guest.page);
  const gone = new Promise((resolve) => { guest.page.once('crash', resolve); });
  devtools.send('Page.crash').catch(() => {});
  await gone;
  guest.page.close().catch(() => {});
}
