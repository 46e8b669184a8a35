// SDP in both directions, as pure functions. The server speaks no SDP: it states ICE, DTLS and RTP
// parameters, and what the browser must read as "the other side's description" is written here.
//
// Specifications: RFC 8866 (SDP), RFC 8829 (JSEP), RFC 8843 (BUNDLE), RFC 8839 (ICE in SDP).

import { CorinthError } from './protoo.js';

/**
 * The dictionaries of the signaling protocol.
 *
 * @typedef {'audio' | 'video'} Kind
 * @typedef {{ type: string, parameter: string }} RtcpFeedback
 * @typedef {Record<string, string | number>} Fmtp  A value without a name is under `''`.
 * @typedef {object} RtpCodec
 * @property {string} name
 * @property {string} mimeType
 * @property {number} clockRate
 * @property {number} payloadType
 * @property {number} [channels]
 * @property {RtcpFeedback[]} rtcpFeedback
 * @property {Fmtp} parameters
 *
 * @typedef {Omit<RtpCodec, 'payloadType'> & { kind: Kind, preferredPayloadType: number }}
 *   CodecCapability
 * @typedef {object} RtpCapabilities
 * @property {CodecCapability[]} codecs
 * @property {{ kind: Kind, uri: string, preferredId: number }[]} headerExtensions
 * @property {string[]} fecMechanisms
 *
 * @typedef {object} RtpParameters
 * @property {string} [muxId]
 * @property {RtpCodec[]} codecs  The source's codec first.
 * @property {{ uri: string, id: number }[]} headerExtensions
 * @property {{ ssrc: number, rtx?: { ssrc: number } }[]} encodings
 * @property {{ cname?: string, reducedSize?: boolean, mux?: boolean }} rtcp
 *
 * @typedef {{ algorithm: string, value: string }} Fingerprint
 * @typedef {object} DtlsParameters
 * @property {'auto' | 'client' | 'server'} role
 * @property {Fingerprint[]} fingerprints
 *
 * @typedef {object} IceCandidate
 * @property {string} foundation
 * @property {string} ip
 * @property {number} port
 * @property {number} priority
 * @property {'udp' | 'tcp'} protocol
 * @property {string} type
 * @property {string} [tcpType]
 *
 * @typedef {object} TransportParameters  What the server answers to `createTransport`.
 * @property {{ usernameFragment: string, password: string, iceLite?: boolean }} iceParameters
 * @property {IceCandidate[]} iceCandidates
 * @property {DtlsParameters} dtlsParameters
 */

/**
 * One media section of a description.
 *
 * @typedef {object} Section
 * @property {Kind} kind
 * @property {string | undefined} mid
 * @property {boolean} rejected
 * @property {RtpCodec[]} codecs  In order of preference.
 * @property {{ uri: string, id: number, direction?: string }[]} headerExtensions
 * @property {{ ssrc: number, rtx?: { ssrc: number } }[]} encodings
 * @property {string | undefined} cname
 */

const AUXILIARY = new Set(['rtx', 'red', 'ulpfec', 'flexfec-03', 'cn', 'telephone-event']);
/** Not media of its own: repetition, protection, comfort noise, tones. */
const isAuxiliary = (codec) => AUXILIARY.has(codec.name.toLowerCase());
const sameName = (a, b) => a.name.toLowerCase() === b.name.toLowerCase();

// ---- Reading ------------------------------------------------------------------------------------

/**
 * Reads a description that this browser made.
 *
 * @param {string} sdp
 * @returns {{ fingerprints: Fingerprint[], sections: Section[] }}
 */
export function parseSdp(sdp) {
  const [session, ...media] = sdp.trim().split(/\r?\n(?=m=)/);
  const fingerprints = new Map();
  for (const [, algorithm, value] of sdp.matchAll(/^a=fingerprint:(\S+) (\S+)/gm)) {
    fingerprints.set(`${algorithm} ${value}`, { algorithm: algorithm.toLowerCase(), value });
  }
  if (!session.startsWith('v=0')) throw new CorinthError('negotiation', 'not an SDP description');
  return { fingerprints: [...fingerprints.values()], sections: media.map(parseSection) };
}

