//! What binding promises, asked of the kernel again.

use std::net::UdpSocket;

use super::*;

const OPTIONS: SocketOptions = SocketOptions { receive_buffer: 100_000, send_buffer: 50_000 };

fn bind(address: &str) -> io::Result<MediaSocket> {
    MediaSocket::bind(address.parse().unwrap(), &OPTIONS)
}

/// The error's text for an address that cannot be bound.
fn refusal(address: &str) -> String {
    bind(address).expect_err(address).to_string()
}

#[test]
fn it_has_the_port_that_the_kernel_chose() {
    let socket = bind("127.0.0.1:0").unwrap();
    assert_eq!(socket.local_addr().ip(), "127.0.0.1".parse::<std::net::IpAddr>().unwrap());
    assert_ne!(socket.local_addr().port(), 0);
}

#[test]
fn receiving_from_an_empty_queue_does_not_wait() {
    let socket = UdpSocket::from(bind("127.0.0.1:0").unwrap().try_clone_fd().unwrap());
    assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn ipv6_is_not_ipv4_too() {
    if UdpSocket::bind("[::1]:0").is_ok() {
        let socket = bind("[::1]:0").unwrap();
        assert!(socket2::SockRef::from(&socket).only_v6().unwrap());
    }
}

#[test]
fn no_descriptor_is_inherited() {
    let socket = bind("127.0.0.1:0").unwrap();
    let clone = socket.try_clone_fd().unwrap();
    for fd in [socket.as_raw_fd(), clone.as_raw_fd()] {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0, "{info}");
    }
}

#[test]
fn a_clone_is_the_same_socket() {
    let socket = bind("127.0.0.1:0").unwrap();
    let local = socket.local_addr();
    let clone = UdpSocket::from(socket.try_clone_fd().unwrap());
    drop(socket);
    assert_eq!(clone.local_addr().unwrap(), local);
}

#[test]
fn buffers_are_as_wished_or_as_large_as_allowed() {
    let modest = bind("127.0.0.1:0").unwrap();
    assert_eq!((modest.receive_buffer(), modest.send_buffer()), (100_000, 50_000));

    let most = |name: &str| -> usize {
        let text = std::fs::read_to_string(format!("/proc/sys/net/core/{name}")).unwrap();
        text.trim().parse().unwrap()
    };
    let wish = 1 << 30;
    let options = SocketOptions { receive_buffer: wish, send_buffer: wish };
    let greedy = MediaSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    assert_eq!(greedy.receive_buffer(), most("rmem_max").min(wish - 1));
    assert_eq!(greedy.send_buffer(), most("wmem_max").min(wish - 1));
}

#[test]
fn no_wildcard_and_no_group() {
    for address in ["0.0.0.0:0", "[::]:0", "224.0.0.1:0", "[ff02::1]:0"] {
        let error = bind(address).expect_err(address);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(address), "{error}");
    }
}

#[test]
fn errors_name_the_address_and_the_usual_cause() {
    let holder = bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().to_string();
    let error = bind(&taken).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&taken), "{error}");
    assert!(error.to_string().contains("another program"), "{error}");

    let elsewhere = refusal("203.0.113.7:0"); // RFC 5737: nobody's
    assert!(elsewhere.contains("203.0.113.7:0"), "{elsewhere}");
    assert!(elsewhere.contains("no interface of this host"), "{elsewhere}");
}

#[test]
fn privileged_ports_say_what_they_need() {
    let error =
        explain("127.0.0.1:80".parse().unwrap(), &io::Error::from_raw_os_error(libc::EACCES));
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("CAP_NET_BIND_SERVICE"), "{error}");
}

#[test]
fn overflow_is_what_was_added_since() {
    let socket = bind("127.0.0.1:0").unwrap();
    assert_eq!(socket.overflow_since(5), 5);
    assert_eq!(socket.overflow_since(5), 0);
    assert_eq!(socket.overflow_since(7), 2);
    assert_eq!(socket.overflow_since(u32::MAX), u32::MAX - 7);
    assert_eq!(socket.overflow_since(1), 2, "the kernel's count wraps");
}
