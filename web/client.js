// The client of a corinth server, for browsers: a room, what this page sends into it (LocalSource)
// and what the others send (RemoteSender). "Sender" and "Receiver" are the server's ends: a source
// that we send is a Receiver there, what we receive comes from a Sender.
//
//   const room = await Room.join({ roomId: 'canal', peerName: 'ada' });
//   const microphone = await room.send(track);
//   room.addEventListener('senderadded', async ({ detail: { sender } }) => {
//     show(await room.receive(sender));
//   });

import { CorinthError, FINAL_CLOSE, Protoo } from './protoo.js';
import { RecvTransport, RemoteSender } from './recv.js';
import { decodable } from './sdp.js';
import { LocalSource, SendTransport } from './send.js';
import { Ids } from './transport.js';

export { ClosedError, CorinthError, FINAL_CLOSE, RequestError, TimeoutError } from './protoo.js';
export { LocalSource, RemoteSender };

/**
 * @typedef {import('./transport.js').State} State
 *
 * @typedef {object} Peer  Someone else in the room.
 * @property {string} name
 * @property {any} appData  What their app gave when they joined.
 * @property {Map<number, RemoteSender>} senders  By id.
 *
 * @typedef {object} Connection
 * @property {State} signaling
 * @property {State} send
 * @property {State} recv
 * @property {State} overall  The worst of the others.
 *
 * @typedef {object} Stats
 * @property {RTCStatsReport | null} send  The browser's; null before the first source.
 * @property {RTCStatsReport | null} recv  The browser's; null before the first one received.
 * @property {{transports: object[], receivers: object[], senders: object[]}} server  What it
 *   counts: of our transports, of our sources, of what we receive; by the SSRCs of the browser's.
 *
 * @typedef {object} JoinOptions
 * @property {string} roomId
 * @property {string} peerName  Unique in the room: who joins under a name replaces its bearer.
 * @property {string | URL} [url]  Of the server's signaling; default: `/ws` where the page is from.
 * @property {string} [token]  For servers that ask for one.
 * @property {any} [appData]  JSON for the other peers, at most 16 KiB.
 * @property {number} [timeout]  Milliseconds to wait for each answer of the server.
 *
 * @typedef {object} SendOptions
 * @property {any} [appData]  JSON for the other peers: `{ screen: true }`.
 * @property {string} [codec]  Such as `'VP9'`; default: the server's first that the browser has.
 * @property {boolean} [redundancy]  Audio with copies of earlier packets (RED). Peers whose browser
 *   cannot decode it, such as Firefox, then do not get this source at all.
 * @property {boolean} [paused]  Whether it starts paused.
 */

/**
 * One call. Events, each a `CustomEvent` with this `detail`:
 *
 * | event | detail |
 * | --- | --- |
 * | `peerjoined` | `{ peer }` |
 * | `peerleft` | `{ peer, appData }`; their senders are closed, without an event for each |
 * | `senderadded`, `senderclosed` | `{ peer, sender }` |
 * | `senderpaused`, `senderresumed` | `{ peer, sender }`: by the one who sends |
 * | `connectionstate` | {@link Connection} |
 * | `closed` | `{ code, reason }`, once; 4000 is meant to be final, another may be joined again |
 * | `error` | `{ error }`: what went wrong where nobody was waiting for it |
 *
 * Nothing is received by itself: which senders to {@link Room#receive} is the app's choice.
 */
export class Room extends EventTarget {
  /** The others, by name. @type {Map<string, Peer>} */
  peers = new Map();
  /** @type {string} */ roomId;
  /** Our own name. @type {string} */ peerName;

  #signaling;
  #send;
  #recv;
  #closed = false;

  /**
   * Connects and joins.
   *
   * @param {JoinOptions} options
   * @returns {Promise<Room>}
   * @throws {CorinthError} `bad-name`, `unreachable`, `timeout`, or the server's refusal.
   */
  static async join({ roomId, peerName, url, token, appData, timeout }) {
    checkName(roomId, 'The room');
    checkName(peerName, 'Your name');
    const address = signalingUrl(url, { roomId, peerName, token });
    const signaling = await Protoo.open(address, { timeout });
    try {
      const { rtpCapabilities, peers } = await signaling.request('join', {
        appData,
        rtpCapabilities: decodable((kind) => RTCRtpReceiver.getCapabilities(kind)),
        notify: ['transportState'],
      });
      return new Room({ roomId, peerName, signaling, rtpCapabilities, peers });
    } catch (error) {
      signaling.close();
      throw error;
    }
  }

