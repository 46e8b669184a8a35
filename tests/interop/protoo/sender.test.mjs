// PROTOCOL section 4: what the server sends. enableSender and the transport it chooses, playSender,
// stopSender. Which transport was chosen shows when it is closed: the Sender is then announced
// again, not enabled.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Client, newRoom } from '../lib/client.mjs';
import { audio, dtls, sendTransport, video } from '../lib/examples.mjs';
import { Server } from '../lib/server.mjs';

const RTX = { rtpSettings: { useRtx: true } };
let server;
before(async () => { server = await Server.start(); });
after(() => server.stop());

test('enable, stop, play: one state after another', async () => {
  const [alice, bob] = await call();
  for (const method of ['playSender', 'stopSender', 'requestKeyFrame']) {
    await bob.refused(409, method, { id: 1 });
  }
  await bob.request('createTransport', { id: 5, options: {} });
  assert.deepEqual(await bob.request('enableSender', { id: 1, ...RTX }), {});
  await bob.refused(409, 'enableSender', { id: 1, ...RTX });
  assert.deepEqual(await bob.request('enableSender', { id: 2 }), {}, 'useRtx may be absent');
  for (const method of ['playSender', 'stopSender', 'stopSender', 'playSender', 'playSender']) {
    assert.deepEqual(await bob.request(method, { id: 1, appData: 'a' }), {});
  }
  assert.deepEqual(await bob.request('requestKeyFrame', { id: 2 }), {});
  await bob.refused(404, 'requestKeyFrame', { id: 3 });
  await alice.quiet();
  await bob.quiet();
  for (const peer of [alice, bob]) peer.drop();
});

test('wrong data is refused and the Sender stays announced', async () => {
  const [alice, bob] = await call();
  await bob.request('createTransport', { id: 5, direction: 'recv' });
  for (const data of [
    {}, { id: '1' }, { id: 1, rtpSettings: true }, { id: 1, rtpSettings: { useRtx: 'yes' } },
    { id: 1, transportId: '5' },
  ]) {
    await bob.refused(400, 'enableSender', data);
  }
  await bob.refused(404, 'enableSender', { id: 1, transportId: 6 });
  await bob.refused(409, 'playSender', { id: 1 });
  await bob.request('enableSender', { id: 1, transportId: 5 });
  for (const peer of [alice, bob]) peer.drop();
});

test('nobody enables what is announced to somebody else', async () => {
  const [alice, bob] = await call();
  await alice.request('createTransport', { id: 5, direction: 'recv' });
  await alice.refused(404, 'enableSender', { id: 1, ...RTX });
  for (const peer of [alice, bob]) peer.drop();
});

// Each row: bob's transports in the order he makes them, and which one carries Sender 1. The first
// rule that finds one decides.
const CHOICES = [
  ['the newest made to receive', 2, [
    { id: 1, direction: 'recv' }, { id: 2, direction: 'recv' }, { id: 3 },
    { id: 4, direction: 'send', dtlsParameters: dtls() },
  ]],
  ['the newest without dtlsParameters', 2, [
    { id: 1 }, { id: 2 }, { id: 3, dtlsParameters: dtls() }, { id: 4, direction: 'send' },
  ]],
  ['the newest that carries no Receiver', 2, [
    { id: 1, dtlsParameters: dtls() }, { id: 2, dtlsParameters: dtls() },
    { id: 3, dtlsParameters: dtls(), receiver: true },
    { id: 4, direction: 'send', dtlsParameters: dtls() },
  ]],
  ['the one it names, before all rules', 1, [
    { id: 1, dtlsParameters: dtls() }, { id: 2, direction: 'recv' },
  ], { transportId: 1 }],
  ['the next one after the newest was closed', 1, [
    { id: 1, direction: 'recv' }, { id: 2, direction: 'recv', closed: true },
  ]],
];

