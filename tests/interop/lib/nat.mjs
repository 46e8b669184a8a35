// A box between browsers and the server's media ports: it translates addresses as a NAT does, and
// can forget its mappings, let nothing back in, lose some of it, be narrow, or take its time. Pages
// are led to it by what they are told in the server's descriptions (`nat.script`); the server knows
// nothing of it.

import dgram from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';

/** This machine's own address; Firefox sends no media to loopback, nor from there. */
const ADDRESS = Object.values(networkInterfaces()).flat()
  .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;

/** How long a queue is in front of what is narrow. */
const QUEUE_MS = 300;

/** How far the box's ports are above the server's. */
const ABOVE = 100;

export class Nat {
  /** Whether what the server sends is thrown away. */
  deaf = false;
  /** Milliseconds that a datagram takes, each way. */
  delay = 0;
  /** Whether the next datagram from a page, or to one, is lost: functions that say so. */
  loses = { up: () => false, down: () => false };
  /** Bits a second that it lets pass from pages, 0: all; what would wait for longer is lost. */
  rate = 0;
  /** When what waits for that has gone. */
  #freeAt = 0;
  /** What the server is to be started with. */
  options;
  #mappings = new Map();
  #sockets = new Set();

  /** In front of these UDP ports, one after the other, one for each shard. */
  static async open(ports) {
    const nat = new Nat();
    nat.options = [
      '--media-address', ADDRESS, '--media-port', String(ports[0]), '--shards', `${ports.length}`,
    ];
    for (const port of ports) {
      const inside = await nat.#bind(port + ABOVE);
      inside.on('message', (bytes, from) => nat.#pass(inside, port, bytes, from));
    }
    return nat;
  }

  /** What makes a page take its way through the box; to be run there before its own. */
  get script() {
    return `{
      const native = RTCPeerConnection.prototype.setRemoteDescription;
      const above = (_, port) => \` \${Number(port) + ${ABOVE}} typ \`;
      RTCPeerConnection.prototype.setRemoteDescription = function through({ type, sdp }) {
        return native.call(this, { type, sdp: sdp.replace(/(?<=udp.*) (\\d+) typ /gi, above) });
      };
    }`;
  }

  /** From now on every client comes from another port, and what goes to the old one is lost. */
  forget() {
    for (const mapping of this.#mappings.values()) mapping.forgotten = true;
    this.#mappings.clear();
  }

  close() {
    for (const socket of this.#sockets) socket.close();
    this.#sockets.clear();
  }

  async #pass(inside, port, bytes, from) {
    const key = `${from.address}:${from.port} ${port}`;
    let mapping = this.#mappings.get(key);
    if (!mapping) {
      mapping = { forgotten: false };
      this.#mappings.set(key, mapping);
      mapping.outside = this.#bind(0).then((socket) => socket.on('message', (answer) => {
        if (mapping.forgotten || this.deaf || this.loses.down()) return;
        this.#later(() => inside.send(answer, from.port, from.address));
      }));
    }
    const outside = await mapping.outside;
    const waits = this.#queue(bytes.length);
    if (this.loses.up() || waits > QUEUE_MS) return;
    this.#later(() => outside.send(bytes, port, ADDRESS), waits);
  }

  /** Milliseconds that so many bytes wait for what is before them. */
  #queue(bytes) {
    if (this.rate === 0) return 0;
    const now = performance.now();
    const starts = Math.max(this.#freeAt, now);
    if (starts - now <= QUEUE_MS) this.#freeAt = starts + (8000 * bytes) / this.rate;
    return starts - now;
  }

  #later(send, waits = 0) {
    const time = this.delay + waits;
    if (time === 0) send();
    else setTimeout(() => { if (this.#sockets.size > 0) send(); }, time);
  }

  async #bind(port) {
    const socket = dgram.createSocket('udp4');
    // What is under way as the box goes is lost.
    socket.on('error', () => {});
    socket.bind(port, ADDRESS);
    await once(socket, 'listening');
    this.#sockets.add(socket);
    return socket;
  }
}

/** Loses this share, each datagram by itself; from a seed. */
export function losing(share, seed = 1) {
  const random = randomFrom(seed);
  return () => random() < share;
}

/** Loses this share, so many in a row on average (Gilbert's model); from a seed. */
export function losingBursts(share, length, seed = 1) {
  const random = randomFrom(seed);
  let bad = false;
  return () => {
    const turns = bad ? 1 / length : share / (length * (1 - share));
    if (random() < turns) bad = !bad;
    return bad;
  };
}

/** Numbers from 0 to 1, the same for the same seed (Marsaglia's xorshift). */
function randomFrom(seed) {
  let state = (seed * 2654435769) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}
