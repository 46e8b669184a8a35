// PROTOCOL sections 3 and 4: join, leave, who hears what of whom, appData on its way.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, Raw, newRoom } from '../lib/client.mjs';
import { audio, sendTransport, video } from '../lib/examples.mjs';
import { within } from '../lib/expect.mjs';
import { RoomView } from '../lib/room-view.mjs';
import { Server } from '../lib/server.mjs';

let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

test('join answers with capabilities and the peers that are there', async () => {
  const room = newRoom();
  const alice = await Client.join(server, room, 'alice', { appData: { a: 1 } });
  assert.deepEqual(Object.keys(alice.joined).sort(), ['peers', 'rtpCapabilities']);
  assert.deepEqual(alice.joined.peers, []);
  const bob = await Client.join(server, room, 'bob');
  assert.deepEqual(bob.joined.peers, [{ name: 'alice', senders: [], appData: { a: 1 } }]);
  const newPeer = { method: 'newPeer', notification: true, name: 'bob', senders: [] };
  assert.deepEqual(await alice.next('newPeer'), newPeer, 'no appData given, none passed on');
  await bob.quiet();
  for (const client of [alice, bob]) client.drop();
});

test('the answer to join comes whole, however much there is to tell', async () => {
  const room = newRoom();
  const appData = 'ü'.repeat(8 * 1024 - 1);
  const peers = [];
  for (let i = 0; i < 20; i += 1) {
    const peer = await Client.join(server, room, `peer${i}`, { appData });
    await sendTransport(peer);
    for (let id = 1; id <= 3; id += 1) {
      await peer.request('createReceiver', audio(id, 1, { appData: `${id} of ${i}` }));
    }
    peers.push(peer);
  }
  const last = await Client.join(server, room, 'last');
  assert.deepEqual(last.joined.peers.map((peer) => peer.name), peers.map((_, i) => `peer${i}`));
  for (const [i, { senders, appData: given }] of last.joined.peers.entries()) {
    assert.equal(given, appData);
    const expected = [1, 2, 3].map((id) => `${id} of ${i}`);
    assert.deepEqual(senders.map((sender) => sender.appData), expected);
    assert.deepEqual(senders.map((sender) => sender.id), [1, 2, 3].map((id) => 3 * i + id));
  }
  for (const client of [last, ...peers]) client.drop();
});

test('capabilities are the table of PROTOCOL section 6', async () => {
  const client = await Client.join(server, newRoom(), 'a');
  const { codecs, headerExtensions, fecMechanisms } = client.joined.rtpCapabilities;
  assert.deepEqual(fecMechanisms, []);
  const kinds = (kind) => codecs.filter((codec) => codec.kind === kind);
  assert.equal(kinds('audio')[0].mimeType, 'audio/opus');
  assert.equal(kinds('video')[0].mimeType, 'video/VP8');
  const count = (name) => codecs.filter((codec) => codec.name === name).length;
  const wanted = { opus: 1, red: 1, PCMU: 1, PCMA: 1, VP8: 1, VP9: 2, H264: 4, H265: 1, AV1: 1 };
  for (const [name, times] of Object.entries(wanted)) assert.equal(count(name), times, name);
  const profiles = kinds('video').flatMap((codec) => codec.parameters['profile-level-id'] ?? []);
  assert.deepEqual(profiles, ['42e01f', '42001f', '4d001f', '64001f']);
  const types = codecs.map((codec) => codec.preferredPayloadType);
  assert.equal(new Set(types).size, types.length, 'payload types are distinct');
  for (const codec of codecs) {
    const { name, mimeType, kind, clockRate, preferredPayloadType, parameters } = codec;
    assert.equal(mimeType.toLowerCase(), `${kind}/${name}`.toLowerCase());
    assert.ok(clockRate > 0 && typeof parameters === 'object');
    const fixed = { PCMU: 0, PCMA: 8 }[name];
    if (fixed !== undefined) assert.equal(preferredPayloadType, fixed);
    else assert.ok(preferredPayloadType >= 96 && preferredPayloadType <= 127, name);
    for (const { type, parameter } of codec.rtcpFeedback) {
      const served = ['transport-cc ', 'nack ', 'nack pli', 'ccm fir'];
      assert.ok(served.includes(`${type} ${parameter}`), 'only what is served');
    }
  }
  kinds('video').forEach((codec, i, all) => {
    if (codec.name === 'rtx') assert.equal(codec.parameters.apt, all[i - 1].preferredPayloadType);
    else assert.equal(all[i + 1].name, 'rtx', `${codec.name} is followed by its rtx`);
  });
  for (const kind of ['audio', 'video']) {
    const ids = headerExtensions.filter((ext) => ext.kind === kind).map((ext) => ext.preferredId);
    assert.equal(new Set(ids).size, ids.length, `${kind} extension ids are distinct`);
    assert.ok(ids.every((id) => id >= 1 && id <= 14));
  }
  assert.ok(!headerExtensions.some(({ uri }) => /abs-send-time/.test(uri)));
  client.drop();
});

