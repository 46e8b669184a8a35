//! RTP header extensions (RFC 8285): the elements of a block, and their renumbering.

use std::fmt;

/// Profile of the one-byte form (RFC 8285 §4.2).
const ONE_BYTE: u16 = 0xbede;

/// Profile of the two-byte form, of which the last four bits are the application's (RFC 8285 §4.3).
const TWO_BYTE: u16 = 0x1000;

/// Largest id that both forms can carry: 15 is reserved in the one-byte form.
const ID_MAX: u8 = 14;

/// Longest value in the one-byte form; the shortest is 1.
const ONE_BYTE_VALUE_MAX: usize = 16;

/// Id and value.
type Element<'a> = (u8, &'a [u8]);

/// Elements of one extension block as (id, value), in the order of the wire.
///
/// Padding is skipped. An element that reaches over the end of the block ends it, and so do the
/// ids that the one-byte form reserves (RFC 8285 §4.2): 15, and 0 with a length. A block in neither
/// form has no elements.
#[derive(Debug, Clone)]
pub(super) struct Extensions<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Extensions<'a> {
    /// From a whole block, its profile and length in front; an empty one has no elements.
    pub(super) fn new(block: &'a [u8]) -> Self {
        let Some((&[p0, p1, _, _], elements)) = block.split_first_chunk() else {
            return Self { rest: &[], two_byte: false };
        };
        match u16::from_be_bytes([p0, p1]) {
            ONE_BYTE => Self { rest: elements, two_byte: false },
            profile if profile & 0xfff0 == TWO_BYTE => Self { rest: elements, two_byte: true },
            _ => Self { rest: &[], two_byte: false },
        }
    }

    /// The element at the front of what is left, which is not padding, and what follows it.
    fn split(&self) -> Option<(Element<'a>, &'a [u8])> {
        let (&head, rest) = self.rest.split_first()?;
        let (id, len, rest) = if self.two_byte {
            let (&len, rest) = rest.split_first()?;
            (head, usize::from(len), rest)
        } else {
            (head >> 4, usize::from(head & 0x0f) + 1, rest)
        };
        if !self.two_byte && !(1..=ID_MAX).contains(&id) {
            return None;
        }
        let (value, rest) = rest.split_at_checked(len)?;
        Some(((id, value), rest))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((0, rest)) = self.rest.split_first() {
            self.rest = rest;
        }
        // What is malformed stays in front, so the end is final.
        let (element, rest) = self.split()?;
        self.rest = rest;
        Some(element)
    }
}

/// Which extension ids of one session become which of another.
#[derive(Clone, PartialEq, Eq)]
pub struct ExtensionMap([u8; 256]);

impl ExtensionMap {
    /// Strips every element.
    pub fn new() -> Self {
        Self([0; 256])
    }

    /// Elements `from` become `to`, one of our own ids, which are 1..=14; 0 strips them.
    ///
    /// # Panics
    /// If `to` is above 14: the one-byte form could not carry it.
    pub fn set(&mut self, from: u8, to: u8) {
        assert!(to <= ID_MAX, "the server's extension ids fit the one-byte form");
        self.0[usize::from(from)] = to;
    }

    /// What `id` becomes; 0: it is stripped.
    pub fn map(&self, id: u8) -> u8 {
        self.0[usize::from(id)]
    }
}

impl Default for ExtensionMap {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ExtensionMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mapped = (0..=255u8).map(|from| (from, self.map(from))).filter(|&(_, to)| to != 0);
        f.debug_map().entries(mapped).finish()
    }
}

/// Writes `block` (profile, length, elements) with the ids of `map` into `out`, which is as long;
/// what is not mapped, or cannot be read, becomes padding at the end.
///
/// In one-byte form wherever the values allow it: the client may not have agreed to the other
/// (RFC 8285 §4.1.2, `extmap-allow-mixed`). That never needs more room: two bytes in front of an
/// element are only ever written where two were read.
pub(super) fn rewrite_block(block: &[u8], map: &ExtensionMap, out: &mut [u8]) {
    let elements = Extensions::new(block);
    let two_byte = elements.two_byte
        && elements.clone().any(|(id, value)| {
            map.map(id) != 0 && !(1..=ONE_BYTE_VALUE_MAX).contains(&value.len())
        });
    let profile = if two_byte { TWO_BYTE } else { ONE_BYTE };
    out[..2].copy_from_slice(&profile.to_be_bytes());
    out[2..4].copy_from_slice(&block[2..4]);
    let mut at = 4;
    for (id, value) in elements {
        let id = map.map(id);
        if id == 0 {
            continue;
        }
        if two_byte {
            out[at] = id;
            out[at + 1] = value.len() as u8;
            at += 2;
        } else {
            out[at] = id << 4 | (value.len() - 1) as u8;
            at += 1;
        }
        out[at..at + value.len()].copy_from_slice(value);
        at += value.len();
    }
    out[at..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_strips_what_was_not_set() {
        let mut map = ExtensionMap::new();
        map.set(200, 14);
        assert_eq!((map.map(200), map.map(1)), (14, 0));
        assert_eq!(format!("{map:?}"), "{200: 14}");
        map.set(200, 0);
        assert_eq!(map, ExtensionMap::default());
    }
}
