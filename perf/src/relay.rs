//! A bad network: a UDP relay that delays (and so reorders), loses and duplicates datagrams, by a
//! seeded generator. Clients send to its address instead of the server's.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Clients that one relay serves; others' datagrams are lost.
const CLIENTS_MAX: usize = 256;

/// Datagrams under way at a time; more are lost.
const IN_FLIGHT_MAX: usize = 16_384;

const DATAGRAM_MAX: usize = 2048;

/// What happens to each datagram, either way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Impairment {
    /// Delayed by a random time from nothing to this.
    pub delay_max: Duration,
    /// Share that is lost, 0 to 1.
    pub loss: f64,
    /// Share that arrives twice, each copy with its own delay.
    pub duplication: f64,
}

/// A running relay on loopback. Stops when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    _task: JoinSet<()>,
}

impl Relay {
    /// Starts to relay between whoever sends to [`Relay::address`] and `server`; each client gets
    /// a port of its own towards the server. With one `seed` the decisions are the same again.
    ///
    /// # Errors
    /// No socket is to be had.
    pub async fn start(
        server: SocketAddr,
        impairment: Impairment,
        seed: u64,
    ) -> std::io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = socket.local_addr()?;
        let mut task = JoinSet::new();
        task.spawn(async move {
            let air = Air { impairment, in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)) };
            // Only a socket that is gone ends it, and then there is nobody to tell.
            serve(socket, server, air, seed).await.ok();
        });
        Ok(Self { address, _task: task })
    }

    /// Where clients send to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Takes from clients; starts a way back for each new one.
async fn serve(
    socket: Arc<UdpSocket>,
    server: SocketAddr,
    air: Air,
    seed: u64,
) -> std::io::Result<()> {
    let mut ways = HashMap::<SocketAddr, Arc<UdpSocket>>::new();
    let mut returns = JoinSet::new();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let Ok((len, client)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let way = match ways.get(&client) {
            Some(way) => Arc::clone(way),
            None if ways.len() == CLIENTS_MAX => continue,
            None => {
                let way = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
                way.connect(server).await?;
                ways.insert(client, Arc::clone(&way));
                let rng = StdRng::seed_from_u64(rng.random());
                let back = (Arc::clone(&way), Arc::clone(&socket));
                returns.spawn(serve_back(back, client, air.clone(), rng));
                way
            }
        };
        air.carry(&buffer[..len], &way, None, &mut rng);
    }
}

/// Takes from the server for one client.
async fn serve_back(
    (way, socket): (Arc<UdpSocket>, Arc<UdpSocket>),
    client: SocketAddr,
    air: Air,
    mut rng: StdRng,
) {
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let Ok(len) = way.recv(&mut buffer).await else {
            continue;
        };
        air.carry(&buffer[..len], &socket, Some(client), &mut rng);
    }
}

/// Where datagrams are under way.
#[derive(Debug, Clone)]
struct Air {
    impairment: Impairment,
    in_flight: Arc<Semaphore>,
}

impl Air {
    /// Sends `datagram` by `socket`, to `to` or to whom it is connected, as the impairment wants.
    fn carry(
        &self,
        datagram: &[u8],
        socket: &Arc<UdpSocket>,
        to: Option<SocketAddr>,
        rng: &mut StdRng,
    ) {
        let copies = match rng.random::<f64>() {
            roll if roll < self.impairment.loss => 0,
            roll if roll < self.impairment.loss + self.impairment.duplication => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = self.impairment.delay_max.mul_f64(rng.random());
            let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else {
                return;
            };
            let (datagram, socket) = (datagram.to_vec(), Arc::clone(socket));
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                match to {
                    Some(to) => socket.send_to(&datagram, to).await.ok(),
                    None => socket.send(&datagram).await.ok(),
                };
                drop(permit);
            });
        }
    }
}
