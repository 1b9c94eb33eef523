//! Which addresses may be called: none inside the own network unless that is meant.
//!
//! Whoever can write an endpoint's name into DNS could else make usher call what only this machine reaches. Literal addresses
//! are looked at before a call, names when they are resolved for the very connection, so that no second answer slips past.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// What an address is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The internet.
    Public,
    /// The own machine or network: called where `allow_private` is set.
    Private,
    /// Never a receiver: link-local (where clouds keep their machines' credentials), multicast, reserved.
    Never,
}

impl Reach {
    /// Where an address leads.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    /// Blocks of the IANA registry of special-purpose addresses (RFC 6890 and later).
    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [127 | 10, ..] | [192, 168, ..] => Self::Private,
            [172, b, ..] if b & 0xf0 == 16 => Self::Private,
            // Carriers' own (RFC 6598).
            [100, b, ..] if b & 0xc0 == 64 => Self::Private,
            // "This network", link-local, protocol assignments, 6to4's relays, benchmarks, the three of documentation.
            [0, ..] | [169, 254, ..] | [192, 0, 0, _] | [192, 88, 99, _] => Self::Never,
            [198, 18 | 19, ..] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Self::Never,
            // Multicast, reserved, broadcast.
            [a, ..] if a >= 224 => Self::Never,
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        if ip == Ipv6Addr::LOCALHOST {
            return Self::Private;
        }
        match ip.segments() {
            // An IPv4 address in other clothes: mapped, translated (NAT64), 6to4.
            [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                Self::of_v4(joined(high, low))
            }
            [0x2002, high, low, ..] => Self::of_v4(joined(high, low)),
            // A network's own NAT64 (RFC 8215), and its own addresses (RFC 4193).
            [0x64, 0xff9b, 1, ..] => Self::Private,
            [a, ..] if a & 0xfe00 == 0xfc00 => Self::Private,
            // Documentation, and Teredo and others of 2001::/23.
            [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Self::Never,
            [0x2001, b, ..] if b < 0x200 => Self::Never,
            // Global unicast is 2000::/3; whatever else there is (link-local, multicast, unspecified) is none.
            [a, ..] if a & 0xe000 == 0x2000 => Self::Public,
            _ => Self::Never,
        }
    }

    /// Whether it may be called.
    #[must_use]
    pub fn is_allowed(self, allow_private: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Private => allow_private,
            Self::Never => false,
        }
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

/// An address that is not called. Retried like a receiver that is down: a name's addresses may change; the user looks at what
/// the name leads to, or sets `allow_private`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// The own machine or network.
    #[error("{0} is a private address, which is not called unless allow_private = true")]
    Private(IpAddr),
    /// Link-local, multicast, or reserved.
    #[error("{0} is an address that is never called (link-local, multicast or reserved)")]
    Never(IpAddr),
}

/// Refuses an address that may not be called.
pub fn check(ip: IpAddr, allow_private: bool) -> Result<(), AddressRefused> {
    match Reach::of(ip) {
        reach if reach.is_allowed(allow_private) => Ok(()),
        Reach::Never => Err(AddressRefused::Never(ip)),
        Reach::Private | Reach::Public => Err(AddressRefused::Private(ip)),
    }
}

/// Refuses a URL that names an address, rather than a host, which may not be called: those are not resolved.
pub fn check_literal(url: &Url, allow_private: bool) -> Result<(), AddressRefused> {
    match url.host() {
        Some(Host::Ipv4(ip)) => check(ip.into(), allow_private),
        Some(Host::Ipv6(ip)) => check(ip.into(), allow_private),
        Some(Host::Domain(_)) | None => Ok(()),
    }
}

/// Resolves names to the addresses among theirs that may be called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guarded {
    pub(crate) allow_private: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(allowed(found, allow_private)?.into_iter()) as Addrs)
        })
    }
}

/// Those that may be called; the first refusal where none may.
fn allowed(
    found: Vec<SocketAddr>,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let mut refused = None;
    let mut good = Vec::new();
    for address in found {
        match check(address.ip(), allow_private) {
            Ok(()) => good.push(address),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match (good.is_empty(), refused) {
        (true, Some(error)) => Err(error.into()),
        (true, None) => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address").into()),
        (false, _) => Ok(good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lead_where_the_registries_say() {
        let cases = [
            (
                Reach::Public,
                "8.8.8.8 1.1.1.1 172.15.0.1 172.32.0.1 100.63.0.1 100.128.0.1 192.1.0.1 223.255.255.254",
            ),
            (
                Reach::Public,
                "2606:4700::1111 2a00:1450::1 2003::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:0808:0808::1",
            ),
            (
                Reach::Private,
                "127.0.0.1 127.8.8.8 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 100.127.9.9",
            ),
            (
                Reach::Private,
                "::1 fc00::1 fd12::1 ::ffff:127.0.0.1 ::ffff:10.1.2.3 64:ff9b::10.0.0.1 2002:7f00:0001::1",
            ),
            (Reach::Private, "64:ff9b:1::1"),
            (
                Reach::Never,
                "0.0.0.0 0.1.2.3 169.254.169.254 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.0.0.8",
            ),
            (Reach::Never, "192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 198.19.255.255 192.88.99.1"),
            (
                Reach::Never,
                ":: fe80::1 febf::1 fec0::1 ff02::1 2001:db8::1 2001::1 3fff::1 ::ffff:169.254.169.254 ::7f00:1",
            ),
            (Reach::Never, "::ffff:0:127.0.0.1 64:ff9b::a9fe:a9fe 2002:a9fe:a9fe::1 100::1"),
        ];
        for (expected, texts) in cases {
            for text in texts.split(' ') {
                assert_eq!(Reach::of(text.parse().unwrap()), expected, "{text}");
            }
        }
    }

    #[test]
    fn a_url_in_any_spelling_of_a_private_address_is_refused() {
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://10.0.0.1:8443/hook",
            "https://192.168.0.1./",
        ] {
            let url = Url::parse(url).unwrap();
            assert!(check_literal(&url, false).unwrap_err().to_string().contains("allow_private"), "{url}");
            assert_eq!(check_literal(&url, true), Ok(()), "{url}");
        }
        let metadata = Url::parse("https://169.254.169.254/latest").unwrap();
        assert!(matches!(check_literal(&metadata, true), Err(AddressRefused::Never(_))));
    }

    #[test]
    fn of_a_name_s_addresses_only_those_that_may_be_called_are_left() {
        let at = |texts: &[&str]| {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect::<Vec<_>>()
        };
        assert_eq!(allowed(at(&["10.0.0.1", "8.8.8.8"]), false).unwrap(), at(&["8.8.8.8"]));
        assert!(allowed(at(&["10.0.0.1", "::1"]), false).unwrap_err().to_string().contains("10.0.0.1"));
        assert_eq!(allowed(at(&["10.0.0.1", "::1"]), true).unwrap().len(), 2);
        assert!(allowed(vec![], true).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_resolved_unless_that_is_allowed() {
        let resolve = |allow_private| Guarded { allow_private }.resolve("localhost".parse().unwrap());
        assert!(resolve(true).await.unwrap().count() > 0);
        let error = resolve(false).await.err().unwrap();
        assert!(error.to_string().contains("allow_private"), "{error}");
    }
}
