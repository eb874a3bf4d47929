//! The way to a vault, one stretch at a time: what a test of a configuration reports on before it asks for anything of the key.

use std::{net::IpAddr, time::Duration};

use domain::{Cloud, TenantId};

use crate::{KeyRef, KeyUnavailable, RegisteredApp};

/// What can be found out on the way to a key, in the order of the way. Nothing is answered from memory: each call looks anew,
/// over a connection of its own, because it is asked to tell how things are and not how they were.
#[async_trait::async_trait]
pub trait Approach: Send + Sync {
    /// Our application's id, by which the customer's directory knows it: it stands in what their admin types.
    fn application(&self) -> &str;

    /// Where the vault's name leads: at least one address, and only such as a vault can have.
    ///
    /// # Errors
    /// [`NameUnknown`](KeyUnavailable::NameUnknown), [`AddressForbidden`](KeyUnavailable::AddressForbidden),
    /// [`AddressNotApproved`](KeyUnavailable::AddressNotApproved), or what kept it from being looked up.
    async fn resolve(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<IpAddr>, KeyUnavailable>;

    /// Makes a TLS connection and asks the vault, without a token, how it sees us.
    ///
    /// # Errors
    /// [`KeyUnavailable`].
    async fn reach(&self, at: &KeyRef, deadline: Duration) -> Result<Reached, KeyUnavailable>;

    /// Has the vault name its tenant to somebody who shows no token.
    ///
    /// # Errors
    /// [`TenantMismatch`](KeyUnavailable::TenantMismatch) when it names another than the bound one.
    async fn challenge(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable>;

    /// Has the bound tenant's directory give us a token that nobody held before. It is not sent anywhere.
    ///
    /// # Errors
    /// What the directory answers.
    async fn sign_in(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable>;

    /// Has a customer's directory give us a token for exactly this credential of their registration, which may not be in use yet.
    /// It is kept nowhere and sent nowhere.
    ///
    /// # Errors
    /// What the directory answers.
    async fn show(&self, app: &RegisteredApp, deadline: Duration) -> Result<(), KeyUnavailable>;

    /// Has a directory give us such a token where no key is known yet: whether our application is there. It is not sent anywhere.
    ///
    /// # Errors
    /// What the directory answers.
    async fn admitted(&self, tenant: &TenantId, cloud: Cloud, deadline: Duration) -> Result<(), KeyUnavailable>;
}

/// How a vault sees its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// The address that a firewall has to admit; absent when the vault does not say.
    pub seen_as: Option<IpAddr>,
    /// Whether we came through a private endpoint.
    pub private: bool,
}
