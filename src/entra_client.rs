//! How the platform shows a directory who it is when a sign-in's code is redeemed: with the credential that asks for vault tokens.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Clock, Entropy};
use identity::entra::{ClientAuthentication, EntraApp, EntraDirectory, NoCredential, Proof};
use outbound::Sender;
use vault::azure::{PlatformCredential, PlatformProof, PlatformProofs};

/// The platform's credential, as identity asks for it.
pub struct PlatformAuthentication(PlatformProofs);

impl PlatformAuthentication {
    /// For the application with this client id.
    pub fn new(
        client_id: &str,
        credential: PlatformCredential,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self(PlatformProofs::new(client_id, credential, clock, entropy))
    }
}

#[async_trait]
impl ClientAuthentication for PlatformAuthentication {
    async fn prove(&self, token_endpoint: &str) -> Result<Proof, NoCredential> {
        let proof = self.0.prove(token_endpoint).await.map_err(|why| {
            tracing::warn!(reason = %why.reason(), "the platform's credential cannot be used for a sign-in");
            NoCredential
        })?;
        Ok(match proof {
            PlatformProof::Secret(secret) => Proof::Secret(secret),
            PlatformProof::Assertion(assertion) => Proof::Assertion(assertion),
        })
    }
}

/// Entra ID as our application meets it, reached by this way out.
pub fn directory(
    app: EntraApp,
    authentication: PlatformAuthentication,
    way_out: Sender,
    clock: Arc<dyn Clock>,
) -> EntraDirectory {
    EntraDirectory::new(app, Arc::new(authentication), Arc::new(way_out), clock)
}
