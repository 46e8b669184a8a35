// The signaling connection over a WebSocket that the test plays.

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { ClosedError, Protoo, RequestError, TimeoutError } from '../protoo.js';

/** The last one made, with what was sent on it. */
let socket;
class FakeWebSocket {
  sent = [];
  closed = null;

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    socket = this;
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(...args) {
    this.closed = args;
  }

  says(message) {
    this.onmessage({ data: typeof message === 'string' ? message : JSON.stringify(message) });
  }
}

async function open(options) {
  const opening = Protoo.open('ws://server/ws', { WebSocket: FakeWebSocket, ...options });
  socket.onopen();
  return opening;
}

test('opens with the subprotocol', async () => {
  await open();
  assert.equal(socket.url, 'ws://server/ws');
  assert.equal(socket.protocol, 'protoo');
});

test('a server that is not there, or that refuses', async () => {
  const opening = Protoo.open('ws://server/ws', { WebSocket: FakeWebSocket });
  socket.onclose({ code: 1006, reason: '' });
  await assert.rejects(opening, { name: 'ClosedError', code: 'unreachable', closeCode: 1006 });
});

test('responses find their requests, in any order', async () => {
  const protoo = await open();
  const [first, second] = [protoo.request('join', { appData: 1 }), protoo.request('leave')];
  assert.deepEqual(socket.sent, [
    { request: true, id: 1, method: 'join', data: { appData: 1 } },
    { request: true, id: 2, method: 'leave', data: {} },
  ]);
  socket.says({ response: true, id: 2, ok: true, data: 'b' });
  socket.says({ response: true, id: 1, ok: true, data: 'a' });
  assert.deepEqual([await first, await second], ['a', 'b']);
});

test('a refusal carries code, method and reason', async () => {
  const protoo = await open();
  const request = protoo.request('enableSender', { id: 7 });
  socket.says({ response: true, id: 1, ok: false, errorCode: 404, errorReason: 'no sender: 7' });
  await assert.rejects(request, (error) => {
    assert.ok(error instanceof RequestError);
    assert.deepEqual([error.code, error.method, error.message],
      [404, 'enableSender', 'no sender: 7']);
    return true;
  });
});

test('notifications both ways', async () => {
  const protoo = await open();
  const seen = [];
  protoo.onnotification = (...said) => seen.push(said);
  socket.says({ notification: true, method: 'peerLeft', data: { name: 'ada' } });
  socket.says({ notification: true, method: 'bare' });
  assert.deepEqual(seen, [['peerLeft', { name: 'ada' }], ['bare', {}]]);
  protoo.notify('closeTransport', { id: 1 });
  assert.deepEqual(socket.sent, [
    { notification: true, method: 'closeTransport', data: { id: 1 } },
  ]);
});

test('what it cannot read is passed over', async () => {
  const protoo = await open();
  protoo.onnotification = () => assert.fail();
  const unknown = '{"response":true,"id":99,"ok":true}';
  for (const said of ['{', 'null', '17', unknown, '{"request":true}']) socket.says(said);
  const request = protoo.request('join');
  socket.says({ response: true, id: 1, ok: true });
  assert.deepEqual(await request, {});
});

test('the end ends what is waiting, and says why', async () => {
  const protoo = await open();
  const ends = [];
  protoo.onclose = (...end) => ends.push(end);
  const request = protoo.request('join');
  socket.onclose({ code: 4000, reason: 'replaced' });
  await assert.rejects(request, { name: 'ClosedError', closeCode: 4000, reason: 'replaced' });
  await assert.rejects(protoo.request('join'), ClosedError);
  protoo.notify('leave');
  protoo.close();
  assert.deepEqual(ends, [[4000, 'replaced']]);
  assert.equal(socket.sent.length, 1);
});

test('closing is at once, also for what is waiting', async () => {
  const protoo = await open();
  const ends = [];
  protoo.onclose = (...end) => ends.push(end);
  const request = protoo.request('join');
  protoo.close(4000, 'left');
  assert.deepEqual(socket.closed, [4000, 'left']);
  assert.deepEqual(ends, [[4000, 'left']]);
  await assert.rejects(request, ClosedError);
});

test('no answer in time', async (t) => {
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const protoo = await open({ timeout: 1000 });
  const request = protoo.request('join');
  mock.timers.tick(1000);
  await assert.rejects(request, { name: 'TimeoutError', code: 'timeout' });
  socket.says({ response: true, id: 1, ok: true }); // Late: nobody is there any more.
  const opening = Protoo.open('ws://server/ws', { WebSocket: FakeWebSocket, timeout: 1000 });
  mock.timers.tick(1000);
  await assert.rejects(opening, TimeoutError);
  assert.ok(socket.closed);
});

test('a thousand requests at once go out in order, at the pace of a server', async (t) => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  t.after(() => mock.timers.reset());
  const protoo = await open();
  const answers = Array.from({ length: 1000 }, (_, i) => protoo.request('enableSender', { id: i }));
  // As the server counts: so many at once, and a hundred a second, for each tenth of a second.
  let answered = 0;
  for (let tenths = 0; tenths < 90; tenths += 1) {
    assert.ok(socket.sent.length <= 400 + 10 * tenths, `${socket.sent.length} at ${tenths}`);
    for (; answered < socket.sent.length; answered += 1) {
      assert.equal(socket.sent[answered].data.id, answered);
      socket.says({ response: true, id: socket.sent[answered].id, ok: true });
    }
    mock.timers.tick(100);
  }
  // The time for an answer begins when it is asked for.
  assert.equal((await Promise.all(answers)).length, 1000);
});

test('what waits for its turn ends with the connection', async () => {
  const protoo = await open();
  const answers = Array.from({ length: 400 }, () => protoo.request('enableSender'));
  protoo.notify('leave');
  protoo.close();
  assert.equal(socket.sent.at(-1).method, 'leave');
  for (const answer of answers) await assert.rejects(answer, ClosedError);
});
