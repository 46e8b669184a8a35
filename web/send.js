// What this page sends: each track is a LocalSource, a Receiver of the server. We offer, the
// server's answer is made from what it said.

import { CorinthError } from './protoo.js';
import { buildAnswer, chooseCodecs, parseSdp, sourceParameters } from './sdp.js';
import { Queue, Transport, asNegotiationError } from './transport.js';

/** @typedef {import('./sdp.js').Kind} Kind */

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
      // Said again where it is paused already: the time before, the server may not have heard it.
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
      if (this.closed) return;
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
    await this.#close(appData);
  }

  #whileOpen(task) {
    return this.#queue.run(() => {
      if (this.closed) throw new CorinthError('wrong-state', 'This source is closed.');
      return task();
    });
  }
}

/** The direction from us to the server. */
export class SendTransport extends Transport {
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
    try {
      await signaling.request('createReceiver', {
        id, kind: track.kind, transportId: this.id, rtpParameters: parameters, paused, appData,
      });
      await this.#answer(sections, new Map(this.#sources).set(section.mid, {
        parameters, live: true,
      }));
    } catch (error) {
      // Where no answer came, it may have been yes; after a refusal this says nothing new.
      signaling.notify('closeReceiver', { id });
      throw error;
    }
    this.#first ??= transceiver;
    const source = new LocalSource({
      signaling, rtcSender: transceiver.sender, id, track, codec: codecs[0].name, paused, appData,
      close: (appData) => this.#closeSource(source, transceiver, appData),
    });
    this.#open.add(source);
    return source;
  }

  async #closeSource(source, transceiver, appData) {
    this.#open.delete(source);
    // First of all nothing more is sent, not even while others negotiate: what came after the word
    // would be nobody's.
    await this.whileOpen(transceiver.sender.replaceTrack(null).catch(() => {}));
    this.signaling.notify('closeReceiver', { id: source.id, appData });
    await this.run(async () => {
      if (this.closed) return;
      this.#sources.get(transceiver.mid).live = false;
      if (transceiver === this.#first) transceiver.direction = 'inactive';
      else transceiver.stop();
      await this.#negotiate();
    });
  }

  renegotiate() {
    this.pc.restartIce(); // done by the next negotiation, should this one fail
    return this.#negotiate();
  }

  async #negotiate() {
    const { sections } = await this.#offer();
    await this.#answer(sections, this.#sources);
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
