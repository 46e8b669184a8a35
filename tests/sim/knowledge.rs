//! What a client knows of its room, made only of what it was told; it panics where the telling
//! breaks PROTOCOL section 3.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A Sender as it was announced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SenderView {
    pub(crate) kind: String,
    pub(crate) paused: bool,
    pub(crate) rtp_parameters: Value,
    pub(crate) app_data: Value,
}

/// A peer as it was announced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PeerView {
    app_data: Value,
    /// By Sender id, which is this client's own.
    pub(crate) senders: BTreeMap<u32, SenderView>,
}

/// A room as one client sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Knowledge {
    me: String,
    pub(crate) peers: BTreeMap<String, PeerView>,
    last_id: u32,
}

impl SenderView {
    /// The SSRC that its packets will have.
    pub(crate) fn ssrc(&self) -> u32 {
        let ssrc = self.rtp_parameters["encodings"][0]["ssrc"].as_u64();
        ssrc.and_then(|ssrc| u32::try_from(ssrc).ok()).expect("every Sender has an SSRC")
    }

    /// The one that its retransmissions will have.
    pub(crate) fn rtx_ssrc(&self) -> Option<u32> {
        let ssrc = self.rtp_parameters["encodings"][0]["rtx"]["ssrc"].as_u64();
        ssrc.map(|ssrc| u32::try_from(ssrc).expect("an SSRC"))
    }

    /// Which [`crate::source::Source`] it comes from.
    pub(crate) fn tag(&self) -> u32 {
        let tag = self.app_data["tag"].as_u64().and_then(|tag| u32::try_from(tag).ok());
        tag.expect("every source of the simulation has a tag")
    }

    /// The payload type that its packets will have.
    pub(crate) fn payload_type(&self) -> u64 {
        self.rtp_parameters["codecs"][0]["payloadType"].as_u64().expect("a number")
    }

    /// The ids of the header extensions that its packets may have.
    pub(crate) fn extension_ids(&self) -> Vec<u64> {
        let extensions = self.rtp_parameters["headerExtensions"].as_array().expect("a list");
        extensions.iter().map(|e| e["id"].as_u64().expect("a number")).collect()
    }

    pub(crate) fn cname(&self) -> &str {
        self.rtp_parameters["rtcp"]["cname"].as_str().expect("a text")
    }

    fn read(data: &Value) -> Self {
        let text = |name: &str| data[name].as_str().expect(name).to_owned();
        Self {
            kind: text("kind"),
            paused: data["paused"].as_bool().expect("paused"),
            rtp_parameters: data["rtpParameters"].clone(),
            app_data: data["appData"].clone(),
        }
    }
}

impl Knowledge {
    /// From `join`'s response.
    pub(crate) fn from_snapshot(me: &str, response: &Value) -> Self {
        let mut knowledge = Self { me: me.to_owned(), peers: BTreeMap::new(), last_id: 0 };
        for peer in response["peers"].as_array().expect("peers") {
            let name = knowledge.meet(peer);
            for sender in peer["senders"].as_array().expect("senders") {
                knowledge.announce(&name, sender);
            }
        }
        knowledge
    }

    /// Takes one notification in; the Senders that ended with it.
    pub(crate) fn hear(&mut self, method: &str, data: &Value) -> Vec<(u32, SenderView)> {
        let me = &self.me;
        match method {
            "newPeer" => {
                assert_eq!(data["senders"], json!([]), "its Senders are announced one by one");
                self.meet(data);
                Vec::new()
            }
            "peerLeft" => {
                let name = data["name"].as_str().expect("name");
                let peer = self.peers.remove(name);
                let peer = peer.unwrap_or_else(|| panic!("{me}: {name} left, who was not there"));
                peer.senders.into_iter().collect()
            }
            "newSender" => {
                let name = data["peerName"].as_str().expect("peerName").to_owned();
                self.announce(&name, data);
                Vec::new()
            }
            "senderClosed" => {
                let id = self.known_id(data);
                let peer = self.peers.get_mut(data["peerName"].as_str().expect("peerName"));
                let view = peer.and_then(|peer| peer.senders.remove(&id)).expect("just looked up");
                vec![(id, view)]
            }
            "senderPaused" => self.set_paused(data, true),
            "senderResumed" => self.set_paused(data, false),
            _ => panic!("{me}: never asked for {method}"),
        }
    }

    /// A Sender by its id.
    pub(crate) fn sender(&self, id: u32) -> Option<&SenderView> {
        self.peers.values().find_map(|peer| peer.senders.get(&id))
    }

    /// All Senders, by id.
    pub(crate) fn senders(&self) -> BTreeMap<u32, &SenderView> {
        let senders = self.peers.values().flat_map(|peer| &peer.senders);
        senders.map(|(id, view)| (*id, view)).collect()
    }

    /// The same without what is this client's own: comparable with what others know.
    pub(crate) fn in_common(&self) -> BTreeMap<String, (Value, BTreeMap<u32, SenderView>)> {
        let peers = self.peers.iter().map(|(name, peer)| {
            let senders = peer.senders.values().map(|view| (view.ssrc(), view.clone()));
            (name.clone(), (peer.app_data.clone(), senders.collect()))
        });
        peers.collect()
    }

    fn meet(&mut self, peer: &Value) -> String {
        let name = peer["name"].as_str().expect("name").to_owned();
        assert_ne!(name, self.me, "nobody is told of himself");
        let view = PeerView { app_data: peer["appData"].clone(), senders: BTreeMap::new() };
        let known = self.peers.insert(name.clone(), view);
        assert!(known.is_none(), "{}: {name} came twice", self.me);
        name
    }

    fn announce(&mut self, name: &str, sender: &Value) {
        let id = sender_id(sender);
        assert_eq!(id, self.last_id + 1, "{}: ids count up and none is left out", self.me);
        self.last_id = id;
        let view = SenderView::read(sender);
        let peer = self.peers.get_mut(name);
        let peer = peer.unwrap_or_else(|| panic!("{}: newSender before newPeer {name}", self.me));
        peer.senders.insert(id, view);
    }

    fn set_paused(&mut self, data: &Value, paused: bool) -> Vec<(u32, SenderView)> {
        let id = self.known_id(data);
        let name = data["peerName"].as_str().expect("peerName");
        let peer = self.peers.get_mut(name).expect("just looked up");
        let view = peer.senders.get_mut(&id).expect("just looked up");
        assert_ne!(view.paused, paused, "{}: told twice of one change of Sender {id}", self.me);
        view.paused = paused;
        Vec::new()
    }

    fn known_id(&self, data: &Value) -> u32 {
        let (id, name) = (sender_id(data), data["peerName"].as_str().expect("peerName"));
        let known = self.peers.get(name).is_some_and(|peer| peer.senders.contains_key(&id));
        assert!(known, "{}: told of Sender {id} of {name}, which is not there: {data}", self.me);
        id
    }
}

fn sender_id(data: &Value) -> u32 {
    data["id"].as_u64().and_then(|id| u32::try_from(id).ok()).expect("id")
}
