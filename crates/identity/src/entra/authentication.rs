//! How our application shows the token endpoint who it is: a seam, because the credential is kept and used elsewhere.

use async_trait::async_trait;
use zeroize::Zeroizing;

/// What shows who we are.
pub enum Proof {
    /// A client secret.
    Secret(Zeroizing<String>),
    /// An assertion (RFC 7523): signed with a certificate's key, or another issuer's token.
    Assertion(Zeroizing<String>),
}

/// Our credential cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("our own credential cannot be read or used")]
pub struct NoCredential;

/// Whoever holds the application's credential.
#[async_trait]
pub trait ClientAuthentication: Send + Sync + 'static {
    /// A fresh proof for this token endpoint, good nowhere else where that can be said.
    async fn prove(&self, token_endpoint: &str) -> Result<Proof, NoCredential>;
}
