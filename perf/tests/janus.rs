//! The suite's way into Janus, against the real one: media from a peer to another through it, later
//! subscriptions, restarts, its end. Each test has a network namespace of its own, since Janus
//! takes no loopback address; where Janus is not installed it says that it was skipped.

use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use corinth_perf::dtls::{Identity, Role};
use corinth_perf::ice::{self, Agent, Inbound};
use corinth_perf::peer::Source;
use corinth_perf::sfu::{Janus, Launch, LocalEnd, RemoteEnd, Session, Sfu, Wanted};
use corinth_perf::srtp::Profile;
use corinth_perf::transport::{Config, Content, Offer, Receiving, Transport};
use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtcp::receiver_report::ReceiverReport;
use rtcp::reception_report::ReceptionReport;
use rtcp::sender_report::SenderReport;
use rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// Set in the process that is inside a namespace.
const INSIDE: &str = "CORINTH_PERF_JANUS_INSIDE";

/// Janus's address there.
const ADDRESS: &str = "10.9.0.1";

/// When something that must come is taken to be missing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of each client's ICE.
const PASSWORD: &str = "a-password-of-enough-letters";

/// Between two packets of a source.
const PACKET_INTERVAL: Duration = Duration::from_millis(10);

const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

#[test]
fn media_goes_from_a_peer_to_another() {
    in_namespace("media_goes_from_a_peer_to_another", async {
        let janus = start().await?;
        for profile in Profile::ALL {
            let mut alice = Sending::join(&janus, "alice", profile).await?;
            ensure!(alice.role == Role::Server, "Janus starts the handshake");
            let both = [wanted("alice", "audio"), wanted("alice", "video")];
            let mut bob = Watching::join(&janus, "bob", &both, profile).await?;
            ensure!(bob.role == Role::Server, "this one as well");
            bob.session.enable(&both).await?;
            bob.expect(&["alice audio", "alice video"]).await?;
            alice.key_frame_request().await?;
            let feedback = bob.session.feedback();
            ensure!(feedback.nack && feedback.transport_cc.is_some(), "{feedback:?}");
            // The names are free again when both have left.
            bob.session.leave().await;
            alice.session.leave().await;
        }
        Ok(())
    });
}

#[test]
fn one_kind_may_be_wanted_alone_and_more_later() {
    in_namespace("one_kind_may_be_wanted_alone_and_more_later", async {
        let janus = start().await?;
        let _alice = Sending::join(&janus, "alice", Profile::Aes128Gcm).await?;
        let audio = [wanted("alice", "audio")];
        let mut bob = Watching::join(&janus, "bob", &audio, Profile::Aes128Gcm).await?;
        for _ in 0..20 {
            ensure!(bob.next().await? == "alice audio");
        }
        let _carol = Sending::join(&janus, "carol", Profile::Aes128Gcm).await?;
        bob.session.enable(&[wanted("carol", "audio"), wanted("alice", "video")]).await?;
        bob.expect(&["alice audio", "carol audio", "alice video"]).await?;
        Ok(())
    });
}

#[test]
fn a_source_that_comes_a_moment_later_is_waited_for() {
    in_namespace("a_source_that_comes_a_moment_later_is_waited_for", async {
        let janus = start().await?;
        let audio = [wanted("alice", "audio")];
        let watching = Watching::join(&janus, "bob", &audio, Profile::Aes128Gcm);
        let sending = async {
            // So that bob asks first.
            tokio::time::sleep(Duration::from_millis(300)).await;
            Sending::join(&janus, "alice", Profile::Aes128Gcm).await
        };
        let (mut bob, _alice) = tokio::try_join!(watching, sending)?;
        bob.expect(&["alice audio"]).await
    });
}

#[test]
fn a_lost_packet_is_sent_again() {
    in_namespace("a_lost_packet_is_sent_again", async {
        let janus = start().await?;
        let _alice = Sending::join(&janus, "alice", Profile::Aes128CmSha1).await?;
        let video = [wanted("alice", "video")];
        let mut bob = Watching::join(&janus, "bob", &video, Profile::Aes128CmSha1).await?;
        // Janus keeps packets for who has reported a round trip that is not nothing.
        let sent = bob.sender_report().await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
        let block = ReceptionReport {
            ssrc: sent.ssrc,
            last_sender_report: (sent.ntp_time >> 16 & 0xffff_ffff) as u32,
            ..ReceptionReport::default()
        };
        let report = ReceiverReport { ssrc: 1, reports: vec![block], ..Default::default() };
        bob.transport.send_rtcp(&[Box::new(report)]).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut newest = bob.packet().await?.header;
        while let Ok(packet) = timeout(PACKET_INTERVAL / 2, bob.packet()).await {
            newest = packet?.header;
        }
        let nack = TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: newest.ssrc,
            nacks: vec![NackPair { packet_id: newest.sequence_number, lost_packets: 0 }],
        };
        ensure!(bob.receiving.refused() == 0);
        bob.transport.send_rtcp(&[Box::new(nack)]).await?;
        // It was not lost, so the same packet again is a replay, which SRTP refuses.
        for _ in 0..200 {
            bob.packet().await?;
            if bob.receiving.refused() > 0 {
                return Ok(());
            }
        }
        anyhow::bail!("the packet is not sent again")
    });
}

