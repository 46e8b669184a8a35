//! What TLS needs: a certificate and its key out of PEM files, or a pair of our own making.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The server's side of TLS, versions 1.2 and 1.3. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Reads a certificate with those that lead to its root, and its private key. Errors name the
    /// file and what is wrong with it.
    pub fn load(certificate: &Path, key: &Path) -> io::Result<Tls> {
        let refuse = |file: &Path, reason: &dyn fmt::Display| {
            io::Error::other(format!("{}: {reason}", file.display()))
        };
        let chain = CertificateDer::pem_file_iter(certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| refuse(certificate, &error))?;
        if chain.is_empty() {
            return Err(refuse(certificate, &"no certificate in PEM"));
        }
        let private = PrivateKeyDer::from_pem_file(key).map_err(|error| refuse(key, &error))?;
        Self::new(chain, private).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                refuse(key, &format!("not the key of {}", certificate.display()))
            }
            error => refuse(certificate, &error),
        })
    }

    /// A certificate that nobody vouches for, made now, for the host's names and these addresses.
    pub fn self_signed(names: Vec<String>) -> io::Result<Tls> {
        let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
        let key = key.map_err(io::Error::other)?;
        Self::new(vec![made.cert.into()], key).map_err(io::Error::other)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Tls, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(default_provider().into())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // Clients keep what resumes a session: shards share no table of them.
        config.ticketer = Ticketer::new()?;
        Ok(Tls(Arc::new(config)))
    }

    /// For [`Stream::start_tls`](super::Stream::start_tls).
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }
}

/// What a self-signed certificate is for: this host by its name, and these addresses.
pub fn own_names(addresses: impl IntoIterator<Item = IpAddr>) -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim().to_owned()).filter(|host| !host.is_empty() && host.is_ascii());
    let addresses = addresses.into_iter().filter(|ip| !ip.is_unspecified());
    let mut names = vec!["localhost".to_owned()];
    names.extend(host);
    names.extend(addresses.map(|ip| ip.to_string()));
    names.dedup();
    names
}
