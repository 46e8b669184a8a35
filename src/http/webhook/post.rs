//! Sends a parcel: one POST, and whether it was taken.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::{Parcel, Target};

/// How long a try may take, from the look-up of the name to the end of the answer.
pub const TRY_TIME: Duration = Duration::from_secs(5);

/// A connection for each request: one that is kept the other end may close at the moment in which
/// it is used again, and nobody could say whether the request was heard.
#[derive(Debug)]
pub struct Client(Agent);

impl Default for Client {
    /// Trusts whom the host trusts.
    fn default() -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = Agent::config_builder()
            .tls_config(tls.build())
            .http_status_as_error(false)
            // What is signed for one place is not taken to another.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .user_agent(concat!("corinth/", env!("CARGO_PKG_VERSION")));
        Self(config.build().new_agent())
    }
}

impl Client {
    /// Sends it, within `time`; blocks. `timestamp` is in seconds since 1970. Anything but an
    /// answer of 200 to 299 is a failure, and its reason one line.
    pub fn post(
        &self,
        target: &Target,
        parcel: &Parcel,
        timestamp: u64,
        time: Duration,
    ) -> Result<(), String> {
        let Parcel { id, body, .. } = parcel;
        let sent = self
            .0
            .post(&target.0.url)
            .config()
            .timeout_global(Some(time))
            .build()
            .header("connection", "close")
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp.to_string())
            .header("webhook-signature", target.0.secrets.sign(id, timestamp, body))
            .send(body);
        // What it says besides its status is nobody's business.
        let answer = sent.map_err(|error| error.to_string().replace('\n', " "))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answers {status}")),
        }
    }
}
