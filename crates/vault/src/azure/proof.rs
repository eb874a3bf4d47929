//! The platform's credential for a request that is not the vault's own: redeeming a sign-in's code at the same token endpoint.

use std::sync::Arc;

use azure_identity::ClientAssertion;
use domain::{Clock, Entropy};
use zeroize::Zeroizing;

use super::assertion::{CertificateAssertion, FederatedAssertion};
use super::credential::PlatformCredential;
use crate::{CredentialFault, KeyUnavailable};

/// What is shown to a token endpoint.
pub enum PlatformProof {
    /// The client secret.
    Secret(Zeroizing<String>),
    /// An assertion, fresh and for this endpoint where it is ours to make.
    Assertion(Zeroizing<String>),
}

/// Makes proofs with the platform's credential, which stays here.
pub struct PlatformProofs {
    client_id: String,
    credential: PlatformCredential,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl PlatformProofs {
    /// For the application with this client id.
    pub fn new(
        client_id: &str,
        credential: PlatformCredential,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { client_id: client_id.to_owned(), credential, clock, entropy }
    }

    /// A proof for this token endpoint, whose host the caller has taken from the cloud's table.
    ///
    /// # Errors
    /// [`KeyUnavailable::CredentialUnusable`].
    pub async fn prove(&self, token_endpoint: &str) -> Result<PlatformProof, KeyUnavailable> {
        let assertion = match &self.credential {
            PlatformCredential::Secret(secret) => return Ok(PlatformProof::Secret(secret.copy())),
            PlatformCredential::Certificate(key) => {
                let assertion = CertificateAssertion {
                    key: key.clone(),
                    client_id: self.client_id.clone(),
                    audience: token_endpoint.to_owned(),
                    clock: Arc::clone(&self.clock),
                    entropy: Arc::clone(&self.entropy),
                };
                assertion.secret(None).await.map_err(|_| CredentialFault::Signing)
            }
            PlatformCredential::FederatedTokenFile(file) => {
                let assertion = FederatedAssertion { file: file.clone() };
                assertion.secret(None).await.map_err(|_| CredentialFault::FederatedTokenFile)
            }
        };
        assertion.map(Zeroizing::new).map(PlatformProof::Assertion).map_err(KeyUnavailable::CredentialUnusable)
    }
}
