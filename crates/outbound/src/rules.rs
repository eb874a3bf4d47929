//! Whether anybody may be reached at the addresses a name leads to.
//!
//! An answer counts whole: one address that may not be used refuses the name, however good the others are. A vault has either
//! public addresses or, inside a linked network, private ones, never its caller's own; an answer that mixes them was tampered
//! with, and whoever could add an address could as well have replaced them all, so refusing takes nothing from anybody that
//! was not theirs to take already.

use std::net::IpAddr;

use crate::{
    proxy::Proxy,
    range::{Kind, Ranges, kind, reached},
    resolve::NotResolved,
};

/// What an operator says of the way out, for all workspaces alike.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Where nobody is reached, beside what is never reached anyhow: the platform's own networks.
    pub never: Ranges,
    /// Through which proxy connections are made. None unless it is named here: no variable of the environment counts.
    pub proxy: Option<Proxy>,
    /// A fault that is put in.
    #[cfg(feature = "seeded-bugs")]
    pub bug: Option<SeededBug>,
}

/// A fault that is put in, to see that the tests notice.
#[cfg(feature = "seeded-bugs")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeededBug {
    /// No address is looked at.
    AddressesNotChecked,
    /// Only the first address of an answer is looked at.
    FirstAddressOnly,
    /// The operator's own ranges are forgotten.
    OwnRangesForgotten,
    /// The operator's own ranges are held against an address as it is written, whatever is reached by it.
    OwnRangesAsWritten,
    /// Private addresses need nobody's approval.
    EveryPrivateApproved,
    /// A client that was made for some ranges serves all.
    OneClientForAll,
}

impl Rules {
    /// Rules of these ranges and this proxy.
    pub fn new(never: Ranges, proxy: Option<Proxy>) -> Self {
        Self {
            never,
            proxy,
            #[cfg(feature = "seeded-bugs")]
            bug: None,
        }
    }

    /// Whether every one of these addresses may be reached by who was approved `approved`.
    pub(crate) fn admit(&self, found: &[IpAddr], approved: &Ranges) -> Result<(), NotResolved> {
        if found.is_empty() {
            return Err(NotResolved::NameUnknown);
        }
        let looked_at = if self.has(Bug::FirstAddressOnly) { &found[..1] } else { found };
        if self.has(Bug::AddressesNotChecked) {
            return Ok(());
        }
        let behind = |address: IpAddr| !self.has(Bug::OwnRangesAsWritten) && self.never.contain(reached(address));
        let own =
            |address: IpAddr| (self.never.contain(address) || behind(address)) && !self.has(Bug::OwnRangesForgotten);
        if looked_at.iter().any(|address| kind(*address) == Kind::Never || own(*address)) {
            return Err(NotResolved::AddressForbidden);
        }
        let approved = |address: IpAddr| approved.contain(address) || self.has(Bug::EveryPrivateApproved);
        if looked_at.iter().any(|address| kind(*address) == Kind::Private && !approved(*address)) {
            return Err(NotResolved::AddressNotApproved);
        }
        Ok(())
    }

    #[cfg(feature = "seeded-bugs")]
    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    #[cfg(not(feature = "seeded-bugs"))]
    pub(crate) const fn has(&self, _: Bug) -> bool {
        false
    }
}

#[cfg(feature = "seeded-bugs")]
pub(crate) use SeededBug as Bug;

#[cfg(not(feature = "seeded-bugs"))]
#[derive(Clone, Copy)]
pub(crate) enum Bug {
    AddressesNotChecked,
    FirstAddressOnly,
    OwnRangesForgotten,
    OwnRangesAsWritten,
    EveryPrivateApproved,
    OneClientForAll,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(rules: &Rules, found: &[&str], approved: &[&str]) -> Result<(), NotResolved> {
        let found: Vec<IpAddr> = found.iter().map(|text| text.parse().unwrap()).collect();
        rules.admit(&found, &approved.iter().map(|text| text.parse().unwrap()).collect())
    }

    /// A name leads to the internet, or into what was approved for who asks; one address elsewhere refuses all of the answer.
    #[test]
    fn every_address_of_an_answer_counts() {
        use NotResolved::{AddressForbidden, AddressNotApproved, NameUnknown};
        let usual = Rules::default();
        for (found, approved, expected) in [
            (&["20.61.100.1", "2603:1020::1"][..], &[][..], Ok(())),
            (&[], &[], Err(NameUnknown)),
            (&["127.0.0.1"], &[], Err(AddressForbidden)),
            (&["20.61.100.1", "169.254.169.254"], &[], Err(AddressForbidden)),
            (&["169.254.169.254", "20.61.100.1"], &[], Err(AddressForbidden)),
            (&["10.20.0.5"], &[], Err(AddressNotApproved)),
            (&["10.20.0.5"], &["10.20.0.0/16"], Ok(())),
            (&["10.20.0.5", "20.61.100.1"], &["10.20.0.0/16"], Ok(())),
            (&["10.21.0.5"], &["10.20.0.0/16"], Err(AddressNotApproved)),
            (&["10.20.0.5", "10.21.0.5"], &["10.20.0.0/16"], Err(AddressNotApproved)),
            (&["100.64.0.5"], &[], Err(AddressNotApproved)),
            (&["fd12::5"], &["fd12::/16"], Ok(())),
            // What is never reached cannot be approved, and is told before what could be.
            (&["127.0.0.1"], &["127.0.0.0/8"], Err(AddressForbidden)),
            (&["10.21.0.5", "127.0.0.1"], &[], Err(AddressForbidden)),
        ] {
            assert_eq!(admit(&usual, found, approved), expected, "{found:?} for {approved:?}");
        }
    }

    /// The platform's own networks are never reached, approved or not, public or private.
    #[test]
    fn own_ranges_are_never_reached() {
        let never = ["10.0.0.0/24", "20.61.0.0/16"].iter().map(|text| text.parse().unwrap()).collect();
        let rules = Rules::new(never, None);
        for (found, expected) in [
            ("10.0.0.7", Err(NotResolved::AddressForbidden)),
            ("::ffff:10.0.0.7", Err(NotResolved::AddressForbidden)),
            ("20.61.100.1", Err(NotResolved::AddressForbidden)),
            ("::ffff:20.61.100.1", Err(NotResolved::AddressForbidden)),
            ("64:ff9b::20.61.100.1", Err(NotResolved::AddressForbidden)),
            ("64:ff9b::10.0.0.7", Err(NotResolved::AddressForbidden)),
            ("2002:143d:6401::1", Err(NotResolved::AddressForbidden)),
            ("64:ff9b::20.62.100.1", Ok(())),
            ("10.0.1.7", Ok(())),
            ("20.62.100.1", Ok(())),
        ] {
            assert_eq!(admit(&rules, &[found], &["10.0.0.0/8"]), expected, "{found}");
        }
        #[cfg(feature = "seeded-bugs")]
        {
            let rules = Rules { bug: Some(SeededBug::OwnRangesAsWritten), ..rules };
            assert_eq!(admit(&rules, &["64:ff9b::20.61.100.1"], &[]), Ok(()), "the seeded bug was not found");
        }
    }
}
