// PROTOCOL sections 4 and 6: what a client sends. createReceiver and all that it may get wrong,
// pause, resume, close, and what the others hear of it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, newRoom } from '../lib/client.mjs';
import { audio, opus, sendTransport, video } from '../lib/examples.mjs';
import { Server } from '../lib/server.mjs';

let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

test("a source is announced with the server's parameters and its owner's appData", async () => {
  const [alice, bob] = await pair();
  await sendTransport(alice);
  const one = audio(26971121, 1, { rtpParameters: opus(1510316512), appData: { k: 'audio' } });
  const two = video(75138064, 1, { paused: true });
  assert.deepEqual(await alice.request('createReceiver', one), {});
  assert.deepEqual(await alice.request('createReceiver', two), {});
  const sound = await bob.next('newSender');
  const { rtpParameters: soundRtp, ...soundRest } = sound;
  assert.deepEqual(soundRest, {
    method: 'newSender', notification: true, id: 1, kind: 'audio', peerName: 'alice', paused: false,
    appData: { k: 'audio' },
  });
  const picture = await bob.next('newSender');
  const { rtpParameters: pictureRtp, ...pictureRest } = picture;
  assert.deepEqual(pictureRest, {
    method: 'newSender', notification: true, id: 2, kind: 'video', peerName: 'alice', paused: true,
  });
  await alice.quiet();

  const { codecs } = bob.joined.rtpCapabilities;
  const server96 = (name) => codecs.find((codec) => codec.name === name).preferredPayloadType;
  const [opusCodec] = soundRtp.codecs;
  assert.equal(opusCodec.mimeType, 'audio/opus');
  assert.equal(opusCodec.payloadType, server96('opus'), "the server's payload type");
  assert.equal(opusCodec.channels, 2);
  assert.deepEqual(opusCodec.parameters, { useinbandfec: 1 }, "the source's fmtp");
  assert.equal(soundRtp.rtcp.cname, 'cname-audio');
  const level = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
  assert.deepEqual(soundRtp.headerExtensions.map((ext) => ext.uri), [level]);

  const [vp8Codec, rtxCodec] = pictureRtp.codecs;
  assert.equal(vp8Codec.mimeType, 'video/VP8');
  assert.equal(vp8Codec.payloadType, server96('VP8'));
  assert.equal(rtxCodec.mimeType, 'video/rtx');
  assert.equal(rtxCodec.parameters.apt, vp8Codec.payloadType);
  const feedback = vp8Codec.rtcpFeedback.map(({ type, parameter }) => `${type} ${parameter}`);
  const served = ['ccm fir', 'nack ', 'nack pli'];
  assert.deepEqual(feedback.sort(), served, 'only what the server serves');
  const ssrcs = [soundRtp, pictureRtp].flatMap(({ encodings }) => {
    assert.equal(encodings.length, 1);
    return [encodings[0].ssrc, encodings[0].rtx?.ssrc].filter((ssrc) => ssrc !== undefined);
  });
  assert.equal(new Set(ssrcs).size, 3, 'three distinct ssrcs: audio, video, its rtx');
  assert.ok(!ssrcs.includes(1510316512), 'of its own, not the source\'s');

  const carol = await Client.join(server, bob.room, 'carol');
  const seen = carol.joined.peers.find((peer) => peer.name === 'alice').senders;
  seen.sort((a, b) => a.kind.localeCompare(b.kind));
  const states = seen.map(({ kind, paused }) => `${kind} ${paused}`);
  assert.deepEqual(states, ['audio false', 'video true']);
  assert.deepEqual(seen.map(({ id }) => id).sort(), [1, 2], 'counted in each connection');
  assert.deepEqual(seen[0].appData, { k: 'audio' });
  assert.ok(!('appData' in seen[1]));
  assert.deepEqual(seen[0].rtpParameters.codecs, soundRtp.codecs);
  for (const peer of [alice, bob, carol]) peer.drop();
});

test('pause and resume are told once, with appData', async () => {
  const [alice, bob] = await pair();
  await sendTransport(alice);
  await alice.request('createReceiver', audio(2, 1));
  await bob.next('newSender');
  assert.deepEqual(await alice.request('pauseReceiver', { id: 2, appData: 'why' }), {});
  assert.deepEqual(await alice.request('pauseReceiver', { id: 2, appData: 'again' }), {});
  assert.deepEqual(await bob.next('senderPaused'), {
    method: 'senderPaused', notification: true, id: 1, peerName: 'alice', appData: 'why',
  });
  const late = await Client.join(server, bob.room, 'late');
  assert.equal(late.joined.peers.find(({ name }) => name === 'alice').senders[0].paused, true);
  await bob.next('newPeer');
  assert.deepEqual(await alice.request('resumeReceiver', { id: 2 }), {});
  assert.deepEqual(await alice.request('resumeReceiver', { id: 2 }), {});
  assert.deepEqual(await bob.next('senderResumed'), {
    method: 'senderResumed', notification: true, id: 1, peerName: 'alice',
  });
  await bob.quiet();
  assert.equal((await late.next('senderResumed')).id, 1);
  for (const peer of [alice, bob, late]) peer.drop();
});

