// One person in a call: a page with the demo client, driven by its buttons, read by its tiles and
// by getStats. The demo page's side of the bargain is written at the top of its own script.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from './expect.mjs';

const OUT = fileURLToPath(new URL('../out/', import.meta.url));
const ENTER_MS = 30_000;

/** Small pictures: two cores encode and decode them for a whole room. Runs inside the page. */
function smallCamera({ width, height, frameRate }) {
  const devices = navigator.mediaDevices;
  if (!devices) return; // about:blank, before the page
  const open = devices.getUserMedia.bind(devices);
  devices.getUserMedia = ({ audio, video }) => open({
    audio, video: video && { width, height, frameRate },
  });
}

/** What arrives of this peer, by kind. Runs inside the page. */
async function inbound(name) {
  const tile = document.querySelector(`[data-peer="${CSS.escape(name)}"]`);
  const media = [...(tile?.querySelectorAll('video, audio') ?? [])];
  const tracks = media.flatMap((element) => element.srcObject?.getTracks() ?? []);
  const stats = await window.corinth.recvPc()?.getStats();
  const found = {};
  for (const entry of stats?.values() ?? []) {
    const mine = tracks.some((track) => track.id === entry.trackIdentifier);
    if (entry.type === 'inbound-rtp' && mine) found[entry.kind] = entry;
  }
  return found;
}

/** What a person sees of the page. Runs inside the page. */
function state() {
  const text = (selector) => document.querySelector(selector)?.textContent.trim() ?? '';
  const tiles = [...document.querySelectorAll('[data-peer]')].map((tile) => {
    const { peer, audio, video, self } = tile.dataset;
    return { peer, audio, video, self: self !== undefined };
  });
  const connection = document.querySelector('#connection')?.dataset.state;
  return { view: document.body.dataset.view, connection, error: text('#error'), tiles };
}

export class Guest {
  /** What the page complained about. */
  complaints = [];

  /**
   * Opens the demo page in `browser` and joins as a person would. `script` runs in the page before
   * its own.
   */
  static async enter(browser, server, room, name, camera = CAMERA, { token, script } = {}) {
    const guest = new Guest(name, await browser.newPage());
    await guest.page.addInitScript(smallCamera, camera);
    if (script) await guest.page.addInitScript(script);
    const query = new URLSearchParams({ room, name, ...(token && { token }) });
    await guest.page.goto(`${server.url}/?${query}`);
    await guest.page.click('#join');
    await until(`${name} is in the call`, async () => {
      const { view, error } = await guest.state();
      assert.equal(error, '');
      return view === 'call';
    }, { timeout: ENTER_MS });
    return guest;
  }

  constructor(name, page) {
    this.name = name;
    this.page = page;
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (said) => {
      if (said.type() === 'error') this.complaints.push(said.text());
    });
    page.on('crash', () => this.complaints.push('the page crashed'));
  }

  state() {
    return this.page.evaluate(state);
  }

  /** The other peer's tile, or undefined. */
  async tile(other) {
    const { tiles } = await this.state();
    return tiles.find((tile) => tile.peer === other.name);
  }

  /** Inbound statistics of `other`: `{audio, video}` of RTCInboundRtpStreamStats. */
  inbound(other) {
    return this.page.evaluate(inbound, other.name);
  }

  click(selector) {
    return this.page.click(selector);
  }

  /** Presses a button on the tile of `other`. */
  clickOn(other, action) {
    return this.page.click(`[data-peer="${other.name}"] button[data-action="${action}"]`);
  }

  /** Waits until the tile of `other` says so: `{audio: 'paused'}`. */
  async sees(other, wanted) {
    const is = JSON.stringify(wanted);
    await until(`${this.name} sees ${other.name} ${is}`, async () => {
      const tile = await this.tile(other);
      for (const [key, value] of Object.entries(wanted)) assert.equal(tile?.[key], value, key);
      return true;
    });
  }

  /** Waits until there is no tile of `other`. */
  async seesGone(other) {
    await until(`${this.name} sees ${other.name} gone`, async () => !(await this.tile(other)));
  }

  /** Waits until sound and picture of `other` are being decoded. */
  async decodes(other) {
    await until(`${this.name} decodes ${other.name}`, async () => {
      const { audio, video } = await this.inbound(other);
      assert.ok(video?.framesDecoded > 0, `frames: ${video?.framesDecoded}`);
      assert.ok(audio?.totalAudioEnergy > 0, `energy: ${audio?.totalAudioEnergy}`);
      return true;
    }, { timeout: ENTER_MS });
  }

  /** Waits until `kind` of `other` flows on, beyond what has come so far. */
  async flows(other, kind) {
    const before = progress(await this.inbound(other), kind);
    await until(`${kind} of ${other.name} flows on at ${this.name}`, async () => {
      return progress(await this.inbound(other), kind) > before;
    });
  }

  /** Waits until `kind` of `other` stands still for a second. */
  async stands(other, kind) {
    await until(`${kind} of ${other.name} stands still at ${this.name}`, async () => {
      const before = (await this.inbound(other))[kind].packetsReceived;
      await sleep(1000);
      return (await this.inbound(other))[kind].packetsReceived === before;
    });
  }

  /** Keeps a picture and the state of the page in `out/`. */
  async keep(label) {
    const file = `${OUT}${label}-${this.name}`.replaceAll(' ', '-');
    await mkdir(OUT, { recursive: true });
    await this.page.screenshot({ path: `${file}.png` });
    const seen = await this.state();
    const { tiles } = seen;
    const streams = await Promise.all(tiles.map(async ({ peer }) => {
      return [peer, await this.inbound({ name: peer })];
    }));
    const all = { ...seen, complaints: this.complaints, streams: Object.fromEntries(streams) };
    await writeFile(`${file}.json`, `${JSON.stringify(all, null, 2)}\n`);
    return all;
  }
}

const CAMERA = { width: 320, height: 240, frameRate: 15 };

function progress(streams, kind) {
  const stream = streams[kind];
  return kind === 'video' ? stream?.framesDecoded : stream?.totalAudioEnergy;
}
