// What is read from browsers' descriptions and what is written for them. That browsers take what is
// written is shown by the calls of tests/interop.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  buildAnswer, buildOffer, chooseCodecs, decodable, inKnownWords, parseFmtp, parseSdp, sameFormat,
  sourceParameters,
} from '../sdp.js';
import { CAPABILITIES, CHROMIUM_OFFER, FIREFOX_OFFER, TRANSPORT } from './descriptions.js';

/** The attributes of each section of a description, the session's first. */
function sectionsOf(sdp) {
  assert.ok(sdp.endsWith('\r\n'));
  return sdp.split(/(?=m=)/).map((text) => text.trimEnd().split('\r\n'));
}

const names = (codecs) => codecs.map(({ name, payloadType }) => `${name} ${payloadType}`);

describe('reading', () => {
  test('Chromium: formats, feedback, extensions, ssrcs, one fingerprint', () => {
    const { fingerprints, sections: [audio, video] } = parseSdp(CHROMIUM_OFFER);
    assert.deepEqual(fingerprints, [{ algorithm: 'sha-256', value: 'CB:EC:FD:4A' }]);
    assert.equal(audio.kind, 'audio');
    assert.equal(audio.mid, '0');
    assert.equal(audio.cname, '7etD0InsArYqSKQU');
    assert.deepEqual(audio.encodings, [{ ssrc: 788191574 }]);
    assert.deepEqual(audio.codecs[0], {
      name: 'opus', mimeType: 'audio/opus', clockRate: 48000, payloadType: 111, channels: 2,
      rtcpFeedback: [{ type: 'transport-cc', parameter: '' }],
      parameters: { minptime: 10, useinbandfec: 1 },
    });
    assert.deepEqual(audio.codecs[1].parameters, { '': '111/111' });
    assert.deepEqual(video.encodings, [{ ssrc: 3981999840, rtx: { ssrc: 3756311063 } }]);
    assert.deepEqual(video.headerExtensions[1], { uri: 'urn:3gpp:video-orientation', id: 13 });
    assert.deepEqual(video.codecs[0].rtcpFeedback.at(-1), { type: 'nack', parameter: 'pli' });
  });

  test('Firefox: port 0 is a rejection only without bundle-only', () => {
    const { fingerprints, sections } = parseSdp(FIREFOX_OFFER);
    assert.deepEqual(fingerprints, [{ algorithm: 'sha-256', value: '8C:3D:F1:B9' }]);
    assert.deepEqual(sections.map(({ rejected }) => rejected), [false, false, true]);
    assert.deepEqual(sections.map(({ mid }) => mid), ['3', '4', undefined]);
    assert.deepEqual(sections[1].encodings, [{ ssrc: 1, rtx: { ssrc: 2 } }]);
    assert.equal(sections[0].headerExtensions[1].direction, 'recvonly');
  });

  test('feedback for all formats at once', () => {
    const sdp = CHROMIUM_OFFER.replace('a=rtcp-fb:111 transport-cc', 'a=rtcp-fb:* nack pli');
    for (const { rtcpFeedback } of parseSdp(sdp).sections[0].codecs) {
      assert.deepEqual(rtcpFeedback, [{ type: 'nack', parameter: 'pli' }]);
    }
  });

  test('fmtp: numbers are numbers, a profile of digits only is none', () => {
    assert.deepEqual(parseFmtp('apt=96; profile-level-id=640032;sprop=AQ=='), {
      apt: 96, 'profile-level-id': '640032', sprop: 'AQ==',
    });
    assert.deepEqual(parseFmtp('0-15'), { '': '0-15' });
    assert.deepEqual(parseFmtp('x=007;y=12345678901'), { x: '007', y: '12345678901' });
  });

  test('what is not SDP is an error', () => {
    assert.throws(() => parseSdp('hello'), { code: 'negotiation' });
  });
});

