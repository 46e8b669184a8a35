// The admin page: asks the server every two seconds for its counters and rooms, and shows what has
// changed since. Names of rooms and peers are anybody's text: they go into the page as text only.

const INTERVAL_MS = 2000;
/** Points of a plot: two minutes. */
const POINTS = 60;

/** What this host loses of what it should send. */
const HOST_DROPS = ['send_blocked', 'send_refused', 'egress_full'];

const $ = (id) => document.getElementById(id);
const MAIN = document.querySelector('main');

let token = sessionStorage.getItem('corinth-admin-token') ?? '';
/** The room whose members are shown. */
let shown = null;
/** Counters of the last round, by name: what has been added since, per second, is a rate. */
let before = new Map();
let now = new Map();
let seconds = 0;
/** Points of each plot, by its name. */
const plots = new Map();

$('token-form').addEventListener('submit', (event) => {
  event.preventDefault();
  token = $('token').value.trim();
  sessionStorage.setItem('corinth-admin-token', token);
  $('token-form').hidden = true;
});

class Refused extends Error {}

async function ask(path) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(path, { headers, cache: 'no-store' });
  if (response.status === 404) return null;
  const refused = response.status === 401 || response.status === 403;
  if (!response.ok) throw new (refused ? Refused : Error)((await response.text()).trim());
  return response.json();
}

/** How much a counter has grown per second since the last round. */
function rate(name, value) {
  now.set(name, value);
  const grown = value - (before.get(name) ?? value);
  return seconds > 0 && grown > 0 ? grown / seconds : 0;
}

/** The share of packets that were lost since the last round. */
function loss(name, packets, lost) {
  const came = rate(`${name} packets`, packets);
  const missing = rate(`${name} lost`, lost);
  return [came, missing > 0 ? missing / (came + missing) : 0];
}

const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
const megabits = (bytes) => `${((8 * bytes) / 1e6).toFixed(1)} Mbit/s`;
const count = (number, word) => `${number} ${word}${number === 1 ? '' : 's'}`;
const whole = (number) => Math.round(number).toLocaleString('en');
const sum = (all, of) => all.reduce((total, one) => total + of(one), 0);

function showTotals(shards) {
  const drops = (shard) => sum(HOST_DROPS, (why) => shard.drops[why] ?? 0);
  const lost = rate('lost here', sum(shards, (shard) => shard.rxOverflow + drops(shard)));
  const entries = [
    ['Rooms', whole(sum(shards, (shard) => shard.rooms))],
    ['Peers', whole(sum(shards, (shard) => shard.peers))],
    ['In', megabits(rate('rx', sum(shards, (shard) => shard.rxBytes)))],
    ['Out', megabits(rate('tx', sum(shards, (shard) => shard.txBytes)))],
    ['Forwarded', `${whole(rate('fwd', sum(shards, (shard) => shard.rtpForwarded)))}/s`],
    ['Lost on this host', `${whole(lost)}/s`, lost > 0],
  ];
  $('totals').replaceChildren(...entries.map(([name, value, bad]) => {
    const entry = document.createElement('div');
    entry.append(element('dt', name), element('dd', value, bad ? 'bad' : ''));
    return entry;
  }));
}

function showShards(shards) {
  $('shards').replaceChildren(...shards.map((shard) => {
    const box = document.createElement('div');
    box.className = 'shard';
    const pressure = ['', ', full: takes no new peers', ', overloaded'][shard.pressure] ?? '';
    const name = (what) => `${shard.shard} ${what}`;
    const [rx, tx] = [rate(name('rx'), shard.rxBytes), rate(name('tx'), shard.txBytes)];
    const held = `${count(shard.rooms, 'room')}, ${count(shard.peers, 'peer')}`;
    const lines = document.createElement('div');
    lines.className = 'plots';
    box.append(element('h3', `Shard ${shard.shard}: ${held}${pressure}`), lines);
    lines.append(
      plot(name('busy'), 'Busy', shard.busyShare, 1, percent),
      plot(name('in'), 'In', rx, 0, megabits),
      plot(name('out'), 'Out', tx, 0, megabits),
      plot(name('late'), 'Forward, p99', shard.forwardTime.p99, 0, (us) => `${us} µs`),
    );
    return box;
  }));
}

/** A line of the last values; `most` is the top of the plot, 0 the largest of them. */
function plot(name, title, value, most, text) {
  const values = [...(plots.get(name) ?? []), value].slice(-POINTS);
  plots.set(name, values);
  const top = most || Math.max(...values, 1e-9) * 1.1;
  const point = (y, i) => `${POINTS - values.length + i},${(30 * (1 - y / top)).toFixed(2)}`;
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `0 0 ${POINTS - 1} 30`);
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('aria-hidden', 'true');
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline');
  line.setAttribute('points', values.map(point).join(' '));
  svg.append(line);
  const caption = document.createElement('figcaption');
  caption.append(element('span', title), element('output', text(value)));
  const figure = document.createElement('figure');
  figure.append(caption, svg);
  return figure;
}

