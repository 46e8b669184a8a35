//! Work for a shard.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Keeps a shard busy with packets of nobody, until it is dropped, or after a minute or so.
pub(crate) struct Flood(Arc<AtomicBool>);

impl Flood {
    pub(crate) fn start(to: SocketAddr) -> Flood {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let sender = thread::Builder::new().spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..20_000_000 {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let _ = socket.send_to(&[0xff; 20], to);
            }
        });
        sender.unwrap();
        Flood(stop)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
