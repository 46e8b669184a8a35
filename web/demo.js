// The demo page: one room, a tile for each peer. All that is special to corinth is in client.js;
// this file is forms, tiles and words.
//
// What tests rely on: `body[data-view]` is "lobby" or "call"; `#connection[data-state]`; tiles are
// `[data-peer=NAME]`, our own with `data-self`, each with `data-audio` and `data-video` in "none",
// "live", "paused" (by the one who sends), "stopped" (by us); `window.corinth`.

import { ClosedError, CorinthError, FINAL_CLOSE, RequestError, Room } from './client.js';

const $ = (id) => document.getElementById(id);
const KINDS = ['audio', 'video'];
const BUTTONS = { audio: $('microphone'), video: $('camera') };
const DEVICES = { audio: 'microphone', video: 'camera' };
/** The room that is proposed first: who opens the page twice meets in it. */
const FIRST_ROOM = 'canal';
/** Pixels, with the gap beside it: two fit on a phone. */
const TILE_MIN_WIDTH = 165;
/** Seconds before each attempt to come back after the connection was lost. */
const REJOIN_AFTER = [1, 2, 4, 8, 15];

/** @type {Room | null} */
let room = null;
/** Our camera and microphone, as far as there are. @type {MediaStream} */
let devices = new MediaStream();
/** By kind. @type {Partial<Record<'audio' | 'video', import('./client.js').LocalSource>>} */
let sources = {};
/** By peer name, our own first. @type {Map<string, Tile>} */
const tiles = new Map();
/** What lets us in where a token is needed; whoever sent the link has put it there. */
const token = new URLSearchParams(location.search).get('token') ?? undefined;
/** Counts our attempts to be in a room: what an earlier one still says is ignored. */
let visit = 0;
let joining = false;
let rejoinTimer;

window.corinth = {
  get room() { return room; },
  sendPc: () => room?.peerConnections.send ?? null,
  recvPc: () => room?.peerConnections.recv ?? null,
};

// ---- Coming and going ---------------------------------------------------------------------------

async function enter() {
  if (joining) return;
  const [roomId, peerName] = [$('room-name').value.trim(), $('peer-name').value.trim()];
  if (!checkFilled($('room-name'), roomId, 'Please give the room a name.')) return;
  if (!checkFilled($('peer-name'), peerName, 'Please tell your name.')) return;
  complain('');
  showJoining(true);
  try {
    const problem = await openDevices();
    await join(roomId, peerName, problem);
    remember(roomId, peerName);
    $('call').focus();
  } catch (error) {
    closeDevices();
    complain(await explain(error));
  } finally {
    showJoining(false);
  }
}

/** Resolves once we are in the room; what we send follows. */
async function join(roomId, peerName, problem = '') {
  const mine = ++visit;
  const joined = await Room.join({ roomId, peerName, token });
  if (visit !== mine) {
    joined.leave();
    return;
  }
  room = joined;
  sources = {};
  const on = (type, handle) => joined.addEventListener(type, ({ detail }) => {
    if (visit === mine) handle(detail);
  });
  on('peerjoined', ({ peer }) => {
    addTile(peer.name);
    announce(`${peer.name} joined`);
  });
  on('peerleft', ({ peer }) => {
    removeTile(peer.name);
    announce(`${peer.name} left`);
  });
  on('senderadded', ({ sender }) => receive(sender));
  on('senderclosed', ({ peer, sender }) => tiles.get(peer.name)?.remove(sender));
  on('senderpaused', ({ peer }) => tiles.get(peer.name)?.update());
  on('senderresumed', ({ peer }) => tiles.get(peer.name)?.update());
  on('connectionstate', showConnection);
  on('closed', closed);
  on('error', async ({ error }) => complain(await explain(error)));

  show('call');
  complain(problem);
  clearNotice();
  $('where').textContent = roomId;
  document.title = `${roomId} · corinth`;
  showConnection(joined.connection);
  removeTiles();
  addTile(peerName).showSelf(devices);
  for (const peer of joined.peers.values()) {
    addTile(peer.name);
    for (const sender of peer.senders.values()) receive(sender);
  }
  for (const track of devices.getTracks()) send(joined, track);
}

