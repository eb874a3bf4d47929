//! Which addresses there are, and what nobody may be reached at: the built-in list, and ranges as an operator writes them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

/// What an address is, whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of the internet.
    Public,
    /// Of somebody's own network: used where an operator approved it, and nowhere else.
    Private,
    /// Used by nobody, whatever is approved.
    Never,
}

/// A block of addresses: network and length of its prefix.
const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Range {
    Range { network: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

const fn v6(segments: [u16; 4], last: u16, prefix: u8) -> Range {
    let [a, b, c, d] = segments;
    Range { network: IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, last)), prefix }
}

/// IPv4 addresses that are nobody's vault, each with why.
const NEVER_V4: [(Range, &str); 14] = [
    (v4(0, 0, 0, 0, 8), "this host: Linux takes 0.0.0.0 for the machine itself"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link-local: the metadata service, which gives out tokens, is 169.254.169.254"),
    (v4(168, 63, 129, 16, 32), "Azure's host agent, reached from inside its machines alone"),
    (v4(100, 100, 100, 200, 32), "another cloud's metadata service, in the midst of an otherwise private range"),
    (v4(192, 0, 0, 0, 24), "assigned to protocols, a metadata service among them"),
    (v4(192, 0, 2, 0, 24), "documentation: no host has it"),
    (v4(198, 51, 100, 0, 24), "documentation: no host has it"),
    (v4(203, 0, 113, 0, 24), "documentation: no host has it"),
    (v4(192, 88, 99, 0, 24), "relays of 6to4, withdrawn"),
    (v4(198, 18, 0, 0, 15), "benchmarks of networks"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
];

/// IPv4 addresses of somebody's own network.
const PRIVATE_V4: [(Range, &str); 4] = [
    (v4(10, 0, 0, 0, 8), "RFC 1918"),
    (v4(172, 16, 0, 0, 12), "RFC 1918"),
    (v4(192, 168, 0, 0, 16), "RFC 1918"),
    (v4(100, 64, 0, 0, 10), "behind a carrier's NAT; clouds and overlays use it as private"),
];

/// The only block of which IPv6 addresses of the internet are given out. Whatever is outside of it and not listed as private
/// is nobody's: loopback, link-local, site-local (withdrawn), multicast, IPv4-compatible, discard-only and what is not given out.
const PUBLIC_V6: Range = v6([0x2000, 0, 0, 0], 0, 3);

/// Inside that block, what is nobody's vault.
const NEVER_V6: [(Range, &str); 7] = [
    (v6([0x2001, 0, 0, 0], 0, 23), "assigned to protocols: Teredo (an IPv4 address inside), ORCHID, benchmarks"),
    (v6([0x2001, 0xdb8, 0, 0], 0, 32), "documentation: no host has it"),
    (v6([0x3fff, 0, 0, 0], 0, 20), "documentation: no host has it"),
    (v6([0x2002, 0, 0, 0], 0, 16), "6to4: an IPv4 address inside, withdrawn"),
    (v6([0xfd00, 0xec2, 0, 0], 0, 32), "another cloud's metadata services, among otherwise private addresses"),
    (v6([0xfd20, 0xce, 0, 0], 0x254, 128), "another cloud's metadata service, among otherwise private addresses"),
    (v6([0x64, 0xff9b, 1, 0], 0, 48), "a network's own NAT64: which IPv4 address is inside cannot be told"),
];

const PRIVATE_V6: Range = v6([0xfc00, 0, 0, 0], 0, 7);

/// NAT64's well-known prefix: the last 32 bits are the IPv4 address that is reached.
const NAT64: Range = v6([0x64, 0xff9b, 0, 0], 0, 96);

/// The address that is reached in the end: behind NAT64's well-known prefix, or written as an IPv6 address, it is an IPv4 one. What
/// else has an IPv4 address inside (6to4, Teredo, a network's own NAT64) is [`Kind::Never`] whatever that is.
pub(crate) fn reached(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if NAT64.contains(address) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        canonical => canonical,
    }
}

/// What this address is.
pub fn kind(address: IpAddr) -> Kind {
    let among = |ranges: &[(Range, &str)]| ranges.iter().any(|(range, _)| range.contains(address));
    match address.to_canonical() {
        // An IPv4 address written as an IPv6 one is what it is.
        IpAddr::V4(v4) if address.is_ipv6() => kind(IpAddr::V4(v4)),
        IpAddr::V4(_) if among(&NEVER_V4) => Kind::Never,
        IpAddr::V4(_) if among(&PRIVATE_V4) => Kind::Private,
        IpAddr::V4(_) => Kind::Public,
        IpAddr::V6(_) if among(&NEVER_V6) => Kind::Never,
        // The well-known prefix stands for addresses of the internet alone; a private one behind it is a way around.
        IpAddr::V6(_) if NAT64.contains(address) => match kind(reached(address)) {
            Kind::Public => Kind::Public,
            Kind::Private | Kind::Never => Kind::Never,
        },
        IpAddr::V6(_) if PRIVATE_V6.contains(address) => Kind::Private,
        IpAddr::V6(_) if PUBLIC_V6.contains(address) => Kind::Public,
        IpAddr::V6(_) => Kind::Never,
    }
}

/// A range of addresses, such as `10.20.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Range {
    network: IpAddr,
    prefix: u8,
}

