//! L2 one client association.

pub mod srtp;
