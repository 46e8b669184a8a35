// What this page receives: each is a RemoteSender, a Sender of the server. The server's offer is
// made from what it said, the browser answers.

import { ClosedError, CorinthError } from './protoo.js';
import { buildOffer, decodable, inKnownWords, parseSdp } from './sdp.js';
import { Ids, Transport, asNegotiationError } from './transport.js';

/**
 * @typedef {import('./sdp.js').Kind} Kind
 * @typedef {import('./sdp.js').RtpParameters} RtpParameters
 */

const GONE = 'The other side has stopped sending this.';

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

/** The direction from the server to us. */
export class RecvTransport extends Transport {
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
    // The browser ends the track of a rejected section only.
    if (section.state === 'inactive') sender.track?.stop();
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
    const known = decodable((kind) => RTCRtpReceiver.getCapabilities(kind)).codecs;
    for (const { sender: { id, kind, peerName, rtpParameters } } of batch) {
      const parameters = inKnownWords(rtpParameters, known);
      if (!this.#streamOf.has(peerName)) {
        this.#streamOf.set(peerName, `peer-${this.#streams.next()}`);
      }
      const mid = String(id);
      // Asked for again after a failure, it has a section already.
      const own = next.findIndex((section) => section.mid === mid);
      const place = own < 0 ? next.findIndex(({ state }) => state === 'rejected') : own;
      next[place < 0 ? next.length : place] = {
        kind, mid, state: 'sendonly', parameters, stream: this.#streamOf.get(peerName),
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
      reject(error);
      this.forget(sender);
    }
  }

  // The browser restarts because the offer has other credentials than the one before.
  async renegotiate() {
    if (this.#sections.length === 0) return; // nothing was offered yet
    try {
      await this.#exchange(this.#sections);
    } catch (error) {
      await this.#rollBack();
      throw error;
    }
  }

  async #rollBack() {
    if (this.pc?.signalingState !== 'have-remote-offer') return;
    await this.pc.setRemoteDescription({ type: 'rollback' });
  }

  close() {
    super.close();
    for (const { reject } of this.#wanted.values()) reject(new ClosedError('The room is closed.'));
  }
}

function deferred() {
  /** @type {{ resolve: Function, reject: Function }} */
  let settle;
  const promise = new Promise((resolve, reject) => { settle = { resolve, reject }; });
  return { promise, ...settle };
}
