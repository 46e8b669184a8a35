// PROTOCOL section 2: who is let in, what the envelope may be, how connections end.

import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Raw, newRoom } from '../lib/client.mjs';
import { within } from '../lib/expect.mjs';
import { audio, sendTransport } from '../lib/examples.mjs';
import { Server } from '../lib/server.mjs';

let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

/** HTTP status that a WebSocket upgrade of this path and query gets. */
async function upgrade(path, headers = {}) {
  const request = http.get(server.url + path, {
    agent: false,
    headers: {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...headers,
    },
  });
  const status = new Promise((resolve, reject) => {
    request.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode);
    });
    request.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
  });
  return within(`answer to ${path}`, status);
}

test('room and name are 1 to 128 bytes without control characters', async () => {
  const long = 'x'.repeat(128);
  assert.equal(await upgrade(`/ws?roomId=${long}&peerName=${long}`), 101);
  assert.equal(await upgrade(`/ws?roomId=r&peerName=${encodeURIComponent('é'.repeat(64))}`), 101);
  for (const query of [
    '', '?roomId=r', '?peerName=p', '?roomId=&peerName=p', '?roomId=r&peerName=',
    `?roomId=${long}x&peerName=p`, `?roomId=r&peerName=${long}x`,
    `?roomId=r&peerName=${encodeURIComponent('é'.repeat(65))}`,
    '?roomId=a%0Ab&peerName=p', '?roomId=r&peerName=%7F', '?roomId=r&peerName=%00',
    '?roomId=r&peerName=%FF%FE',
  ]) {
    assert.equal(await upgrade(`/ws${query}`), 400, query);
  }
});

test('subprotocol protoo is picked, none is served, others are refused', async () => {
  const picked = await Raw.open(server, newRoom(), 'a', ['other', 'protoo']);
  assert.equal(picked.protocol, 'protoo');
  const none = await Raw.open(server, newRoom(), 'a', []);
  assert.equal(none.protocol, '');
  assert.equal((await none.request(1, 'join', {})).ok, true);
  const other = { 'Sec-WebSocket-Protocol': 'mqtt' };
  assert.equal(await upgrade('/ws?roomId=r&peerName=p', other), 400);
  picked.close();
  none.close();
});

test('names come back as they were given', async () => {
  const room = `${newRoom()} ü/?&=#`;
  const name = 'Zoë "Z" 日本 +&=';
  const first = await Client.join(server, room, 'first');
  const second = await Client.join(server, room, name);
  assert.deepEqual(second.joined.peers.map((peer) => peer.name), ['first']);
  assert.equal((await first.next('newPeer')).name, name);
  first.drop();
  second.drop();
});

test('the same name connecting again replaces the older connection', async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher');
  const older = await Client.join(server, room, 'twin');
  await watcher.next('newPeer');
  const newer = await Client.open(server, room, 'twin');
  assert.equal(await within('end of the older', older.ended), 'close', 'final: no reconnecting');
  const left = { method: 'peerLeft', notification: true, name: 'twin' };
  assert.deepEqual(await watcher.next('peerLeft'), left, 'at once, not when the newer one joins');
  await watcher.quiet();
  newer.joined = await newer.request('join', { appData: 2 });
  assert.deepEqual(newer.joined.peers.map((peer) => peer.name), ['watcher']);
  assert.equal((await watcher.next('newPeer')).appData, 2);
  await newer.quiet();
  for (const client of [watcher, newer]) client.drop();
});

test('a replaced connection is closed with 4000 "replaced"', async () => {
  const room = newRoom();
  const older = await Raw.open(server, room, 'twin');
  const newer = await Raw.open(server, room, 'twin');
  assert.match(await older.closedWith(4000), /replaced/);
  newer.close();
});

test('leave closes with 4000 and a reason', async () => {
  const peer = await Raw.open(server, newRoom(), 'a');
  await peer.request(1, 'join', {});
  peer.json({ notification: true, method: 'leave', data: {} });
  assert.notEqual(await peer.closedWith(4000), '');
});

