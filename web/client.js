// The client of a corinth server, for browsers: a room, what this page sends into it (LocalSource)
// and what the others send (RemoteSender). "Sender" and "Receiver" are the server's ends: a source
// that we send is a Receiver there, what we receive comes from a Sender.
//
//   const room = await Room.join({ roomId: 'canal', peerName: 'ada' });
//   const microphone = await room.send(track);
//   room.addEventListener('senderadded', async ({ detail: { sender } }) => {
//     show(await room.receive(sender));
//   });

import { ClosedError, CorinthError, FINAL_CLOSE, Protoo } from './protoo.js';
import {
  buildAnswer, buildOffer, chooseCodecs, decodable, parseSdp, sourceParameters,
} from './sdp.js';

export { ClosedError, CorinthError, FINAL_CLOSE, RequestError, TimeoutError } from './protoo.js';

/**
 * @typedef {import('./sdp.js').Kind} Kind
 * @typedef {import('./sdp.js').RtpParameters} RtpParameters
 * @typedef {import('./sdp.js').RtpCapabilities} RtpCapabilities
 * @typedef {import('./sdp.js').TransportParameters} TransportParameters
 *
 * @typedef {object} Peer  Someone else in the room.
 * @property {string} name
 * @property {any} appData  What their app gave when they joined.
 * @property {Map<number, RemoteSender>} senders  By id.
 *
 * @typedef {'new' | 'connecting' | 'connected' | 'disconnected' | 'failed' | 'closed'} State
 *   `new`: not needed so far. `disconnected` may mend by itself, `failed` hardly, `closed` never.
 * @typedef {object} Connection
 * @property {State} signaling
 * @property {State} send
 * @property {State} recv
 * @property {State} overall  The worst of the others.
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
   * @returns {Promise<MediaStreamTrack>}  It ends when the sender closes.
   * @throws {CorinthError} `no-codec`, `negotiation`, `closed`, or the server's refusal.
   */
  receive(sender) {
    return this.#recv.receive(sender);
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

/** Something that another peer sends, and the server offers to us. */
export class RemoteSender {
  #signaling;

  /** @internal Rooms make them. */
  constructor(signaling, peerName, { id, kind, rtpParameters, paused, appData }) {
    this.#signaling = signaling;
    /** @type {number} */ this.id = id;
    /** @type {Kind} */ this.kind = kind;
    /** @type {string} */ this.peerName = peerName;
    /** @type {RtpParameters} */ this.rtpParameters = rtpParameters;
    /** What their app gave with the source. @type {any} */ this.appData = appData;
    /** Whether they have paused it. */ this.paused = paused === true;
    /** Whether we have stopped it. */ this.stopped = false;
    this.closed = false;
    /** Once received. @type {MediaStreamTrack | null} */ this.track = null;
  }

  /** Sends it to us no longer, until {@link RemoteSender#play}. Only after `room.receive`. */
  async stop() {
    await this.#signaling.request('stopSender', { id: this.id });
    this.stopped = true;
  }

  async play() {
    await this.#signaling.request('playSender', { id: this.id });
    this.stopped = false;
  }

  /** Asks for a picture that needs no earlier one. The server limits how often the source hears. */
  async requestKeyFrame() {
    await this.#signaling.request('requestKeyFrame', { id: this.id });
  }
}

/** Something that we send. */
export class LocalSource {
  #signaling;
  #rtcSender;
  #close;
  #queue = new Queue();

  /** @internal Rooms make them. */
  constructor({ signaling, rtcSender, close, id, track, codec, paused, appData }) {
    this.#signaling = signaling;
    this.#rtcSender = rtcSender;
    this.#close = close;
    /** @type {number} */ this.id = id;
    /** @type {Kind} */ this.kind = track.kind;
    /** @type {MediaStreamTrack} */ this.track = track;
    /** Such as `'VP8'`. @type {string} */ this.codec = codec;
    /** @type {any} */ this.appData = appData;
    /** While it is paused, nothing of the track leaves this machine. @type {boolean} */
    this.paused = paused;
    this.closed = false;
  }

  /** @param {any} [appData]  For the others. */
  pause(appData) {
    return this.#whileOpen(async () => {
      if (this.paused) return;
      this.paused = true;
      await this.#rtcSender.replaceTrack(null);
      await this.#signaling.request('pauseReceiver', { id: this.id, appData });
    });
  }

  /** @param {any} [appData] */
  resume(appData) {
    return this.#whileOpen(async () => {
      if (!this.paused) return;
      // First the server: what comes before it has resumed would be thrown away.
      await this.#signaling.request('resumeReceiver', { id: this.id, appData });
      this.paused = false;
      await this.#rtcSender.replaceTrack(this.track);
    });
  }

  /** Sends another track of the same kind from now on. @param {MediaStreamTrack} track */
  replaceTrack(track) {
    return this.#whileOpen(async () => {
      if (!this.paused) await this.#rtcSender.replaceTrack(track);
      this.track = track;
    });
  }

  /** Ends it for everyone. @param {any} [appData]  For the others. */
  async close(appData) {
    if (this.closed) return;
    this.closed = true;
    this.#signaling.notify('closeReceiver', { id: this.id, appData });
    await this.#close();
  }

  #whileOpen(task) {
    return this.#queue.run(() => {
      if (this.closed) throw new CorinthError('wrong-state', 'This source is closed.');
      return task();
    });
  }
}

