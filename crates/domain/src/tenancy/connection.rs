//! Which directories a workspace's vaults may be in.
//!
//! Our application holds tokens for many customers' directories. Which of them is asked is never what a request, a vault's challenge
//! or a key's URL says: once a workspace has a list, it is one of that list.

use crate::{Cloud, Reason, TenantId};

use super::link::{Origin, Standing, TenantLink};

/// A workspace's directories, in the order they were named.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connection {
    /// Each with where it stands.
    pub tenants: Vec<TenantLink>,
}

impl Connection {
    /// The directory with this id.
    pub fn find(&self, cloud: Cloud, tenant: &TenantId) -> Option<&TenantLink> {
        self.tenants.iter().find(|link| link.cloud == cloud && link.tenant == *tenant)
    }

    /// Whether the list counts: somebody asked for consent once. A list that is only made of what was configured says nothing new.
    pub fn counts(&self) -> bool {
        self.tenants.iter().any(|link| link.origin == Origin::Asked)
    }

    /// Whether a key of this directory may be configured, tested or gone over to.
    ///
    /// # Errors
    /// [`Reason::TenantNotConnected`] or [`Reason::TenantDisconnected`].
    pub fn admits(&self, cloud: Cloud, tenant: &TenantId) -> Result<(), Reason> {
        match self.find(cloud, tenant).map(|link| &link.standing) {
            Some(Standing::Disconnected { .. }) => Err(Reason::TenantDisconnected),
            Some(Standing::Named | Standing::CameBack { .. } | Standing::Proven(_)) => Ok(()),
            None if self.counts() => Err(Reason::TenantNotConnected),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use crate::tenancy::link::tests::link;

    /// Without a list the guide works as it did; with one, another directory is refused, and one that was disconnected is.
    #[test]
    fn a_list_that_counts_admits_only_its_own() {
        let other: TenantId = "11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap();
        let (implied, asked) = (link(Origin::Implied), link(Origin::Asked));
        let admits = |tenants: Vec<TenantLink>, tenant: &TenantId| Connection { tenants }.admits(Cloud::Public, tenant);
        assert_eq!(admits(Vec::new(), &other), Ok(()));
        assert_eq!(admits(vec![implied.clone()], &other), Ok(()));
        assert_eq!(admits(vec![asked.clone()], &other), Err(Reason::TenantNotConnected));
        assert_eq!(admits(vec![asked.clone()], &asked.tenant), Ok(()));
        let gone = implied.disconnected(Timestamp::from_micros(9));
        assert_eq!(admits(vec![gone], &asked.tenant), Err(Reason::TenantDisconnected));
        let in_china = Connection { tenants: vec![asked.clone()] }.admits(Cloud::China, &asked.tenant);
        assert_eq!(in_china, Err(Reason::TenantNotConnected), "another cloud's directory is another one");
    }
}
