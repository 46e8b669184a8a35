// Data of messages: what the client library of the seed's time sends (the project's record of it,
// values made whole), and short ways to say "an audio source", "a video source".

const FINGERPRINT = Array.from({ length: 32 }, (_, i) => (0xa0 + i).toString(16).toUpperCase())
  .join(':');

/** DTLS parameters of a client in `role`. */
export function dtls(role = 'client') {
  return { role, fingerprints: [{ algorithm: 'sha-256', value: FINGERPRINT }] };
}

/** `rtpParameters` of an opus source with this ssrc. */
export function opus(ssrc, cname = 'cname-audio') {
  return {
    muxId: null,
    codecs: [{
      name: 'opus', mimeType: 'audio/opus', clockRate: 48000, payloadType: 109, channels: 2,
      rtcpFeedback: [], parameters: { useinbandfec: 1 },
    }],
    headerExtensions: [{ uri: 'urn:ietf:params:rtp-hdrext:ssrc-audio-level', id: 1 }],
    encodings: [{ ssrc }],
    rtcp: { cname, reducedSize: true, mux: true },
  };
}

/** `rtpParameters` of a VP8 source with rtx. */
export function vp8(ssrc, rtxSsrc, cname = 'cname-video') {
  return {
    muxId: null,
    codecs: [
      {
        name: 'VP8', mimeType: 'video/VP8', clockRate: 90000, payloadType: 120,
        rtcpFeedback: [
          { type: 'nack', parameter: '' }, { type: 'nack', parameter: 'pli' },
          { type: 'ccm', parameter: 'fir' }, { type: 'goog-remb', parameter: '' },
        ],
        parameters: {},
      },
      {
        name: 'rtx', mimeType: 'video/rtx', clockRate: 90000, payloadType: 124,
        parameters: { apt: 120 },
      },
    ],
    headerExtensions: [
      { uri: 'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time', id: 4 },
    ],
    encodings: [{ ssrc, rtx: { ssrc: rtxSsrc } }],
    rtcp: { cname, reducedSize: true, mux: true },
  };
}

/** `createReceiver` data of an audio source. */
export function audio(id, transportId, more = {}) {
  const rtpParameters = opus(10_000 + id);
  return { id, kind: 'audio', transportId, rtpParameters, paused: false, ...more };
}

/** `createReceiver` data of a video source. */
export function video(id, transportId, more = {}) {
  const rtpParameters = vp8(20_000 + 2 * id, 20_001 + 2 * id);
  return { id, kind: 'video', transportId, rtpParameters, paused: false, ...more };
}

/** Gives `client` a transport to send on, with this id. */
export async function sendTransport(client, id = 1) {
  return client.request('createTransport', { id, options: {}, dtlsParameters: dtls() });
}
