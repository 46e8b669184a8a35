//! Source descriptions (RFC 3550 §6.5): written for the CNAME that ties a peer's streams together,
//! never read.

use super::{CompoundWriter, SOURCE_DESCRIPTION};
use crate::types::Ssrc;

const CNAME: u8 = 1;

impl CompoundWriter<'_> {
    /// Appends a description with the CNAME of one stream: at most 255 bytes.
    pub fn sdes_cname(&mut self, ssrc: Ssrc, cname: &str) -> bool {
        let Ok(cname_len) = u8::try_from(cname.len()) else {
            return false;
        };
        // At least one zero ends the items of a chunk, and more fill its last word.
        let len = (4 + 2 + cname.len() + 1).next_multiple_of(4);
        let Some(mut body) = self.begin(SOURCE_DESCRIPTION, 1, len) else {
            return false;
        };
        body.u32(ssrc.0);
        body.bytes(&[CNAME, cname_len]);
        body.bytes(cname.as_bytes());
        body.pad();
        true
    }
}