function showRooms(rooms) {
  // The keyboard's place in the list outlives the buttons.
  const focused = document.activeElement?.dataset.room;
  $('no-rooms').hidden = rooms.length > 0;
  rooms.sort((a, b) => b.peers - a.peers || a.room.localeCompare(b.room));
  $('rooms').replaceChildren(...rooms.map((room) => {
    const [packets, lost] = loss(`room ${room.room}`, room.packets, room.lost);
    return row(opener(room.room), room.shard, room.peers, room.receivers, room.senders,
      whole(packets), percent(lost));
  }));
  if (focused) openerOf(focused)?.focus();
}

function openerOf(room) {
  return document.querySelector(`[data-room="${CSS.escape(room)}"]`);
}

/** A button with the name of a room, that shows who is in it, and no longer. */
function opener(room) {
  const button = element('button', room);
  button.type = 'button';
  button.title = room;
  button.dataset.room = room;
  button.setAttribute('aria-expanded', String(shown === room));
  button.addEventListener('click', async () => {
    shown = shown === room ? null : room;
    await round();
    if (shown) $('room').scrollIntoView({ block: 'nearest' });
  });
  return button;
}

function showRoom(report) {
  $('room').hidden = !report;
  if (!report) return;
  $('room-title').textContent = `In ${report.room}`;
  $('members').replaceChildren(...report.members.flatMap((member) => {
    const bare = member.transports.filter((on) =>
      !member.receivers.some((receiver) => receiver.transportId === on.id));
    const rows = [
      ...member.receivers.map((receiver) => sourceRow(report, member, receiver)),
      ...bare.map((on) => row(member.peer, on.id, `${on.ice}, ${on.dtls}`, on.remote ?? '',
        `sent ${on.senders}`, '', '', '', '')),
    ];
    if (rows.length === 0) rows.push(row(member.peer, '', member.joined ? '' : 'not joined'));
    return rows;
  }));
}

function sourceRow(report, member, receiver) {
  const on = member.transports.find((transport) => transport.id === receiver.transportId);
  const name = `source ${report.room} ${member.peer} ${receiver.id}`;
  const [packets, lost] = loss(name, receiver.packets, receiver.lost);
  const state = receiver.paused ? ', paused' : '';
  return row(member.peer, receiver.transportId, on ? `${on.ice}, ${on.dtls}` : '',
    on?.remote ?? '', `${receiver.codec}${state}`,
    mended(receiver.senders, rate(`${name} resent`, receiver.resent), 'sent again'),
    whole(packets),
    mended(percent(lost), rate(`${name} recovered`, receiver.recovered), 'came again'),
    `${receiver.jitterMs.toFixed(1)} ms`);
}

/** What is said of it, and how many packets a second were mended, where there were any. */
function mended(said, packets, how) {
  return packets > 0 ? `${said}, ${Math.ceil(packets)}/s ${how}` : said;
}

function row(...cells) {
  const line = document.createElement('tr');
  for (const cell of cells) {
    const td = document.createElement('td');
    td.append(cell instanceof Node ? cell : String(cell ?? ''));
    line.append(td);
  }
  line.cells[0].title = line.cells[0].textContent;
  return line;
}

function element(name, text, className = '') {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

let lastRound = 0;

async function round() {
  try {
    const [ready, stats, list, report] = await Promise.all([
      fetch('/readyz', { cache: 'no-store' }).then((answer) => answer.text()),
      ask('/stats'),
      ask('/admin/rooms'),
      shown === null ? null : ask(`/admin/rooms/${encodeURIComponent(shown)}`),
    ]);
    const at = performance.now();
    seconds = lastRound ? (at - lastRound) / 1000 : 0;
    lastRound = at;
    [before, now] = [now, new Map()];
    showTotals(stats.shards);
    showShards(stats.shards);
    showRooms(list.rooms);
    showRoom(report);
    $('token-form').hidden = true;
    MAIN.hidden = false;
    MAIN.classList.remove('old');
    $('time').textContent = new Date().toLocaleTimeString();
    const state = ready.trim();
    say(state === 'ready' ? 'Live' : `Takes no new rooms: ${state}`, state !== 'ready');
  } catch (error) {
    if (error instanceof Refused) refused(error);
    else say(`No answer: ${error.message}`, true);
    MAIN.classList.add('old');
  }
}

function refused({ message }) {
  MAIN.hidden = true;
  $('token-form').hidden = false;
  $('time').textContent = '';
  say(message, true);
}

/** Said aloud only where it is another than before. */
function say(text, bad) {
  if ($('state').textContent !== text) $('state').textContent = text;
  $('state').classList.toggle('bad', bad);
}

for (;;) {
  if (!document.hidden) await round();
  await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
}
