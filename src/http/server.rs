//! Reading the head of a request from a connection, and answering it.

use futures_lite::future::FutureExt;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use glommio::timer::sleep;

use super::{BadRequest, HEAD_TIME, Request, Response};
use crate::net::{Stream, Tls};

/// First byte of a TLS connection: the type of a handshake record (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;

/// A request, and what the client sent after its head.
#[derive(Debug)]
pub struct Received {
    /// The head.
    pub request: Request,
    /// The beginning of what follows: a client may send before its upgrade is answered.
    pub read_ahead: Vec<u8>,
}

/// Reads one head. `Err(None)`: the connection is of no use any more; `Err(Some(_))`: the answer
/// that tells the client what was wrong.
///
/// With `tls`, a connection that begins as TLS does goes on in it.
pub async fn receive(stream: &mut Stream, tls: Option<&Tls>) -> Result<Received, Option<Response>> {
    let late = async {
        sleep(HEAD_TIME).await;
        Err(Some(Response::text(408, "the request took too long to arrive")))
    };
    let received = async {
        if let Some(tls) = tls
            && stream.peek(1).await.map_err(|_| None)? == Some(&[HANDSHAKE])
        {
            stream.start_tls(tls.config()).map_err(|_| None)?;
        }
        read_head(stream).await
    };
    received.or(late).await
}

async fn read_head(stream: &mut Stream) -> Result<Received, Option<Response>> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        match stream.read(&mut chunk).await {
            Ok(len @ 1..) => bytes.extend_from_slice(&chunk[..len]),
            Ok(0) | Err(_) => return Err(None),
        }
        match Request::parse(&bytes) {
            Ok(None) => {}
            Ok(Some((request, len))) => {
                let read_ahead = bytes.split_off(len);
                return Ok(Received { request, read_ahead });
            }
            Err(BadRequest::Malformed) => return Err(Some(Response::text(400, "not HTTP/1.1"))),
            Err(BadRequest::TooLarge) => {
                return Err(Some(Response::text(431, "the request's head is too large")));
            }
        }
    }
}

/// Writes an answer; false if the client did not take it in time.
pub async fn send(stream: &mut Stream, response: Response) -> bool {
    let bytes = response.into_bytes();
    let late = async {
        sleep(HEAD_TIME).await;
        false
    };
    let written = async { stream.write_all(&bytes).await.is_ok() && stream.flush().await.is_ok() };
    written.or(late).await
}

/// Writes an answer and closes the connection.
pub async fn answer(mut stream: Stream, response: Response) {
    if send(&mut stream, response).await {
        stream.linger().await;
    }
}
