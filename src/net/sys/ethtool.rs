//! `SIOCETHTOOL`: what an interface leaves to its hardware. Numbers of features differ from kernel
//! to kernel, so it is asked for their names first, as ethtool(8) does.
#![expect(unsafe_code, reason = "no library asks for one feature without an executor of its own")]

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

/// Linux, `uapi/linux/ethtool.h`.
const GSTRINGS: u32 = 0x1b;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
const SS_FEATURES: u32 = 4;
const NAME_LEN: usize = 32;

/// Features that there is room for; Linux 6.18 has 64.
const FEATURES_MAX: usize = 256;

/// Words of the longest answer: command, set and count before the names.
const WORDS: usize = 3 + FEATURES_MAX * NAME_LEN / size_of::<u32>();

/// What an interface makes of a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// It is switched on.
    pub active: bool,
    /// It can be switched.
    pub available: bool,
}

/// The feature of this name (`ethtool -k`) of an interface. `None`: this kernel has none of it.
pub fn feature(interface: &str, name: &str) -> io::Result<Option<Feature>> {
    // Command, nothing, mask of sets; answered by one count for each set.
    let info = ask(interface, &[GSSET_INFO, 0, 1 << SS_FEATURES, 0])?;
    let count = info[4] as usize;
    if count > FEATURES_MAX {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let names = ask(interface, &[GSTRINGS, SS_FEATURES, count as u32])?;
    let names: Vec<u8> = names[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let matches = |found: &[u8]| found.split(|byte| *byte == 0).next() == Some(name.as_bytes());
    let Some(bit) = names.chunks(NAME_LEN).take(count).position(matches) else {
        return Ok(None);
    };
    // Blocks of 32 features, of four words each: available, requested, active, never changed.
    let features = ask(interface, &[GFEATURES, count.div_ceil(32) as u32])?;
    let block = &features[2 + bit / 32 * 4..];
    let has = |word: u32| word >> (bit % 32) & 1 == 1;
    Ok(Some(Feature { available: has(block[0]), active: has(block[2]) }))
}

/// One of the commands above, whose answers all fit [`FEATURES_MAX`] features.
fn ask(interface: &str, command: &[u32]) -> io::Result<[u32; WORDS]> {
    let mut words = [0; WORDS];
    words[..command.len()].copy_from_slice(command);
    // SAFETY: integers, arrays of them and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // One byte stays zero behind it.
    if interface.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *place = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // Any socket will do.
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    // SAFETY: `request` names an interface and points to `words`; both outlive the call. The kernel
    // writes at most 20 bytes for GSSET_INFO, as many blocks as it was told of for GFEATURES, and
    // for GSTRINGS as many names as it has said to have, which were checked to fit.
    let returned =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut request) };
    if returned == 0 { Ok(words) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_cuts_trains_for_nobody_and_says_so() {
        let found = feature("lo", "tx-udp-segmentation").unwrap();
        // Nothing is cut there, and it cannot be switched off.
        assert_eq!(found.map(|feature| feature.active), Some(true));
        assert_eq!(feature("lo", "no-such-feature").unwrap(), None);
    }

    #[test]
    fn there_is_no_such_interface() {
        assert_eq!(feature("none0", "x").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        let long = feature("longer-than-names-may-be", "x").unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::InvalidInput);
    }
}
