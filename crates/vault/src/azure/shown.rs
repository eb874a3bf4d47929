//! How our application shows a token endpoint who it is where no vault is involved: when a sign-in's code is redeemed.

use std::sync::Arc;

use outbound::Sender;
use zeroize::Zeroizing;

use super::AzureKeys;
use super::assertion::{CertificateAssertion, FederatedAssertion};
use super::credential::{ClientSecret, PlatformCredential};
use crate::KeyUnavailable;

/// What is shown. Wiped when it goes.
pub enum Shown {
    /// The client secret itself.
    Secret(Zeroizing<String>),
    /// An assertion: signed with the certificate's key for this endpoint, or another issuer's token.
    Assertion(Zeroizing<String>),
}

impl AzureKeys {
    /// The platform's credential, fresh and for this token endpoint, where it is an assertion.
    ///
    /// # Errors
    /// [`KeyUnavailable::CredentialUnusable`].
    pub async fn show_application(&self, token_endpoint: &str) -> Result<Shown, KeyUnavailable> {
        let options = &self.options;
        match &options.credential {
            PlatformCredential::Secret(ClientSecret(secret)) => Ok(Shown::Secret(Zeroizing::new(secret.to_string()))),
            PlatformCredential::Certificate(key) => {
                let assertion = CertificateAssertion {
                    key: key.clone(),
                    client_id: options.client_id.to_string(),
                    audience: token_endpoint.to_owned(),
                    clock: Arc::clone(&options.clock),
                    entropy: Arc::clone(&options.entropy),
                };
                assertion.sign().map(|signed| Shown::Assertion(Zeroizing::new(signed)))
            }
            PlatformCredential::FederatedTokenFile(file) => {
                let assertion = FederatedAssertion { file: file.clone() };
                assertion.read().await.map(|token| Shown::Assertion(Zeroizing::new(token)))
            }
        }
    }

    /// The way out that vaults and directories are asked by.
    pub fn way_out(&self) -> Sender {
        self.sender.clone()
    }
}
