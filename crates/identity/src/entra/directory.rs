//! The links people follow and the requests we make: only to the cloud's login host, only from our own configuration.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{Clock, Cloud, DomainName, TenantId};
use url::Url;
use zeroize::Zeroizing;

use super::answer;
use super::rules::{Expected, IdTokenRefused, NotBelieved, Rules};
use super::{ClientAuthentication, Directory, DirectoryRefused, Proof, SignInAsk, SignedIn};
use crate::jwks::{Freshness, KeySet, KeySource};
use crate::web::{Web, WebAnswer, WebRequest};

/// What a person waits for at most.
const DEADLINE: Duration = Duration::from_secs(20);
/// Codes of Entra ID have some 1,000 characters.
const LONGEST_CODE: usize = 8 * 1024;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// All that is asked for: vault access comes from roles that the customer assigns, and never from a consent.
const SCOPE: &str = "openid profile";

/// Our application's registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntraApp {
    client_id: String,
    consent_redirect: String,
    sign_in_redirect: String,
}

/// The public address is none that a browser can be sent back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write it as https://keys.example.com, without a path, query or user")]
pub struct InvalidPublicUrl;

impl EntraApp {
    /// `client_id`: the application's id. `public_url`: where browsers reach this service, such as `https://keys.example.com`.
    ///
    /// # Errors
    /// [`InvalidPublicUrl`].
    pub fn new(client_id: &str, public_url: &str) -> Result<Self, InvalidPublicUrl> {
        let url = Url::parse(public_url).map_err(|_| InvalidPublicUrl)?;
        let bare = url.scheme() == "https"
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if !bare {
            return Err(InvalidPublicUrl);
        }
        let origin = url.origin().ascii_serialization();
        Ok(Self {
            // As the directory writes it in `aud`.
            client_id: client_id.to_ascii_lowercase(),
            consent_redirect: format!("{origin}/entra/consent"),
            sign_in_redirect: format!("{origin}/entra/sign-in"),
        })
    }

    /// Where the browser comes back from consent.
    pub fn consent_redirect(&self) -> &str {
        &self.consent_redirect
    }

    /// Where the browser comes back from the sign-in.
    pub fn sign_in_redirect(&self) -> &str {
        &self.sign_in_redirect
    }
}

/// Entra ID itself.
pub struct EntraDirectory {
    app: EntraApp,
    authentication: Arc<dyn ClientAuthentication>,
    web: Arc<dyn Web>,
    clock: Arc<dyn Clock>,
    /// The keys of each cloud: one set serves all its tenants.
    keys: Vec<(Cloud, Arc<KeySet>)>,
    pub(super) rules: Rules,
}

impl EntraDirectory {
    /// Nothing is asked of a directory yet.
    pub fn new(
        app: EntraApp,
        authentication: Arc<dyn ClientAuthentication>,
        web: Arc<dyn Web>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::with(app, authentication, web, clock, Freshness::default())
    }

    /// As [`EntraDirectory::new`], with other times for the signing keys.
    pub fn with(
        app: EntraApp,
        authentication: Arc<dyn ClientAuthentication>,
        web: Arc<dyn Web>,
        clock: Arc<dyn Clock>,
        freshness: Freshness,
    ) -> Self {
        let set = |cloud: Cloud| {
            let source = KeySource::At(address(cloud, "organizations", "discovery/v2.0/keys"));
            (cloud, Arc::new(KeySet::new(source, Arc::clone(&web), Arc::clone(&clock), freshness)))
        };
        let keys = Cloud::ALL.into_iter().map(set).collect();
        Self { app, authentication, web, clock, keys, rules: Rules::default() }
    }

    /// The signing keys of a cloud; [`KeySet::keep_fresh`] is for the clouds in use.
    pub fn signing_keys(&self, cloud: Cloud) -> Arc<KeySet> {
        let found = self.keys.iter().find(|(of, _)| *of == cloud);
        Arc::clone(&found.expect("a set was made for every cloud").1)
    }

    async fn ask(&self, request: WebRequest) -> Result<WebAnswer, DirectoryRefused> {
        let answered = tokio::time::timeout(DEADLINE, self.web.send(request)).await;
        answered.map_err(|_| DirectoryRefused::Unreachable)?.map_err(|_| DirectoryRefused::Unreachable)
    }
}