for (const [what, code, send] of [
  ['a binary frame', 1003, (raw) => raw.binary(Buffer.from('{}'))],
  ['text that is not JSON', 1007, (raw) => raw.text('{"request":true')],
  ['text that is not UTF-8', 1007, (raw) => raw.text(Buffer.from([0x22, 0xff, 0xfe, 0x22]))],
  ['a frame over 256 KiB', 1009, (raw) => raw.text(`"${'x'.repeat(256 * 1024)}"`)],
  ['an object that is no envelope', 1002, (raw) => raw.json({ hello: 'there' })],
  ['an array', 1002, (raw) => raw.json([])],
  ['a number', 1002, (raw) => raw.json(7)],
  ['a request without id', 1002, (raw) => raw.json({ request: true, method: 'join', data: {} })],
  ['a request without method', 1002, (raw) => raw.json({ request: true, id: 1, data: {} })],
  ['a notification without method', 1002, (raw) => raw.json({ notification: true, data: {} })],
]) {
  test(`${what} closes with ${code}, the others stay`, async () => {
    const room = newRoom();
    const other = await Client.join(server, room, 'other');
    const bad = await Raw.open(server, room, 'bad');
    await bad.request(1, 'join', {});
    await other.next('newPeer');
    send(bad);
    await bad.closedWith(code);
    assert.equal((await other.next('peerLeft')).name, 'bad');
    await other.quiet();
    other.drop();
  });
}

test('data may repeat method and notification, and must then agree', async () => {
  const peer = await Raw.open(server, newRoom(), 'a');
  const wrong = await peer.request(1, 'join', { method: 'leave' });
  assert.equal(wrong.errorCode, 400);
  assert.equal((await peer.request(2, 'join', { notification: true })).errorCode, 400);
  assert.equal((await peer.request(3, 'join', { method: 'join', notification: false })).ok, true);
  const data = { method: 'join', notification: true };
  peer.json({ notification: true, method: 'leave', data });
  const still = await peer.request(4, 'createTransport', { id: 1, method: 'createTransport' });
  assert.equal(still.ok, true, 'the notification that disagreed was ignored');
  data.method = 'leave';
  peer.json({ notification: true, method: 'leave', data });
  await peer.closedWith(4000);
});

test('a request sent as a notification is ignored, the reverse gets 400', async () => {
  const room = newRoom();
  const other = await Client.join(server, room, 'other');
  const peer = await Client.open(server, room, 'peer');
  await peer.notify('join', {});
  await peer.refused(403, 'createTransport', { id: 1 });
  await peer.request('join', {});
  await other.next('newPeer');
  await peer.notify('createTransport', { id: 1, options: {} });
  for (const method of ['leave', 'updateTransport', 'closeTransport', 'closeReceiver']) {
    await peer.refused(400, method, { id: 1 });
  }
  await peer.request('createTransport', { id: 1, options: {} });
  await other.quiet();
  for (const client of [other, peer]) client.drop();
});

test('unknown methods: 404 to a request, nothing to a notification', async () => {
  const peer = await Client.join(server, newRoom(), 'a');
  assert.match(await peer.refused(404, 'makeCoffee', {}), /makeCoffee/);
  await peer.notify('makeCoffee', {});
  await peer.quiet();
  peer.drop();
});

test('data that is no object is of the wrong shape, whatever the request', async () => {
  const peer = await Raw.open(server, newRoom(), 'a');
  for (const data of [5, 'x', true, [1]]) {
    assert.equal((await peer.request(1, 'join', data)).errorCode, 400);
  }
  assert.equal((await peer.request(2, 'join', null)).ok, true);
  for (const method of ['createTransport', 'createReceiver', 'enableSender', 'pauseReceiver']) {
    for (const data of [5, 'x', [1], null, {}]) {
      assert.equal((await peer.request(3, method, data)).errorCode, 400, method);
    }
  }
  for (const method of ['updateTransport', 'closeTransport', 'closeReceiver']) {
    for (const data of [5, 'x', [1], null, {}, { id: 'one' }, { id: 1 }]) {
      peer.json({ notification: true, method, data });
    }
  }
  assert.equal((await peer.request(4, 'createTransport', { id: 1 })).ok, true);
  peer.close();
});

test('responses come in the order of the requests, good and bad mixed', async () => {
  const peer = await Raw.open(server, newRoom(), 'a');
  peer.json({ request: true, id: 5, method: 'join' });
  const ids = [5];
  for (let id = 100; id > 40; id -= 1) {
    const method = ['createTransport', 'nonsense', 'pauseReceiver'][id % 3];
    peer.json({ request: true, id, method, data: { id: id % 12 } });
    ids.push(id);
  }
  const answers = [];
  for (const _ of ids) answers.push((await peer.next()).id);
  assert.deepEqual(answers, ids);
  peer.close();
});

