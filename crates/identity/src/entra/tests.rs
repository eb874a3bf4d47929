//! Sign-in and consent against the emulated directory, over TLS.

mod forged;
mod journey;
mod keys;
mod manifest;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use azure_emulator::{AppHandle, Emulator, Options, TenantHandle};
use domain::{Clock, Cloud, Moment, TenantId, Timestamp};
use outbound::{DevelopmentConnector, Sender};
use zeroize::Zeroizing;

use super::{
    ClientAuthentication, Directory as _, DirectoryRefused, EntraApp, EntraDirectory, NoCredential, Proof, SignInAsk,
    SignedIn, challenge_of,
};
use crate::jwks::Freshness;

const MANIFEST: &str = include_str!("../../../../docs/entra/app-manifest.json");
const NONCE: &str = "nonce-of-this-sign-in";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more";

/// 2027-01-15T08:00:00Z.
const START: i64 = 1_800_000_000;

/// Moved by hand; the emulator reads the same one.
pub(super) struct Hand(AtomicI64);

impl Hand {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for Hand {
    fn now(&self) -> Moment {
        let seconds = self.seconds();
        let boot = Duration::from_secs(u64::try_from(seconds - START).unwrap() + 1);
        Moment { wall: Timestamp::from_micros(seconds * 1_000_000), boot }
    }
}

struct Secret(String);

#[async_trait]
impl ClientAuthentication for Secret {
    async fn prove(&self, _token_endpoint: &str) -> Result<Proof, NoCredential> {
        Ok(Proof::Secret(Zeroizing::new(self.0.clone())))
    }
}

/// The emulator with one customer, our application registered as shipped, and a browser.
struct World {
    emulator: Emulator,
    clock: Arc<Hand>,
    contoso: TenantHandle,
    app: AppHandle,
    directory: EntraDirectory,
    browser: reqwest::Client,
}

impl World {
    async fn start() -> Self {
        Self::with(Freshness::default()).await
    }

    async fn with(freshness: Freshness) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let clock = Arc::new(Hand(AtomicI64::new(START)));
        let reading = clock.clone();
        let options = Options { clock: Some(Arc::new(move || reading.seconds() * 1_000_000)), ..Options::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let app = emulator.app("byokd");
        app.set_manifest(&serde_json::from_str(MANIFEST).unwrap()).unwrap();
        let contoso = emulator.tenant("contoso");
        contoso.consent(&app);
        let roots = reqwest::Certificate::from_pem(emulator.ca_pem().as_bytes()).unwrap();
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([roots])
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(20));
        for cloud in Cloud::ALL {
            builder = builder.resolve(cloud.login_host(), emulator.addr());
        }
        let browser = builder.build().unwrap();
        let registered = EntraApp::new(app.client_id(), "https://keys.example.com").unwrap();
        let secret = Arc::new(Secret(app.add_secret()));
        let connector = DevelopmentConnector { addr: emulator.addr(), ca_pem: emulator.ca_pem().as_bytes().to_vec() };
        let web = Arc::new(Sender::development(&connector, None).unwrap());
        let directory = EntraDirectory::with(registered, secret, web, clock.clone(), freshness);
        Self { emulator, clock, contoso, app, directory, browser }
    }

    fn tenant(&self) -> TenantId {
        self.contoso.id().parse().unwrap()
    }

    /// The address with the emulator's port in it, as a browser that is led there would have it.
    fn led(&self, url: &str) -> String {
        url.replacen(".com/", &format!(".com:{}/", self.emulator.addr().port()), 1)
    }

    /// Posts a page's form, and says where the browser is sent.
    async fn post(&self, url: &str, fields: &[(&str, &str)]) -> Result<url::Url, String> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.browser.post(self.led(url)).header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body).send().await.unwrap();
        match answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned()) {
            Some(to) => Ok(to.parse().unwrap()),
            None => Err(answer.text().await.unwrap()),
        }
    }

    fn sign_in_url(&self) -> String {
        let challenge = challenge_of(VERIFIER);
        let ask = SignInAsk { state: "state-1", nonce: NONCE, challenge: &challenge };
        self.directory.sign_in_url(Cloud::Public, &self.tenant(), &ask)
    }

    /// A code for whoever picked this account.
    async fn code(&self, user: &str) -> String {
        let to = self.post(&self.sign_in_url(), &[("user", user)]).await.unwrap();
        assert!(to.as_str().starts_with("https://keys.example.com/entra/sign-in?"), "{to}");
        said(&to, "code").unwrap_or_else(|| panic!("{to}"))
    }

    async fn redeem(&self, code: &str) -> Result<SignedIn, DirectoryRefused> {
        self.directory.redeem(Cloud::Public, &self.tenant(), code, VERIFIER, NONCE).await
    }

    /// Signs in and redeems.
    async fn sign_in(&self, user: &str) -> Result<SignedIn, DirectoryRefused> {
        let code = self.code(user).await;
        self.redeem(&code).await
    }
}

fn said(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(n, _)| n == name).map(|(_, value)| value.into_owned())
}

fn owner() -> &'static str {
    "owner@contoso.onmicrosoft.com"
}
