// What the two directions have in common: one RTCPeerConnection and one transport of the server
// each, made when first needed. Negotiations of one RTCPeerConnection never overlap: each takes its
// turn in a queue.
//
// The first section of a description carries the bundle's ICE and DTLS. Rejecting it would make the
// browser build both anew, which the server knows nothing of: it goes quiet instead (`inactive`).
// Any other section is rejected when what it carried is gone, and used again.

import { ClosedError, CorinthError } from './protoo.js';

/**
 * @typedef {import('./sdp.js').RtpCapabilities} RtpCapabilities
 * @typedef {import('./sdp.js').TransportParameters} TransportParameters
 *
 * @typedef {'new' | 'connecting' | 'connected' | 'disconnected' | 'failed' | 'closed'} State
 *   `new`: not needed so far. `disconnected` may mend by itself, `failed` hardly, `closed` never.
 *
 * @typedef {object} Link  What both directions share with their room.
 * @property {import('./protoo.js').Protoo} signaling
 * @property {RtpCapabilities} rtpCapabilities  The server's.
 * @property {Ids} ids  Of transports and sources.
 * @property {() => void} changed  To be called after a state has changed.
 */

/** One direction. */
export class Transport {
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

  /** @param {Link} link */
  constructor(link) {
    this.link = link;
    this.#ended = new Promise((_, reject) => { this.#end = reject; });
    this.#ended.catch(() => {});
  }

  /**
   * In turn.
   *
   * @template T
   * @param {() => Promise<T>} task
   * @returns {Promise<T>}
   */
  run(task) {
    return this.#queue.run(() => this.whileOpen(task()));
  }

  /**
   * What a closed RTCPeerConnection would never settle ends with the room.
   *
   * @template T
   * @param {Promise<T>} result
   * @returns {Promise<T>}
   */
  whileOpen(result) {
    return Promise.race([result, this.#ended]);
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

  /**
   * Has the browser look for a way to the server anew. Until it has found one, media keeps to the
   * old way.
   */
  restart() {
    return this.run(async () => {
      if (!this.remote) return;
      const restarted = await this.signaling.request('restartTransport', { id: this.id });
      this.remote = { ...this.remote, ...restarted };
      try {
        await this.renegotiate();
      } catch (error) {
        throw asNegotiationError(error);
      }
    });
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

/** One task after another; a failed one does not stop those behind it. */
export class Queue {
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

/** 1, 2, 3, … */
export class Ids {
  #last = 0;

  next() {
    return ++this.#last;
  }
}

/**
 * What a browser throws, in words for a person.
 *
 * @param {any} error
 * @returns {CorinthError}
 */
export function asNegotiationError(error) {
  if (error instanceof CorinthError) return error;
  return new CorinthError('negotiation', `The browser refused the connection: ${error.message}`,
    { cause: error });
}
