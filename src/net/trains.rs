//! Whether this kernel sends and receives trains at all: one is sent to ourselves.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;
use std::time::Duration;

use super::sys::mmsg::{self, TxTrain};
use super::sys::sockopt;

/// The train that is tried: this many datagrams of this many bytes.
const COUNT: usize = 8;
const LEN: usize = 100;

/// Loopback delivers before the sender goes on; this is for hosts where it does not (RPS).
const PATIENCE: Duration = Duration::from_millis(500);

/// What the kernel made of a train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trains {
    /// It was cut into its datagrams (`UDP_SEGMENT`, GSO).
    pub cut: bool,
    /// It was handed over in one piece to who asked for that (`UDP_GRO`).
    pub joined: bool,
}

/// Sends trains over loopback. Fails where loopback itself does.
pub fn probe_trains() -> io::Result<Trains> {
    let ours = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let (sender, receiver) = (ours()?, ours()?);
    receiver.set_read_timeout(Some(PATIENCE))?;
    let cut = received(&sender, &receiver)? == Some([LEN; COUNT].into());
    let joins = sockopt::join_datagrams(receiver.as_fd()).is_ok();
    let joined = cut && joins && received(&sender, &receiver)? == Some([COUNT * LEN].into());
    Ok(Trains { cut, joined })
}

/// The lengths in which a train arrives; `None` if the kernel does not take it.
fn received(sender: &UdpSocket, receiver: &UdpSocket) -> io::Result<Option<Vec<usize>>> {
    let bytes = [0; COUNT * LEN];
    let train = TxTrain::new(receiver.local_addr()?, &bytes, LEN);
    let mut outcomes = [Ok(())];
    mmsg::send(sender, &[train], &mut outcomes);
    if outcomes[0].is_err() {
        return Ok(None);
    }
    let mut lens = Vec::new();
    while lens.iter().sum::<usize>() < bytes.len() {
        lens.push(receiver.recv(&mut [0; COUNT * LEN])?);
    }
    Ok(Some(lens))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_knows_trains() {
        assert_eq!(probe_trains().unwrap(), Trains { cut: true, joined: true });
    }

    #[test]
    fn a_train_that_is_not_cut_shows() {
        let ours = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (sender, receiver) = (ours(), ours());
        sockopt::join_datagrams(receiver.as_fd()).unwrap();
        assert_eq!(received(&sender, &receiver).unwrap(), Some(vec![COUNT * LEN]));
    }
}
