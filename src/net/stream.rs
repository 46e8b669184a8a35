//! A client's TCP connection, with TLS or without, whatever it turns out to be: it can be looked at
//! before that is decided, and carried to another shard at any moment, TLS and all. rustls without
//! a socket stands between the kernel's bytes and the caller's.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::future::FutureExt;
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::net::TcpStream;
use glommio::timer::sleep;
use rustls::{ServerConfig, ServerConnection};

use super::adopt::{adopt_stream, duplicate_stream};

/// How long the other end may take to read the last and to close its side.
pub const LINGER_MAX: Duration = Duration::from_secs(1);

/// Ciphertext read at once; lies on the stack while a connection is polled.
const READ_MAX: usize = 4096;

/// One connection.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    /// Came and was not read yet; of a TLS connection as it came.
    input: Vec<u8>,
    tls: Option<Box<ServerConnection>>,
}

/// A connection between two shards. Nobody reads from it meanwhile.
#[derive(Debug)]
pub struct Detached {
    fd: OwnedFd,
    input: Vec<u8>,
    tls: Option<Box<ServerConnection>>,
}

impl Stream {
    /// A connection on which nothing was said yet.
    pub fn new(tcp: TcpStream) -> Self {
        // Without it small frames would wait for the acknowledgement of earlier ones.
        let _ = tcp.set_nodelay(true);
        Self { tcp, input: Vec::new(), tls: None }
    }

    /// The other end, as the kernel sees it; an IPv4 address is never in its IPv6 form.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        let mut address = self.tcp.peer_addr()?;
        address.set_ip(address.ip().to_canonical());
        Ok(address)
    }

    /// Our end.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let mut address = self.tcp.local_addr()?;
        address.set_ip(address.ip().to_canonical());
        Ok(address)
    }

    /// Waits for the first `len` bytes, before any was read: they tell protocols apart, and will be
    /// read all the same. `None`: the connection ended without them.
    pub async fn peek(&mut self, len: usize) -> io::Result<Option<&[u8]>> {
        let mut chunk = [0; READ_MAX];
        while self.input.len() < len {
            match self.tcp.read(&mut chunk).await? {
                0 => return Ok(None),
                received => self.input.extend_from_slice(&chunk[..received]),
            }
        }
        Ok(self.input.get(..len))
    }

    /// From here on the connection is TLS, and what is read and written goes through it.
    pub fn start_tls(&mut self, config: Arc<ServerConfig>) -> io::Result<()> {
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        self.tls = Some(Box::new(connection));
        Ok(())
    }

    /// Whether nobody else can read it.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// For another shard. Everything was written that was to be.
    pub fn detach(self) -> io::Result<Detached> {
        Ok(Detached { fd: duplicate_stream(&self.tcp)?, input: self.input, tls: self.tls })
    }

    /// Closes a connection so that the other end reads the last that was written: a socket that is
    /// closed with bytes unread sends a reset, and a reset destroys what its peer has not read yet.
    /// So say that nothing more comes, and throw away what comes until the peer has closed too.
    pub async fn linger(mut self) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        let drained = async {
            if self.flush().await.is_ok() && self.tcp.shutdown(Shutdown::Write).await.is_ok() {
                let mut sink = [0; 1024];
                while matches!(self.tcp.read(&mut sink).await, Ok(1..)) {}
            }
        };
        drained.or(async { sleep(LINGER_MAX).await }).await;
    }
}

impl Detached {
    /// On its new shard, within the executor.
    pub fn attach(self) -> Stream {
        Stream { tcp: adopt_stream(self.fd), input: self.input, tls: self.tls }
    }
}

/// Hands to the kernel what TLS has to say, as far as it takes it.
fn poll_tls_out(
    tcp: &mut TcpStream,
    tls: &mut ServerConnection,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while tls.wants_write() {
        match tls.write_tls(&mut Socket { tcp, context }) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The stream that rustls believes in; whoever gets `WouldBlock` is woken when it is over.
struct Socket<'a, 'b> {
    tcp: &'a mut TcpStream,
    context: &'a mut Context<'b>,
}

impl Write for Socket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.tcp).poll_write(self.context, bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { tcp, input, tls } = self.get_mut();
        let Some(tls) = tls else {
            if input.is_empty() {
                return Pin::new(tcp).poll_read(context, buffer);
            }
            let len = input.len().min(buffer.len());
            buffer[..len].copy_from_slice(&input[..len]);
            take(input, len);
            return Poll::Ready(Ok(len));
        };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // An end without close_notify: what the client said last was a message of its own,
                // and those know their length.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(0));
                }
                read => return Poll::Ready(read),
            }
            let mut ended = false;
            if input.is_empty() {
                // A step of the handshake is answered before more is waited for.
                if let Poll::Ready(Err(error)) = poll_tls_out(tcp, tls, context) {
                    return Poll::Ready(Err(error));
                }
                let mut chunk = [0; READ_MAX];
                let len = ready!(Pin::new(&mut *tcp).poll_read(context, &mut chunk))?;
                input.extend_from_slice(&chunk[..len]);
                ended = len == 0;
            }
            // Only while there is nothing to be read: rustls takes no more then than it can hold.
            let taken = tls.read_tls(&mut input.as_slice())?;
            take(input, taken);
            if let Err(error) = tls.process_new_packets() {
                // The alert that says why, if the kernel takes it.
                let _ = poll_tls_out(tcp, tls, context);
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
            if taken == 0 && !ended {
                return Poll::Ready(Ok(0));
            }
        }
    }
}

/// Removes the first `len` bytes; an empty one keeps no memory.
fn take(input: &mut Vec<u8>, len: usize) {
    if len == input.len() {
        *input = Vec::new();
    } else {
        input.drain(..len);
    }
}

impl AsyncWrite for Stream {
    /// With TLS, what was taken leaves with [`Stream::poll_flush`] if the kernel has no room.
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { tcp, tls, .. } = self.get_mut();
        let Some(tls) = tls else {
            return Pin::new(tcp).poll_write(context, bytes);
        };
        ready!(poll_tls_out(tcp, tls, context))?;
        let taken = tls.writer().write(bytes)?;
        if let Poll::Ready(Err(error)) = poll_tls_out(tcp, tls, context) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, tls, .. } = self.get_mut();
        match tls {
            Some(tls) => poll_tls_out(tcp, tls, context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        ready!(self.as_mut().poll_flush(context))?;
        Pin::new(&mut self.tcp).poll_close(context)
    }
}