async function send(joined, track) {
  const { kind } = track;
  try {
    // What was off before the connection was lost comes back as it was.
    const source = await joined.send(track, { paused: !track.enabled });
    if (joined !== room) return;
    sources[kind] = source;
    track.onended = () => {
      complain(`The ${DEVICES[kind]} was disconnected.`);
      devices.removeTrack(track);
      delete sources[kind];
      updateSelf();
      source.close().catch(() => {}); // It can only be that the room has closed before.
    };
  } catch (error) {
    if (joined !== room || joined.connection.signaling === 'closed') return;
    complain(`Your ${DEVICES[kind]} is not sent. ${await explain(error)}`);
  }
  updateSelf();
}

async function receive(sender) {
  const tile = tiles.get(sender.peerName);
  if (!tile?.take(sender)) return;
  try {
    const track = await room.receive(sender);
    tile.play(track);
  } catch (error) {
    if (sender.closed) return;
    const what = { audio: 'Sound', video: 'Video' }[sender.kind];
    complain(`${what} of ${sender.peerName} cannot be received. ${await explain(error)}`);
  }
}

function closed({ code, reason }) {
  updateSelf();
  for (const tile of tiles.values()) tile.update();
  if (code !== FINAL_CLOSE) {
    waitToRejoin(0);
    return;
  }
  room = null;
  closeDevices();
  removeTiles();
  show('lobby');
  document.title = 'corinth';
  $('join').focus();
  const words = {
    left: '',
    replaced: 'Someone joined this room under your name, perhaps you in another window.',
    kicked: 'Someone who looks after this room has put you out.',
    'room closed': 'Someone who looks after this room has ended it.',
  };
  complain(words[reason] ?? `The call has ended: ${reason || 'the server closed it'}.`);
}

/** Comes back by itself, a few times, and whenever the person says so. */
function waitToRejoin(attempt) {
  const seconds = REJOIN_AFTER[attempt];
  const again = () => rejoin(attempt + 1);
  const lost = 'The connection to the server is lost.';
  notice(seconds ? `${lost} Trying again in ${seconds} s.` : lost, again);
  if (seconds) rejoinTimer = setTimeout(again, seconds * 1000);
}

async function rejoin(nextAttempt) {
  clearTimeout(rejoinTimer);
  notice('Connecting again…');
  setConnection('connecting');
  const mine = visit + 1;
  try {
    await join(room.roomId, room.peerName);
  } catch (error) {
    if (visit !== mine) return;
    complain(await explain(error));
    setConnection('closed');
    waitToRejoin(nextAttempt);
  }
}

function leave() {
  clearTimeout(rejoinTimer);
  if (room.connection.signaling !== 'closed') {
    room.leave();
    return;
  }
  visit += 1;
  closed({ code: FINAL_CLOSE, reason: 'left' });
}

// ---- Camera and microphone ----------------------------------------------------------------------

/** Opens what there is. Returns what a person should know, if there is something. */
async function openDevices() {
  closeDevices();
  if (!navigator.mediaDevices) {
    return 'Browsers give camera and microphone only to pages from https or localhost: '
      + 'you see and hear the others, they do not see or hear you.';
  }
  try {
    devices = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    return '';
  } catch (error) {
    if (error.name === 'NotAllowedError') {
      return 'Camera and microphone were refused: the others do not see or hear you. '
        + 'Allow them beside the address of this page, then leave and join again.';
    }
  }
  // One of the two is missing or in use: the other is better than none.
  const missing = [];
  for (const kind of KINDS) {
    try {
      const found = await navigator.mediaDevices.getUserMedia({ [kind]: true });
      found.getTracks().forEach((track) => devices.addTrack(track));
    } catch {
      missing.push(DEVICES[kind]);
    }
  }
  return missing.length === 0 ? ''
    : `No ${missing.join(' and no ')} could be opened: missing, or used by another program.`;
}

function closeDevices() {
  for (const track of devices.getTracks()) track.stop();
  devices = new MediaStream();
  sources = {};
  updateSelf();
}

async function toggleDevice(kind) {
  const source = sources[kind];
  complain('');
  try {
    const off = !source.paused;
    source.track.enabled = !off;
    await (off ? source.pause() : source.resume());
  } catch (error) {
    complain(await explain(error));
  }
  updateSelf();
}

/** Buttons and our own tile, after anything about our sources has changed. */
function updateSelf() {
  for (const kind of KINDS) {
    BUTTONS[kind].disabled = !sources[kind] || sources[kind].closed;
    BUTTONS[kind].setAttribute('aria-pressed', String(sources[kind]?.paused === false));
  }
  for (const tile of tiles.values()) if (tile.isSelf) tile.update();
}

// ---- Tiles --------------------------------------------------------------------------------------

