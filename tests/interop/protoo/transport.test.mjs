// PROTOCOL sections 4 and 5: createTransport, updateTransport, restartTransport, closeTransport.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, newRoom } from '../lib/client.mjs';
import { audio, dtls, sendTransport, video } from '../lib/examples.mjs';
import { Server } from '../lib/server.mjs';
import { check } from '../lib/stun.mjs';

let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

test('a transport comes with ICE parameters, candidates and fingerprints', async () => {
  const client = await Client.join(server, newRoom(), 'a');
  const made = await client.request('createTransport', { id: 1111, options: {} });
  assert.deepEqual(Object.keys(made).sort(), ['dtlsParameters', 'iceCandidates', 'iceParameters']);
  const { usernameFragment, password, iceLite } = made.iceParameters;
  assert.match(usernameFragment, /^[A-Za-z0-9+/]{4,256}$/);
  assert.match(password, /^[A-Za-z0-9+/]{22,256}$/);
  assert.equal(iceLite, true);
  assert.ok(made.iceCandidates.length > 0);
  const foundations = new Set();
  for (const candidate of made.iceCandidates) {
    const { foundation, ip, port, priority, protocol, type } = candidate;
    assert.match(ip, /^[0-9a-f.:]+$/);
    assert.ok(port > 0 && port < 65_536 && priority > 0 && priority < 2 ** 31);
    assert.equal(`${protocol} ${type}`, 'udp host');
    foundations.add(foundation);
  }
  assert.equal(foundations.size, made.iceCandidates.length, 'one foundation an address');
  assert.ok(['auto', 'client', 'server'].includes(made.dtlsParameters.role));
  for (const { algorithm, value } of made.dtlsParameters.fingerprints) {
    assert.match(algorithm, /^sha-(256|384|512)$/);
    assert.match(value, /^[0-9A-F]{2}(:[0-9A-F]{2})+$/);
  }
  const second = await client.request('createTransport', { id: 2, dtlsParameters: dtls('server') });
  assert.notEqual(second.iceParameters.usernameFragment, usernameFragment);
  assert.notEqual(second.iceParameters.password, password);
  await client.quiet();
  client.drop();
});

test('a transport that contradicts itself is refused, its id stays free', async () => {
  const client = await Client.join(server, newRoom(), 'a');
  const fingerprints = [{ algorithm: 'sha-256', value: 'AB' }];
  for (const [field, data] of Object.entries({
    id: {},
    'id ': { id: '1' },
    'id  ': { id: -1 },
    'id   ': { id: 1.5 },
    'id    ': { id: 2 ** 32 },
    options: { id: 1, options: 'none' },
    udp: { id: 1, options: { udp: 'yes' } },
    direction: { id: 1, direction: 'both' },
    'direction ': { id: 1, direction: 1 },
    dtlsParameters: { id: 1, dtlsParameters: [] },
    role: { id: 1, dtlsParameters: { ...dtls(), role: 'boss' } },
    fingerprints: { id: 1, dtlsParameters: { role: 'auto' } },
    'fingerprints ': { id: 1, dtlsParameters: { role: 'auto', fingerprints: [] } },
    value: { id: 1, dtlsParameters: { role: 'auto', fingerprints } },
    'fingerprint ': {
      id: 1,
      dtlsParameters: { role: 'auto', fingerprints: [{ algorithm: 'md5', value: 'AB:CD' }] },
    },
    appData: { id: 1, appData: 'x'.repeat(16 * 1024) },
  })) {
    const reason = await client.refused(400, 'createTransport', data);
    assert.ok(reason.includes(field.trim()), `"${reason}" names ${field}`);
  }
  await client.request('createTransport', { id: 1 });
  client.drop();
});

test('an id in use is refused, and free again after closeTransport', async () => {
  const [client, other] = await pair();
  await client.request('createTransport', { id: 7 });
  await client.refused(409, 'createTransport', { id: 7 });
  await other.request('createTransport', { id: 7 });
  await client.notify('closeTransport', { id: 7, appData: 1 });
  await client.notify('closeTransport', { id: 7 });
  await client.request('createTransport', { id: 7 });
  await client.request('createTransport', { id: 2 ** 32 - 1 });
  await client.request('createTransport', { id: 0 });
  await other.quiet();
  for (const peer of [client, other]) peer.drop();
});

test('updateTransport: wrong or unknown ones are ignored and harm nothing', async () => {
  const [client, other] = await pair();
  await client.request('createTransport', { id: 1 });
  await client.request('createReceiver', audio(2, 1));
  await other.next('newSender');
  for (const data of [
    undefined, {}, { id: 99, dtlsParameters: dtls() }, { id: 1 }, { id: 1, dtlsParameters: 5 },
    { id: 1, dtlsParameters: { role: 'boss', fingerprints: [] } }, { id: 'one' },
    { id: 1, dtlsParameters: dtls() }, { id: 1, dtlsParameters: dtls() },
    { id: 1, dtlsParameters: { role: 'client', fingerprints: otherFingerprints() } },
  ]) {
    await client.notify('updateTransport', data);
  }
  await client.quiet();
  await other.quiet();
  await client.request('pauseReceiver', { id: 2 });
  await other.next('senderPaused');
  for (const peer of [client, other]) peer.drop();
});

