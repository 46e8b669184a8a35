// One ICE connectivity check (RFC 8445 §7.2), as far as an ICE-lite server wants it, over Node's
// own sockets: enough to get a transport's ICE connected without a browser.

import { createHmac, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { within } from './expect.mjs';

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const COOKIE = 0x2112a442;
const [USERNAME, MESSAGE_INTEGRITY, PRIORITY, USE_CANDIDATE, ICE_CONTROLLING] = [
  0x0006, 0x0008, 0x0024, 0x0025, 0x802a,
];
const HEADER_LENGTH = 20;
const INTEGRITY_LENGTH = 24;

/**
 * Sends a nominating check to the transport's last candidate; fails unless it succeeds.
 *
 * @param {object} transport - the answer to createTransport.
 * @param {number} [timeout] - milliseconds.
 */
export async function check({ iceParameters, iceCandidates }, timeout) {
  const { usernameFragment, password } = iceParameters;
  const { ip, port } = iceCandidates.filter(({ ip }) => !ip.includes(':')).at(-1);
  const socket = dgram.createSocket('udp4');
  try {
    socket.send(request(`${usernameFragment}:node`, password), port, ip);
    const [answer] = await within('answer to the check', once(socket, 'message'), timeout);
    if (answer.readUInt16BE(0) !== BINDING_SUCCESS) throw new Error('the check was refused');
  } finally {
    socket.close();
  }
}

function request(username, password) {
  const attributes = Buffer.concat([
    attribute(USERNAME, Buffer.from(username)),
    attribute(PRIORITY, Buffer.of(0x6e, 0, 0, 1)),
    attribute(ICE_CONTROLLING, randomBytes(8)),
    attribute(USE_CANDIDATE, Buffer.alloc(0)),
  ]);
  const header = Buffer.alloc(HEADER_LENGTH);
  header.writeUInt16BE(BINDING_REQUEST, 0);
  // RFC 8489 §14.5: the length that is hashed counts the attribute that will hold the hash.
  header.writeUInt16BE(attributes.length + INTEGRITY_LENGTH, 2);
  header.writeUInt32BE(COOKIE, 4);
  randomBytes(12).copy(header, 8);
  const text = Buffer.concat([header, attributes]);
  const integrity = createHmac('sha1', password).update(text).digest();
  return Buffer.concat([text, attribute(MESSAGE_INTEGRITY, integrity)]);
}

function attribute(type, value) {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value, Buffer.alloc(-value.length & 3)]);
}
