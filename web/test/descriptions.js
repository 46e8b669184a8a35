// What browsers offer and what the server says, shortened to what matters here.

/** Chromium 156: microphone and camera, the attributes in its order. */
export const CHROMIUM_OFFER = lines(`
v=0
o=- 7883167284879447205 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0 126
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:yr7g
a=ice-pwd:kCBuDRXSdur5JODQrcPonQ5w
a=ice-options:trickle
a=fingerprint:sha-256 CB:EC:FD:4A
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:- 45eca4fe
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:111 opus/48000/2
a=rtcp-fb:111 transport-cc
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=fmtp:63 111/111
a=rtpmap:0 PCMU/8000
a=rtpmap:126 telephone-event/8000
a=ssrc:788191574 cname:7etD0InsArYqSKQU
a=ssrc:788191574 msid:- 45eca4fe
m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 107 98 99
c=IN IP4 0.0.0.0
a=fingerprint:sha-256 CB:EC:FD:4A
a=setup:actpass
a=mid:1
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:13 urn:3gpp:video-orientation
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=sendonly
a=msid:- b3580eb1
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:102 H264/90000
a=rtcp-fb:102 nack pli
a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f
a=rtpmap:103 rtx/90000
a=fmtp:103 apt=102
a=rtpmap:104 H264/90000
a=rtcp-fb:104 nack pli
a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:107 rtx/90000
a=fmtp:107 apt=104
a=rtpmap:98 VP9/90000
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=ssrc-group:FID 3981999840 3756311063
a=ssrc:3981999840 cname:7etD0InsArYqSKQU
a=ssrc:3756311063 cname:7etD0InsArYqSKQU
`);

/** Firefox 153: the fingerprint stands above, what is bundled has port 0. */
export const FIREFOX_OFFER = lines(`
v=0
o=mozilla...THIS_IS_SDPARTA-99.0 7430766879041681672 0 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 8C:3D:F1:B9
a=group:BUNDLE 3 4
a=ice-options:trickle
m=audio 9 UDP/TLS/RTP/SAVPF 109 9 101
c=IN IP4 0.0.0.0
a=sendonly
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level
a=fmtp:109 maxplaybackrate=48000;stereo=1;useinbandfec=1
a=mid:3
a=rtcp-fb:109 transport-cc
a=rtpmap:109 opus/48000/2
a=rtpmap:9 G722/8000/1
a=rtpmap:101 telephone-event/8000/1
a=ssrc:422262240 cname:{66209878}
m=video 0 UDP/TLS/RTP/SAVPF 120 124
c=IN IP4 0.0.0.0
a=bundle-only
a=sendonly
a=fmtp:120 max-fs=12288;max-fr=60
a=fmtp:124 apt=120
a=mid:4
a=rtcp-fb:120 nack pli
a=rtpmap:120 VP8/90000
a=rtpmap:124 rtx/90000
a=ssrc:1 cname:{66209878}
a=ssrc:2 cname:{66209878}
a=ssrc-group:FID 1 2
m=video 0 UDP/TLS/RTP/SAVPF 120 124
c=IN IP4 0.0.0.0
a=inactive
a=rtpmap:120 VP8/90000
a=rtpmap:124 rtx/90000
`);

const keyFrames = [{ type: 'nack', parameter: 'pli' }, { type: 'ccm', parameter: 'fir' }];

/** The server's capabilities, in its order: VP8 before H264. */
export const CAPABILITIES = {
  codecs: [
    audio('opus', 48000, 111, { minptime: 10, useinbandfec: 1 }, 2),
    ...video('VP8', 96, {}),
    ...video('H264', 102, {
      'packetization-mode': 1, 'profile-level-id': '42e01f', 'level-asymmetry-allowed': 1,
    }),
    audio('red', 48000, 110, { '': '111/111' }, 2),
    audio('PCMU', 8000, 0, {}),
  ],
  headerExtensions: [
    { kind: 'audio', uri: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', preferredId: 1 },
    { kind: 'audio', uri: 'urn:ietf:params:rtp-hdrext:csrc-audio-level', preferredId: 9 },
    { kind: 'audio', uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', preferredId: 2 },
    { kind: 'video', uri: 'urn:ietf:params:rtp-hdrext:sdes:mid', preferredId: 2 },
    { kind: 'video', uri: 'urn:3gpp:video-orientation', preferredId: 5 },
  ],
  fecMechanisms: [],
};

export const TRANSPORT = {
  iceParameters: { usernameFragment: '0abc', password: 'secretsecretsecretsecret', iceLite: true },
  iceCandidates: [
    {
      foundation: 'udp1', ip: '192.0.2.1', port: 40000, priority: 2130706431, protocol: 'udp',
      type: 'host',
    },
    {
      foundation: 'tcp1', ip: '192.0.2.1', port: 443, priority: 1, protocol: 'tcp', type: 'host',
      tcpType: 'passive',
    },
  ],
  dtlsParameters: { role: 'auto', fingerprints: [{ algorithm: 'sha-256', value: 'AB:CD' }] },
};

function audio(name, clockRate, preferredPayloadType, parameters, channels) {
  const mimeType = `audio/${name}`;
  return {
    name, mimeType, kind: 'audio', clockRate, preferredPayloadType, channels, rtcpFeedback: [],
    parameters,
  };
}

function video(name, preferredPayloadType, parameters) {
  const common = { kind: 'video', clockRate: 90000 };
  return [
    {
      ...common, name, mimeType: `video/${name}`, preferredPayloadType, rtcpFeedback: keyFrames,
      parameters,
    },
    {
      ...common, name: 'rtx', mimeType: 'video/rtx', preferredPayloadType: preferredPayloadType + 1,
      rtcpFeedback: [], parameters: { apt: preferredPayloadType },
    },
  ];
}

function lines(text) {
  return `${text.trim().split('\n').join('\r\n')}\r\n`;
}