test('fragments, pings and responses from a client disturb nothing', async () => {
  const peer = await Raw.open(server, newRoom(), 'a');
  peer.json({ response: true, id: 1, ok: true, data: {} });
  peer.json({ response: true, id: 2, ok: false, errorCode: 500, errorReason: 'x' });
  peer.fragments('{"request":true,"id":9,', '"method":"join",', '"data":null}');
  const answer = await peer.next();
  assert.equal(answer.id, 9);
  assert.equal(answer.ok, true);
  assert.equal(await peer.ping('hi'), 'hi');
  peer.close();
});

test('a client that answers no ping is gone after two of them, the others stay', async () => {
  const hasty = await Server.start('--ping-interval', '0.3');
  try {
    const room = newRoom();
    const alive = await Client.join(hasty, room, 'alive');
    const dead = await Raw.open(hasty, room, 'dead', ['protoo'], { autoPong: false });
    await dead.request(1, 'join', {});
    await alive.next('newPeer');
    const since = Date.now();
    assert.equal((await alive.next('peerLeft')).name, 'dead');
    assert.ok(Date.now() - since > 400, 'not after the first');
    await sleep(900);
    await alive.quiet();
    alive.drop();
    dead.close();
  } finally {
    await hasty.stop();
  }
});

test('a server that ends says so: 1001', async () => {
  const ending = await Server.start();
  try {
    const peer = await Raw.open(ending, newRoom(), 'a');
    await peer.request(1, 'join', {});
    await ending.stop();
    await peer.closedWith(1001);
  } finally {
    await ending.stop();
  }
});

test('a flood of requests: 429 first, 1008 in the end', async () => {
  const room = newRoom();
  const other = await Client.join(server, room, 'other');
  const peer = await Raw.open(server, room, 'flood');
  await peer.request(0, 'join', {});
  await other.next('newPeer');
  // In handfuls, so that the close is not overtaken by a reset for what the server did not read.
  const codes = new Set();
  const handful = async () => {
    for (let id = 1; id <= 50; id += 1) peer.json({ request: true, id, method: 'nothing' });
    for (let id = 1; id <= 50; id += 1) codes.add((await peer.next()).errorCode);
    return 'alive';
  };
  for (let i = 0; i < 16; i += 1) await handful();
  assert.deepEqual([...codes].sort(), [404, 429]);
  const over = peer.closed.then(() => 'closed');
  let end = 'alive';
  for (let i = 0; i < 100 && end === 'alive'; i += 1) {
    end = await Promise.race([handful().catch(() => 'alive'), over]);
  }
  await peer.closedWith(1008);
  assert.equal((await other.next('peerLeft')).name, 'flood');
  await other.quiet();
  other.drop();
});

test('a client that stops reading is closed, the others stay', async () => {
  const room = newRoom();
  const talkers = [];
  // One alone may not say so much.
  for (let i = 0; i < 24; i += 1) talkers.push(await talker(room, `t${i}`));
  const slow = await Raw.open(server, room, 'slow');
  await slow.request(1, 'join', {});
  slow.pause();
  const appData = 'x'.repeat(16 * 1024 - 2);
  const seen = () => talkers[0].heard.find((said) => said.method === 'peerLeft');
  for (let round = 0; round < 1000 && !seen(); round += 1) {
    const method = round % 2 ? 'resumeReceiver' : 'pauseReceiver';
    await Promise.all(talkers.map((peer) => peer.request(method, { id: 2, appData }).catch(busy)));
  }
  assert.equal(seen()?.name, 'slow', 'the slow one is out');
  for (const peer of talkers) {
    await peer.sync();
    peer.drop();
  }
  slow.resume();
  const { code } = await within('end of the slow one', slow.closed);
  assert.ok([1013, 1006].includes(code), `1013, or cut off before it could be said: ${code}`);
});

/** A peer with a Receiver to pause and resume. */
async function talker(room, name) {
  const peer = await Client.join(server, room, name);
  await sendTransport(peer);
  await peer.request('createReceiver', audio(2, 1));
  return peer;
}

/** Too many requests: wait a little; anything else is a failure. */
async function busy(error) {
  if (error.code !== 429) throw error;
  await sleep(50);
}