/** @returns {Section} */
function parseSection(text) {
  const lines = text.split(/\r?\n/);
  const [kind, port, , ...payloadTypes] = lines[0].slice(2).split(' ');
  const attributes = lines.filter((line) => line.startsWith('a=')).map((line) => line.slice(2));
  const all = (pattern) => attributes.map((line) => line.match(pattern)).filter(Boolean);
  const first = (pattern) => all(pattern)[0]?.[1];
  return {
    kind: /** @type {Kind} */ (kind),
    mid: first(/^mid:(\S+)/),
    // RFC 8843 §6: with `bundle-only`, port 0 means "only inside the bundle".
    rejected: port === '0' && !attributes.includes('bundle-only'),
    codecs: parseCodecs(kind, payloadTypes.map(Number), all),
    headerExtensions: all(/^extmap:(\d+)(?:\/(\w+))? (\S+)/).map(([, id, direction, uri]) => (
      { uri, id: Number(id), ...(direction && { direction }) })),
    encodings: parseEncodings(all),
    cname: first(/^ssrc:\d+ cname:(\S+)/),
  };
}

function parseCodecs(kind, payloadTypes, all) {
  const codecs = new Map();
  for (const [, pt, name, clockRate, channels] of all(/^rtpmap:(\d+) ([^/]+)\/(\d+)(?:\/(\d+))?/)) {
    codecs.set(Number(pt), {
      name,
      mimeType: `${kind}/${name}`,
      clockRate: Number(clockRate),
      payloadType: Number(pt),
      ...(channels > 1 && { channels: Number(channels) }),
      rtcpFeedback: [],
      parameters: {},
    });
  }
  for (const [, pt, text] of all(/^fmtp:(\d+) (.*)/)) {
    const codec = codecs.get(Number(pt));
    if (codec) Object.assign(codec.parameters, parseFmtp(text));
  }
  for (const [, pt, type, parameter = ''] of all(/^rtcp-fb:(\d+|\*) (\S+)(?: (.*))?/)) {
    for (const codec of pt === '*' ? codecs.values() : [codecs.get(Number(pt))]) {
      codec?.rtcpFeedback.push({ type, parameter });
    }
  }
  return payloadTypes.map((pt) => codecs.get(pt)).filter(Boolean);
}

function parseEncodings(all) {
  const rtx = new Map(all(/^ssrc-group:FID (\d+) (\d+)/).map(([, a, b]) => [Number(a), Number(b)]));
  const repairs = new Set(rtx.values());
  const ssrcs = new Set(all(/^ssrc:(\d+)/).map(([, ssrc]) => Number(ssrc)));
  return [...ssrcs].filter((ssrc) => !repairs.has(ssrc)).map((ssrc) => (
    { ssrc, ...(rtx.has(ssrc) && { rtx: { ssrc: rtx.get(ssrc) } }) }));
}

/**
 * Numbers become numbers where nothing is lost; a profile of six hex digits stays what it is.
 *
 * @param {string} text  What follows the payload type.
 * @returns {Fmtp}
 */
export function parseFmtp(text) {
  /** @type {Fmtp} */
  const parameters = {};
  for (const item of text.split(';').map((part) => part.trim()).filter(Boolean)) {
    const at = item.indexOf('=');
    const [name, value] = at < 0 ? ['', item] : [item.slice(0, at), item.slice(at + 1)];
    const isNumber = name !== 'profile-level-id' && /^(0|[1-9]\d{0,8})$/.test(value);
    parameters[name] = isNumber ? Number(value) : value;
  }
  return parameters;
}

// ---- Matching -----------------------------------------------------------------------------------

/**
 * What a browser can decode, in the protocol's words. Browsers do not say payload types and ids
 * here, and the server does not look at them: they are numbered only to be complete.
 *
 * @param {(kind: Kind) => RTCRtpCapabilities | null} getCapabilities
 *   `RTCRtpReceiver.getCapabilities`.
 * @returns {RtpCapabilities}
 */
