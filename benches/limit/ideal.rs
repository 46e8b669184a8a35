//! The trains that a perfect router would make of packets that arrive at certain times: it takes
//! whatever has arrived the moment it is free, and is busy with it for as long as the real one was.
//! It waits for nothing, so that it adds no latency for the sake of longer trains.

use std::time::Duration;

use corinth::types::limit::TRAIN_MAX;

/// A packet as a train sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) at: Duration,
    pub(crate) size: usize,
    /// Which source; packets of two sources never share a train.
    pub(crate) source: usize,
}

/// How many packets a train has on average. `busy` is what the router needs for one packet to all
/// of its receivers.
pub(crate) fn mean_train(pieces: &[Piece], busy: Duration) -> f64 {
    let (mut free, mut next, mut trains) = (Duration::ZERO, 0, 0);
    while next < pieces.len() {
        let start = free.max(pieces[next].at);
        let arrived = pieces[next..].iter().take_while(|piece| piece.at <= start).count();
        let turn = &pieces[next..next + arrived];
        trains += trains_of(turn);
        next += arrived;
        free = start + busy * arrived as u32;
    }
    pieces.len() as f64 / trains.max(1) as f64
}

/// Trains of one turn: equal sizes of one source, the last may be shorter.
fn trains_of(turn: &[Piece]) -> usize {
    let mut sources: Vec<_> = turn.iter().map(|piece| piece.source).collect();
    sources.sort_unstable();
    sources.dedup();
    let count = |source: usize| {
        let mut trains = 0;
        // Size, length and whether it takes more.
        let mut train: Option<(usize, usize)> = None;
        for piece in turn.iter().filter(|piece| piece.source == source) {
            train = match train {
                Some((size, len)) if piece.size == size && len < TRAIN_MAX => Some((size, len + 1)),
                Some((size, len)) if piece.size < size && len < TRAIN_MAX => {
                    trains += 1;
                    None
                }
                Some(_) => {
                    trains += 1;
                    Some((piece.size, 1))
                }
                None => Some((piece.size, 1)),
            };
        }
        trains + usize::from(train.is_some())
    };
    sources.into_iter().map(count).sum()
}
