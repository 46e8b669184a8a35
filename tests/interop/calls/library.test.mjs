// The client library where the demo page does not go: requests that fail half-way, what an app may
// do afterwards, and restarts of ICE. The library runs in Chromium pages of its own; what fails is
// decided here.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Browser } from '../lib/browsers.mjs';
import { Client, newRoom } from '../lib/client.mjs';
import { until } from '../lib/expect.mjs';
import { restartIce } from '../lib/restart.mjs';
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

test('a sender that the server refused may be asked for again', TIMEOUT, async () => {
  const room = newRoom();
  const ada = await App.join(room, 'ada');
  const bob = await App.join(room, 'bob');
  await ada.run(async ({ room, track }) => { await room.send(track); });
  await bob.fail({ enableSender: 'refused' });
  const told = await bob.run(async ({ room, sender }) => {
    const code = await room.receive(await sender('ada')).catch((error) => error.code);
    return [code, (await room.receive(await sender('ada'))).readyState];
  });
  assert.deepEqual(told, [429, 'live']);
  await bob.decodes(1);

  // The second one's section is given up and negotiated away before it is asked for again.
  await ada.run(async ({ room, track }) => { await room.send(track.clone()); });
  await bob.fail({ enableSender: 'refused' });
  assert.equal(await bob.run(async ({ room, sender }) => (
    room.receive(await sender('ada', 1)).catch((error) => error.code))), 429);
  await until('the section is rejected', () => bob.run(({ room }) => (
    /^m=video 0 /m.test(room.peerConnections.recv.localDescription.sdp))));
  await bob.run(async ({ room, sender }) => { await room.receive(await sender('ada', 1)); });
  await bob.decodes(2);
  for (const app of [ada, bob]) await app.close();
});

test('a source whose answer was lost is nobody\'s', TIMEOUT, async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher');
  const ada = await App.join(room, 'ada', { timeout: 500 });
  await ada.run(async ({ room, track }) => { await room.send(track.clone()); });
  for (const method of ['newPeer', 'newSender']) await watcher.next(method);
  await ada.fail({ createReceiver: 'unanswered' });
  const code = await ada.run(({ room, track }) => room.send(track).catch((error) => error.code));
  assert.equal(code, 'timeout');
  await watcher.next('newSender');
  await watcher.next('senderClosed');
  await ada.run(async ({ room, track }) => { await room.send(track); });
  await watcher.next('newSender');
  await watcher.quiet();
  watcher.drop();
  await ada.close();
});

test('both sides count the same streams', TIMEOUT, async () => {
  const room = newRoom();
  const ada = await App.join(room, 'ada');
  const bob = await App.join(room, 'bob');
  const before = await ada.run(({ room }) => room.getStats());
  assert.deepEqual(before, {
    send: null, recv: null, server: { transports: [], receivers: [], senders: [] },
  });
  await ada.run(async ({ room, track }) => { await room.send(track); });
  await bob.run(async ({ room, sender }) => { await room.receive(await sender('ada')); });
  await bob.decodes(1);
  const [sent, got] = await Promise.all([
    ada.run(async ({ room }) => {
      const { send, server: { receivers } } = await room.getStats();
      const ours = [...send.values()].find(({ type, kind }) => type === 'outbound-rtp' && kind);
      return { browser: ours.packetsSent, ssrc: ours.ssrc, server: receivers[0] };
    }),
    bob.run(async ({ room }) => {
      const { recv, server: { senders } } = await room.getStats();
      const theirs = [...recv.values()].find(({ type }) => type === 'inbound-rtp');
      return { browser: theirs.packetsReceived, ssrc: theirs.ssrc, server: senders[0] };
    }),
  ]);
  for (const [{ browser, ssrc, server }, count] of [
    [sent, sent.server.packetsReceived], [got, got.server.packetsSent],
  ]) {
    assert.equal(server.ssrc, ssrc);
    assert.ok(count > 0 && browser > 0, `${count} by the server, ${browser} by the browser`);
  }
  for (const app of [ada, bob]) await app.close();
});

test('pausing may be tried again after the server refused it', TIMEOUT, async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher');
  const ada = await App.join(room, 'ada');
  await ada.fail({ pauseReceiver: 'refused' });
  const codes = await ada.run(async ({ room, track }) => {
    const source = await room.send(track);
    const pause = () => source.pause().catch((error) => error.code);
    return [await pause(), source.paused, await pause() ?? 'done'];
  });
  assert.deepEqual(codes, [429, true, 'done']);
  for (const method of ['newPeer', 'newSender', 'senderPaused']) await watcher.next(method);
  watcher.drop();
  await ada.close();
});

test('what is received ends with its sender, the first one too', TIMEOUT, async () => {
  const room = newRoom();
  const ada = await App.join(room, 'ada');
  const bob = await App.join(room, 'bob');
  await ada.run(async ({ room, track }) => { window.source = await room.send(track); });
  await bob.run(async ({ room, sender }) => {
    window.received = await room.receive(await sender('ada'));
  });
  assert.equal(await bob.run(() => window.received.readyState), 'live');
  await ada.run(() => window.source.close());
  await until('the track has ended', async () => (
    await bob.run(() => window.received.readyState) === 'ended'));
  for (const app of [ada, bob]) await app.close();
});

