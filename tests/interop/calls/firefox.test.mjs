// Calls of Firefox: with itself, and with Chromium. Firefox is another ICE agent, another DTLS
// stack and another reader of the SDP that the client writes.

import { after, before, test } from 'node:test';
import { Browser } from '../lib/browsers.mjs';
import { call, pairs, watch } from '../lib/call.mjs';
import { restartIce } from '../lib/restart.mjs';
import { Server } from '../lib/server.mjs';

const TIMEOUT = { timeout: 120_000 };
let server;
let firefox;
before(async () => {
  server = await Server.start();
  firefox = await Browser.launch('firefox');
});
after(async () => {
  await firefox?.close();
  await server?.stop();
});

test('two Firefox pages: ten seconds of both; pause, stop, restart, leave', TIMEOUT, async () => {
  await call(server, 'firefox', { ada: firefox, bob: firefox }, async ([ada, bob]) => {
    await watch([ada, bob]);
    await buttons(ada, bob);
    for (const guest of [ada, bob]) await restartIce(guest.page);
    for (const { viewer, other } of pairs([ada, bob])) await viewer.flows(other, 'video');
    await ada.click('#leave');
    await bob.seesGone(ada);
  });
});

test('Firefox with Chromium: ten seconds of both; pause, stop, tab closed', TIMEOUT, async () => {
  const chromium = await Browser.launch('chromium');
  try {
    await call(server, 'mixed', { fox: firefox, gum: chromium }, async ([fox, gum]) => {
      await watch([fox, gum]);
      for (const { viewer, other } of pairs([fox, gum])) await buttons(other, viewer);
      await fox.page.close();
      await gum.seesGone(fox);
    });
  } finally {
    await chromium.close();
  }
});

/** `source` pauses and resumes its camera, `viewer` stops and plays the picture. */
async function buttons(source, viewer) {
  await source.click('#camera');
  await viewer.sees(source, { video: 'paused' });
  await source.click('#camera');
  await viewer.sees(source, { video: 'live' });
  await viewer.flows(source, 'video');
  await viewer.clickOn(source, 'stop-video');
  await viewer.sees(source, { video: 'stopped' });
  await viewer.stands(source, 'video');
  await viewer.clickOn(source, 'stop-video');
  await viewer.flows(source, 'video');
}