impl Range {
    /// Whether the address is in it. An IPv4 address written as an IPv6 one counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = if self.network.is_ipv4() { address.to_canonical() } else { address };
        let same = |a: u128, b: u128, width: u32| {
            let differ = width - u32::from(self.prefix);
            differ >= 128 || a >> differ == b >> differ
        };
        match (self.network, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether all of it lies in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        other.prefix <= self.prefix && other.contains(self.network)
    }

    /// Whether every address of it is private: it lies in one of the blocks of private addresses.
    pub fn is_private(&self) -> bool {
        PRIVATE_V4.iter().any(|(block, _)| self.is_within(block)) || self.is_within(&PRIVATE_V6)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

/// The text is no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    /// Not `ADDRESS/LENGTH`.
    #[error("write an address, a slash and the length of the network's prefix, such as \"10.20.0.0/16\"")]
    Form,
    /// The address has bits behind the prefix: which of the two was meant cannot be told.
    #[error("the address reaches beyond the prefix; write the network's own address, as in \"10.20.0.0/16\"")]
    HostBits,
    /// Everything.
    #[error("a range of everything is no range; write the networks that are meant")]
    Everything,
}

impl FromStr for Range {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let (network, prefix) = text.split_once('/').ok_or(InvalidRange::Form)?;
        let network: IpAddr = network.parse().map_err(|_| InvalidRange::Form)?;
        // IPv4 addresses in the notation of IPv6 would be a range that no IPv4 address is in.
        if network.is_ipv6() && network.to_canonical().is_ipv4() {
            return Err(InvalidRange::Form);
        }
        // "+8" and "08" are read by the standard library as well; one way to write a range is enough.
        let plain = !prefix.is_empty()
            && prefix.bytes().all(|b| b.is_ascii_digit())
            && (prefix == "0" || !prefix.starts_with('0'));
        let prefix: u8 = plain.then(|| prefix.parse().ok()).flatten().ok_or(InvalidRange::Form)?;
        let (bits, width) = match network {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        match width - i32::from(prefix) {
            _ if prefix == 0 => Err(InvalidRange::Everything),
            ..0 => Err(InvalidRange::Form),
            differ if bits & ((1 << differ) - 1) != 0 => Err(InvalidRange::HostBits),
            _ => Ok(Self { network, prefix }),
        }
    }
}

/// Ranges in one order, each once: two that hold the same ranges are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Ranges(Arc<[Range]>);

impl Ranges {
    /// Whether one of them holds the address.
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(address))
    }

    /// Them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Range> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Range> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range>>(ranges: I) -> Self {
        let mut all: Vec<_> = ranges.into_iter().collect();
        all.sort_unstable();
        all.dedup();
        Self(all.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Kind {
        kind(text.parse().unwrap())
    }

    /// Nothing that only this machine or its neighbours can reach is a vault, in whatever notation it is written.
    #[test]
    fn what_is_nobodys_vault_is_never_one() {
        for never in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.8.8.8",
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "192.0.0.192",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.7",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
            "2001::1",
            "2001:0:5ef5:79fd::1",
            "2001:20::1",
            "2001:db8::1",
            "3fff::1",
            "2002:7f00:1::1",
            "2002:1439:6401::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "64:ff9b:1::1",
            "4000::1",
        ] {
            assert_eq!(of(never), Kind::Never, "{never}");
        }
        // An IPv4 address inside an IPv6 one is judged as the address that would be reached.
        for (wrapped, is) in [
            ("::ffff:127.0.0.1", Kind::Never),
            ("::ffff:169.254.169.254", Kind::Never),
            ("::ffff:10.1.2.3", Kind::Private),
            ("::ffff:20.61.100.1", Kind::Public),
            ("64:ff9b::127.0.0.1", Kind::Never),
            ("64:ff9b::a9fe:a9fe", Kind::Never),
            ("64:ff9b::10.1.2.3", Kind::Never),
            ("64:ff9b::20.61.100.1", Kind::Public),
        ] {
            assert_eq!(of(wrapped), is, "{wrapped}");
        }
    }

    /// What is somebody's own network is told from what is the internet's, to the last address of each block.
    #[test]
    fn private_and_public_addresses_are_told_apart() {
        for private in [
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.1.4",
            "100.64.0.1",
            "100.127.255.255",
            "fd00::4",
            "fc00::1",
        ] {
            assert_eq!(of(private), Kind::Private, "{private}");
        }
        for public in [
            "9.255.255.255",
            "11.0.0.0",
            "20.61.100.1",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "100.63.255.255",
            "100.128.0.0",
            "168.63.129.15",
            "223.255.255.255",
            "2603:1020::1",
            "2001:200::1",
            "3ffe::1",
        ] {
            assert_eq!(of(public), Kind::Public, "{public}");
        }
    }

    /// Each line of the lists says something of its own: without it, an address of it would be taken for another kind.
    #[test]
    fn every_line_of_the_lists_counts() {
        for (at, (range, why)) in NEVER_V4.iter().enumerate() {
            let others = NEVER_V4.iter().enumerate().filter(|(other, _)| *other != at);
            let covered = others.clone().any(|(_, (other, _))| range.is_within(other));
            // Broadcast is named because it is looked for, though it lies in what is reserved.
            assert_eq!(covered, *why == "broadcast", "{range}");
            assert_eq!(kind(range.network), Kind::Never, "{range}");
        }
        for (range, _) in &NEVER_V6 {
            assert_eq!(kind(range.network), Kind::Never, "{range}");
        }
    }

    /// A range is written one way, and holds what it says.
    #[test]
    fn a_range_is_read_exactly() {
        let range: Range = "10.20.0.0/16".parse().unwrap();
        assert_eq!(range.to_string(), "10.20.0.0/16");
        for (address, inside) in [
            ("10.20.0.0", true),
            ("10.20.255.255", true),
            ("10.21.0.0", false),
            ("10.19.255.255", false),
            ("::ffff:10.20.1.1", true),
            ("fd00::1", false),
        ] {
            assert_eq!(range.contains(address.parse().unwrap()), inside, "{address}");
        }
        let six: Range = "fd12:3456::/32".parse().unwrap();
        assert!(six.contains("fd12:3456::9".parse().unwrap()) && !six.contains("fd12:3457::9".parse().unwrap()));
        let one: Range = "10.0.0.5/32".parse().unwrap();
        assert!(one.contains("10.0.0.5".parse().unwrap()) && !one.contains("10.0.0.4".parse().unwrap()));
        for (text, why) in [
            ("10.0.0.0", InvalidRange::Form),
            ("10.0.0.0/", InvalidRange::Form),
            ("10.0.0.0/33", InvalidRange::Form),
            ("fd00::/129", InvalidRange::Form),
            ("10.0.0.0/+8", InvalidRange::Form),
            ("10.0.0.0/08", InvalidRange::Form),
            ("10.0.0/8", InvalidRange::Form),
            ("*", InvalidRange::Form),
            ("*/8", InvalidRange::Form),
            ("::ffff:10.0.0.0/104", InvalidRange::Form),
            ("10.0.0.1/8", InvalidRange::HostBits),
            ("fd00::1/8", InvalidRange::HostBits),
            ("0.0.0.0/0", InvalidRange::Everything),
            ("::/0", InvalidRange::Everything),
        ] {
            assert_eq!(text.parse::<Range>(), Err(why), "{text}");
        }
        for (text, private) in [
            ("10.0.0.0/8", true),
            ("10.1.0.0/16", true),
            ("100.64.0.0/10", true),
            ("fd00::/8", true),
            ("20.0.0.0/8", false),
            ("8.0.0.0/6", false),
        ] {
            assert_eq!(text.parse::<Range>().unwrap().is_private(), private, "{text}");
        }
    }

    /// The same ranges in another order are the same ranges.
    #[test]
    fn ranges_are_compared_by_what_they_hold() {
        let ranges = |texts: &[&str]| texts.iter().map(|text| text.parse::<Range>().unwrap()).collect::<Ranges>();
        assert_eq!(ranges(&["10.1.0.0/16", "fd00::/8"]), ranges(&["fd00::/8", "10.1.0.0/16", "10.1.0.0/16"]));
        assert_ne!(ranges(&["10.1.0.0/16"]), ranges(&["10.2.0.0/16"]));
        assert!(Ranges::default().is_empty() && !Ranges::default().contain("10.1.0.1".parse().unwrap()));
    }
}