describe('formats', () => {
  const same = (a, b) => {
    const of = ([name, parameters = {}]) => ({ name, clockRate: 90000, parameters });
    return sameFormat(of(a), of(b));
  };
  const h264 = (id, mode) => ['H264', { 'profile-level-id': id, 'packetization-mode': mode }];

  test('are told apart by what decides about decoding', () => {
    assert.ok(same(['VP8'], ['vp8', { 'max-fs': 12288 }]));
    assert.ok(!same(['VP8'], ['VP9']));
    assert.ok(same(['VP9'], ['VP9', { 'profile-id': 0 }]));
    assert.ok(!same(['VP9'], ['VP9', { 'profile-id': 2 }]));
    assert.ok(same(['AV1', { profile: 0, tier: 1 }], ['AV1']));
    assert.ok(!same(['AV1', { profile: 1 }], ['AV1']));
    assert.ok(same(['H265', { 'profile-id': 1, 'level-id': 93 }], ['H265', { 'level-id': 156 }]));
    assert.ok(!same(['H265', { 'tx-mode': 'MRST' }], ['H265']));
    const opus = { name: 'opus', clockRate: 48000, parameters: {} };
    assert.ok(!sameFormat({ ...opus, channels: 2 }, opus));
  });

  test('H.264: profile and mode, not level; the constrained baseline has three spellings', () => {
    assert.ok(same(h264('42e01f', 1), h264('42E034', 1)));
    assert.ok(same(h264('42e01f', 1), h264('4d801f', 1)));
    assert.ok(same(h264('42e01f', 1), h264('58c01f', 1)));
    assert.ok(!same(h264('42e01f', 1), h264('42001f', 1)));
    assert.ok(!same(h264('42e01f', 1), h264('42e01f', 0)));
    assert.ok(!same(h264('64001f', 1), h264('640c1f', 1)));
    assert.ok(same(h264(undefined, undefined), h264('420010', 0)));
  });

  test('constrained high is offered as high where the browser knows that alone', () => {
    const codec = (id) => ({
      name: 'H264', clockRate: 90000, payloadType: 108, parameters: { 'profile-level-id': id },
    });
    const offered = (source, ...known) => (
      inKnownWords({ codecs: [codec(source)] }, known.map(codec)).codecs[0]
        .parameters['profile-level-id']);
    assert.equal(offered('640c28', '42e01f', '64001f'), '640028');
    assert.equal(offered('640c28', '42e01f', '640c1f'), '640c28');
    assert.equal(offered('42e028', '64001f'), '42e028');
    assert.equal(offered(undefined, '64001f'), undefined);
  });
});

