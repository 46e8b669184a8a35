// Takes the README's picture of the demo page: four people in a room. Apart from the tests, so that
// those never write a tracked file.
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
const SIZE = { width: 1280, height: 800 };
/** Time for pictures to sharpen after the first frames. */
const SETTLE_MS = 5_000;

const server = await Server.start();
const chromium = await Browser.launch('chromium');
try {
  await mkdir(FOLDER, { recursive: true });
  const guests = await meet(['Ada', 'Grace', 'Hedy', 'Radia']);
  await guests[1].click('#microphone');
  await guests[0].sees(guests[1], { audio: 'paused' });
  await sleep(SETTLE_MS);
  await guests[0].page.screenshot({ path: `${FOLDER}/demo.png` });
} finally {
  await chromium.close();
  await server.stop();
}
console.log(`wrote ${FOLDER}/demo.png`);

/** Opens one page a name in one room; resolves when everyone sees everyone. */
async function meet(names) {
  const guests = [];
  for (const name of names) {
    const guest = await Guest.enter(chromium, server, 'Canal talk', name, CAMERA);
    await guest.page.setViewportSize(SIZE);
    guests.push(guest);
  }
  await Promise.all(pairs(guests).map(({ viewer, other }) => viewer.decodes(other)));
  return guests;
}
