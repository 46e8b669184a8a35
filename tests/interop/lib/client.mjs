// Two clients of the signaling protocol: npm's protoo-client as it is, and a bare WebSocket for
// what protoo-client would never send.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { randomBytes } from 'node:crypto';
import protoo from 'protoo-client';
import WebSocket from 'ws';
import { within } from './expect.mjs';

/** A room name nobody else uses; different ones land on different shards. */
export function newRoom() {
  return `room-${randomBytes(6).toString('hex')}`;
}

/** npm protoo-client, unchanged, with what it heard kept in order. */
export class Client {
  /** The `data` of the notifications not yet taken by `next`. */
  heard = [];
  #peer;
  #wake = () => {};

  /** Connects without joining. */
  static async open(server, roomId, peerName) {
    const url = server.socketUrl({ roomId, peerName });
    const client = new Client(new protoo.WebSocketTransport(url, { retry: { retries: 0 } }));
    await within(`connection of ${peerName}`, client.opened);
    return client;
  }

  /** Connects and joins; `joined` holds the response. */
  static async join(server, roomId, peerName, data = {}) {
    const client = await Client.open(server, roomId, peerName);
    client.joined = await client.request('join', data);
    return client;
  }

  constructor(transport) {
    this.#peer = new protoo.Peer(transport);
    this.opened = once(this.#peer, 'open');
    /** Resolves with 'close' (final, code 4000) or 'disconnected' (any other code). */
    this.ended = new Promise((resolve) => {
      this.#peer.once('close', () => resolve('close'));
      this.#peer.once('disconnected', () => {
        resolve('disconnected');
        this.#peer.close();
      });
    });
    this.#peer.on('notification', ({ method, data }) => {
      assert.equal(data.method, method, 'data carries the method');
      assert.equal(data.notification, true, 'data says that it is a notification');
      this.heard.push(data);
      this.#wake();
    });
  }

  request(method, data) {
    return this.#peer.request(method, data);
  }

  /** Asserts that the request is refused with `code`; returns the reason. */
  async refused(code, method, data) {
    try {
      const answer = await this.#peer.request(method, data);
      assert.fail(`${method} ${brief(data)}: wanted ${code}, got ok ${brief(answer)}`);
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      assert.equal(error.code, code, `${method} ${brief(data)}: ${error.message}`);
      assert.ok(error.message.length > 0, 'errorReason says something');
      return error.message;
    }
  }

  notify(method, data) {
    return this.#peer.notify(method, data);
  }

  /** The next notification, which must be a `method`: the seed's object whole. */
  async next(method) {
    if (this.heard.length === 0) {
      await within(`notification ${method}`, new Promise((resolve) => { this.#wake = resolve; }));
    }
    const data = this.heard.shift();
    assert.equal(data.method, method, `wanted ${method}, heard ${brief(data)}`);
    return data;
  }

  /** A round trip: whatever the server had to say before it has been heard after it. */
  async sync() {
    await this.refused(404, 'nothingOfThisName', {});
  }

  /** Asserts that there is nothing to hear. */
  async quiet() {
    await this.sync();
    assert.deepEqual(this.heard, []);
  }

  /** Closes the WebSocket without a word of the protocol. */
  drop() {
    this.#peer.close();
  }
}

/** A WebSocket that sends what it is told to. */
export class Raw {
  /** Text of each frame received. */
  frames = [];
  /** Text of the frame that `next` took last. */
  last = '';
  #socket;
  #wake = () => {};

  static async open(server, roomId, peerName, protocols = ['protoo'], options = {}) {
    const raw = new Raw(server.socketUrl({ roomId, peerName }), protocols, options);
    await within('connection', raw.opened);
    return raw;
  }

  constructor(url, protocols, options) {
    this.#socket = new WebSocket(url, protocols, options);
    this.opened = once(this.#socket, 'open');
    this.opened.catch(() => {});
    /** Resolves with how the server closed. */
    this.closed = new Promise((resolve) => {
      this.#socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
    this.#socket.on('error', () => {});
    this.#socket.on('message', (text) => {
      this.frames.push(String(text));
      this.#wake();
    });
  }

  get protocol() {
    return this.#socket.protocol;
  }

  /** Sends bytes or a string as one text frame, whatever is in it. */
  text(bytes) {
    this.#socket.send(bytes, { binary: false });
  }

  json(value) {
    this.text(JSON.stringify(value));
  }

  binary(bytes) {
    this.#socket.send(bytes, { binary: true });
  }

  /** Sends one text message in several frames, with a ping between them. */
  fragments(...parts) {
    parts.forEach((part, i) => {
      this.#socket.send(part, { binary: false, fin: i === parts.length - 1 });
      if (i === 0) this.#socket.ping();
    });
  }

  /** Resolves with the payload of the pong that answers this ping. */
  async ping(payload) {
    const pong = once(this.#socket, 'pong');
    this.#socket.ping(payload);
    return String((await within('pong', pong))[0]);
  }

  /** Stops reading, as a client does that hangs. */
  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  /** Takes the next frame, parsed. */
  async next() {
    if (this.frames.length === 0) {
      await within('frame', new Promise((resolve) => { this.#wake = resolve; }));
    }
    this.last = this.frames.shift();
    return JSON.parse(this.last);
  }

  /** Sends a request and takes its response, which must be the next frame. */
  async request(id, method, data) {
    this.json({ request: true, id, method, data });
    const answer = await this.next();
    assert.equal(answer.response, true);
    assert.equal(answer.id, id);
    return answer;
  }

  async closedWith(code) {
    const how = await within(`close with ${code}`, this.closed);
    assert.equal(how.code, code, how.reason);
    return how.reason;
  }

  close() {
    this.#socket.terminate();
  }
}

function brief(value) {
  return (JSON.stringify(value) ?? '').slice(0, 200);
}