for (const [what, chosen, transports, more] of CHOICES) {
  test(`a Sender goes onto ${what}`, async () => {
    const [alice, bob] = await call();
    for (const { receiver, closed, ...data } of transports) {
      await bob.request('createTransport', data);
      if (receiver) await bob.request('createReceiver', audio(70, data.id));
      if (closed) await bob.notify('closeTransport', { id: data.id });
    }
    await bob.request('enableSender', { id: 1, ...RTX, ...more });
    for (const { id } of transports.filter((transport) => transport.id !== chosen)) {
      await bob.notify('closeTransport', { id });
      await bob.request('playSender', { id: 1 });
    }
    await bob.notify('closeTransport', { id: chosen });
    await bob.refused(409, 'playSender', { id: 1 });
    for (const peer of [alice, bob]) peer.drop();
  });
}

test('no transport to send on', async () => {
  const [alice, bob] = await call();
  assert.match(await bob.refused(409, 'enableSender', { id: 1, ...RTX }), /no transport/);
  await bob.request('createTransport', { id: 1, direction: 'send' });
  await bob.refused(409, 'enableSender', { id: 1, ...RTX });
  await bob.refused(409, 'enableSender', { id: 1, transportId: 1 });
  await sendTransport(bob, 2);
  await bob.request('createReceiver', audio(70, 2));
  await bob.refused(409, 'enableSender', { id: 1, ...RTX });
  await bob.refused(409, 'playSender', { id: 1 });
  for (const peer of [alice, bob]) peer.drop();
});

test('after closeTransport its Senders may be enabled on another one', async () => {
  const [alice, bob] = await call();
  await bob.request('createTransport', { id: 1, direction: 'recv' });
  for (const id of [1, 2]) await bob.request('enableSender', { id, ...RTX });
  await bob.request('stopSender', { id: 2 });
  await bob.notify('closeTransport', { id: 1 });
  for (const id of [1, 2]) await bob.refused(409, 'stopSender', { id });
  await bob.request('createTransport', { id: 1, direction: 'recv' });
  for (const id of [1, 2]) await bob.request('enableSender', { id, ...RTX });
  await bob.quiet();
  await alice.quiet();
  for (const peer of [alice, bob]) peer.drop();
});

test('a Sender ends with its source, enabled or not', async () => {
  const [alice, bob] = await call();
  await bob.request('createTransport', { id: 1, direction: 'recv' });
  await bob.request('enableSender', { id: 1, ...RTX });
  await alice.notify('closeReceiver', { id: 2 });
  await alice.notify('closeReceiver', { id: 3 });
  assert.equal((await bob.next('senderClosed')).id, 1);
  assert.equal((await bob.next('senderClosed')).id, 2);
  for (const method of ['enableSender', 'playSender', 'stopSender']) {
    for (const id of [1, 2]) await bob.refused(404, method, { id });
  }
  for (const peer of [alice, bob]) peer.drop();
});

test('a client of the seed hears nothing but the seed', async () => {
  const [alice, bob] = await call();
  await bob.request('createTransport', { id: 1, options: {} });
  await bob.request('enableSender', { id: 1, ...RTX });
  await bob.notify('updateTransport', { id: 1, dtlsParameters: dtls() });
  await bob.notify('closeTransport', { id: 1 });
  await bob.quiet();
  await alice.quiet();
  for (const peer of [alice, bob]) peer.drop();
});

/** Alice sends audio and video; Bob has Senders 1 and 2 announced. */
async function call() {
  const room = newRoom();
  const bob = await Client.join(server, room, 'bob');
  const alice = await Client.join(server, room, 'alice');
  await sendTransport(alice);
  await alice.request('createReceiver', audio(2, 1));
  await alice.request('createReceiver', video(3, 1));
  await bob.next('newPeer');
  assert.equal((await bob.next('newSender')).id, 1);
  assert.equal((await bob.next('newSender')).id, 2);
  return [alice, bob];
}