// ---- Transports ---------------------------------------------------------------------------------
//
// One RTCPeerConnection and one transport of the server for each direction, made when first needed.
// Negotiations of one RTCPeerConnection never overlap: each takes its turn in a queue.
//
// The first section of a description carries the bundle's ICE and DTLS. Rejecting it would make the
// browser build both anew, which the server knows nothing of: it goes quiet instead (`inactive`).
// Any other section is rejected when what it carried is gone, and used again.

class Transport {
  /** @type {RTCPeerConnection | null} */
  pc = null;
  /** What the server said. @type {TransportParameters | null} */
  remote = null;
  /** The server's id. */
  id = 0;
  closed = false;
  #queue = new Queue();
  #lost = false;
  /** @type {Promise<never>} */
  #ended;
  /** @type {(error: Error) => void} */
  #end;

  constructor(link) {
    this.link = link;
    this.#ended = new Promise((_, reject) => { this.#end = reject; });
    this.#ended.catch(() => {});
  }

  /**
   * In turn; what a closed RTCPeerConnection would never settle ends with the room.
   *
   * @template T
   * @param {() => Promise<T>} task
   * @returns {Promise<T>}
   */
  run(task) {
    return this.#queue.run(() => Promise.race([task(), this.#ended]));
  }

  get signaling() {
    return this.link.signaling;
  }

  /** @returns {State} */
  get state() {
    if (this.closed) return 'closed';
    if (!this.pc) return 'new';
    if (this.#lost) return 'failed';
    return this.pc.connectionState === 'new' ? 'connecting' : this.pc.connectionState;
  }

  open() {
    if (this.closed) throw new ClosedError('The room is closed.');
    if (this.pc) return;
    this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    this.pc.onconnectionstatechange = () => this.link.changed();
    this.link.changed();
  }

  /** Makes the server's end; `description` goes with the request. */
  async connect(direction, description) {
    if (this.remote) return;
    const id = this.link.ids.next();
    this.remote = await this.signaling.request('createTransport', {
      id, direction, options: {}, ...description,
    });
    this.id = id;
  }

  /** `transportState`: the server notices some ends before the browser does. */
  serverSays({ id, ice, dtls }) {
    if (!this.remote || id !== this.id) return;
    this.#lost = ['failed', 'closed'].includes(ice) || ['failed', 'closed'].includes(dtls);
    this.link.changed();
  }

  /** Back to the start: the next use makes a new connection. */
  reset() {
    if (this.remote) this.signaling.notify('closeTransport', { id: this.id });
    this.pc?.close();
    this.pc = this.remote = null;
    this.#lost = false;
    this.link.changed();
  }

  close() {
    this.closed = true;
    this.pc?.close();
    this.#end(new ClosedError('The room is closed.'));
  }
}

/** We offer, the server's answer is made from what it said. */
class SendTransport extends Transport {
  /** By mid, as `buildAnswer` wants them. Those that are gone stay: their sections do too. */
  #sources = new Map();
  /** @type {Set<LocalSource>} */
  #open = new Set();
  /** @type {RTCRtpTransceiver | null} */
  #first = null;

