//! Who is taken for whom: each header that may stand between a client and this server.

use super::*;

const HERE: &str = "127.0.0.1:4000";

fn known(proxies: &[&str], origins: Option<&[&str]>) -> Known {
    Known {
        proxies: proxies.iter().map(|text| text.parse().unwrap()).collect(),
        origins: origins.map(|all| all.iter().map(|it| it.parse().unwrap()).collect()),
    }
}

fn request(head: &str, headers: &str) -> Request {
    let text = format!("{head}\r\n{headers}\r\n");
    Request::parse(text.as_bytes()).unwrap().unwrap().0
}

fn client(known: &Known, peer: &str, headers: &str) -> Client {
    Client::of(known, peer.parse().unwrap(), &request("GET / HTTP/1.1", headers))
}

#[test]
fn a_program_on_this_host_is_here_and_a_strangers_page_in_its_browser_is_not() {
    let known = known(&[], None);
    for headers in [
        "",
        "Host: localhost:8080\r\n",
        "Host: LOCALHOST.\r\n",
        "Host: corinth.localhost:8080\r\n",
        "Host: [::1]:8080\r\n",
        "Host: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n",
        "Host: 127.0.0.1:8080\r\nReferer: http://127.0.0.1:8080/admin?a\r\n",
        "Host: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n",
        "Host: 127.0.0.1\r\nSec-Fetch-Site: none\r\n",
    ] {
        let here = |peer| client(&known, peer, headers).is_here_for_itself();
        assert_eq!(here(HERE), Ok(()), "{headers:?}");
        assert_eq!(here("[::ffff:127.0.0.1]:4000"), Ok(()), "{headers:?}");
        assert_eq!(here("192.0.2.1:4000"), Err(Elsewhere::Address), "{headers:?}");
        assert_eq!(client(&known, HERE, headers).counted_by(&known), Ok(None), "{headers:?}");
    }
    for (headers, why) in [
        ("Host: evil.example\r\n", Elsewhere::Name),
        // A name that was made to mean this host: then page and Host agree.
        ("Host: evil.example\r\nOrigin: http://evil.example\r\n", Elsewhere::Name),
        ("Host: 127.0.0.1\r\nHost: evil.example\r\n", Elsewhere::Name),
        ("Host: 127.0.0.1.evil.example\r\n", Elsewhere::Name),
        ("Host: 127.0.0.1:8080\r\nOrigin: http://evil.example\r\n", Elsewhere::Page),
        ("Host: 127.0.0.1:8080\r\nOrigin: null\r\n", Elsewhere::Page),
        ("Host: 127.0.0.1:8080\r\nOrigin: http://127.0.0.1:8081\r\n", Elsewhere::Page),
        ("Host: 127.0.0.1:8080\r\nSec-Fetch-Site: cross-site\r\n", Elsewhere::Page),
        ("Host: 127.0.0.1:8080\r\nSec-Fetch-Site: same-site\r\n", Elsewhere::Page),
        ("Host: 127.0.0.1:8080\r\nReferer: https://corinth.example/admin\r\n", Elsewhere::Page),
        ("Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n", Elsewhere::Proxy),
        ("Host: localhost\r\nX-Forwarded-For:\r\n", Elsewhere::Proxy),
        ("Host: localhost\r\nX-Forwarded-Proto: https\r\n", Elsewhere::Proxy),
        ("Host: localhost\r\nForwarded: for=127.0.0.1\r\n", Elsewhere::Proxy),
        ("Host: localhost\r\nX-Real-IP: 127.0.0.1\r\n", Elsewhere::Proxy),
        ("Host: localhost\r\nVia: 1.1 proxy\r\n", Elsewhere::Proxy),
        ("Host: localhost\r\nCF-Connecting-IP: 192.0.2.1\r\n", Elsewhere::Proxy),
    ] {
        assert_eq!(client(&known, HERE, headers).is_here_for_itself(), Err(why), "{headers:?}");
    }
}

#[test]
fn whoever_asks_in_the_older_version_is_a_proxy_that_adds_nothing() {
    let known = known(&[], None);
    let request = request("GET / HTTP/1.0", "Host: 127.0.0.1:8080\r\nConnection: close\r\n");
    let client = Client::of(&known, HERE.parse().unwrap(), &request);
    assert_eq!(client.is_here(), Err(Elsewhere::Proxy));
}

