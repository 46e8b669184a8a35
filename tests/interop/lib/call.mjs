// What every call test does: guests in a room, ten seconds of watching everyone at everyone's, and
// pictures and numbers kept where something fails.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { newRoom } from './client.mjs';
import { Guest } from './guest.mjs';

const WATCH_SECONDS = 10;
/** Frames must move in each stretch of this many seconds. */
const STRETCH_SECONDS = 2;
const LIP_SYNC_MS = 100;

/**
 * Lets `names` into a new room, each in the browser given for it, runs `scene(guests)`, and closes
 * the pages. A failure keeps every page's picture and numbers in `out/`.
 */
export async function call(server, label, seats, scene) {
  const room = newRoom();
  const guests = [];
  try {
    for (const [name, browser] of Object.entries(seats)) {
      guests.push(await Guest.enter(browser, server, room, name));
    }
    await scene(guests, room);
    for (const guest of guests) assert.deepEqual(guest.complaints, [], guest.name);
  } catch (error) {
    for (const guest of guests) {
      const kept = await guest.keep(label).catch(String);
      console.error(`${guest.name}:`, JSON.stringify(kept.tiles ?? kept), kept.error ?? '');
    }
    console.error(`the server said:\n${server.output}`);
    throw error;
  } finally {
    await Promise.all(guests.map((guest) => guest.page.close().catch(() => {})));
  }
}

/** Each pair of different guests, both ways round. */
export function pairs(guests) {
  return guests.flatMap((viewer) => guests.filter((other) => other !== viewer)
    .map((other) => ({ viewer, other })));
}

/** Everyone decodes everyone; then for ten seconds pictures and sound keep coming. */
export async function watch(guests) {
  const all = pairs(guests);
  await Promise.all(all.map(({ viewer, other }) => viewer.decodes(other)));
  const read = () => Promise.all(all.map(({ viewer, other }) => viewer.inbound(other)));
  const offsets = all.map(() => []);
  let before = await read();
  for (let second = 1; second <= WATCH_SECONDS; second += 1) {
    await sleep(1000);
    const now = await read();
    now.forEach((streams, i) => offsets[i].push(playoutOffset(streams)));
    if (second % STRETCH_SECONDS !== 0) continue;
    all.forEach(({ viewer, other }, i) => assertMoved(viewer, other, before[i], now[i], second));
    before = now;
  }
  return all.map(({ viewer, other }, i) => {
    return { viewer: viewer.name, other: other.name, offsets: offsets[i], streams: before[i] };
  });
}

/**
 * Asserts that sound and picture of one peer play together. Two independent numbers say it:
 *
 * - `estimatedPlayoutTimestamp` is the time of capture, on the source's clock, of what is playing
 *   now. The browser computes it from the sender reports, so it exists only if those come, and the
 *   difference between audio and video is how far apart the two play by the reports' word.
 * - the delay in the jitter buffers is the browser's own doing. Reports that said something wrong
 *   would make it hold one of the two back by as much: on a path without delay they differ by no
 *   more than the reports' error.
 */
export function assertInSync(watched) {
  for (const { viewer, other, offsets, streams } of watched) {
    const known = offsets.filter((offset) => offset !== undefined);
    const who = `${other} at ${viewer}`;
    assert.ok(known.length >= 3, `${who}: sender reports of both kinds came`);
    const apart = Math.abs(median(known));
    assert.ok(apart < LIP_SYNC_MS, `${who}: ${apart} ms apart by the sender reports (${known})`);
    const held = bufferDelay(streams.audio) - bufferDelay(streams.video);
    assert.ok(Math.abs(held) < 2 * LIP_SYNC_MS, `${who}: one held back by ${held} ms`);
  }
}

function assertMoved(viewer, other, before, now, second) {
  const where = `${other.name} at ${viewer.name}, second ${second}`;
  const moved = (kind, member) => now[kind]?.[member] - before[kind]?.[member];
  assert.ok(moved('video', 'framesDecoded') > 0, `pictures stand still: ${where}`);
  assert.ok(moved('audio', 'packetsReceived') > 0, `sound stands still: ${where}`);
  assert.ok(moved('audio', 'totalAudioEnergy') > 0, `silence: ${where}`);
}

/** Milliseconds by which audio plays ahead of video, where the browser knows. */
function playoutOffset({ audio, video }) {
  const [a, v] = [audio?.estimatedPlayoutTimestamp, video?.estimatedPlayoutTimestamp];
  return a && v ? a - v : undefined;
}

/** Mean milliseconds in the jitter buffer. */
function bufferDelay({ jitterBufferDelay, jitterBufferEmittedCount }) {
  return (1000 * jitterBufferDelay) / jitterBufferEmittedCount;
}

function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