  send(track, options) {
    return this.run(async () => {
      this.open();
      const transceiver = this.pc.addTransceiver(track.kind, { direction: 'sendonly' });
      try {
        if (!options.paused) await transceiver.sender.replaceTrack(track);
        // Awaited here: what fails is taken back before the next negotiation begins.
        return await this.#negotiateNew(transceiver, track, options);
      } catch (error) {
        if (!this.closed) await this.#takeBack(transceiver);
        throw asNegotiationError(error);
      }
    });
  }

  // The answer is given once the server has agreed: until then it can still be a rejection.
  async #negotiateNew(transceiver, track, { appData, codec, redundancy, paused = false }) {
    const { signaling, link: { rtpCapabilities, ids } } = this;
    const { sections, fingerprints } = await this.#offer();
    const section = sections.find(({ mid }) => mid === transceiver.mid);
    const codecs = chooseCodecs(section, rtpCapabilities, { codec, redundancy });
    await this.connect('send', { dtlsParameters: { role: 'client', fingerprints } });
    const parameters = sourceParameters(section, codecs, rtpCapabilities);
    const id = ids.next();
    await signaling.request('createReceiver', {
      id, kind: track.kind, transportId: this.id, rtpParameters: parameters, paused, appData,
    });
    try {
      await this.#answer(sections, new Map(this.#sources).set(section.mid, {
        parameters, live: true,
      }));
    } catch (error) {
      signaling.notify('closeReceiver', { id });
      throw error;
    }
    this.#first ??= transceiver;
    const source = new LocalSource({
      signaling, rtcSender: transceiver.sender, id, track, codec: codecs[0].name, paused, appData,
      close: () => this.#closeSource(source, transceiver),
    });
    this.#open.add(source);
    return source;
  }

  #closeSource(source, transceiver) {
    this.#open.delete(source);
    return this.run(async () => {
      if (this.closed) return;
      await transceiver.sender.replaceTrack(null);
      this.#sources.get(transceiver.mid).live = false;
      if (transceiver === this.#first) transceiver.direction = 'inactive';
      else transceiver.stop();
      const { sections } = await this.#offer();
      await this.#answer(sections, this.#sources);
    });
  }

  async #offer() {
    await this.pc.setLocalDescription(await this.pc.createOffer());
    return parseSdp(this.pc.localDescription.sdp);
  }

  async #answer(offered, sources) {
    const answer = buildAnswer({ offered, transport: this.remote, sources });
    await this.pc.setRemoteDescription({ type: 'answer', sdp: answer });
    this.#sources = sources;
  }

  // The offer is answered with a rejection, not rolled back: Chromium (156) gives the section of a
  // transceiver that was rolled back and stopped to that one again, not to the next.
  async #takeBack(transceiver) {
    if (!this.#first) this.reset();
    else if (this.pc.signalingState === 'stable') transceiver.stop();
    else await this.#answer(parseSdp(this.pc.localDescription.sdp).sections, this.#sources);
  }

  close() {
    super.close();
    for (const source of this.#open) source.closed = true;
  }
}

/** The server's offer is made from what it said, the browser answers. */
class RecvTransport extends Transport {
  /** In the order of the description. @type {import('./sdp.js').OfferedSection[]} */
  #sections = [];
  /** @type {Map<RemoteSender, { track: Promise<MediaStreamTrack>, reject: Function }>} */
  #wanted = new Map();
  /** Those that wait for the next negotiation: it takes them all. */
  #waiting = [];
  #scheduled = false;
  #version = 0;
  #streams = new Ids();
  /** Peer name → stream. @type {Map<string, string>} */
  #streamOf = new Map();
  #report;

  constructor(link, report) {
    super(link);
    this.#report = report;
  }