test('before join: 403 to requests, notifications ignored; a second join gets 409', async () => {
  const client = await Client.open(server, newRoom(), 'early');
  for (const method of ['createTransport', 'createReceiver', 'pauseReceiver', 'resumeReceiver',
    'enableSender', 'playSender', 'stopSender']) {
    assert.match(await client.refused(403, method, { id: 1 }), /not joined/);
  }
  for (const method of ['updateTransport', 'closeTransport', 'closeReceiver']) {
    await client.notify(method, { id: 1 });
  }
  await client.request('join', {});
  await client.refused(409, 'join', {});
  await client.quiet();
  client.drop();
});

test('what is wrong in join is refused and the peer is still outside', async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher');
  const client = await Client.open(server, room, 'client');
  for (const data of [
    { appData: 'x'.repeat(16 * 1024) }, { rtpCapabilities: 7 }, { rtpCapabilities: { codecs: {} } },
    { notify: 'transportState' }, { notify: [1] },
  ]) {
    await client.refused(400, 'join', data);
  }
  await client.refused(403, 'createTransport', { id: 1 });
  await watcher.quiet();
  await client.request('join', { unknownMember: true, rtpCapabilities: null, notify: null });
  assert.equal((await watcher.next('newPeer')).name, 'client');
  for (const peer of [watcher, client]) peer.drop();
});

test('leave hands its appData on; a socket that drops leaves without', async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher');
  const polite = await Client.join(server, room, 'polite');
  await watcher.next('newPeer');
  await polite.notify('leave', { appData: ['bye', null] });
  assert.deepEqual(await watcher.next('peerLeft'), {
    method: 'peerLeft', notification: true, name: 'polite', appData: ['bye', null],
  });
  assert.equal(await within('end', polite.ended), 'close');
  const rude = await Client.join(server, room, 'rude');
  await watcher.next('newPeer');
  rude.drop();
  assert.deepEqual(await watcher.next('peerLeft'), {
    method: 'peerLeft', notification: true, name: 'rude',
  });
  const unjoined = await Client.open(server, room, 'unjoined');
  unjoined.drop();
  await watcher.quiet();
  watcher.drop();
});

test('a peer that leaves with Receivers: one peerLeft and nothing after it', async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher');
  const peer = await Client.join(server, room, 'peer');
  await sendTransport(peer);
  await peer.request('createReceiver', audio(2, 1));
  await peer.request('createReceiver', video(3, 1));
  for (const method of ['newPeer', 'newSender', 'newSender']) await watcher.next(method);
  await peer.notify('closeReceiver', { id: 99 });
  await peer.notify('leave', {});
  await watcher.next('peerLeft');
  await watcher.quiet();
  await watcher.refused(404, 'playSender', { id: 1 });
  watcher.drop();
});

test('rooms do not hear each other, and end with their last peer', async () => {
  const [room, other] = [newRoom(), newRoom()];
  const here = await Client.join(server, room, 'same name');
  const there = await Client.join(server, other, 'same name');
  assert.deepEqual(there.joined.peers, []);
  await here.quiet();
  there.drop();
  await here.quiet();
  await here.notify('leave', {});
  await within('end', here.ended);
  const again = await Client.join(server, room, 'again');
  assert.deepEqual(again.joined.peers, []);
  again.drop();
});

