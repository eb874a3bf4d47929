//! A customer's Entra ID directory as our application meets it: whose a domain is, where an administrator consents, where the
//! owner signs in, and who that was.
//!
//! | module | answers |
//! |---|---|
//! | `rules` | which id_token is believed, and what each rule is for |
//! | `refused` | why a directory or a sign-in is refused, whose fault it is, and what to do |
//! | `answer` | what the directory's endpoints said |
//! | `authentication` | how our application shows who it is, without this crate holding its credential |
//! | `directory` | the requests and links themselves |

mod answer;
mod authentication;
mod directory;
mod refused;
mod rules;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use domain::{Cloud, DomainName, TenantId};

pub use authentication::{ClientAuthentication, NoCredential, Proof};
pub use directory::{EntraApp, EntraDirectory, InvalidPublicUrl};
pub use refused::DirectoryRefused;
pub use rules::{IdTokenRefused, Rule};

/// What a sign-in is asked with: three texts of the asker's own making, each fresh for this sign-in.
#[derive(Clone, Copy)]
pub struct SignInAsk<'a> {
    /// Comes back with the browser; binds it to the session that began.
    pub state: &'a str,
    /// Stands in the id_token; binds it to this sign-in.
    pub nonce: &'a str,
    /// base64url of the verifier's SHA-256 ([`challenge_of`]).
    pub challenge: &'a str,
}

/// One directory's rules and pages, as our application meets them.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    /// The tenant a domain belongs to: a look-up, never a proof.
    ///
    /// # Errors
    /// [`DirectoryRefused`]; [`DirectoryRefused::TenantUnknown`] where the domain is nobody's.
    async fn look_up(&self, cloud: Cloud, domain: &DomainName) -> Result<TenantId, DirectoryRefused>;

    /// Where an administrator consents. Made from our own configuration only.
    fn consent_url(&self, cloud: Cloud, tenant: &TenantId, state: &str) -> String;

    /// Where the owner signs in: the code flow of exactly that tenant, with PKCE (S256) and a nonce.
    fn sign_in_url(&self, cloud: Cloud, tenant: &TenantId, ask: &SignInAsk<'_>) -> String;

    /// Redeems a code and checks the id_token by every rule: who signed in, if they may prove the tenant.
    ///
    /// # Errors
    /// [`DirectoryRefused`].
    async fn redeem(
        &self,
        cloud: Cloud,
        tenant: &TenantId,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<SignedIn, DirectoryRefused>;
}

/// Somebody who signed in, at home in the tenant and an administrator of it. Tenant and object id together are who they are;
/// names and addresses change hands and are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The tenant, which is the expected one.
    pub tenant: TenantId,
    /// Who, in that tenant.
    pub object_id: ObjectId,
    /// The role that made them count.
    pub admin_role: AdminRole,
}

/// A user in a directory: a GUID, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId(TenantId);

impl ObjectId {
    /// The GUID as text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl std::str::FromStr for ObjectId {
    type Err = NotAnObjectId;

    fn from_str(text: &str) -> Result<Self, NotAnObjectId> {
        text.parse().map(Self).map_err(|_| NotAnObjectId)
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no GUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object id is a GUID")]
pub struct NotAnObjectId;

/// The directory roles whose holders may prove a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdminRole {
    /// Global Administrator.
    GlobalAdministrator,
    /// Privileged Role Administrator.
    PrivilegedRoleAdministrator,
}

impl AdminRole {
    /// Both.
    pub const ALL: [Self; 2] = [Self::GlobalAdministrator, Self::PrivilegedRoleAdministrator];

    /// The role's template, as `wids` has it.
    pub const fn template(self) -> &'static str {
        match self {
            Self::GlobalAdministrator => "62e90394-69f5-4237-9190-012177145e10",
            Self::PrivilegedRoleAdministrator => "e8611ab8-c189-46e8-94e1-60213ab1f814",
        }
    }

    /// The name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GlobalAdministrator => "global-administrator",
            Self::PrivilegedRoleAdministrator => "privileged-role-administrator",
        }
    }
}

/// The challenge that goes with a verifier (RFC 7636, S256).
pub fn challenge_of(verifier: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(crate::token_hash(verifier))
}
