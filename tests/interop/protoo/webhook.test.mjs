// What an operator's web server hears, verified by the library of Standard Webhooks.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';
import { Client, newRoom } from '../lib/client.mjs';
import { until } from '../lib/expect.mjs';
import { Server } from '../lib/server.mjs';

const secret = randomBytes(32).toString('base64');
const events = [];
let folder;
let hook;
let last;
let server;

before(async () => {
  hook = createServer(async (request, response) => {
    const body = (await request.setEncoding('utf8').toArray()).join('');
    last = { body, headers: request.headers };
    events.push(...new Webhook(secret).verify(body, request.headers).events);
    response.end('thanks');
  });
  hook.listen(0, '127.0.0.1');
  await once(hook, 'listening');
  folder = await mkdtemp(join(tmpdir(), 'corinth-webhook-'));
  const file = join(folder, 'secret');
  await writeFile(file, `${secret}\n`, { mode: 0o600 });
  const url = `http://127.0.0.1:${hook.address().port}/`;
  server = await Server.start('--webhook', url, '--webhook-secret', file);
});

after(async () => {
  await server?.stop();
  hook?.close();
  await rm(folder, { recursive: true, force: true });
});

test('the library of Standard Webhooks takes what is told, and nothing changed', async () => {
  const room = newRoom();
  const ada = await Client.join(server, room, 'ada');
  ada.drop();
  await until('the room has ended', async () => events.some(({ type }) => type === 'roomEnded'));
  assert.deepEqual(events.map(({ type, room: of, peer }) => ({ type, of, peer })), [
    { type: 'roomStarted', of: room, peer: undefined },
    { type: 'peerJoined', of: room, peer: 'ada' },
    { type: 'peerLeft', of: room, peer: 'ada' },
    { type: 'roomEnded', of: room, peer: undefined },
  ]);
  const forged = last.body.replace(room, newRoom());
  assert.throws(() => new Webhook(secret).verify(forged, last.headers), WebhookVerificationError);
});
