//! RTCP (temporary reader and writer, replaced by the wire helper's).
use crate::types::{DropReason, Ssrc};
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    pub sender_ssrc: Ssrc,
    pub ntp: u64,
    pub rtp_time: u32,
    pub packets: u32,
    pub octets: u32,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: Ssrc,
    pub fraction_lost: u8,
    pub cumulative_lost: i32,
    pub highest_seq: u32,
    pub jitter: u32,
    pub last_sr: u32,
    pub delay_since_last_sr: u32,
}
pub struct ReportBlocks<'a>(pub &'a [u8]);
pub struct Ssrcs<'a>(&'a [u8]);
impl Iterator for Ssrcs<'_> {
    type Item = Ssrc;
    fn next(&mut self) -> Option<Ssrc> {
        let (a, b) = self.0.split_first_chunk::<4>()?;
        self.0 = b;
        Some(Ssrc(u32::from_be_bytes(*a)))
    }
}
pub struct Firs<'a>(&'a [u8]);
impl Iterator for Firs<'_> {
    type Item = (Ssrc, u8);
    fn next(&mut self) -> Option<(Ssrc, u8)> {
        let (a, b) = self.0.split_first_chunk::<8>()?;
        self.0 = b;
        Some((Ssrc(be(a)), a[4]))
    }
}
pub enum RtcpPacket<'a> {
    SenderReport(SenderReport, ReportBlocks<'a>),
    ReceiverReport { sender_ssrc: Ssrc, blocks: ReportBlocks<'a> },
    Bye(Ssrcs<'a>),
    Pli { sender_ssrc: Ssrc, media_ssrc: Ssrc },
    Fir { sender_ssrc: Ssrc, entries: Firs<'a> },
    Other { packet_type: u8, fmt: u8 },
}
fn be(b: &[u8]) -> u32 {
    u32::from_be_bytes([b[0], b[1], b[2], b[3]])
}
pub struct Packets<'a>(&'a [u8]);
fn split(c: &[u8]) -> Option<(&[u8], &[u8])> {
    if c.len() < 4 || c[0] >> 6 != 2 {
        return None;
    }
    let n = 4 * (usize::from(u16::from_be_bytes([c[2], c[3]])) + 1);
    if n > c.len() { None } else { Some(c.split_at(n)) }
}
pub fn packets(c: &[u8]) -> Result<Packets<'_>, DropReason> {
    let mut rest = c;
    if c.is_empty() {
        return Err(DropReason::RtcpMalformed);
    }
    while !rest.is_empty() {
        let (p, r) = split(rest).ok_or(DropReason::RtcpMalformed)?;
        let min = match p[1] {
            200 => 28,
            201 => 8,
            206 => 12,
            _ => 4,
        };
        if p.len() < min {
            return Err(DropReason::RtcpMalformed);
        }
        rest = r;
    }
    Ok(Packets(c))
}
impl<'a> Iterator for Packets<'a> {
    type Item = RtcpPacket<'a>;
    fn next(&mut self) -> Option<RtcpPacket<'a>> {
        let (p, r) = split(self.0)?;
        self.0 = r;
        let fmt = p[0] & 31;
        Some(match (p[1], fmt) {
            (200, _) => RtcpPacket::SenderReport(
                SenderReport {
                    sender_ssrc: Ssrc(be(&p[4..])),
                    ntp: (u64::from(be(&p[8..])) << 32) | u64::from(be(&p[12..])),
                    rtp_time: be(&p[16..]),
                    packets: be(&p[20..]),
                    octets: be(&p[24..]),
                },
                ReportBlocks(&p[28..]),
            ),
            (201, _) => RtcpPacket::ReceiverReport {
                sender_ssrc: Ssrc(be(&p[4..])),
                blocks: ReportBlocks(&p[8..]),
            },
            (203, _) => RtcpPacket::Bye(Ssrcs(&p[4..])),
            (206, 1) => {
                RtcpPacket::Pli { sender_ssrc: Ssrc(be(&p[4..])), media_ssrc: Ssrc(be(&p[8..])) }
            }
            (206, 4) => RtcpPacket::Fir { sender_ssrc: Ssrc(be(&p[4..])), entries: Firs(&p[12..]) },
            (t, f) => RtcpPacket::Other { packet_type: t, fmt: f },
        })
    }
}
pub struct CompoundWriter<'a> {
    b: &'a mut [u8],
    n: usize,
}
impl<'a> CompoundWriter<'a> {
    pub fn new(b: &'a mut [u8]) -> Self {
        Self { b, n: 0 }
    }
    pub fn len(&self) -> usize {
        self.n
    }
    fn put(&mut self, count: u8, pt: u8, body: &[u8]) -> bool {
        let n = 4 + body.len();
        if self.n + n > self.b.len() {
            return false;
        }
        let o = &mut self.b[self.n..self.n + n];
        o[0] = 0x80 | count;
        o[1] = pt;
        o[2..4].copy_from_slice(&((body.len() / 4) as u16).to_be_bytes());
        o[4..].copy_from_slice(body);
        self.n += n;
        true
    }
    fn blocks(v: &mut Vec<u8>, bs: &[ReportBlock]) {
        for b in bs {
            v.extend(b.ssrc.0.to_be_bytes());
            v.extend(
                ((u32::from(b.fraction_lost) << 24) | (b.cumulative_lost as u32 & 0xff_ffff))
                    .to_be_bytes(),
            );
            for w in [b.highest_seq, b.jitter, b.last_sr, b.delay_since_last_sr] {
                v.extend(w.to_be_bytes());
            }
        }
    }
    pub fn sender_report(&mut self, r: &SenderReport, bs: &[ReportBlock]) -> bool {
        let mut v = Vec::new();
        v.extend(r.sender_ssrc.0.to_be_bytes());
        v.extend(r.ntp.to_be_bytes());
        for w in [r.rtp_time, r.packets, r.octets] {
            v.extend(w.to_be_bytes());
        }
        Self::blocks(&mut v, bs);
        self.put(bs.len() as u8, 200, &v)
    }
    pub fn receiver_report(&mut self, s: Ssrc, bs: &[ReportBlock]) -> bool {
        let mut v = s.0.to_be_bytes().to_vec();
        Self::blocks(&mut v, bs);
        self.put(bs.len() as u8, 201, &v)
    }
    pub fn sdes_cname(&mut self, s: Ssrc, c: &str) -> bool {
        if c.len() > 255 {
            return false;
        }
        let mut v = s.0.to_be_bytes().to_vec();
        v.push(1);
        v.push(c.len() as u8);
        v.extend(c.as_bytes());
        v.push(0);
        while v.len() % 4 != 0 {
            v.push(0);
        }
        self.put(1, 202, &v)
    }
    pub fn bye(&mut self, s: &[Ssrc]) -> bool {
        let v: Vec<u8> = s.iter().flat_map(|s| s.0.to_be_bytes()).collect();
        self.put(s.len() as u8, 203, &v)
    }
    pub fn pli(&mut self, a: Ssrc, b: Ssrc) -> bool {
        let v = [a.0.to_be_bytes(), b.0.to_be_bytes()].concat();
        self.put(1, 206, &v)
    }
}
