//! Customer keys in Azure Key Vault, by the official crates, with each of their weak spots fenced in.
//!
//! | module | fences in |
//! |---|---|
//! | `approach` | answers from memory, where a test asks how things are |
//! | `bridge` | clients of the SDK's own: all goes out through `outbound` (no redirects, no proxy, checked addresses, wiped buffers) |
//! | `vault_transport` | tokens sent elsewhere (`nextLink`), to a vault of another tenant, or again after a 401; a herd of challenges |
//! | `entra_transport` | secrets sent elsewhere; refusals whose number the SDK loses |
//! | `token` | tokens kept after they were rejected; herds and outages of the directory |
//! | `vault_answer`, `entra_answer` | refusals told apart by the SDK's text |
//! | `body` | answers for another key; plaintext keys in buffers nobody wipes |
//! | `assertion` | certificates by OpenSSL, PKCS#12 and SHA-1 |
//! | `certificate` | private keys that are handed around: they are made here |

mod approach;
mod assertion;
mod body;
mod bridge;
mod certificate;
mod challenge;
mod credential;
mod entra_answer;
mod entra_transport;
mod options;
mod proof;
mod token;
mod vault_answer;
mod vault_transport;

use std::{
    collections::HashMap,
    error::Error as StdError,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use azure_core::{
    Bytes,
    error::ErrorKind,
    http::{ClientOptions, RequestContent, RetryOptions, Transport},
};
use azure_security_keyvault_keys::{
    KeyClient, KeyClientOptions,
    models::{
        KeyClientGetKeyOptions, KeyClientListKeyPropertiesVersionsOptions, KeyClientWrapKeyOptions,
        KeyOperationParameters,
    },
};
use domain::{Cloud, KeyVersionId, TenantId};
use futures::TryStreamExt;
pub use outbound::ConnectorRefused;
#[cfg(feature = "development-connector")]
pub use outbound::DevelopmentConnector;
use outbound::{Ranges, Sender, wipe};
use secmem::Secret;

pub use self::{
    assertion::{CertificateKey, CertificateRefused},
    certificate::{CertificateNotMade, MadeCertificate},
    credential::{ClientSecret, PlatformCredential},
    options::{Approved, AzureOptions, AzureRefused},
    proof::{PlatformProof, PlatformProofs},
};
use self::{
    credential::{AskDirectory, Shows},
    token::TokenSource,
    vault_transport::VaultTransport,
};
use crate::{
    AnswerFault, Application, Approach, Class, CustomerKeys, KeyDescription, KeyRef, KeyUnavailable, PAYLOAD_LEN,
    Trace, Unwrapped, VersionListing, WrappedBlob,
    registered::{WeakApp, Whom},
};

/// The newest generally available version of Key Vault's API, and the SDK's default.
const API_VERSION: &str = "2025-07-01";
/// What a page of versions holds at most.
const PAGE: i32 = 25;
/// 10,000 versions: a list longer than this does not end.
const MOST_PAGES: usize = 400;

/// Customer keys in Azure Key Vault.
pub struct AzureKeys {
    options: AzureOptions,
    sender: Sender,
    tokens: Mutex<HashMap<(TenantId, Cloud, Whom), Tokens>>,
    vaults: Mutex<HashMap<VaultName, Arc<Vault>>>,
}

/// A vault is known by its tenant too, and by who asks: the same name under another's token is another client. So it is under
/// another workspace's approval of private addresses: no connection of one serves the other.
type VaultName = (TenantId, Cloud, Box<str>, Whom, Ranges);

/// The tokens of one application in one tenant, and which opening of its credential they are asked with.
struct Tokens {
    source: Arc<TokenSource>,
    with: Option<WeakApp>,
}

impl Tokens {
    /// Whether they are asked with what is at hand now. A registration's credential that was put away and opened anew is the same
    /// credential and another opening.
    fn are_of(&self, as_whom: &Application) -> bool {
        match (&self.with, as_whom) {
            (None, Application::Platform) => true,
            (Some(with), Application::Registered(app)) => with.is(app),
            (None, Application::Registered(_)) | (Some(_), Application::Platform) => false,
        }
    }

    fn are_alive(&self) -> bool {
        self.with.as_ref().is_none_or(WeakApp::is_alive)
    }
}

/// One vault as one tenant's token reaches it.
struct Vault {
    client: KeyClient,
    transport: Arc<VaultTransport>,
    tokens: Arc<TokenSource>,
}

impl AzureKeys {
    /// Sets the way to the vaults up. Nothing is sent yet.
    ///
    /// # Errors
    /// [`AzureRefused`].
    pub fn new(options: AzureOptions) -> Result<Self, AzureRefused> {
        let sender = options.sender()?;
        Ok(Self { options, sender, tokens: Mutex::default(), vaults: Mutex::default() })
    }

    /// The way out that vaults and directories are asked by.
    pub fn way_out(&self) -> Sender {
        self.sender.clone()
    }

    /// What the platform's application shows, for whoever makes proofs with it elsewhere.
    pub fn credential(&self) -> PlatformCredential {
        self.options.credential.clone()
    }

    /// One token for each tenant and who asks there, whatever vaults it opens. A token of a registration is found by that
    /// workspace's credential alone, so that no other's calls ever carry it.
    fn tokens(&self, at: &KeyRef) -> Result<Arc<TokenSource>, KeyUnavailable> {
        let ask = self.ask(&at.tenant, at.location.cloud(), &at.as_whom, self.sender.clone())?;
        let mut known = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (at.tenant.clone(), at.location.cloud(), at.as_whom.whom());
        if let Some(tokens) = known.get(&name).filter(|tokens| tokens.are_of(&at.as_whom)) {
            return Ok(Arc::clone(&tokens.source));
        }
        known.retain(|_, tokens| tokens.are_alive());
        let source = TokenSource::new(Box::new(ask), Arc::clone(&self.options.clock));
        let with = match &at.as_whom {
            Application::Platform => None,
            Application::Registered(app) => Some(app.weak()),
        };
        known.insert(name, Tokens { source: Arc::clone(&source), with });
        Ok(source)
    }

    /// What asks a tenant's directory for a token, and holds none. A registration is asked for in its own directory and cloud and
    /// nowhere else: what it shows goes to no other host.
    fn ask(
        &self,
        tenant: &TenantId,
        cloud: Cloud,
        as_whom: &Application,
        sender: Sender,
    ) -> Result<AskDirectory, KeyUnavailable> {
        let AzureOptions { client_id, credential, clock, entropy, .. } = &self.options;
        let (client_id, shows) = match as_whom {
            Application::Platform => (client_id.to_string(), Shows::Platform(credential.clone())),
            Application::Registered(app) => {
                let registration = app.registration();
                if registration.tenant != *tenant || registration.cloud != cloud {
                    return Err(KeyUnavailable::RegistrationElsewhere);
                }
                (registration.client_id.to_string(), Shows::Registered(app.weak()))
            }
        };
        let (clock, entropy) = (Arc::clone(clock), Arc::clone(entropy));
        Ok(AskDirectory { sender, cloud, tenant: tenant.clone(), client_id, shows, clock, entropy })
    }

    fn vault(&self, at: &KeyRef) -> Result<Arc<Vault>, KeyUnavailable> {
        let KeyRef { tenant, location, as_whom, workspace } = at;
        let approved = self.options.approved(workspace.as_ref());
        let sender = self.sender.approving(approved.clone()).map_err(|_| KeyUnavailable::Unreachable)?;
        let tokens = self.tokens(at)?;
        let transport = || Arc::new(VaultTransport::new(sender.clone(), location, tenant.clone(), Arc::clone(&tokens)));
        let make = || {
            let transport = transport();
            let client_options = ClientOptions {
                retry: RetryOptions::none(),
                transport: Some(Transport::new(Arc::clone(&transport) as _)),
                ..ClientOptions::default()
            };
            let options = KeyClientOptions {
                api_version: API_VERSION.to_owned(),
                client_options,
                verify_challenge_resource: Some(true),
            };
            let client = KeyClient::new(&location.vault_uri(), Arc::clone(&tokens) as _, Some(options))
                .expect("a vault's URI, put together from checked parts, is an https URL");
            Arc::new(Vault { client, transport, tokens: Arc::clone(&tokens) })
        };
        let mut known = self.vaults.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (tenant.clone(), location.cloud(), location.vault().into(), as_whom.whom(), approved.clone());
        if let Some(vault) = known.get(&name).filter(|vault| Arc::ptr_eq(&vault.tokens, &tokens)) {
            return Ok(Arc::clone(vault));
        }
        // What is left of credentials that are gone: nobody else holds their tokens.
        let held = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let current = |vault: &Arc<Vault>| held.values().any(|tokens| Arc::ptr_eq(&tokens.source, &vault.tokens));
        if *as_whom != Application::Platform {
            known.retain(|_, vault| current(vault));
        }
        drop(held);
        let vault = make();
        known.insert(name, Arc::clone(&vault));
        Ok(vault)
    }

    /// Does one thing at a vault within the deadline: has it name its tenant, has a token ready, and calls. What is late
    /// is said of the side that was being waited for.
    async fn at_vault<T, F: Future<Output = Result<T, KeyUnavailable>> + Send>(
        &self,
        at: &KeyRef,
        deadline: Duration,
        call: impl FnOnce(Arc<Vault>) -> F + Send,
    ) -> Result<T, KeyUnavailable> {
        let waiting_for_directory = AtomicBool::new(false);
        let work = async {
            let vault = self.vault(at)?;
            vault.transport.warm_up(&at.location).await?;
            waiting_for_directory.store(true, Ordering::Relaxed);
            vault.tokens.token().await?;
            waiting_for_directory.store(false, Ordering::Relaxed);
            call(vault).await
        };
        let result = match tokio::time::timeout(deadline, work).await {
            Ok(result) => result,
            Err(_) if waiting_for_directory.into_inner() => Err(KeyUnavailable::DirectoryUnreachable),
            Err(_) => Err(KeyUnavailable::TimedOut { waited: deadline }),
        };
        result.inspect_err(report)
    }

    /// The one variant the SDK's error stands for.
    fn refusal(&self, why: &azure_core::Error) -> KeyUnavailable {
        let mut cause: Option<&(dyn StdError + 'static)> = Some(why);
        while let Some(error) = cause {
            if let Some(ours) = error.downcast_ref::<KeyUnavailable>() {
                return ours.clone();
            }
            if let Some(ErrorKind::HttpResponse { status, raw_response: Some(raw), .. }) =
                error.downcast_ref::<azure_core::Error>().map(azure_core::Error::kind)
            {
                let answer =
                    vault_answer::Answer { status: u16::from(*status), headers: raw.headers(), body: raw.body() };
                return vault_answer::classify(&answer, self.options.clock.now().wall);
            }
            cause = error.source();
        }
        match why.kind() {
            ErrorKind::Connection | ErrorKind::Io => KeyUnavailable::Unreachable,
            // The SDK refuses a challenge for another resource with a plain error.
            ErrorKind::Other => {
                KeyUnavailable::AnswerInvalid { fault: AnswerFault::Challenge, trace: Trace::default() }
            }
            _ => KeyUnavailable::AnswerInvalid { fault: AnswerFault::Unreadable, trace: Trace::default() },
        }
    }

    async fn describe_at(
        &self,
        vault: &Vault,
        at: &KeyRef,
        version: Option<KeyVersionId>,
    ) -> Result<KeyDescription, KeyUnavailable> {
        let options =
            KeyClientGetKeyOptions { key_version: version.map(|version| version.to_string()), ..Default::default() };
        let answer = vault.client.get_key(at.location.key(), Some(options)).await;
        let answer = answer.map_err(|why| self.refusal(&why))?;
        let trace = vault_answer::trace(answer.headers());
        let bundle = answer
            .into_model()
            .map_err(|_| KeyUnavailable::AnswerInvalid { fault: AnswerFault::Unreadable, trace: trace.clone() })?;
        body::description(bundle, &at.location, version, &trace)
    }

    /// A wrap was denied for a reason the vault gives no code for. An expired key and one that is not valid yet are such
    /// reasons; the key's own dates tell.
    async fn why_denied(&self, vault: &Vault, at: &KeyRef, version: KeyVersionId, trace: Trace) -> KeyUnavailable {
        let now = self.options.clock.now().wall;
        match self.describe_at(vault, at, Some(version)).await {
            Ok(described) if !described.enabled => KeyUnavailable::Disabled(trace),
            Ok(described) if described.expires.is_some_and(|expires| expires <= now) => KeyUnavailable::Expired(trace),
            Ok(described) if described.not_before.is_some_and(|from| now < from) => KeyUnavailable::NotYetValid(trace),
            Ok(_) | Err(_) => KeyUnavailable::Denied(trace),
        }
    }
}

#[async_trait::async_trait]
impl CustomerKeys for AzureKeys {
    fn approach(&self) -> &dyn Approach {
        self
    }

    async fn describe(
        &self,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        deadline: Duration,
    ) -> Result<KeyDescription, KeyUnavailable> {
        self.at_vault(at, deadline, |vault| async move { self.describe_at(&vault, at, version).await }).await
    }

    async fn prove_consent(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        let tokens = self.tokens(at)?;
        let asked = tokio::time::timeout(deadline, tokens.fresh_token()).await;
        asked.unwrap_or(Err(KeyUnavailable::DirectoryUnreachable)).map(drop).inspect_err(report)
    }

    async fn versions(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<VersionListing>, KeyUnavailable> {
        let list = |vault: Arc<Vault>| async move {
            let options = KeyClientListKeyPropertiesVersionsOptions { maxresults: Some(PAGE), ..Default::default() };
            let pages = vault.client.list_key_properties_versions(at.location.key(), Some(options));
            let mut pages = pages.map_err(|why| self.refusal(&why))?.into_pages();
            let mut listed = Vec::new();
            for _ in 0..MOST_PAGES {
                let Some(page) = pages.try_next().await.map_err(|why| self.refusal(&why))? else { return Ok(listed) };
                let trace = vault_answer::trace(page.headers());
                let unreadable =
                    || KeyUnavailable::AnswerInvalid { fault: AnswerFault::Unreadable, trace: trace.clone() };
                for line in page.into_model().map_err(|_| unreadable())?.value {
                    listed.push(body::listing(line, &at.location, &trace)?);
                }
            }
            Err(KeyUnavailable::AnswerInvalid { fault: AnswerFault::EndlessList, trace: Trace::default() })
        };
        self.at_vault(at, deadline, list).await
    }

    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &Secret<PAYLOAD_LEN>,
        deadline: Duration,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        let wrap = |vault: Arc<Vault>| async move {
            let request: Bytes = payload.expose(|payload| body::operation(payload)).into();
            let request: RequestContent<KeyOperationParameters> = request.into();
            let options = KeyClientWrapKeyOptions { key_version: Some(version.to_string()), ..Default::default() };
            let answer = match vault.client.wrap_key(at.location.key(), request, Some(options)).await {
                Ok(answer) => answer,
                Err(why) => match self.refusal(&why) {
                    KeyUnavailable::Denied(trace) => return Err(self.why_denied(&vault, at, version, trace).await),
                    other => return Err(other),
                },
            };
            let trace = vault_answer::trace(answer.headers());
            let version = at.location.at(version);
            let blob = body::wrapped(answer.body(), &version, &trace)?;
            Ok(WrappedBlob { version, blob, trace })
        };
        self.at_vault(at, deadline, wrap).await
    }

    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: Duration,
    ) -> Result<Unwrapped, KeyUnavailable> {
        let unwrap = |vault: Arc<Vault>| async move {
            let request: Bytes = body::operation(blob).into();
            let request: RequestContent<KeyOperationParameters> = request.into();
            // The version is always named: an empty one would mean the newest.
            let answer = vault.client.unwrap_key(at.location.key(), &version.to_string(), request, None).await;
            let answer = answer.map_err(|why| self.refusal(&why))?;
            let trace = vault_answer::trace(answer.headers());
            let plain = Bytes::from(answer.into_body());
            let payload = body::unwrapped(&plain, &at.location.at(version), &trace);
            wipe(plain);
            Ok(Unwrapped { payload: payload?, trace })
        };
        self.at_vault(at, deadline, unwrap).await
    }
}

/// For the log: the reason and the ids, never whose key.
fn report(why: &KeyUnavailable) {
    let (reason, request_id, correlation_id) = (why.reason().as_str(), why.request_id(), why.correlation_id());
    match why.class() {
        // Whoever asked says whether that is an error: a test asks on purpose for what has to be refused.
        Class::Ours => tracing::warn!(reason, request_id, correlation_id, "a vault call failed by our own fault"),
        Class::Denied | Class::Gone => tracing::warn!(reason, request_id, correlation_id, "a vault denied a call"),
        Class::Transient => tracing::info!(reason, request_id, correlation_id, "a vault call failed for now"),
    }
}