test('closeTransport closes its Receivers for the others and nothing else', async () => {
  const [client, other] = await pair();
  await sendTransport(client, 1);
  await sendTransport(client, 2);
  await client.request('createReceiver', audio(10, 1));
  await client.request('createReceiver', video(11, 1));
  await client.request('createReceiver', audio(12, 2));
  for (let i = 0; i < 3; i += 1) await other.next('newSender');
  await client.notify('closeTransport', { id: 1, appData: 'gone' });
  const closed = [await other.next('senderClosed'), await other.next('senderClosed')];
  closed.sort((a, b) => a.id - b.id);
  assert.deepEqual(closed, [1, 2].map((id) => ({
    method: 'senderClosed', notification: true, id, peerName: 'client', appData: 'gone',
  })));
  await client.refused(404, 'pauseReceiver', { id: 10 });
  await client.refused(404, 'createReceiver', audio(13, 1));
  await client.request('pauseReceiver', { id: 12 });
  assert.equal((await other.next('senderPaused')).id, 3);
  await client.request('createReceiver', audio(10, 2, { rtpParameters: audio(99).rtpParameters }));
  assert.equal((await other.next('newSender')).id, 4, 'an id of a Sender is never used again');
  for (const peer of [client, other]) peer.drop();
});

test('transportState is told to whom asked for it, and to nobody else', async () => {
  const room = newRoom();
  for (const notify of [['transportState'], ['somethingOfTheFuture'], undefined]) {
    const client = await Client.join(server, room, 'client', { notify });
    const transport = await client.request('createTransport', { id: 1, dtlsParameters: dtls() });
    await check(transport);
    if (notify?.includes('transportState')) {
      assert.deepEqual(await client.next('transportState'), {
        method: 'transportState', notification: true, id: 1, ice: 'connected', dtls: 'new',
      });
    }
    await check(transport);
    await client.quiet();
    client.drop();
  }
});

test('restartTransport gives new credentials; the old ones hold until they are used', async () => {
  const [client, other] = await pair();
  const old = await client.request('createTransport', { id: 1, dtlsParameters: dtls() });
  await check(old);
  const restarted = await client.request('restartTransport', { id: 1 });
  assert.deepEqual(Object.keys(restarted), ['iceParameters']);
  const { usernameFragment, password, iceLite } = restarted.iceParameters;
  assert.match(usernameFragment, /^[A-Za-z0-9+/]{4,256}$/);
  assert.match(password, /^[A-Za-z0-9+/]{22,256}$/);
  assert.equal(iceLite, true);
  assert.notEqual(usernameFragment, old.iceParameters.usernameFragment);
  assert.notEqual(password, old.iceParameters.password);
  await check(old);
  await check({ ...old, ...restarted });
  await assert.rejects(check(old, 300), /no answer/);
  await check({ ...old, ...restarted });
  await client.quiet();
  await other.quiet();
  for (const peer of [client, other]) peer.drop();
});

test('restartTransport of no transport of this peer', async () => {
  const [client, other] = await pair();
  await other.request('createTransport', { id: 1 });
  assert.match(await client.refused(404, 'restartTransport', { id: 1 }), /no such transport: 1/);
  await client.request('createTransport', { id: 2 });
  await client.notify('closeTransport', { id: 2 });
  await client.refused(404, 'restartTransport', { id: 2 });
  for (const data of [undefined, {}, { id: '1' }, { id: -1 }]) {
    await client.refused(400, 'restartTransport', data);
  }
  for (const peer of [client, other]) peer.drop();
});

test('the seventeenth transport is one too many', async () => {
  const client = await Client.join(server, newRoom(), 'a');
  for (let id = 0; id < 16; id += 1) await client.request('createTransport', { id });
  assert.match(await client.refused(429, 'createTransport', { id: 16 }), /transport/);
  await client.notify('closeTransport', { id: 3 });
  await client.request('createTransport', { id: 16 });
  client.drop();
});

/** Two peers in a room of their own, the first called 'client'; nothing is left to hear. */
async function pair() {
  const room = newRoom();
  const other = await Client.join(server, room, 'other');
  const client = await Client.join(server, room, 'client');
  await other.next('newPeer');
  return [client, other];
}

function otherFingerprints() {
  return [{ algorithm: 'sha-256', value: Array(32).fill('00').join(':') }];
}