test('appData is handed on as it is, whatever JSON it is', async () => {
  const room = newRoom();
  const watcher = await Raw.open(server, room, 'watcher');
  await watcher.request(1, 'join', {});
  const values = ['false', '0', '""', '[]', '{"null":null}', '12345678901234567890123',
    '"\\ud83d\\ude00 \\u0000"', '{"b":1,"a":2,"b":3}', `"${'x'.repeat(16 * 1024 - 2)}"`];
  for (const [i, value] of values.entries()) {
    const peer = await Raw.open(server, room, `peer${i}`);
    peer.text(`{"request":true,"id":1,"method":"join","data":{"appData":${value}}}`);
    await peer.next();
    await watcher.next();
    assert.ok(watcher.last.includes(`"appData":${value}`), `${value} in ${watcher.last}`);
    peer.close();
    assert.equal((await watcher.next()).method, 'peerLeft');
  }
  watcher.close();
});

test('appData that would be the end of another client is refused', async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher');
  const peer = await Raw.open(server, room, 'peer');
  const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);
  for (const value of [nested(33), nested(8000), '[1e999]', '"\\ud800"']) {
    peer.text(`{"request":true,"id":1,"method":"join","data":{"appData":${value}}}`);
    const { errorCode, errorReason } = await peer.next();
    assert.equal(errorCode, 400);
    assert.match(errorReason, /^appData: /);
  }
  await watcher.quiet();
  peer.text(`{"request":true,"id":2,"method":"join","data":{"appData":${nested(32)}}}`);
  assert.equal((await peer.next()).ok, true);
  assert.equal((await watcher.next('newPeer')).name, 'peer');
  peer.close();
  watcher.drop();
});

test('a null is as good as absent', async () => {
  const room = newRoom();
  const watcher = await Client.join(server, room, 'watcher', { appData: null });
  const peer = await Client.join(server, room, 'peer', { appData: null });
  assert.equal((await watcher.next('newPeer')).appData ?? null, null);
  assert.equal(peer.joined.peers[0].appData ?? null, null);
  await peer.request('createTransport', {
    id: 1, options: null, dtlsParameters: null, appData: null, direction: null,
  });
  await peer.request('createReceiver', audio(2, 1, { paused: null, appData: null }));
  assert.equal((await watcher.next('newSender')).paused, false);
  await peer.request('pauseReceiver', { id: 2, appData: null });
  assert.equal((await watcher.next('senderPaused')).appData ?? null, null);
  await peer.refused(400, 'createTransport', { id: null });
  for (const client of [watcher, peer]) client.drop();
});

test('with everyone coming at once, each view of the room is exact', async () => {
  const room = newRoom();
  const names = Array.from({ length: 12 }, (_, i) => `peer${i}`);
  const peers = await Promise.all(names.map(async (name, i) => {
    const peer = await Client.join(server, room, name, { appData: i });
    await sendTransport(peer);
    await Promise.all([
      peer.request('createReceiver', audio(2, 1)),
      peer.request('createReceiver', video(3, 1, { paused: i % 2 === 0 })),
    ]);
    if (i % 3 === 0) await peer.request('pauseReceiver', { id: 2 });
    if (i % 4 === 0) await peer.notify('closeReceiver', { id: 3 });
    return peer;
  }));
  await Promise.all(peers.map((peer) => peer.sync()));
  await Promise.all(peers.slice(9).map((peer) => peer.notify('leave', {})));
  await Promise.all(peers.slice(9).map((peer) => peer.ended));
  const expected = new Map(names.slice(0, 9).map((name, i) => {
    const streams = [`audio ${i % 3 === 0 ? 'paused' : 'live'}`];
    if (i % 4 !== 0) streams.push(`video ${i % 2 === 0 ? 'paused' : 'live'}`);
    return [name, streams];
  }));
  for (const [i, peer] of peers.slice(0, 9).entries()) {
    await peer.sync();
    const view = new RoomView(peer.joined);
    for (const said of peer.heard) view.apply(said);
    const others = new Map([...expected].filter(([name]) => name !== names[i]));
    assert.deepEqual(view.summary(), others, `as ${names[i]} sees it`);
  }
  for (const peer of peers) peer.drop();
});
