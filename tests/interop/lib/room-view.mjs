// What a client knows of its room from join's response and the notifications after it. Anything
// said twice, too early or about nobody is an assertion.

import assert from 'node:assert/strict';

export class RoomView {
  /** Peer name → map of Sender id → {kind, paused}. */
  #peers = new Map();
  /** Every Sender id ever seen. */
  #ids = new Set();

  constructor({ peers }) {
    for (const peer of peers) this.#newPeer(peer);
  }

  /** Takes one notification's data. */
  apply(said) {
    const { method, id } = said;
    if (method === 'newPeer') return this.#newPeer(said);
    const senders = this.#peers.get(said.peerName ?? said.name);
    assert.ok(senders, `${method} about a peer that is not there: ${JSON.stringify(said)}`);
    if (method === 'peerLeft') return void this.#peers.delete(said.name);
    if (method === 'newSender') return this.#newSender(senders, said);
    const sender = senders.get(id);
    assert.ok(sender, `${method} about Sender ${id}, which is not there`);
    if (method === 'senderClosed') return void senders.delete(id);
    const paused = { senderPaused: true, senderResumed: false }[method];
    assert.notEqual(paused, undefined, `a client of the seed does not know ${method}`);
    assert.notEqual(sender.paused, paused, `${method} said twice`);
    sender.paused = paused;
    return undefined;
  }

  /** Peer name → sorted "kind paused" or "kind live". */
  summary() {
    const states = (senders) => [...senders.values()]
      .map(({ kind, paused }) => `${kind} ${paused ? 'paused' : 'live'}`).sort();
    return new Map([...this.#peers].map(([name, senders]) => [name, states(senders)])
      .sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #newPeer({ name, senders }) {
    assert.ok(!this.#peers.has(name), `${name} came twice`);
    const known = new Map();
    this.#peers.set(name, known);
    for (const sender of senders) this.#newSender(known, sender);
  }

  #newSender(senders, { id, kind, paused }) {
    assert.ok(!this.#ids.has(id), `Sender id ${id} used twice`);
    this.#ids.add(id);
    senders.set(id, { kind, paused });
  }
}
