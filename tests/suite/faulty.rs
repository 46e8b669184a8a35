//! A tiny faulty relay between clients and the server's media port. What it does wrong is known, so
//! that the suite can be held against it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that wait to be carried.
const QUEUE: usize = 2 << 20;

/// What it does wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Sleeps before each turn.
    SleepMillis(u64),
    /// Drops this share of what the server sends as RTP.
    DropShare(f64),
}

/// A relay at work; ends when dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(server: SocketAddr, fault: Fault) -> std::io::Result<Self> {
        let socket = bind()?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut carrier = Carrier {
                socket,
                server,
                ways: HashMap::new(),
                rng: fastrand::Rng::with_seed(1),
                fault,
            };
            while !stopped.load(Ordering::Relaxed) {
                carrier.turn();
            }
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// With room for all that comes while it sleeps: it loses what it is told to lose, nothing else.
fn bind() -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_nonblocking(true)?;
    socket2::SockRef::from(&socket).set_recv_buffer_size(QUEUE)?;
    Ok(socket)
}

struct Carrier {
    socket: UdpSocket,
    server: SocketAddr,
    /// A socket towards the server for each client.
    ways: HashMap<SocketAddr, UdpSocket>,
    rng: fastrand::Rng,
    fault: Fault,
}

impl Carrier {
    /// All that waits, both ways.
    fn turn(&mut self) {
        let sleep = match self.fault {
            Fault::SleepMillis(millis) => Duration::from_millis(millis),
            Fault::DropShare(_) => Duration::from_micros(50),
        };
        std::thread::sleep(sleep);
        let mut buffer = [0; 2048];
        while let Ok((len, client)) = self.socket.recv_from(&mut buffer) {
            let way = self.ways.entry(client).or_insert_with(|| {
                let way = bind().expect("a port is free");
                way.connect(self.server).expect("loopback has a route");
                way
            });
            way.send(&buffer[..len]).ok();
        }
        for (client, way) in &self.ways {
            while let Ok(len) = way.recv(&mut buffer) {
                let media = buffer[0] >> 6 == 2 && !(192..=223).contains(&buffer[1]);
                let lost = match self.fault {
                    Fault::DropShare(share) => media && self.rng.f64() < share,
                    Fault::SleepMillis(_) => false,
                };
                if !lost {
                    self.socket.send_to(&buffer[..len], client).ok();
                }
            }
        }
    }
}