export function decodable(getCapabilities) {
  let next = 96;
  const codecs = [];
  const extensions = new Map();
  for (const kind of /** @type {Kind[]} */ (['audio', 'video'])) {
    const known = getCapabilities(kind) ?? { codecs: [], headerExtensions: [] };
    const hasRtx = known.codecs.some((codec) => /\/rtx$/i.test(codec.mimeType));
    for (const { mimeType, clockRate, channels, sdpFmtpLine } of known.codecs) {
      const name = mimeType.slice(mimeType.indexOf('/') + 1);
      const common = { kind, clockRate, rtcpFeedback: [] };
      if (name.toLowerCase() === 'rtx') continue;
      const codec = {
        ...common, name, mimeType, preferredPayloadType: next++,
        ...(channels > 1 && { channels }),
        parameters: parseFmtp(sdpFmtpLine ?? ''),
      };
      codecs.push(codec);
      if (!hasRtx || isAuxiliary(codec)) continue;
      codecs.push({
        ...common, name: 'rtx', mimeType: `${kind}/rtx`, preferredPayloadType: next++,
        parameters: { apt: codec.preferredPayloadType },
      });
    }
    for (const { uri } of known.headerExtensions) extensions.set(`${kind} ${uri}`, { kind, uri });
  }
  const headerExtensions = [...extensions.values()].map((extension, i) => (
    { ...extension, preferredId: i + 1 }));
  return { codecs, headerExtensions, fecMechanisms: [] };
}

/**
 * Whether both stand for one format: the parameters that decide it differ from codec to codec.
 *
 * @param {Pick<RtpCodec, 'name' | 'clockRate' | 'channels' | 'parameters'>} a
 * @param {Pick<RtpCodec, 'name' | 'clockRate' | 'channels' | 'parameters'>} b
 */
export function sameFormat(a, b) {
  if (!sameName(a, b) || a.clockRate !== b.clockRate) return false;
  if ((a.channels ?? 1) !== (b.channels ?? 1)) return false;
  const same = (name, otherwise) => (
    String(a.parameters[name] ?? otherwise) === String(b.parameters[name] ?? otherwise));
  switch (a.name.toLowerCase()) {
    case 'h264':
      return same('packetization-mode', 0)
        && h264Profile(a.parameters['profile-level-id'])
        === h264Profile(b.parameters['profile-level-id']);
    case 'vp9': return same('profile-id', 0);
    case 'av1': return same('profile', 0);
    case 'h265': return same('profile-id', 1) && same('tier-flag', 0) && same('tx-mode', 'SRST');
    default: return true;
  }
}

/**
 * RFC 6184 §8.1, table 5: the profile is in the first byte and in some bits of the second, and the
 * constrained baseline has three spellings. The level, the third byte, is not part of it.
 *
 * @param {string | number} [parameter]  `profile-level-id`
 */
function h264Profile(parameter = '42001f') {
  const id = String(parameter).toLowerCase();
  const [idc, iop] = [id.slice(0, 2), parseInt(id.slice(2, 4), 16)];
  const constrained = (idc === '42' && iop & 0x40) || (idc === '4d' && iop & 0x80)
    || (idc === '58' && (iop & 0xc0) === 0xc0);
  if (constrained) return 'constrained baseline';
  return idc === '42' ? 'baseline' : `${idc} ${iop & 0x0c}`;
}

/**
 * What the server sends, in words that this browser knows: H264's constrained high is a part of
 * high, and browsers know the one or the other.
 *
 * @param {RtpParameters} parameters  As given in `newSender`.
 * @param {RtpCodec[]} known  What it decodes.
 * @returns {RtpParameters}
 */
export function inKnownWords(parameters, known) {
  const profile = (codec) => h264Profile(codec.parameters['profile-level-id']);
  const isH264 = ({ name }) => name.toLowerCase() === 'h264';
  const profiles = new Set(known.filter(isH264).map(profile));
  const codecs = parameters.codecs.map((codec) => {
    if (!isH264(codec) || profile(codec) !== CONSTRAINED_HIGH || profiles.has(CONSTRAINED_HIGH)) {
      return codec;
    }
    const id = `6400${String(codec.parameters['profile-level-id']).slice(4)}`;
    return { ...codec, parameters: { ...codec.parameters, 'profile-level-id': id } };
  });
  return { ...parameters, codecs };
}

/** As `h264Profile` says it. */
const CONSTRAINED_HIGH = `64 ${0x0c}`;

/**
 * The codec for a source that this browser offers in `section`, and what goes with it, in the
 * browser's payload types. The server's order decides, unless the app has a wish.
 *
 * @param {Section} section
 * @param {RtpCapabilities} capabilities  The server's.
 * @param {{ codec?: string, redundancy?: boolean }} [wish]  `codec`: a name as in "VP9".
 *   `redundancy`: audio with a copy of the packets before (RFC 2198), where both have it.
 * @returns {RtpCodec[]}  The codec first, then its rtx and red. Only feedback that both serve.
 * @throws {CorinthError} `no-codec`
 */