  /** @private Use {@link Room.join}. */
  constructor({ roomId, peerName, signaling, rtpCapabilities, peers }) {
    super();
    Object.assign(this, { roomId, peerName });
    this.#signaling = signaling;
    const link = { signaling, rtpCapabilities, ids: new Ids(), changed: () => this.#changed() };
    this.#send = new SendTransport(link);
    this.#recv = new RecvTransport(link, (error) => this.#emit('error', { error }));
    for (const peer of peers) this.#addPeer(peer);
    signaling.onnotification = (method, data) => this.#notified(method, data);
    signaling.onclose = (code, reason) => this.#end(code, reason);
  }

  /** @returns {Connection} */
  get connection() {
    const signaling = this.#closed ? 'closed' : 'connected';
    const [send, recv] = [this.#send.state, this.#recv.state];
    const overall = STATES.find((state) => [signaling, send, recv].includes(state)) ?? 'connected';
    return { signaling, send, recv, overall };
  }

  /**
   * What goes to and fro, by both sides' count.
   *
   * @returns {Promise<Stats>}
   * @throws {CorinthError} `closed`, or the server's refusal.
   */
  async getStats() {
    const { send, recv } = this.peerConnections;
    const [server, ...ours] = await Promise.all([
      this.#signaling.request('getStats', {}), send?.getStats() ?? null, recv?.getStats() ?? null,
    ]);
    return { send: ours[0], recv: ours[1], server };
  }

  /** To look at with `getStats()`; null before the first source in that direction. */
  get peerConnections() {
    return { send: this.#send.pc, recv: this.#recv.pc };
  }

  /**
   * Sends a track to everyone. The track stays the app's: closing the source does not stop it.
   *
   * @param {MediaStreamTrack} track
   * @param {SendOptions} [options]
   * @returns {Promise<LocalSource>}
   * @throws {CorinthError} `no-codec`, `negotiation`, or the server's refusal.
   */
  send(track, options = {}) {
    return this.#send.send(track, options);
  }

  /**
   * Starts to receive. Called again, it gives the same track.
   *
   * @param {RemoteSender} sender
   * @returns {Promise<MediaStreamTrack>}  Its `readyState` is `'ended'` once the sender is closed.
   * @throws {CorinthError} `no-codec`, `negotiation`, `closed`, or the server's refusal.
   */
  receive(sender) {
    return this.#recv.receive(sender);
  }

  /**
   * Looks for new ways to the server in both directions, as after a change of network. Media keeps
   * to the old ones until there are new ones. Firefox (153) does not come back from `failed` so.
   *
   * @returns {Promise<void>}  Once the browser is looking; `connectionstate` tells what it found.
   * @throws {CorinthError} `negotiation`, `closed`, or the server's refusal.
   */
  async restartIce() {
    await Promise.all([this.#send.restart(), this.#recv.restart()]);
  }

  /** Leaves and closes everything. @param {any} [appData]  For the others' `peerleft`. */
  leave(appData) {
    this.#signaling.notify('leave', { appData });
    this.#signaling.close(FINAL_CLOSE, 'left');
  }

  #notified(method, data) {
    const peer = this.peers.get(data.peerName ?? data.name);
    const sender = peer?.senders.get(data.id);
    switch (method) {
      case 'newPeer':
        return this.#emit('peerjoined', { peer: this.#addPeer(data) });
      case 'transportState':
        return [this.#send, this.#recv].forEach((transport) => transport.serverSays(data));
    }
    if (!peer) return undefined;
    switch (method) {
      case 'peerLeft':
        this.peers.delete(peer.name);
        peer.senders.forEach((each) => this.#closeSender(each));
        return this.#emit('peerleft', { peer, appData: data.appData });
      case 'newSender':
        return this.#emit('senderadded', { peer, sender: this.#addSender(peer, data) });
    }
    if (!sender) return undefined;
    switch (method) {
      case 'senderClosed':
        peer.senders.delete(sender.id);
        this.#closeSender(sender);
        return this.#emit('senderclosed', { peer, sender });
      case 'senderPaused':
      case 'senderResumed':
        sender.paused = method === 'senderPaused';
        return this.#emit(method.toLowerCase(), { peer, sender });
    }
    return undefined;
  }

  #addPeer({ name, appData, senders }) {
    /** @type {Peer} */
    const peer = { name, appData, senders: new Map() };
    this.peers.set(name, peer);
    for (const sender of senders ?? []) this.#addSender(peer, sender);
    return peer;
  }

  #addSender(peer, description) {
    const sender = new RemoteSender(this.#signaling, peer.name, description);
    peer.senders.set(sender.id, sender);
    return sender;
  }

  #closeSender(sender) {
    sender.closed = true;
    this.#recv.forget(sender);
  }

  #changed() {
    if (!this.#closed) this.#emit('connectionstate', this.connection);
  }

  #end(code, reason) {
    this.#closed = true;
    this.#send.close();
    this.#recv.close();
    for (const peer of this.peers.values()) {
      for (const sender of peer.senders.values()) sender.closed = true;
    }
    this.#emit('connectionstate', this.connection);
    this.#emit('closed', { code, reason });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** The worst first. @type {State[]} */
const STATES = ['closed', 'failed', 'disconnected', 'connecting'];

const NAME_MAX_BYTES = 128;

function checkName(name, what) {
  if (typeof name !== 'string' || name === '') {
    throw new CorinthError('bad-name', `${what} is empty.`);
  }
  if (new TextEncoder().encode(name).length > NAME_MAX_BYTES) {
    throw new CorinthError('bad-name', `${what} is too long.`);
  }
  if (/\p{Cc}/u.test(name)) throw new CorinthError('bad-name', `${what} has a control character.`);
}

function signalingUrl(url, query) {
  const address = new URL(url ?? '/ws', globalThis.location?.href);
  address.protocol = address.protocol.replace('http', 'ws');
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined);
  // Not URLSearchParams: it writes a space as "+".
  address.search = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
  return address.href;
}