test('a source is silent before the server is told that it is closed', TIMEOUT, async () => {
  const room = newRoom();
  const ada = await App.join(room, 'ada');
  const order = await ada.run(async ({ room, track }) => {
    const kept = await room.send(track.clone());
    const source = await room.send(track);
    const log = [];
    const { replaceTrack } = RTCRtpSender.prototype;
    RTCRtpSender.prototype.replaceTrack = async function replace(given) {
      if (given !== null) log.push('sends');
      await new Promise((resolve) => { setTimeout(resolve, 100); });
      await replaceTrack.call(this, given);
      if (given === null) log.push('silent');
    };
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function told(text) {
      log.push(JSON.parse(text).method);
      send.call(this, text);
    };
    await source.pause();
    const resumed = source.resume();
    await new Promise((resolve) => { setTimeout(resolve); });
    await source.close();
    await resumed.catch(() => {});
    return [log, kept.closed];
  });
  assert.deepEqual(order, [
    ['silent', 'pauseReceiver', 'resumeReceiver', 'silent', 'closeReceiver'], false,
  ]);
  await ada.close();
});

test('media flows on while both directions restart ICE, and afterwards', TIMEOUT, async () => {
  const room = newRoom();
  const ada = await App.join(room, 'ada');
  const bob = await App.join(room, 'bob');
  for (const app of [ada, bob]) await app.run(({ room }) => room.restartIce()); // nothing there yet
  await ada.run(async ({ room, track }) => { await room.send(track); });
  await bob.run(async ({ room, sender }) => { await room.receive(await sender('ada')); });
  await bob.decodes(1);
  for (const app of [ada, bob, ada, bob]) await restartIce(app.page);
  await ada.run(async ({ room, track }) => { await room.send(track.clone()); });
  await bob.run(async ({ room, sender }) => { await room.receive(await sender('ada', 1)); });
  await bob.decodes(2);
  for (const app of [ada, bob]) await app.close();
});

test('what has failed comes back by a restart', TIMEOUT, async () => {
  const room = newRoom();
  const ada = await App.join(room, 'ada');
  const bob = await App.join(room, 'bob');
  await ada.run(async ({ room, track }) => { await room.send(track); });
  await bob.run(async ({ room, sender }) => { await room.receive(await sender('ada')); });
  await bob.decodes(1);
  const state = (app) => app.run(({ room }) => room.connection.overall);
  process.kill(server.pid, 'SIGSTOP');
  try {
    await until('both have failed', async () => (
      await state(ada) === 'failed' && await state(bob) === 'failed'), { timeout: 40_000 });
  } finally {
    process.kill(server.pid, 'SIGCONT');
  }
  await Promise.all([ada, bob].map((app) => restartIce(app.page)));
  for (const app of [ada, bob]) {
    assert.equal(await state(app), 'connected');
    await app.close();
  }
});

/** A page that has the library, a room and a moving picture to send. */
class App {
  static async join(roomId, peerName, options = {}) {
    const app = new App();
    app.page = await chromium.newPage();
    await app.page.addInitScript(failing);
    await app.page.goto(server.url);
    await app.page.evaluate(start, { roomId, peerName, ...options });
    return app;
  }

  /** Runs `act` inside the page, which gets the room, a track and a way to a peer's senders. */
  run(act) {
    return this.page.evaluate(`(${act})(window.app)`);
  }

  /** What happens to the next request of each method: 'refused' or 'unanswered'. */
  fail(faults) {
    return this.page.evaluate((given) => Object.assign(window.faults, given), faults);
  }

  /** Waits until so many videos are being decoded. */
  async decodes(count) {
    await until(`${count} pictures come`, async () => {
      const decoded = await this.run(async ({ room }) => {
        const stats = await room.peerConnections.recv.getStats();
        return [...stats.values()].filter(({ framesDecoded }) => framesDecoded > 0).length;
      });
      return decoded === count;
    });
  }

  close() {
    return this.page.close();
  }
}

/** Runs inside the page, before it: a WebSocket that does to requests what `window.faults` says. */
function failing() {
  const faults = window.faults = {};
  window.WebSocket = class extends WebSocket {
    send(text) {
      const message = JSON.parse(text);
      const fault = faults[message.method];
      delete faults[message.method];
      if (fault === 'refused') {
        const answer = { response: true, id: message.id, ok: false, errorCode: 429 };
        const data = JSON.stringify({ ...answer, errorReason: 'too many requests' });
        queueMicrotask(() => this.dispatchEvent(new MessageEvent('message', { data })));
      } else {
        // The answer to this id belongs to no request.
        if (fault === 'unanswered') message.id += 1_000_000;
        super.send(JSON.stringify(message));
      }
    }
  };
}

/** Runs inside the page. */
async function start(options) {
  const { Room } = await import('/client.js');
  const room = await Room.join(options);
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  setInterval(() => {
    context.fillStyle = `hsl(${performance.now() / 10} 80% 50%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
  }, 50);
  const [track] = canvas.captureStream(20).getTracks();
  const sender = async (name, index = 0) => {
    for (let tries = 0; tries < 100; tries += 1) {
      const found = [...room.peers.get(name)?.senders.values() ?? []][index];
      if (found) return found;
      await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
    throw new Error(`${name} does not send that much`);
  };
  window.app = { room, track, sender };
}
