//! The end of a TCP connection, so that the other end hears the last words.

use std::net::Shutdown;
use std::time::Duration;

use futures_lite::AsyncReadExt;
use futures_lite::future::FutureExt;
use glommio::net::TcpStream;
use glommio::timer::sleep;

/// How long the other end may take to close its side.
pub const LINGER_MAX: Duration = Duration::from_secs(1);

/// Closes a connection so that the other end reads the last that was written: a socket that is
/// closed with bytes unread sends a reset, and a reset destroys what its peer has not read yet. So
/// say that nothing more comes, and throw away what comes until the peer has closed too.
pub async fn linger(mut stream: TcpStream) {
    if stream.shutdown(Shutdown::Write).await.is_err() {
        return;
    }
    let mut sink = [0; 1024];
    let drained = async { while matches!(stream.read(&mut sink).await, Ok(1..)) {} };
    drained.or(async { sleep(LINGER_MAX).await }).await;
}
