// ICE restarts in a page that has the client library, seen by getStats: both ends of each way that
// media takes get new names, and media goes on.

import assert from 'node:assert/strict';
import { until } from './expect.mjs';

/** Packets that have to come of the new way. */
const PACKETS = 20;

/** Restarts the page's ICE and waits until media takes new ways. */
export async function restartIce(page) {
  const before = await page.evaluate(ways);
  assert.notDeepEqual(before, {}, 'there is a way');
  await page.evaluate(() => (window.app ?? window.corinth).room.restartIce());
  const fresh = await until('media takes new ways', async () => {
    const now = await page.evaluate(ways);
    for (const [direction, was] of Object.entries(before)) {
      const { state, local, remote } = now[direction];
      assert.ok(local && remote, `${direction}: a pair is in use`);
      assert.ok(local !== was.local && remote !== was.remote, `${direction}: a new one`);
      assert.equal(state, 'connected', direction);
    }
    return now;
  });
  await until('media goes on', async () => {
    const now = await page.evaluate(ways);
    return Object.keys(fresh).every((direction) => (
      now[direction].packets >= fresh[direction].packets + PACKETS));
  });
}

/** By direction: both ends' fragments, and how many packets have gone. Runs inside the page. */
async function ways() {
  const found = {};
  const { peerConnections } = (window.app ?? window.corinth).room;
  for (const [direction, pc] of Object.entries(peerConnections).filter(([, pc]) => pc)) {
    const stats = await pc.getStats();
    const of = (wanted) => [...stats.values()].filter(({ type }) => type === wanted);
    // Chromium says it in the one way, Firefox in the other.
    const pair = stats.get(of('transport')[0]?.selectedCandidatePairId)
      ?? of('candidate-pair').find(({ selected }) => selected);
    const rtp = of(direction === 'send' ? 'outbound-rtp' : 'inbound-rtp');
    found[direction] = {
      state: pc.connectionState,
      local: stats.get(pair?.localCandidateId)?.usernameFragment,
      remote: stats.get(pair?.remoteCandidateId)?.usernameFragment,
      packets: rtp.reduce((sum, each) => sum + (each.packetsSent ?? each.packetsReceived ?? 0), 0),
    };
  }
  return found;
}