class Tile {
  isSelf = false;
  /** The first of each kind; a second camera of one peer has no place here. */
  #senders = {};
  #stream = new MediaStream();

  constructor(name) {
    this.name = name;
    this.element = $('tile').content.firstElementChild.cloneNode(true);
    this.element.dataset.peer = name;
    this.find('.name').textContent = name;
    this.find('.avatar').textContent = [...name][0].toUpperCase();
    this.element.style.setProperty('--hue', hue(name));
    this.video = this.find('video');
    this.buttons = {
      audio: this.find('[data-action=mute]'), video: this.find('[data-action=stop-video]'),
    };
    for (const kind of KINDS) {
      this.buttons[kind].addEventListener('click', () => this.#toggle(kind));
    }
    this.update();
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  showSelf(stream) {
    this.isSelf = true;
    this.element.dataset.self = '';
    this.find('.name').textContent = `${this.name} (you)`;
    this.video.muted = true;
    this.video.srcObject = stream;
    this.update();
  }

  /** Whether the tile has a place for it. */
  take(sender) {
    if (this.#senders[sender.kind]) return false;
    this.#senders[sender.kind] = sender;
    return true;
  }

  play(track) {
    this.#stream.addTrack(track);
    this.video.srcObject = this.#stream;
    this.start();
    this.update();
  }

  /** Browsers may refuse to play sound before the person has clicked anything. */
  start() {
    this.video.play().catch((error) => {
      if (error.name === 'NotAllowedError') $('hear').hidden = $('notice').hidden = false;
    });
  }

  remove(sender) {
    if (this.#senders[sender.kind] !== sender) return;
    delete this.#senders[sender.kind];
    if (sender.track) this.#stream.removeTrack(sender.track);
    this.update();
  }

  async #toggle(kind) {
    const sender = this.#senders[kind];
    try {
      await (sender.stopped ? sender.play() : sender.stop());
    } catch (error) {
      if (!sender.closed) complain(await explain(error));
    }
    this.update();
  }

  update() {
    const states = Object.fromEntries(KINDS.map((kind) => [kind, this.#state(kind)]));
    Object.assign(this.element.dataset, states);
    this.find('.state').textContent = describe(states, this.isSelf);
    for (const kind of KINDS) {
      const sender = this.#senders[kind];
      this.buttons[kind].disabled = !sender?.track;
      this.buttons[kind].setAttribute('aria-pressed', String(sender?.stopped === true));
      const label = { audio: `Mute ${this.name}`, video: `Stop video of ${this.name}` }[kind];
      this.buttons[kind].setAttribute('aria-label', label);
    }
  }

  #state(kind) {
    if (this.isSelf) {
      const source = sources[kind];
      if (!source) return 'none';
      return source.paused ? 'paused' : 'live';
    }
    const sender = this.#senders[kind];
    if (!sender?.track || sender.closed) return 'none';
    if (sender.paused) return 'paused';
    return sender.stopped ? 'stopped' : 'live';
  }
}

function describe({ audio, video }, isSelf) {
  const off = isSelf ? 'off' : 'paused';
  const words = {
    audio: { none: 'no microphone', paused: `microphone ${off}`, stopped: 'muted by you' },
    video: { none: 'no camera', paused: `camera ${off}`, stopped: 'video stopped by you' },
  };
  if (audio === 'none' && video === 'none') return isSelf ? 'only watching' : '';
  return [words.audio[audio], words.video[video]].filter(Boolean).join(', ');
}

function addTile(name) {
  removeTile(name);
  const tile = new Tile(name);
  tiles.set(name, tile);
  $('tiles').append(tile.element);
  arrange();
  return tile;
}

function removeTile(name) {
  tiles.get(name)?.element.remove();
  tiles.delete(name);
  arrange();
}

function removeTiles() {
  for (const name of [...tiles.keys()]) removeTile(name);
}

/**
 * As many columns as make the tiles largest, for pictures of 4 to 3; where they would become too
 * narrow for a name and two buttons, the rest is scrolled to.
 */
function arrange() {
  const { clientWidth: width, clientHeight: height } = $('tiles');
  const count = tiles.size;
  const most = Math.min(count, Math.floor(width / TILE_MIN_WIDTH));
  let best = { columns: 1, size: 0 };
  for (let columns = 1; columns <= most; columns++) {
    const size = Math.min(width / columns, (height / Math.ceil(count / columns)) * (4 / 3));
    if (size > best.size) best = { columns, size };
  }
  $('tiles').style.setProperty('--columns', best.columns);
}

/** A colour that stays with the name. */
function hue(name) {
  return [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
}

// ---- Words --------------------------------------------------------------------------------------

const STATE_WORDS = {
  connecting: 'Connecting', connected: 'Connected', disconnected: 'Interrupted', failed: 'No media',
  closed: 'Not connected',
};

const NO_NEW_CALLS = 'The server takes no new calls at the moment. Please try again later.';

function showConnection({ overall }) {
  setConnection(overall);
  if (overall === 'failed') {
    notice('Sound and pictures do not get through. A firewall may be blocking UDP.', () => {
      visit += 1;
      room.leave();
      rejoin(0);
    });
  } else if (overall === 'connected') {
    clearNotice();
  }
}

function setConnection(state) {
  $('connection').dataset.state = state;
  $('connection').textContent = STATE_WORDS[state];
}

async function explain(error) {
  if (error instanceof RequestError) {
    switch (error.code) {
      case 415: return `The server does not forward this codec (${error.message}).`;
      case 429: return `The server's limit is reached: ${error.message}.`;
      case 503: return NO_NEW_CALLS;
      default: return `The server refused: ${error.message}.`;
    }
  }
  if (error instanceof ClosedError && error.code === 'unreachable') {
    // Browsers do not tell why a WebSocket was refused.
    const answer = await fetch('./readyz', { cache: 'no-store' }).catch(() => null);
    if (!answer) return 'The server cannot be reached. It may be down, or your network is.';
    if (answer.status === 503) return NO_NEW_CALLS;
    return 'The server refused the connection. '
      + 'The room may be full, or the link lacks a token that is good for this room and name.';
  }
  return error instanceof CorinthError ? error.message : `Something went wrong: ${error.message}`;
}

function complain(text) {
  $('error').textContent = text;
}

function announce(text) {
  $('announcer').textContent = text;
}

/** A line above the tiles; with `again`, also a button that does it. */
function notice(text, again) {
  $('notice').hidden = false;
  $('notice-text').textContent = text;
  $('rejoin').hidden = !again;
  $('rejoin').onclick = again;
}

function clearNotice() {
  $('notice').hidden = $('hear').hidden;
  $('notice-text').textContent = '';
  $('rejoin').hidden = true;
}

function checkFilled(input, value, message) {
  input.setAttribute('aria-invalid', String(value === ''));
  if (value !== '') return true;
  complain(message);
  input.focus();
  return false;
}

/** Not `disabled`, which would take the keyboard's focus away. */
function showJoining(now) {
  joining = now;
  $('join').setAttribute('aria-disabled', String(now));
  $('join').textContent = now ? 'Joining…' : 'Join';
}

function show(view) {
  document.body.dataset.view = view;
  arrange();
}

// ---- What is remembered -------------------------------------------------------------------------

// The room for this browser, the name for this tab: two tabs are two people, and the second one
// under the same name would put the first one out.
function remember(roomId, peerName) {
  history.replaceState(null, '', `?${new URLSearchParams({ room: roomId })}`);
  try {
    localStorage.setItem('corinth-room', roomId);
    sessionStorage.setItem('corinth-name', peerName);
  } catch {
    // Storage is switched off: then it is asked again.
  }
}

function recall() {
  let [room, name] = [null, null];
  try {
    room = localStorage.getItem('corinth-room');
    name = sessionStorage.getItem('corinth-name');
  } catch {
    // As above.
  }
  const query = new URLSearchParams(location.search);
  $('room-name').value = query.get('room') ?? room ?? FIRST_ROOM;
  $('peer-name').value = query.get('name') ?? name ?? '';
}

async function copyInvite() {
  const link = new URL(`?${new URLSearchParams({ room: room.roomId })}`, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    $('invite').textContent = 'Link copied';
    setTimeout(() => { $('invite').textContent = 'Copy invite link'; }, 2000);
  } catch {
    notice(`Invite with this link: ${link}`);
  }
}

// ---- Start --------------------------------------------------------------------------------------

recall();
$('join-form').addEventListener('submit', (event) => {
  event.preventDefault();
  enter();
});
$('leave').addEventListener('click', leave);
$('invite').addEventListener('click', copyInvite);
for (const kind of KINDS) BUTTONS[kind].addEventListener('click', () => toggleDevice(kind));
$('hear').addEventListener('click', () => {
  $('hear').hidden = true;
  clearNotice();
  for (const tile of tiles.values()) tile.start();
});
new ResizeObserver(arrange).observe($('tiles'));
($('peer-name').value ? $('join') : $('peer-name')).focus();