#[test]
fn only_trusted_proxies_say_who_their_client_is() {
    let known = known(&["127.0.0.1/32", "10.0.0.0/8"], None);
    for (peer, forwarded, counted) in [
        ("127.0.0.1:1", "", Ok(None)),
        ("192.0.2.1:1", "X-Forwarded-For: 127.0.0.1", Ok(Some("192.0.2.1"))),
        ("127.0.0.1:1", "X-Forwarded-For: 192.0.2.7", Ok(Some("192.0.2.7"))),
        // What the client itself has written stands on the left.
        ("127.0.0.1:1", "X-Forwarded-For: 127.0.0.1, 192.0.2.7, 10.1.1.1", Ok(Some("192.0.2.7"))),
        ("127.0.0.1:1", "X-Forwarded-For: unknown, 192.0.2.7", Ok(Some("192.0.2.7"))),
        (
            "10.9.9.9:1",
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: ::ffff:192.0.2.7",
            Ok(Some("192.0.2.7")),
        ),
        ("127.0.0.1:1", "X-Forwarded-For: 198.51.100.7:5123", Ok(Some("198.51.100.7"))),
        ("127.0.0.1:1", "X-Forwarded-For: [2001:db8::7]:5123", Ok(Some("2001:db8::7"))),
        ("127.0.0.1:1", "X-Forwarded-For: [2001:db8::7]", Ok(Some("2001:db8::7"))),
        ("127.0.0.1:1", "X-Forwarded-For: \"198.51.100.7\"", Ok(Some("198.51.100.7"))),
        ("127.0.0.1:1", "X-Forwarded-For: 192.0.2.7, unknown", Err(Elsewhere::Proxy)),
        ("127.0.0.1:1", "X-Forwarded-For: unknown", Err(Elsewhere::Proxy)),
        ("127.0.0.1:1", "X-Forwarded-For:", Err(Elsewhere::Proxy)),
        ("127.0.0.1:1", "X-Forwarded-For: 192.0.2.7,", Err(Elsewhere::Proxy)),
        ("127.0.0.1:1", "X-Forwarded-For: 192.0.2.7 1", Err(Elsewhere::Proxy)),
        ("127.0.0.1:1", "Forwarded: for=192.0.2.7;proto=https", Ok(Some("192.0.2.7"))),
        (
            "127.0.0.1:1",
            "Forwarded: for=1.1.1.1, By=x; For=\"[2001:db8::7]:80\"",
            Ok(Some("2001:db8::7")),
        ),
        ("127.0.0.1:1", "Forwarded: for=_hidden", Err(Elsewhere::Proxy)),
        ("127.0.0.1:1", "Forwarded: proto=https", Err(Elsewhere::Proxy)),
    ] {
        let found = client(&known, peer, &format!("Host: localhost\r\n{forwarded}\r\n"));
        let counted = counted.map(|some| some.map(|text: &str| text.parse::<IpAddr>().unwrap()));
        assert_eq!(found.counted_by(&known), counted, "{peer} {forwarded}");
        assert!(found.is_here().is_err(), "{peer} {forwarded}");
    }
}

#[test]
fn a_browser_on_this_host_may_come_through_a_trusted_proxy() {
    let known = known(&["127.0.0.1/32"], Some(&["https://app.example"]));
    let here = |headers| client(&known, HERE, headers).is_here();
    assert_eq!(here("Host: localhost\r\nX-Forwarded-For: 127.0.0.1\r\n"), Ok(()));
    assert_eq!(here("Host: app.example\r\nX-Forwarded-For: ::1\r\n"), Ok(()));
    for (headers, why) in [
        ("Host: evil.example\r\nX-Forwarded-For: 127.0.0.1\r\n", Elsewhere::Name),
        ("Host: localhost\r\n", Elsewhere::Proxy),
        (
            "Host: localhost\r\nX-Forwarded-For: ::1\r\nForwarded: for=192.0.2.1\r\n",
            Elsewhere::Proxy,
        ),
    ] {
        assert_eq!(here(headers), Err(why), "{headers:?}");
    }
}

#[test]
fn a_page_of_another_origin_is_let_in_only_where_it_is_listed() {
    let list = known(&[], Some(&["https://app.example.org:443"]));
    let admits = |known: &Known, headers| {
        let request = request("GET / HTTP/1.1", headers);
        known.admits_page(&Client::of(known, HERE.parse().unwrap(), &request), &request)
    };
    for (headers, admitted) in [
        ("Host: a\r\n", true),
        ("Host: a:1\r\nOrigin: http://a:1\r\n", true),
        ("Host: a\r\nOrigin: http://a:80\r\n", true),
        ("Host: a:443\r\nOrigin: https://a\r\n", true),
        ("Host: a:1\r\nOrigin: http://a:2\r\n", false),
        ("Host: a\r\nOrigin: https://app.example.org\r\n", true),
        ("Host: a\r\nOrigin: https://b\r\nOrigin: https://app.example.org\r\n", false),
        ("Host: a\r\nOrigin: http://app.example.org\r\n", false),
        ("Host: a\r\nOrigin: null\r\n", false),
    ] {
        assert_eq!(admits(&list, headers), admitted, "{headers}");
    }
    assert!(admits(&known(&[], None), "Origin: https://elsewhere\r\n"));
}