test('closeReceiver is told once; its id and ssrc are free again', async () => {
  const [alice, bob] = await pair();
  await sendTransport(alice);
  await alice.request('createReceiver', audio(2, 1));
  await bob.next('newSender');
  await alice.notify('closeReceiver', { id: 2, appData: { z: null } });
  await alice.notify('closeReceiver', { id: 2 });
  assert.deepEqual(await bob.next('senderClosed'), {
    method: 'senderClosed', notification: true, id: 1, peerName: 'alice', appData: { z: null },
  });
  await alice.refused(404, 'pauseReceiver', { id: 2 });
  await bob.refused(404, 'playSender', { id: 1 });
  await alice.request('createReceiver', audio(2, 1));
  assert.equal((await bob.next('newSender')).id, 2);
  await bob.quiet();
  for (const peer of [alice, bob]) peer.drop();
});

test('what does not exist is not found', async () => {
  const [alice, bob] = await pair();
  const methods = ['pauseReceiver', 'resumeReceiver', 'enableSender', 'playSender', 'stopSender'];
  for (const method of methods) {
    assert.match(await alice.refused(404, method, { id: 77 }), /77/);
    assert.match(await alice.refused(400, method, {}), /id/);
    await alice.refused(400, method, { id: '77' });
  }
  await alice.refused(404, 'createReceiver', audio(2, 77));
  await bob.quiet();
  for (const peer of [alice, bob]) peer.drop();
});

/** A copy of `source` after `change` had its way with its rtpParameters. */
function changed(source, change) {
  const copy = structuredClone(source);
  change(copy.rtpParameters, copy);
  return copy;
}

const NINE_SSRCS = Array.from({ length: 9 }, (_, i) => ({ ssrc: i + 1 }));

// The field that the reason must name, the code, and what to do to a good video source.
const WRONG = [
  ['id', 400, (_, data) => { delete data.id; }],
  ['kind', 400, (_, data) => { data.kind = 'alice'; }],
  ['kind', 400, (_, data) => { delete data.kind; }],
  ['transportId', 400, (_, data) => { delete data.transportId; }],
  ['transportId', 400, (_, data) => { data.transportId = '1'; }],
  ['rtpParameters', 400, (_, data) => { delete data.rtpParameters; }],
  ['rtpParameters', 400, (_, data) => { data.rtpParameters = []; }],
  ['paused', 400, (_, data) => { data.paused = 'no'; }],
  ['appData', 400, (_, data) => { data.appData = 'x'.repeat(16 * 1024); }],
  ['codecs', 400, (rtp) => { delete rtp.codecs; }],
  ['codecs', 400, (rtp) => { rtp.codecs = []; }],
  ['payloadType', 400, (rtp) => { rtp.codecs[0].payloadType = 128; }],
  ['payloadType', 400, (rtp) => { delete rtp.codecs[0].payloadType; }],
  ['clockRate', 400, (rtp) => { rtp.codecs[0].clockRate = 'fast'; }],
  ['payloadType', 400, (rtp) => { rtp.codecs[1].payloadType = 120; }],
  ['apt', 400, (rtp) => { rtp.codecs[1].parameters.apt = 96; }],
  ['apt', 400, (rtp) => { rtp.codecs[1].parameters = {}; }],
  ['encodings', 400, (rtp) => { rtp.encodings = { ssrc: 1 }; }],
  ['ssrc', 400, (rtp) => { rtp.encodings = [{}, {}]; }],
  ['encodings', 400, (rtp) => { rtp.encodings = NINE_SSRCS; }],
  ['ssrc', 400, (rtp) => { rtp.encodings[0].ssrc = 'one'; }],
  ['ssrc', 400, (rtp) => { rtp.encodings[0].ssrc = 2 ** 32; }],
  ['ssrc', 400, (rtp) => { rtp.encodings = [{ ssrc: 5 }, { ssrc: 5 }]; }],
  ['ssrc', 400, (rtp) => { rtp.encodings = [{ ssrc: 5, rtx: { ssrc: 5 } }]; }],
  ['rid', 400, (rtp) => { rtp.encodings = [{ rid: 'a' }, { rid: 'a' }]; }],
  ['id', 400, (rtp) => { rtp.headerExtensions.push({ uri: 'urn:other', id: 4 }); }],
  ['id', 400, (rtp) => { rtp.headerExtensions = [{ uri: 'urn:a', id: 0 }]; }],
  ['id', 400, (rtp) => { rtp.headerExtensions = [{ uri: 'urn:a', id: 256 }]; }],
  ['VP10', 415, ({ codecs }) => {
    Object.assign(codecs[0], { name: 'VP10', mimeType: 'video/VP10' });
  }],
  ['ssrc', 400, (rtp) => { rtp.encodings[0].ssrc = 10_050; }],
  ['ssrc', 400, (rtp) => { rtp.encodings[0].rtx.ssrc = 10_050; }],
];