/// An address at the cloud's login host. `tenant` is an id, a domain or `organizations`: none needs escaping.
fn address(cloud: Cloud, tenant: &str, path: &str) -> Url {
    let text = format!("https://{}/{tenant}/{path}", cloud.login_host());
    Url::parse(&text).expect("a login host, a checked name and a path of ours make an address")
}

#[async_trait]
impl Directory for EntraDirectory {
    async fn look_up(&self, cloud: Cloud, domain: &DomainName) -> Result<TenantId, DirectoryRefused> {
        let url = address(cloud, domain.as_str(), "v2.0/.well-known/openid-configuration");
        answer::tenant(cloud, &self.ask(WebRequest::get(url)).await?)
    }

    fn consent_url(&self, cloud: Cloud, tenant: &TenantId, state: &str) -> String {
        let mut url = address(cloud, tenant.as_str(), "v2.0/adminconsent");
        url.query_pairs_mut()
            .append_pair("client_id", &self.app.client_id)
            .append_pair("redirect_uri", &self.app.consent_redirect)
            .append_pair("state", state)
            .append_pair("scope", SCOPE);
        url.into()
    }

    fn sign_in_url(&self, cloud: Cloud, tenant: &TenantId, ask: &SignInAsk<'_>) -> String {
        let mut url = address(cloud, tenant.as_str(), "oauth2/v2.0/authorize");
        url.query_pairs_mut()
            .append_pair("client_id", &self.app.client_id)
            .append_pair("response_type", "code")
            .append_pair("response_mode", "query")
            .append_pair("redirect_uri", &self.app.sign_in_redirect)
            .append_pair("scope", SCOPE)
            .append_pair("state", ask.state)
            .append_pair("nonce", ask.nonce)
            .append_pair("code_challenge", ask.challenge)
            .append_pair("code_challenge_method", "S256")
            // Whoever proves a tenant says which account it is to be, even where a browser remembers one.
            .append_pair("prompt", "select_account");
        url.into()
    }

    async fn redeem(
        &self,
        cloud: Cloud,
        tenant: &TenantId,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<SignedIn, DirectoryRefused> {
        if code.is_empty() || code.len() > LONGEST_CODE || nonce.is_empty() {
            return Err(DirectoryRefused::SignInOver);
        }
        let endpoint = address(cloud, tenant.as_str(), "oauth2/v2.0/token");
        let proof = self.authentication.prove(endpoint.as_str()).await;
        let proof = proof.map_err(|_| DirectoryRefused::CredentialUnusable)?;
        let form = form(&self.app, code, verifier, &proof);
        let answer = self.ask(WebRequest::post(endpoint, form)).await?;
        let token = answer::id_token(&answer)?;
        let expected = Expected { client_id: &self.app.client_id, login_host: cloud.login_host(), tenant, nonce };
        let keys = self.signing_keys(cloud);
        let signed_in = self.rules.check(&token, &keys, &expected, self.clock.now().wall).await;
        signed_in.map_err(|why| match why {
            NotBelieved::Rule(rule) => {
                tracing::warn!(?rule, "an id_token was refused");
                IdTokenRefused { rule }.into()
            }
            NotBelieved::KeysUnavailable => DirectoryRefused::KeysUnavailable,
        })
    }
}

/// The token request, in a buffer that is wiped and does not grow (a buffer that grows leaves copies behind).
fn form(app: &EntraApp, code: &str, verifier: &str, proof: &Proof) -> Zeroizing<String> {
    let (Proof::Secret(secret) | Proof::Assertion(secret)) = proof;
    let room = 3 * (code.len() + verifier.len() + secret.len() + app.sign_in_redirect.len()) + 512;
    let mut text = Zeroizing::new(String::with_capacity(room));
    let mut pairs = url::form_urlencoded::Serializer::new(&mut *text);
    pairs
        .append_pair("grant_type", "authorization_code")
        .append_pair("client_id", &app.client_id)
        .append_pair("code", code)
        .append_pair("redirect_uri", &app.sign_in_redirect)
        .append_pair("code_verifier", verifier)
        .append_pair("scope", SCOPE);
    match proof {
        Proof::Secret(secret) => {
            pairs.append_pair("client_secret", secret);
        }
        Proof::Assertion(assertion) => {
            pairs.append_pair("client_assertion_type", ASSERTION_TYPE).append_pair("client_assertion", assertion);
        }
    }
    pairs.finish();
    text
}
