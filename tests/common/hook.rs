//! A web server that a webhook tells things to. It believes nothing that is not signed: by ring,
//! which the server does not sign with.

use std::collections::HashMap;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, atomic::AtomicUsize, atomic::Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use corinth::shard::unix_time;
use serde_json::Value;

use super::PATIENCE;
use super::files::Folder;

/// In base64, as a server's file has it.
pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) run: String,
    pub(crate) lost: u64,
    /// Of each event its type, room, peer and reason, as far as there are any.
    pub(crate) events: Vec<String>,
}

/// Hears what it is told, over any number of connections.
pub(crate) struct Hook {
    pub(crate) url: String,
    told: Receiver<Told>,
    /// Requests that are answered with 503 before one is taken.
    pub(crate) refusals: Arc<AtomicUsize>,
}

impl Hook {
    pub(crate) fn listen() -> Hook {
        Self::listen_with(|stream| stream)
    }

    /// What comes is first gone through by `wrap`, as TLS.
    pub(crate) fn listen_with<S: Read + Write>(
        wrap: impl Fn(TcpStream) -> S + Send + Clone + 'static,
    ) -> Hook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook?a=b", listener.local_addr().unwrap());
        let (sender, told) = sync_channel(1000);
        let refusals = Arc::new(AtomicUsize::new(0));
        let refuse = Arc::clone(&refusals);
        // Ends with the test's process.
        std::thread::Builder::new()
            .spawn(move || {
                for stream in listener.incoming() {
                    let (sender, refuse, wrap) = (sender.clone(), refuse.clone(), wrap.clone());
                    let serve = move || hear(wrap(stream.unwrap()), &sender, &refuse);
                    std::thread::Builder::new().spawn(serve).unwrap();
                }
            })
            .unwrap();
        Hook { url, told, refusals }
    }

    /// The options that tell a server of it; the secret's file is in this folder.
    pub(crate) fn options(&self, folder: &Folder) -> [String; 4] {
        let secret = folder.write("webhook.secret", &format!("{SECRET}\n"));
        std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        ["--webhook".into(), self.url.clone(), "--webhook-secret".into(), secret]
    }

    /// The next request that is taken.
    pub(crate) fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("a request in time")
    }

    /// The events of requests until there are so many.
    pub(crate) fn events(&self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.next().events);
        }
        assert_eq!(events.len(), count, "{events:#?}");
        events
    }

    /// Whether nothing was told that nobody asked for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.told.try_recv().is_err()
    }
}

/// Serves one connection, request after request.
fn hear(stream: impl Read + Write, sender: &SyncSender<Told>, refusals: &AtomicUsize) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        assert_eq!(line, "POST /hook?a=b HTTP/1.1\r\n");
        let mut head = HashMap::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            head.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = vec![0; head["content-length"].parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        let told = understand(&head, &body);
        let one_less = |left: usize| left.checked_sub(1);
        let refused = refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok();
        let answer = match refused {
            true => "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno",
            false => "HTTP/1.1 204 No Content\r\n\r\n",
        };
        if !refused {
            sender.send(told).unwrap();
        }
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Panics, which the test sees as nothing told, unless everything is as docs/operating/webhooks.md
/// says.
fn understand(head: &HashMap<String, String>, body: &[u8]) -> Told {
    let (id, timestamp) = (&head["webhook-id"], &head["webhook-timestamp"]);
    assert!(unix_time().abs_diff(timestamp.parse().unwrap()) < 60, "{timestamp}");
    let signature = head["webhook-signature"].strip_prefix("v1,").unwrap();
    let secret = BASE64_STANDARD.decode(&SECRET["whsec_".len()..]).unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let signature = BASE64_STANDARD.decode(signature).unwrap();
    ring::hmac::verify(&key, &signed, &signature).expect("it is signed");
    assert_eq!(head["content-type"], "application/json");
    let body: Value = serde_json::from_slice(body).unwrap();
    assert_eq!(body["type"], "events");
    let event = |event: &Value| {
        let at = event["at"].as_f64().unwrap();
        assert!((unix_time() as f64 - at).abs() < 60.0, "{event}");
        let parts = ["type", "room", "peer", "reason"].map(|part| event[part].as_str());
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    Told {
        id: id.clone(),
        run: body["run"].as_str().unwrap().to_owned(),
        lost: body["lost"].as_u64().unwrap(),
        events: body["events"].as_array().unwrap().iter().map(event).collect(),
    }
}
