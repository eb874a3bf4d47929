//! Who the platform is to a customer's directory, and how it asks for a token with that.

use std::{error::Error as StdError, fmt, path::PathBuf, sync::Arc};

use azure_core::{
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::{Secret, TokenCredential},
    error::ErrorKind,
    http::{ClientOptions, RetryOptions, Transport},
    time::OffsetDateTime,
};
use azure_identity::{
    ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
};
use domain::{Clock, Cloud, Entropy, TenantId};
use futures::{FutureExt, future::BoxFuture};
use outbound::Sender;
use zeroize::Zeroizing;

use super::{
    assertion::{CertificateAssertion, CertificateKey, FederatedAssertion},
    entra_answer,
    entra_transport::{EntraTransport, token_endpoint},
    token::{Fetch, Fetched},
    vault_answer::Answer,
};
use crate::{CredentialFault, KeyUnavailable, registered::WeakApp};

/// A client secret, wiped when the last holder goes. Printed nowhere.
#[derive(Clone)]
pub struct ClientSecret(Arc<Zeroizing<String>>);

impl ClientSecret {
    /// Takes the secret's value.
    pub fn new(value: Zeroizing<String>) -> Self {
        Self(Arc::new(value))
    }

    /// One more copy, wiped like this one.
    pub(super) fn copy(&self) -> Zeroizing<String> {
        Zeroizing::clone(&self.0)
    }
}

/// Without the secret.
impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret")
    }
}

/// What the platform's application shows to prove it is itself.
#[derive(Debug, Clone)]
pub enum PlatformCredential {
    /// A secret, sent to the login host and nowhere else.
    Secret(ClientSecret),
    /// A certificate's key, which never leaves.
    Certificate(CertificateKey),
    /// A file with another issuer's token (workload identity): no secret of our own.
    FederatedTokenFile(PathBuf),
}

/// What is shown to a directory.
pub(super) enum Shows {
    /// The platform's own credential.
    Platform(PlatformCredential),
    /// That of a customer's registration. Its holder is who was handed it: when that one lets go of it, it is wiped, whatever
    /// tokens it was good for.
    Registered(WeakApp),
}

impl Shows {
    fn now(&self) -> Result<PlatformCredential, KeyUnavailable> {
        match self {
            Self::Platform(credential) => Ok(credential.clone()),
            Self::Registered(app) => match app.upgrade() {
                Some(app) => Ok(app.shown()),
                None => Err(KeyUnavailable::CredentialUnusable(CredentialFault::PutAway)),
            },
        }
    }
}

/// Asks one tenant's directory for a token of the platform's app, or of the tenant's own registration.
pub(super) struct AskDirectory {
    pub(super) sender: Sender,
    pub(super) cloud: Cloud,
    pub(super) tenant: TenantId,
    pub(super) client_id: String,
    pub(super) shows: Shows,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl AskDirectory {
    /// A new credential of the SDK's, with nothing cached in it. Its transport is shared, so this costs an allocation.
    fn credential(&self, shown: &PlatformCredential) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let transport = EntraTransport::new(self.sender.clone(), self.cloud, &self.tenant);
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host = format!("https://{}", self.cloud.login_host());
        let client_options = ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(transport))),
            // Named here, so that no variable of the environment can say otherwise.
            cloud: Some(Arc::new(CloudConfiguration::from(cloud))),
            ..ClientOptions::default()
        };
        let (tenant, client_id) = (self.tenant.to_string(), self.client_id.clone());
        Ok(match shown {
            PlatformCredential::Secret(ClientSecret(secret)) => {
                let options = ClientSecretCredentialOptions { client_options };
                ClientSecretCredential::new(&tenant, client_id, Secret::new(secret.to_string()), Some(options))?
            }
            PlatformCredential::Certificate(key) => {
                let assertion = CertificateAssertion {
                    key: key.clone(),
                    client_id: client_id.clone(),
                    audience: token_endpoint(self.cloud, &self.tenant),
                    clock: Arc::clone(&self.clock),
                    entropy: Arc::clone(&self.entropy),
                };
                let options = ClientAssertionCredentialOptions { client_options };
                ClientAssertionCredential::new(tenant, client_id, assertion, Some(options))?
            }
            PlatformCredential::FederatedTokenFile(file) => {
                let assertion = FederatedAssertion { file: file.clone() };
                let options = ClientAssertionCredentialOptions { client_options };
                ClientAssertionCredential::new(tenant, client_id, assertion, Some(options))?
            }
        })
    }
}

/// `https://vault.azure.net/.default` and its like: fixed by the cloud, never by what a vault asks for.
fn scope(cloud: Cloud) -> String {
    format!("https://{}/.default", cloud.vault_suffix().trim_start_matches('.'))
}

impl Fetch for AskDirectory {
    fn fetch(&self) -> BoxFuture<'static, Result<Fetched, KeyUnavailable>> {
        let credential = self.shows.now().map(|shown| self.credential(&shown));
        let registered = matches!(self.shows, Shows::Registered(_));
        let scope = scope(self.cloud);
        let clock = Arc::clone(&self.clock);
        async move {
            let malformed = |_| KeyUnavailable::CredentialUnusable(CredentialFault::Malformed);
            let credential = credential?.map_err(malformed)?;
            let given = credential.get_token(&[&scope], None).await;
            let given = given.map_err(|why| classify(&why, registered, clock.now().wall))?;
            // The SDK counted from this clock when the answer came; the same clock gives the lifetime back.
            let lifetime = given.expires_on - OffsetDateTime::now_utc();
            Ok(Fetched { token: given.token, lifetime: lifetime.try_into().unwrap_or_default() })
        }
        .boxed()
    }
}

/// The SDK's error, looked through to what really happened.
fn classify(why: &azure_core::Error, registered: bool, now: domain::Timestamp) -> KeyUnavailable {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(why);
    while let Some(error) = cause {
        if let Some(ours) = error.downcast_ref::<KeyUnavailable>() {
            return ours.clone();
        }
        if let Some(ErrorKind::HttpResponse { status, raw_response: Some(raw), .. }) =
            error.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind)
        {
            let answer = Answer { status: u16::from(*status), headers: raw.headers(), body: raw.body() };
            return match registered {
                true => entra_answer::classify_registered(&answer, now),
                false => entra_answer::classify(&answer, now),
            };
        }
        cause = error.source();
    }
    // A good status with a body that is no token: something between us and the directory answers in its place.
    KeyUnavailable::DirectoryUnreachable
}