#[test]
fn ice_restarts_at_who_watches() {
    in_namespace("ice_restarts_at_who_watches", async {
        let janus = start().await?;
        let _alice = Sending::join(&janus, "alice", Profile::Aes128Gcm).await?;
        let video = [wanted("alice", "video")];
        let mut bob = Watching::join(&janus, "bob", &video, Profile::Aes128Gcm).await?;
        bob.expect(&["alice video"]).await?;
        let mut offer = bob.session.restart().await?;
        ensure!(offer.remote.ufrag != bob.way.ufrag, "nothing is new");
        offer.remote.address = bob.way.near;
        drop((bob.transport, bob.receiving));
        let (_agent, mut inbound) = Agent::connect(offer.remote).await?;
        media(&mut inbound).await.context("after the restart")
    });
}

#[test]
fn ice_restarts_at_who_sends() {
    in_namespace("ice_restarts_at_who_sends", async {
        let janus = start().await?;
        let mut alice = Sending::join(&janus, "alice", Profile::Aes128Gcm).await?;
        let mut offer = alice.session.restart().await?;
        ensure!(offer.remote.ufrag != alice.way.ufrag, "nothing is new");
        offer.remote.address = alice.way.near;
        drop(alice.packets);
        let (_agent, mut inbound) = Agent::connect(offer.remote).await?;
        let video = [wanted("alice", "video")];
        // Requests for key frames go the new way.
        let _bob = Watching::join(&janus, "bob", &video, Profile::Aes128Gcm).await?;
        media(&mut inbound).await.context("after the restart")
    });
}

#[test]
fn nothing_is_left_behind() {
    in_namespace("nothing_is_left_behind", async {
        let janus = start().await?;
        let info = janus.info();
        ensure!(info.sfu == "janus" && info.version.starts_with("1."), "{info:?}");
        ensure!(info.how.contains("-F FOLDER "), "paths of this machine: {}", info.how);
        let pid = janus.pid().context("no process")?;
        let process = format!("/proc/{pid}");
        let words = std::fs::read_to_string(format!("{process}/cmdline"))?;
        let folder = words.split('\0').skip_while(|word| *word != "-F").nth(1);
        let folder = folder.context("no folder")?.to_owned();
        ensure!(Path::new(&folder).is_dir() && Path::new(&process).is_dir());
        drop(janus);
        ensure!(!Path::new(&folder).exists());
        let gone = async {
            while Path::new(&process).exists() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, gone).await.context("Janus lives on")
    });
}

#[test]
fn what_fails_is_told() {
    in_namespace("what_fails_is_told", async {
        let refused = Janus::start(launch()?, "127.0.0.1").await.err().context("on loopback")?;
        ensure!(refused.to_string().contains("loopback"), "{refused:#}");

        let launch = Launch { arguments: vec!["--no-such-option".into()], ..launch()? };
        let ended = Janus::start(launch, ADDRESS).await.err().context("with a bad option")?;
        let ended = format!("{ended:#}");
        ensure!(ended.contains("no-such-option"), "{ended}");

        let janus = start().await?;
        let mut bob = janus.join("room", "bob").await?;
        let two = [Source::opus(1, 1), Source::opus(2, 2)];
        let local = Way::new().await?.local_end(&Identity::generate()?);
        let refused = bob.open_tx(&local, &two).await.err().context("two of a kind")?;
        ensure!(refused.to_string().contains("one source of each kind"), "{refused:#}");
        let strange = [Source { codec: "H263", ..Source::vp8(1, 1) }];
        let refused = bob.open_tx(&local, &strange).await.err().context("a strange codec")?;
        ensure!(refused.to_string().contains("H263"), "{refused:#}");
        let refused = bob.enable(&[wanted("alice", "video")]).await.err().context("no rx")?;
        ensure!(refused.to_string().contains("nothing to receive by"), "{refused:#}");

        let pid = janus.pid().context("no process")?;
        let kill = Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
        ensure!(kill.success());
        let lost = janus.join("room", "carol").await.err().context("without Janus")?;
        ensure!(format!("{lost:#}").contains("cannot connect to Janus"), "{lost:#}");
        Ok(())
    });
}