export function chooseCodecs(section, capabilities, { codec: wanted, redundancy = false } = {}) {
  const served = capabilities.codecs.filter((codec) => codec.kind === section.kind);
  const pairs = served.flatMap((theirs) => {
    const ours = section.codecs.find((codec) => sameFormat(codec, theirs));
    return ours ? [{ ours, theirs }] : [];
  });
  const name = wanted?.replace(/^(audio|video)\//i, '').toLowerCase();
  const chosen = pairs.find(({ ours }) => (
    !isAuxiliary(ours) && (name === undefined || ours.name.toLowerCase() === name)));
  if (!chosen) {
    const what = wanted ?? `a codec for ${section.kind}`;
    throw new CorinthError('no-codec', `This browser and the server do not both have ${what}.`);
  }
  const codecs = [{
    ...chosen.ours,
    rtcpFeedback: chosen.ours.rtcpFeedback.filter((ours) => chosen.theirs.rtcpFeedback.some(
      (theirs) => theirs.type === ours.type && (theirs.parameter ?? '') === ours.parameter)),
  }];
  const helpers = {
    rtx: served.some((codec) => codec.name === 'rtx'
      && codec.parameters.apt === chosen.theirs.preferredPayloadType)
      && section.codecs.find((codec) => codec.name.toLowerCase() === 'rtx'
        && codec.parameters.apt === chosen.ours.payloadType),
    red: redundancy && pairs.find(({ ours }) => ours.name.toLowerCase() === 'red')?.ours,
  };
  for (const helper of [helpers.rtx, helpers.red]) {
    if (helper) codecs.push({ ...helper, rtcpFeedback: [] });
  }
  return codecs;
}

/**
 * `rtpParameters` of `createReceiver`: what this browser will send in `section`.
 *
 * @param {Section} section
 * @param {RtpCodec[]} codecs  See {@link chooseCodecs}.
 * @param {RtpCapabilities} capabilities  The server's.
 * @returns {RtpParameters}
 */
export function sourceParameters(section, codecs, capabilities) {
  const hasRtx = codecs.some((codec) => codec.name.toLowerCase() === 'rtx');
  return {
    muxId: section.mid,
    codecs,
    headerExtensions: section.headerExtensions
      .filter(({ uri, direction }) => direction !== 'recvonly' && direction !== 'inactive'
        && capabilities.headerExtensions.some((theirs) => (
          theirs.uri === uri && theirs.kind === section.kind)))
      .map(({ uri, id }) => ({ uri, id })),
    encodings: section.encodings.map(({ ssrc, rtx }) => ({ ssrc, ...(hasRtx && rtx && { rtx }) })),
    rtcp: { cname: section.cname, reducedSize: true, mux: true },
  };
}

// ---- Writing ------------------------------------------------------------------------------------

/**
 * The server's answer to what this browser offers to send.
 *
 * @param {object} what
 * @param {Section[]} what.offered
 * @param {TransportParameters} what.transport
 * @param {Map<string, { parameters: RtpParameters, live: boolean }>} what.sources  By mid.
 *   `parameters` as given in `createReceiver`; not `live`: the section stays, nothing is sent.
 * @returns {string}
 */
export function buildAnswer({ offered, transport, sources }) {
  const sections = offered.map((section) => {
    const source = section.rejected ? undefined : sources.get(section.mid);
    if (!source) return { ...section, codecs: section.codecs.slice(0, 1), state: 'rejected' };
    const { codecs, headerExtensions } = source.parameters;
    return {
      kind: section.kind,
      mid: section.mid,
      state: source.live ? 'recvonly' : 'inactive',
      // The browser sends the first of the answer: redundancy has to stand before what it repeats.
      codecs: [...codecs].sort((a, b) => Number(sameName(b, RED)) - Number(sameName(a, RED))),
      headerExtensions,
    };
  });
  return buildSdp({ transport, setup: 'passive', sections });
}

const RED = { name: 'red' };

/**
 * The server's offer of what it sends to this browser.
 *
 * @param {object} what
 * @param {TransportParameters} what.transport
 * @param {number} what.version  Counts up with each offer of a connection.
 * @param {OfferedSection[]} what.sections
 * @returns {string}
 *
 * @typedef {object} OfferedSection
 * @property {Kind} kind
 * @property {string} mid  At most 16 bytes, or Firefox refuses it.
 * @property {'sendonly' | 'inactive' | 'rejected'} state
 * @property {RtpParameters} parameters  As given in `newSender`.
 * @property {string} stream  What has the same name here is played in sync.
 */
export function buildOffer({ transport, version, sections }) {
  return buildSdp({
    transport,
    version,
    setup: 'actpass',
    sections: sections.map(({ parameters, ...section }) => ({ ...parameters, ...section })),
  });
}

function buildSdp({ transport, version = 1, setup, sections }) {
  const bundle = sections.filter(({ state }) => state !== 'rejected').map(({ mid }) => mid);
  const lines = [
    'v=0',
    `o=corinth 1 ${version} IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    'a=ice-lite',
    ...(bundle.length ? [`a=group:BUNDLE ${bundle.join(' ')}`] : []),
    'a=extmap-allow-mixed',
    'a=msid-semantic: WMS *',
    ...sections.flatMap((section) => sectionLines(section, transport, setup)),
  ];
  // Much of this comes from other peers: none of them may end a line and begin one of its own.
  const bad = lines.find((line) => /[\0-\x1f\x7f]/.test(line));
  if (bad !== undefined) {
    throw new CorinthError('negotiation', `control character in ${JSON.stringify(bad)}`);
  }
  return `${lines.join('\r\n')}\r\n`;
}

function sectionLines(section, transport, setup) {
  const { kind, mid, state, codecs } = section;
  const rejected = state === 'rejected';
  const payloadTypes = codecs.map((codec) => codec.payloadType).join(' ');
  return [
    // A section without a format is no section: an unknown one stands for "none".
    `m=${kind} ${rejected ? 0 : 9} UDP/TLS/RTP/SAVPF ${payloadTypes || 0}`,
    'c=IN IP4 0.0.0.0',
    ...(mid === undefined ? [] : [`a=mid:${mid}`]),
    `a=${rejected ? 'inactive' : state}`,
    ...(rejected ? [] : transportLines(transport, setup)),
    ...codecs.flatMap(codecLines),
    ...(rejected ? [] : section.headerExtensions.map(({ id, uri }) => `a=extmap:${id} ${uri}`)),
    ...(state === 'sendonly' ? streamLines(section) : []),
  ];
}

function transportLines({ iceParameters, iceCandidates, dtlsParameters }, setup) {
  return [
    'a=rtcp-mux',
    'a=rtcp-rsize',
    `a=ice-ufrag:${iceParameters.usernameFragment}`,
    `a=ice-pwd:${iceParameters.password}`,
    ...iceCandidates.map(({ foundation, protocol, priority, ip, port, type, tcpType }) => (
      `a=candidate:${foundation} 1 ${protocol} ${priority} ${ip} ${port} typ ${type}`
      + (tcpType ? ` tcptype ${tcpType}` : ''))),
    'a=end-of-candidates',
    ...dtlsParameters.fingerprints.map(({ algorithm, value }) => (
      `a=fingerprint:${algorithm} ${value}`)),
    `a=setup:${setup}`,
  ];
}

function codecLines({ name, clockRate, payloadType: pt, channels, rtcpFeedback, parameters }) {
  const fmtp = Object.entries(parameters ?? {})
    .map(([key, value]) => (key ? `${key}=${value}` : value)).join(';');
  return [
    `a=rtpmap:${pt} ${name}/${clockRate}${channels > 1 ? `/${channels}` : ''}`,
    ...(rtcpFeedback ?? []).map(({ type, parameter }) => (
      `a=rtcp-fb:${pt} ${type}${parameter ? ` ${parameter}` : ''}`)),
    ...(fmtp ? [`a=fmtp:${pt} ${fmtp}`] : []),
  ];
}

// The server sends no mid in its packets: they are told apart by these ssrcs.
function streamLines({ mid, stream, encodings, rtcp }) {
  const [{ ssrc, rtx } = {}] = encodings;
  if (ssrc === undefined) throw new CorinthError('negotiation', `no ssrc for sender ${mid}`);
  const ssrcs = rtx ? [ssrc, rtx.ssrc] : [ssrc];
  return [
    `a=msid:${stream} ${mid}`,
    ...(rtx ? [`a=ssrc-group:FID ${ssrcs.join(' ')}`] : []),
    ...ssrcs.flatMap((each) => [
      `a=ssrc:${each} cname:${rtcp?.cname ?? stream}`,
      `a=ssrc:${each} msid:${stream} ${mid}`,
    ]),
  ];
}