describe('choosing a codec', () => {
  const { sections: [audio, video] } = parseSdp(CHROMIUM_OFFER);

  test("the server's order decides, with our payload types and common feedback", () => {
    const codecs = chooseCodecs(video, CAPABILITIES);
    assert.deepEqual(names(codecs), ['VP8 96', 'rtx 97']);
    assert.deepEqual(codecs[0].rtcpFeedback, [
      { type: 'ccm', parameter: 'fir' }, { type: 'nack', parameter: 'pli' },
    ]);
    assert.deepEqual(names(chooseCodecs(audio, CAPABILITIES)), ['opus 111']);
  });

  test('a wish decides instead; the profile is the one that both have', () => {
    assert.deepEqual(names(chooseCodecs(video, CAPABILITIES, { codec: 'h264' })),
      ['H264 104', 'rtx 107']);
    assert.deepEqual(names(chooseCodecs(audio, CAPABILITIES, { codec: 'audio/PCMU' })), ['PCMU 0']);
  });

  test('redundancy only where it is asked for', () => {
    assert.deepEqual(names(chooseCodecs(audio, CAPABILITIES, { redundancy: true })),
      ['opus 111', 'red 63']);
  });

  test('no codec in common', () => {
    const message = /VP9/;
    assert.throws(() => chooseCodecs(video, CAPABILITIES, { codec: 'VP9' }),
      { code: 'no-codec', message });
    assert.throws(() => chooseCodecs(video, CAPABILITIES, { codec: 'rtx' }), { code: 'no-codec' });
    assert.throws(() => chooseCodecs(video, { codecs: [] }), { code: 'no-codec' });
  });

  test('createReceiver gets what the section says, of what the server knows', () => {
    const parameters = sourceParameters(video, chooseCodecs(video, CAPABILITIES), CAPABILITIES);
    assert.deepEqual(parameters.headerExtensions, [
      { uri: 'urn:3gpp:video-orientation', id: 13 },
      { uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', id: 4 },
    ]);
    assert.equal(parameters.muxId, '1');
    assert.deepEqual(parameters.encodings, [{ ssrc: 3981999840, rtx: { ssrc: 3756311063 } }]);
    assert.deepEqual(parameters.rtcp, {
      cname: '7etD0InsArYqSKQU', reducedSize: true, mux: true,
    });
  });

  test('no rtx ssrc without an rtx codec, no extension that is not for sending', () => {
    const capabilities = {
      ...CAPABILITIES, codecs: CAPABILITIES.codecs.filter(({ name }) => name !== 'rtx'),
    };
    const { sections: [fox] } = parseSdp(FIREFOX_OFFER);
    const pictures = sourceParameters(video, chooseCodecs(video, capabilities), capabilities);
    assert.deepEqual(pictures.encodings, [{ ssrc: 3981999840 }]);
    const sound = sourceParameters(fox, chooseCodecs(fox, CAPABILITIES), CAPABILITIES);
    assert.deepEqual(sound.headerExtensions.map(({ id }) => id), [1]);
  });
});

describe('what the browser can decode', () => {
  test('in the words of the protocol, each video codec with its rtx', () => {
    const { codecs, headerExtensions } = decodable((kind) => ({
      audio: { codecs: [{ mimeType: 'audio/opus', clockRate: 48000, channels: 2 }],
        headerExtensions: [{ uri: 'urn:a' }, { uri: 'urn:a' }] },
      video: { codecs: [
        { mimeType: 'video/VP9', clockRate: 90000, sdpFmtpLine: 'profile-id=2' },
        { mimeType: 'video/rtx', clockRate: 90000 },
        { mimeType: 'video/ulpfec', clockRate: 90000 },
      ], headerExtensions: [{ uri: 'urn:a' }] },
    })[kind]);
    assert.deepEqual(codecs.map(({ name }) => name), ['opus', 'VP9', 'rtx', 'ulpfec']);
    assert.deepEqual(codecs[1].parameters, { 'profile-id': 2 });
    assert.equal(codecs[2].parameters.apt, codecs[1].preferredPayloadType);
    assert.equal(new Set(codecs.map((codec) => codec.preferredPayloadType)).size, 4);
    assert.deepEqual(headerExtensions.map(({ kind, preferredId }) => [kind, preferredId]),
      [['audio', 1], ['video', 2]]);
  });

  test('a browser that says nothing', () => {
    assert.deepEqual(decodable(() => null), {
      codecs: [], headerExtensions: [], fecMechanisms: [],
    });
  });
});

describe('the answer to what we send', () => {
  function answer(sdp, live, wish) {
    const { sections: offered } = parseSdp(sdp);
    const sources = new Map(offered.filter(({ rejected }) => !rejected).map((section) => {
      const codecs = chooseCodecs(section, CAPABILITIES, wish);
      const parameters = sourceParameters(section, codecs, CAPABILITIES);
      return [section.mid, { parameters, live: live(section) }];
    }));
    return sectionsOf(buildAnswer({ offered, transport: TRANSPORT, sources }));
  }

  test('each section receives its codec, in one bundle over one transport', () => {
    const [session, audio, video] = answer(CHROMIUM_OFFER, () => true);
    assert.ok(session.includes('a=ice-lite'));
    assert.ok(session.includes('a=group:BUNDLE 0 1'));
    assert.equal(audio[0], 'm=audio 9 UDP/TLS/RTP/SAVPF 111');
    assert.equal(video[0], 'm=video 9 UDP/TLS/RTP/SAVPF 96 97');
    for (const line of [
      'a=mid:1', 'a=recvonly', 'a=setup:passive', 'a=rtcp-mux', 'a=rtcp-rsize',
      'a=ice-ufrag:0abc', 'a=ice-pwd:secretsecretsecretsecret', 'a=fingerprint:sha-256 AB:CD',
      'a=candidate:udp1 1 udp 2130706431 192.0.2.1 40000 typ host',
      'a=candidate:tcp1 1 tcp 1 192.0.2.1 443 typ host tcptype passive',
      'a=end-of-candidates', 'a=fmtp:97 apt=96', 'a=rtcp-fb:96 nack pli',
      'a=extmap:13 urn:3gpp:video-orientation',
    ]) assert.ok(video.includes(line), line);
    assert.ok(!video.some((line) => /goog-remb|transport-cc|ssrc/.test(line)));
  });

  test('what has ended is inactive, what was rejected stays so, with or without a mid', () => {
    const [session, audio, video, dead] = answer(FIREFOX_OFFER, ({ kind }) => kind === 'audio');
    assert.ok(session.includes('a=group:BUNDLE 3 4'));
    assert.ok(audio.includes('a=recvonly'));
    assert.ok(video.includes('a=inactive'));
    assert.equal(dead[0], 'm=video 0 UDP/TLS/RTP/SAVPF 120');
    assert.ok(!dead.some((line) => /mid|candidate|fingerprint/.test(line)));
  });

  test('redundancy stands first: browsers send the first', () => {
    const [, audio] = answer(CHROMIUM_OFFER.split(/(?=m=video)/)[0], () => true,
      { redundancy: true });
    assert.equal(audio[0], 'm=audio 9 UDP/TLS/RTP/SAVPF 63 111');
    assert.ok(audio.includes('a=fmtp:63 111/111'));
  });
});

describe('the offer of what we receive', () => {
  const parameters = {
    codecs: [
      { name: 'VP8', clockRate: 90000, payloadType: 96, rtcpFeedback: [], parameters: {} },
      { name: 'rtx', clockRate: 90000, payloadType: 97, rtcpFeedback: [], parameters: { apt: 96 } },
    ],
    headerExtensions: [{ uri: 'urn:3gpp:video-orientation', id: 5 }],
    encodings: [{ ssrc: 10, rtx: { ssrc: 11 } }],
    rtcp: { cname: 'a name' },
  };
  const section = { kind: 'video', mid: '7', state: 'sendonly', parameters, stream: 'peer-1' };
  const offer = (...sections) => (
    sectionsOf(buildOffer({ transport: TRANSPORT, version: 3, sections })));

  test('a sender is told by its ssrcs, and in sync with what has its stream', () => {
    const [session, video] = offer(section);
    assert.ok(session.includes('o=corinth 1 3 IN IP4 127.0.0.1'));
    assert.equal(video[0], 'm=video 9 UDP/TLS/RTP/SAVPF 96 97');
    for (const line of [
      'a=mid:7', 'a=sendonly', 'a=setup:actpass', 'a=msid:peer-1 7', 'a=ssrc-group:FID 10 11',
      'a=ssrc:10 cname:a name', 'a=ssrc:11 cname:a name', 'a=ssrc:10 msid:peer-1 7',
      'a=extmap:5 urn:3gpp:video-orientation',
    ]) assert.ok(video.includes(line), line);
  });

  test('closed ones keep their place, outside of the bundle unless they carry it', () => {
    const [session, first, second] = offer({ ...section, state: 'inactive' },
      { ...section, mid: '8', state: 'rejected' }, { ...section, mid: '9' });
    assert.ok(session.includes('a=group:BUNDLE 7 9'));
    assert.match(first[0], /^m=video 9 /);
    assert.ok(first.includes('a=inactive'));
    assert.match(second[0], /^m=video 0 /);
    assert.ok(![...first, ...second].some((line) => line.startsWith('a=ssrc')));
  });

  test('a peer cannot write lines of its own', () => {
    const evil = (change) => assert.throws(
      () => offer({ ...section, parameters: { ...parameters, ...change } }),
      { code: 'negotiation' });
    evil({ rtcp: { cname: 'x\r\na=candidate:1' } });
    evil({ codecs: [{ ...parameters.codecs[0], parameters: { x: '1\na=setup:active' } }] });
    evil({ headerExtensions: [{ id: 1, uri: 'urn:x\u0000' }] });
  });

  test('without an ssrc nothing could be found', () => {
    assert.throws(() => offer({ ...section, parameters: { ...parameters, encodings: [] } }),
      { code: 'negotiation' });
  });
});
