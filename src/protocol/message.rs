//! A message on its way to one client. What many clients are told is there once, however many
//! queues it stands in: a message refers to it.

use std::fmt::{self, Write};
use std::sync::Arc;

/// A text made of bytes of its own and of texts that it shares with other messages.
///
/// A broadcast to thousands is one shared text and an id each; the answer to `join` refers to what
/// the room's sources and peers are described by. Cloning copies what is its own only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    own: String,
    shared: Vec<Insert>,
    len: usize,
}

/// A shared text, and the byte of `own` that it stands before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Insert {
    at: usize,
    text: Arc<str>,
}

impl Message {
    /// Without anything, but with room for so many bytes of its own and so many shared texts.
    pub(super) fn with_capacity(own: usize, shared: usize) -> Self {
        Self { own: String::with_capacity(own), shared: Vec::with_capacity(shared), len: 0 }
    }

    /// Appends a copy.
    pub(super) fn copy(&mut self, text: &str) {
        self.own.push_str(text);
        self.len += text.len();
    }

    /// Appends what a value is written as.
    pub(super) fn show(&mut self, value: impl fmt::Display) {
        let before = self.own.len();
        write!(self.own, "{value}").expect("writing to a String does not fail");
        self.len += self.own.len() - before;
    }

    /// Appends a reference.
    pub(super) fn share(&mut self, text: &Arc<str>) {
        self.shared.push(Insert { at: self.own.len(), text: Arc::clone(text) });
        self.len += text.len();
    }

    /// Bytes of the whole text.
    #[expect(clippy::len_without_is_empty, reason = "no message is empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Bytes of memory that are there for this message: all of its own, and of what it shares with
    /// others its part.
    pub fn held(&self) -> usize {
        let own = self.own.capacity() + self.shared.capacity() * size_of::<Insert>();
        let part = |insert: &Insert| insert.text.len() / Arc::strong_count(&insert.text).max(1);
        own + self.shared.iter().map(part).sum::<usize>()
    }

    /// The pieces that make the text, in their order; by number, so that somebody may stop and go
    /// on. Some are empty. `None`: that was all.
    fn piece(&self, number: usize) -> Option<&str> {
        let insert = self.shared.get(number / 2);
        if number % 2 == 1 {
            return insert.map(|insert| &*insert.text);
        }
        let from = (number / 2).checked_sub(1).map_or(0, |before| self.shared[before].at);
        match insert {
            Some(insert) => Some(&self.own[from..insert.at]),
            None if number / 2 == self.shared.len() => Some(&self.own[from..]),
            None => None,
        }
    }
}

impl From<String> for Message {
    fn from(own: String) -> Self {
        Self { len: own.len(), own, shared: Vec::new() }
    }
}

impl From<&Arc<str>> for Message {
    fn from(text: &Arc<str>) -> Self {
        let mut message = Self::with_capacity(0, 1);
        message.share(text);
        message
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (0..).map_while(|number| self.piece(number)).try_for_each(|piece| f.write_str(piece))
    }
}

/// A message that is being sent, a part at a time.
#[derive(Debug)]
pub struct Reader {
    message: Message,
    /// The piece that is next, and how much of it was read.
    piece: usize,
    read: usize,
    left: usize,
}

impl Reader {
    /// At the beginning of a message.
    pub fn new(message: Message) -> Self {
        Self { left: message.len, message, piece: 0, read: 0 }
    }

    /// Bytes that have not been read.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The message as a whole, however much of it was read.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The next bytes, `most` of them if there are so many. They may end within a character.
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        let mut part = Vec::with_capacity(most.min(self.left));
        while let Some(piece) = self.message.piece(self.piece) {
            let rest = &piece.as_bytes()[self.read..];
            let taken = rest.len().min(most - part.len());
            part.extend_from_slice(&rest[..taken]);
            if taken < rest.len() {
                self.read += taken;
                break;
            }
            (self.piece, self.read) = (self.piece + 1, 0);
        }
        self.left -= part.len();
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> (Message, Arc<str>) {
        let shared = Arc::from("<shared>");
        let mut message = Message::with_capacity(0, 0);
        message.copy("a");
        message.share(&shared);
        message.share(&shared);
        message.copy("bc");
        message.share(&Arc::from(""));
        message.copy("ü");
        (message, shared)
    }

    #[test]
    fn pieces_come_in_the_order_in_which_they_were_appended() {
        let (message, _) = mixed();
        assert_eq!(message.to_string(), "a<shared><shared>bcü");
        assert_eq!(message.len(), message.to_string().len());
        assert_eq!(Message::default().to_string(), "");
        assert_eq!(Message::from("own".to_owned()).to_string(), "own");
        assert_eq!(Message::from(&Arc::from("all")).to_string(), "all");
    }

    #[test]
    fn it_is_read_in_parts_of_any_size() {
        let whole = mixed().0.to_string();
        for most in 1..=whole.len() + 1 {
            let mut reader = Reader::new(mixed().0);
            let mut read = Vec::new();
            while reader.left() > 0 {
                let part = reader.read(most);
                assert_eq!(part.len(), most.min(whole.len() - read.len()));
                read.extend(part);
            }
            assert_eq!(read, whole.as_bytes(), "{most} at a time");
            assert!(reader.read(most).is_empty());
        }
    }

    #[test]
    fn what_is_shared_is_held_once_by_all_together() {
        let body: Arc<str> = Arc::from("x".repeat(1000));
        let messages: Vec<_> = (0..10).map(|_| Message::from(&body)).collect();
        drop(body);
        let held: usize = messages.iter().map(Message::held).sum();
        assert!((1000..1500).contains(&held), "{held}");
    }
}