/// A peer that sends audio and video all the time.
struct Sending {
    session: Box<dyn Session>,
    role: Role,
    receiving: Receiving,
    packets: JoinSet<()>,
    way: OpenWay,
}

impl Sending {
    async fn join(janus: &Janus, name: &'static str, profile: Profile) -> anyhow::Result<Self> {
        let mut session = janus.join("room", name).await?;
        let identity = Identity::generate()?;
        let extensions = vec![(3, TRANSPORT_CC)];
        let sources = [Source::opus(1, 1000), Source { extensions, ..Source::vp8(2, 2000) }];
        let way = Way::new().await?;
        let RemoteEnd { mut offer, role } =
            session.open_tx(&way.local_end(&identity), &sources).await?;
        let way = way.lead_to(&mut offer).await?;
        let config = Config { identity, role, profile };
        let (transport, receiving) = Transport::connect(offer, config).await?;
        session.announce(&sources).await?;
        let mut packets = JoinSet::new();
        packets.spawn(send(transport, name, sources));
        Ok(Self { session, role, receiving, packets, way })
    }

    async fn key_frame_request(&mut self) -> anyhow::Result<()> {
        let found = async {
            while let Some(received) = self.receiving.recv().await {
                let Content::Rtcp(packets) = received.content else { continue };
                if packets.iter().any(|one| one.as_any().is::<PictureLossIndication>()) {
                    return Ok(());
                }
            }
            anyhow::bail!("the transport ended")
        };
        timeout(PATIENCE, found).await.context("no request for a key frame")?
    }
}

/// Sends packets of which each says whose it is.
async fn send(transport: Transport, name: &str, sources: [Source; 2]) {
    let mut ticks = interval(PACKET_INTERVAL);
    for sequence_number in 0.. {
        ticks.tick().await;
        for source in &sources {
            // RFC 7741: the descriptor of a partition's start, then a key frame of 320 by 240.
            let mut payload = match source.kind {
                "video" => b"\x10\x10\x00\x00\x9d\x01\x2a\x40\x01\xf0\x00".to_vec(),
                _ => Vec::new(),
            };
            payload.extend(format!("{name} {}", source.kind).bytes());
            let header = rtp::header::Header {
                version: 2,
                marker: source.kind == "video",
                payload_type: source.payload_type,
                sequence_number,
                timestamp: u32::from(sequence_number) * source.clock_rate / 100,
                ssrc: source.ssrc,
                ..Default::default()
            };
            let packet = rtp::packet::Packet { header, payload: Bytes::from(payload) };
            if transport.send_rtp(&packet).await.is_err() {
                return;
            }
        }
    }
}

/// A peer that only watches.
struct Watching {
    session: Box<dyn Session>,
    role: Role,
    transport: Transport,
    receiving: Receiving,
    way: OpenWay,
}

impl Watching {
    async fn join(
        janus: &Janus,
        name: &str,
        wanted: &[Wanted],
        profile: Profile,
    ) -> anyhow::Result<Self> {
        let mut session = janus.join("room", name).await?;
        let identity = Identity::generate()?;
        let way = Way::new().await?;
        let RemoteEnd { mut offer, role } =
            session.open_rx(&way.local_end(&identity), wanted).await?;
        let way = way.lead_to(&mut offer).await?;
        let config = Config { identity, role, profile };
        let (transport, receiving) = Transport::connect(offer, config).await?;
        Ok(Self { session, role, transport, receiving, way })
    }

    /// The next RTP packet.
    async fn packet(&mut self) -> anyhow::Result<rtp::packet::Packet> {
        let found = async {
            while let Some(received) = self.receiving.recv().await {
                if let Content::Rtp(packet) = received.content {
                    return Ok(packet);
                }
            }
            anyhow::bail!("the transport ended")
        };
        timeout(PATIENCE, found).await.context("no packet")?
    }

    /// The next report of a stream.
    async fn sender_report(&mut self) -> anyhow::Result<SenderReport> {
        let found = async {
            while let Some(received) = self.receiving.recv().await {
                let Content::Rtcp(packets) = received.content else { continue };
                let mut reports = packets.iter().map(|one| one.as_any().downcast_ref());
                if let Some(report) = reports.find_map(|report: Option<&SenderReport>| report) {
                    return Ok(report.clone());
                }
            }
            anyhow::bail!("the transport ended")
        };
        timeout(PATIENCE, found).await.context("no report")?
    }

    /// Whose the next RTP packet is.
    async fn next(&mut self) -> anyhow::Result<String> {
        let payload = self.packet().await?.payload;
        let text = match payload.first() {
            Some(0x10) => payload.get(11..).context("too short")?,
            _ => &payload[..],
        };
        Ok(String::from_utf8(text.to_vec())?)
    }