  receive(sender) {
    const known = this.#wanted.get(sender);
    if (known) return known.track;
    if (this.closed || sender.closed) return Promise.reject(new ClosedError(GONE));
    const { promise: track, resolve, reject } = deferred();
    this.#wanted.set(sender, { track, reject });
    this.#waiting.push({ sender, resolve, reject });
    track.catch(() => this.#wanted.delete(sender));
    this.#schedule();
    return track;
  }

  /** The sender is closed, or could not be had. */
  forget(sender) {
    this.#wanted.get(sender)?.reject(new ClosedError(GONE));
    this.#wanted.delete(sender);
    const section = this.#sections.find(({ mid }) => mid === String(sender.id));
    if (!section) return;
    section.state = section === this.#sections[0] ? 'inactive' : 'rejected';
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.run(async () => {
      this.#scheduled = false;
      await this.#negotiate(this.#waiting.splice(0).filter(({ sender }) => !sender.closed));
    }).catch((error) => this.closed || this.#report(error));
  }

  async #negotiate(batch) {
    try {
      this.open();
      await this.connect('recv');
    } catch (error) {
      for (const { reject } of batch) reject(error);
      return;
    }
    try {
      await this.#exchange(this.#withSections(batch));
    } catch (error) {
      await this.#rollBack();
      if (batch.length === 0) throw asNegotiationError(error);
      // One that the browser will not have must not cost the others theirs.
      if (batch.length > 1) for (const each of batch) await this.#negotiate([each]);
      else batch[0].reject(asNegotiationError(error));
      return;
    }
    for (const each of batch) {
      if (each.sender.closed) this.forget(each.sender);
      else this.#enable(each);
    }
  }

  /** The sections with those of `batch`, in the place of rejected ones where there are any. */
  #withSections(batch) {
    const next = [...this.#sections];
    for (const { sender: { id, kind, peerName, rtpParameters: parameters } } of batch) {
      if (!this.#streamOf.has(peerName)) {
        this.#streamOf.set(peerName, `peer-${this.#streams.next()}`);
      }
      const free = next.findIndex(({ state }) => state === 'rejected');
      next[free < 0 ? next.length : free] = {
        kind, mid: String(id), state: 'sendonly', parameters, stream: this.#streamOf.get(peerName),
      };
    }
    return next;
  }

  async #exchange(sections) {
    const { pc, remote: transport, signaling, id } = this;
    const version = ++this.#version;
    await pc.setRemoteDescription({
      type: 'offer', sdp: buildOffer({ transport, version, sections }),
    });
    await pc.setLocalDescription(await pc.createAnswer());
    if (this.#sections.length === 0) {
      const { fingerprints } = parseSdp(pc.localDescription.sdp);
      signaling.notify('updateTransport', { id, dtlsParameters: { role: 'client', fingerprints } });
    }
    this.#sections = sections;
  }

  async #enable({ sender, resolve, reject }) {
    const { pc, id: transportId } = this;
    const mid = String(sender.id);
    try {
      const transceiver = pc.getTransceivers().find((each) => each.mid === mid);
      if (!transceiver || transceiver.currentDirection !== 'recvonly') {
        throw new CorinthError('no-codec', 'This browser cannot decode what the other side sends.');
      }
      const useRtx = sender.rtpParameters.encodings.some(({ rtx }) => rtx !== undefined);
      const settings = { id: sender.id, transportId, rtpSettings: { useRtx } };
      await this.signaling.request('enableSender', settings);
      sender.track = transceiver.receiver.track;
      resolve(sender.track);
    } catch (error) {
      this.forget(sender);
      reject(error);
    }
  }

  async #rollBack() {
    if (this.pc?.signalingState !== 'have-remote-offer') return;
    await this.pc.setRemoteDescription({ type: 'rollback' });
  }

  close() {
    super.close();
    for (const { reject } of this.#wanted.values()) reject(new ClosedError(GONE));
  }
}

const GONE = 'The other side has stopped sending this.';

// ---- Small things -------------------------------------------------------------------------------

/** One task after another; a failed one does not stop those behind it. */
class Queue {
  /** @type {Promise<any>} */
  #tail = Promise.resolve();

  /**
   * @template T
   * @param {() => T | Promise<T>} task
   * @returns {Promise<T>}
   */
  run(task) {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => {});
    return result;
  }
}

function deferred() {
  /** @type {{ resolve: Function, reject: Function }} */
  let settle;
  const promise = new Promise((resolve, reject) => { settle = { resolve, reject }; });
  return { promise, ...settle };
}

/** 1, 2, 3, … */
class Ids {
  #last = 0;

  next() {
    return ++this.#last;
  }
}

function asNegotiationError(error) {
  if (error instanceof CorinthError) return error;
  return new CorinthError('negotiation', `The browser refused the connection: ${error.message}`,
    { cause: error });
}

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
