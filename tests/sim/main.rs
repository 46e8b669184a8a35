//! The Router under a virtual clock: no sockets, no sleeps, everything from a seed.
//!
//! [`world::World`] drives one Router and the simulated clients around it through a simulated
//! network; after each step the Router's own invariants are checked. A [`client::Client`] believes
//! only what it is told ([`knowledge`]) and refuses what PROTOCOL does not allow to be said; its
//! [`link`]s do ICE, DTLS and SRTP and refuse packets that nobody asked for. The scenarios are
//! named after the behaviour that they show.

mod client;
mod knowledge;
mod ledger;
mod link;
mod netem;
mod observer;
mod publisher;
mod record;
mod rtcp;
mod seeds;
mod source;
mod stun;
mod viewer;
mod world;

mod allocations;
mod announcements;
mod audience;
mod certificates;
mod consent;
mod drops;
mod dtls_roles;
mod events;
mod feedback;
mod handshakes;
mod hostile;
mod injected;
mod key_frames;
mod left_out;
mod links;
mod loss_down;
mod loss_up;
mod matching;
mod nack_floods;
mod orders;
mod overload;
mod path_orders;
mod paths;
mod random_ops;
mod reports;
mod restart;
mod rights;
mod segments;
mod sharing;
mod stats;
mod streams;
mod turns;