test('what contradicts itself is refused, names the field, and changes nothing', async (t) => {
  const [alice, bob] = await pair();
  await sendTransport(alice);
  await alice.request('createReceiver', audio(50, 1));
  await bob.next('newSender');
  for (const [field, code, change] of WRONG) {
    await t.test(`${code}: ${change}`, async () => {
      const data = changed(video(60, 1), change);
      const reason = await alice.refused(code, 'createReceiver', data);
      assert.ok(reason.includes(field), `"${reason}" names ${field}`);
    });
  }
  await alice.refused(409, 'createReceiver', audio(50, 1, { rtpParameters: opus(777) }));
  await bob.quiet();
  const late = await Client.join(server, bob.room, 'late');
  const { senders } = late.joined.peers.find(({ name }) => name === 'alice');
  assert.deepEqual(senders.map(({ kind }) => kind), ['audio']);
  await alice.request('createReceiver', video(60, 1));
  await bob.next('newPeer');
  await bob.next('newSender');
  for (const peer of [alice, bob, late]) peer.drop();
});

test('nothing is received on a transport that was made to send', async () => {
  const [alice] = await pair();
  await alice.request('createTransport', { id: 1, direction: 'recv' });
  await alice.refused(409, 'createReceiver', audio(2, 1));
  await alice.request('createTransport', { id: 2, direction: 'send' });
  await alice.request('createReceiver', audio(2, 2));
  alice.drop();
});

test('codec names in any case, mid for muxId, rids for ssrcs, or none of them', async () => {
  const [alice, bob] = await pair();
  await sendTransport(alice);
  const shout = changed(audio(2, 1), ({ codecs: [codec] }) => {
    Object.assign(codec, { name: 'OPUS', mimeType: 'audio/OPUS' });
  });
  await alice.request('createReceiver', shout);
  assert.equal((await bob.next('newSender')).rtpParameters.codecs[0].mimeType, 'audio/opus');
  const byMid = changed(video(3, 1), (rtp) => {
    delete rtp.muxId;
    rtp.mid = '1';
    rtp.encodings = [{ rid: 'h' }, { rid: 'l' }];
  });
  await alice.request('createReceiver', byMid);
  const { encodings } = (await bob.next('newSender')).rtpParameters;
  assert.equal(encodings.length, 1);
  assert.equal(typeof encodings[0].ssrc, 'number');
  const byPayloadType = changed(audio(4, 1), (rtp) => { delete rtp.encodings; });
  await alice.request('createReceiver', byPayloadType);
  assert.equal((await bob.next('newSender')).rtpParameters.encodings.length, 1);
  for (const peer of [alice, bob]) peer.drop();
});

test('the thirty-third Receiver is one too many', async () => {
  const [alice, bob] = await pair();
  await sendTransport(alice);
  for (let id = 100; id < 132; id += 1) await alice.request('createReceiver', audio(id, 1));
  assert.match(await alice.refused(429, 'createReceiver', audio(132, 1)), /[Rr]eceiver/);
  await bob.sync();
  assert.equal(bob.heard.length, 32);
  await alice.notify('closeReceiver', { id: 100 });
  await alice.request('createReceiver', audio(132, 1));
  for (const peer of [alice, bob]) peer.drop();
});

test('with rtpCapabilities in join, what cannot be decoded is not announced', async () => {
  const [alice, bob] = await pair();
  await sendTransport(alice);
  const { codecs, ...rest } = alice.joined.rtpCapabilities;
  const rtpCapabilities = { ...rest, codecs: codecs.filter(({ kind }) => kind === 'audio') };
  const before = await Client.join(server, bob.room, 'before', { rtpCapabilities });
  await alice.request('createReceiver', audio(2, 1));
  await alice.request('createReceiver', video(3, 1));
  await alice.request('pauseReceiver', { id: 3 });
  assert.equal((await before.next('newSender')).kind, 'audio');
  await before.quiet();
  const later = await Client.join(server, bob.room, 'later', { rtpCapabilities });
  const { senders } = later.joined.peers.find(({ name }) => name === 'alice');
  assert.deepEqual(senders.map(({ kind }) => kind), ['audio']);
  await alice.notify('closeReceiver', { id: 3 });
  await later.quiet();
  for (const peer of [alice, bob, before, later]) peer.drop();
});

/** Alice and Bob in a room of their own; nothing is left to hear. */
async function pair() {
  const room = newRoom();
  const bob = await Client.join(server, room, 'bob');
  const alice = await Client.join(server, room, 'alice');
  await bob.next('newPeer');
  bob.room = room;
  return [alice, bob];
}