    /// Waits for a packet of each of these, and of nobody else.
    async fn expect(&mut self, sources: &[&str]) -> anyhow::Result<()> {
        let mut missing = sources.to_vec();
        let all = async {
            while !missing.is_empty() {
                let next = self.next().await?;
                ensure!(sources.contains(&next.as_str()), "{next:?} was not wanted");
                missing.retain(|source| *source != next);
            }
            anyhow::Ok(())
        };
        let ended = timeout(PATIENCE, all).await;
        ended.with_context(|| format!("nothing of {missing:?}"))?
    }
}

/// Waits for a sealed packet.
async fn media(inbound: &mut Inbound) -> anyhow::Result<()> {
    timeout(PATIENCE, inbound.media.recv()).await.context("no media")?.context("no agent")?;
    Ok(())
}

fn wanted(peer: &str, kind: &'static str) -> Wanted {
    Wanted { peer: peer.to_owned(), kind }
}

/// A way to Janus, from an address that it is told before, which answers its checks: it makes them
/// although its ICE is lite. A client sends to `near` and is heard from `far`.
struct Way {
    near: UdpSocket,
    far: UdpSocket,
}

/// Ends when dropped.
struct OpenWay {
    near: SocketAddr,
    /// Janus's, when it was opened.
    ufrag: String,
    _task: JoinSet<()>,
}

impl Way {
    async fn new() -> anyhow::Result<Self> {
        let near = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Ok(Self { near, far: UdpSocket::bind((ADDRESS, 0)).await? })
    }

    fn local_end(&self, identity: &Identity) -> LocalEnd {
        LocalEnd {
            ufrag: "corinth".into(),
            password: PASSWORD.into(),
            fingerprint: identity.fingerprint(),
            address: self.far.local_addr().expect("it is bound"),
        }
    }

    /// Opens it to where `offer` says that Janus is, and puts itself there.
    async fn lead_to(self, offer: &mut Offer) -> anyhow::Result<OpenWay> {
        let server = offer.remote.address;
        self.far.connect(server).await?;
        let near = self.near.local_addr()?;
        offer.remote.address = near;
        let mut task = JoinSet::new();
        task.spawn(self.run(server));
        Ok(OpenWay { near, ufrag: offer.remote.ufrag.clone(), _task: task })
    }

    async fn run(self, server: SocketAddr) {
        let Self { near, far } = self;
        let (mut out, mut back) = ([0; 2048], [0; 2048]);
        let mut client = None;
        loop {
            tokio::select! {
                Ok((len, from)) = near.recv_from(&mut out) => {
                    client = Some(from);
                    far.send(&out[..len]).await.ok();
                }
                Ok(len) = far.recv(&mut back) => {
                    if let Some(answer) = ice::answer(&back[..len], server, PASSWORD) {
                        far.send(&answer).await.ok();
                    } else if let Some(client) = client {
                        near.send_to(&back[..len], client).await.ok();
                    }
                }
            }
        }
    }
}

fn launch() -> anyhow::Result<Launch> {
    let program = Janus::find()?.context("it was there a moment ago")?;
    Ok(Launch { program, cores: vec![0], ..Launch::default() })
}

async fn start() -> anyhow::Result<Janus> {
    Janus::start(launch()?, ADDRESS).await
}

/// Runs `test` in a network namespace of its own: this program again, with the name of the test.
fn in_namespace(name: &str, test: impl Future<Output = anyhow::Result<()>>) {
    if std::env::var_os(INSIDE).is_some() {
        network().expect("a network");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test).expect("the test");
        return;
    }
    if Janus::find().expect("a Janus that can be used").is_none() {
        return skipped(name, "janus is not installed");
    }
    let unshare: &[&str] = &["--user", "--map-root-user", "--net"];
    let may = Command::new("unshare").args(unshare).arg("true").stderr(Stdio::null()).status();
    if !may.is_ok_and(|status| status.success()) {
        return skipped(name, "this process may make no network namespaces");
    }
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new("unshare");
    command.args(unshare).arg(program).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().expect("unshare");
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
}

/// Past the test harness, which keeps what passing tests print.
fn skipped(name: &str, why: &str) {
    writeln!(std::io::stderr(), "{name}: skipped: {why}").expect("standard error");
}

fn network() -> anyhow::Result<()> {
    let commands = [
        "link set lo up",
        "link add perf0 type veth peer name perf1",
        &format!("address add {ADDRESS}/24 dev perf0"),
        "link set perf0 up",
        "link set perf1 up",
    ];
    for arguments in commands {
        let mut command = Command::new("ip");
        let status = command.args(arguments.split(' ')).status().context("ip (iproute2)")?;
        ensure!(status.success(), "{command:?} failed");
    }
    Ok(())
}
