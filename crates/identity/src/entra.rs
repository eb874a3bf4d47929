//! Our application at the directories of customers: looked up, consented to, signed in to.

use domain::{Cloud, DomainName, Reason, TenantId};

/// What a sign-in is asked with: texts as they go into an address.
pub struct SignInAsk<'a> {
    /// Comes back with the code.
    pub state: &'a str,
    /// Comes back inside the token.
    pub nonce: &'a str,
    /// PKCE, S256.
    pub challenge: &'a str,
}

/// Which role of the directory whoever signed in has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminRole {
    /// May do everything.
    GlobalAdministrator,
}

/// Who signed in, if they may prove the tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The directory.
    pub tenant: TenantId,
    /// The person in it.
    pub object_id: TenantId,
    /// Their role.
    pub admin_role: AdminRole,
}

/// Why a directory's answer is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DirectoryRefused(pub Reason);

impl DirectoryRefused {
    /// Why.
    pub fn reason(&self) -> Reason {
        self.0
    }
}

/// One directory's rules and pages, as our application meets them.
#[async_trait::async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The tenant a domain belongs to: a look-up, never a proof.
    async fn look_up(&self, cloud: Cloud, domain: &DomainName) -> Result<TenantId, DirectoryRefused>;
    /// Where an admin consents.
    fn consent_url(&self, cloud: Cloud, tenant: &TenantId, state: &str) -> String;
    /// Where the owner signs in.
    fn sign_in_url(&self, cloud: Cloud, tenant: &TenantId, ask: &SignInAsk<'_>) -> String;
    /// Redeems a code and checks what comes of it; who signed in, if they may prove the tenant.
    async fn redeem(
        &self,
        cloud: Cloud,
        tenant: &TenantId,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<SignedIn, DirectoryRefused>;
}
