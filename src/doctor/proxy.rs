//! Whether a proxy seems to stand before a server that takes it for something else. Some add
//! nothing to what they forward, and then no request says so.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::Finding;
use super::ports::{Owner, Protocol, owner};
use crate::config::Config;

/// Where the world comes to who serves it.
const WEB: [u16; 2] = [443, 80];

/// Nothing where none listens, where this server is reached without one, or where all is said.
pub(super) fn examine(proc: &Path, config: &Config) -> Option<Finding> {
    if !config.http.ip().is_loopback() {
        return None;
    }
    let of = |port| {
        let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let owner = owner(proc, Protocol::Tcp, at).filter(|owner| !is_ours(owner))?;
        Some((port, owner))
    };
    let (port, owner) = WEB.into_iter().filter(|port| *port != config.http.port()).find_map(of)?;
    if config.token_keys.is_empty() && !config.anyone {
        return Some(Finding::poor(
            format!(
                "{owner} serves port {port}, and there is no token-key: if it is a proxy before \
                 this server and does not say so (X-Forwarded-For), its clients are taken for this \
                 host"
            ),
            "a token-key, and trusted-proxy for the proxy: docs/operating/https.md",
        ));
    }
    config.trusted_proxies.is_empty().then(|| {
        Finding::poor(
            format!(
                "{owner} serves port {port}: if it is a proxy before this server, limits take all \
                 its clients for one"
            ),
            "trusted-proxy = [\"127.0.0.1\"]: docs/operating/https.md",
        )
    })
}

fn is_ours(owner: &Owner) -> bool {
    matches!(owner, Owner::Process { name, .. } if name == "corinth")
}

#[cfg(test)]
mod tests {
    use super::super::testing::Host;
    use super::*;
    use crate::config::file;

    fn found(host: &Host, settings: &str) -> Option<String> {
        let config = Config::new(&file::parse(settings).unwrap(), &[]).unwrap();
        examine(host.folder(), &config).map(|finding| finding.to_string())
    }

    #[test]
    fn a_web_server_in_front_is_noticed_where_it_counts() {
        let line = |port| format!("x\n 0: 00000000:{port} 00000000:0000 0A 0:0 00:0 0 33 0 4711\n");
        let host = Host::new("proxy", &[("net/tcp", &line("01BB")), ("42/comm", "nginx\n")]);
        host.link("42/fd/6", "socket:[4711]");
        let open = found(&host, "").unwrap();
        assert!(open.starts_with("poor  nginx (process 42) serves port 443, and there"), "{open}");
        assert!(open.contains("-> a token-key"), "{open}");
        let keys = "token-key = [\"a=/b\"]\n";
        let limits = found(&host, keys).unwrap();
        assert!(limits.contains("-> trusted-proxy"), "{limits}");
        let trusted = format!("{keys}trusted-proxy = [\"127.0.0.1\"]");
        assert_eq!(found(&host, &trusted), None);
        assert_eq!(found(&host, &format!("{keys}http = \"0.0.0.0:8443\"")), None);
        host.write("42/comm", "corinth\n");
        assert_eq!(found(&host, ""), None);
        assert_eq!(found(&Host::new("no-proxy", &[("net/tcp", &line("1F90"))]), ""), None);
    }
}
