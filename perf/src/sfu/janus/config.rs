//! The settings that Janus runs with under load: those of an administrator who wants it fast and
//! needs nothing but VideoRoom. What is not named here is as Janus ships it.

use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;

/// Modules beside `janus.plugin.videoroom` and the WebSocket transport. They would cost memory,
/// threads and ports, no time for each packet.
const PLUGINS_OFF: &[&str] = &[
    "audiobridge",
    "duktape",
    "echotest",
    "lua",
    "nosip",
    "recordplay",
    "sip",
    "streaming",
    "textroom",
    "videocall",
    "voicemail",
];
const TRANSPORTS_OFF: &[&str] = &["http", "mqtt", "nanomsg", "pfunix", "rabbitmq"];
const LOGGERS_OFF: &[&str] = &["jsonlog"];

/// Where Janus is to serve, and by how many threads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    /// Media is sent and received here. Janus takes none of loopback.
    pub(super) media: IpAddr,
    /// WebSockets are accepted at this port of 127.0.0.1.
    pub(super) port: u16,
    /// Threads that carry media.
    pub(super) event_loops: usize,
}

impl Settings {
    /// Writes the files to a new folder, which goes when it is dropped.
    ///
    /// # Errors
    /// The file system takes none.
    pub(super) fn write(&self) -> anyhow::Result<TempDir> {
        let folder = tempfile::Builder::new().prefix("corinth-perf-janus-").tempdir();
        let folder = folder.context("no folder for Janus's settings")?;
        let files = [
            ("janus.jcfg", self.core()),
            ("janus.plugin.videoroom.jcfg", VIDEOROOM.to_owned()),
            ("janus.transport.websockets.jcfg", self.websockets()),
        ];
        for (name, text) in files {
            let path: &Path = &folder.path().join(name);
            std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(folder)
    }

    fn core(&self) -> String {
        let Self { media, event_loops, .. } = self;
        let ipv6 = media.is_ipv6();
        let off = |names: &[&str]| {
            let files: Vec<_> = names.iter().map(|name| format!("libjanus_{name}.so")).collect();
            files.join(",")
        };
        let (plugins, transports) = (off(PLUGINS_OFF), off(TRANSPORTS_OFF));
        let loggers = off(LOGGERS_OFF);
        format!(
            r#"general: {{
	# Errors and warnings alone: nothing is written while all is well.
	debug_level = 3
	debug_colors = false
	# As many threads for media as there are cores. By default each handle has its own; on one
	# core that costs 1.7 times as much CPU a packet with 80 viewers of one source, 2.1 times with
	# 200, 1.15 to 1.3 times in eight rooms of nine.
	event_loops = {event_loops}
}}
media: {{
	ipv6 = {ipv6}
	# No event to each client whose source paused for a second.
	no_media_timer = 0
}}
nat: {{
	# It has a public address and needs no checks of its own, no STUN, no TURN.
	ice_lite = true
	# One socket a peer instead of one for each interface.
	ice_enforce_list = "{media}"
}}
plugins: {{
	disable = "{plugins}"
}}
transports: {{
	disable = "{transports}"
}}
loggers: {{
	disable = "{loggers}"
}}
events: {{
	broadcast = false
}}
"#
        )
    }

    fn websockets(&self) -> String {
        let port = self.port;
        format!(
            r#"general: {{
	json = "compact"
	ws = true
	ws_ip = "127.0.0.1"
	ws_port = {port}
	wss = false
	events = false
}}
admin: {{
	admin_ws = false
	admin_wss = false
}}
"#
        )
    }
}

/// Rooms are made by clients, all named by text, so that a client knows what its peers are called
/// without asking.
const VIDEOROOM: &str = r"general: {
	string_ids = true
	events = false
}
";
