// Takes the README's pictures of the demo page: four peers on a desk, two on a phone. Apart from
// the tests, so that those never write a tracked file.
//
//   node screenshot.mjs [FOLDER]      default: docs/ of the repository

import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { Browser } from './lib/browsers.mjs';
import { pairs } from './lib/call.mjs';
import { Guest } from './lib/guest.mjs';
import { Server } from './lib/server.mjs';

const FOLDER = resolve(process.argv[2] ?? fileURLToPath(new URL('../../docs', import.meta.url)));
const CAMERA = { width: 640, height: 360, frameRate: 15 };
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
/** Time for pictures to sharpen after the first frames. */
const SETTLE_MS = 5_000;

const server = await Server.start();
const chromium = await Browser.launch('chromium');
try {
  await mkdir(FOLDER, { recursive: true });
  const desk = await meet(['Ada', 'Grace', 'Hedy', 'Radia'], DESK);
  await desk[1].click('#microphone');
  await desk[0].sees(desk[1], { audio: 'paused' });
  await sleep(SETTLE_MS);
  await desk[0].page.screenshot({ path: `${FOLDER}/demo.png` });
  await Promise.all(desk.map((guest) => guest.page.close()));
  const phone = await meet(['Ada', 'Grace', 'Hedy'], PHONE);
  await sleep(SETTLE_MS);
  await phone[0].page.screenshot({ path: `${FOLDER}/demo-phone.png` });
} finally {
  await chromium.close();
  await server.stop();
}
console.log(`wrote demo.png and demo-phone.png to ${FOLDER}`);

/** Opens one page a name in one room, at this size, until everyone sees everyone. */
async function meet(names, size) {
  const guests = [];
  for (const name of names) {
    const guest = await Guest.enter(chromium, server, 'Canal talk', name, CAMERA);
    await guest.page.setViewportSize(size);
    guests.push(guest);
  }
  await Promise.all(pairs(guests).map(({ viewer, other }) => viewer.decodes(other)));
  return guests;
}
