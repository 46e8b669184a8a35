//! corinth's own binary with clients that share no code with it: webrtc-rs's DTLS, SRTP, RTP and
//! RTCP (`corinth-perf`) over loopback, in real time. One file for each part of the contract.

mod announce;
mod call;
mod counters;
mod drain;
mod dtls;
mod forward;
mod hostile;
mod ipv6;
mod key_frames;
mod metrics;
mod page;
mod path;
mod reload;
mod reports;
mod server;
mod shards;
