//! Customers' directories in memory: their domains, their consent and sign-in pages' addresses, and who signs in there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Cloud, DomainName, TenantId};
use identity::entra::{AdminRole, Directory, DirectoryRefused, SignInAsk, SignedIn};
use sha2::{Digest as _, Sha256};
use tokio::sync::{Notify, OwnedRwLockWriteGuard, RwLock};

/// All directories there are.
#[derive(Default)]
pub struct MemoryDirectory {
    state: Mutex<State>,
    /// Codes are redeemed while nobody holds this.
    gate: Arc<RwLock<()>>,
    arrived: Notify,
}

/// No code is redeemed until this is dropped.
pub struct HeldCodes(#[expect(dead_code, reason = "its drop lets them go")] OwnedRwLockWriteGuard<()>);

#[derive(Default)]
struct State {
    domains: HashMap<String, TenantId>,
    /// Codes that were given out: for which sign-in, and to whom.
    codes: HashMap<String, Given>,
}

struct Given {
    asked_of: String,
    nonce: String,
    challenge: String,
    home: TenantId,
}

/// Where an address leads, with its parameters.
///
/// # Panics
/// When it has none of this name.
pub fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').expect("an address with parameters").1;
    let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.to_owned()
}

impl MemoryDirectory {
    /// No domain is known yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A domain of a tenant.
    ///
    /// # Panics
    /// When the id is no GUID.
    pub fn own(&self, domain: &str, tenant: &str) {
        self.lock().domains.insert(domain.to_owned(), tenant.parse().expect("a GUID"));
    }

    /// Somebody whose home is `home` signs in at this address: what comes back, state and code.
    ///
    /// # Panics
    /// When the address is none of ours, or the id is no GUID.
    pub fn sign_in(&self, url: &str, home: &str) -> (String, String) {
        let (state, nonce) = (parameter(url, "state"), parameter(url, "nonce"));
        let asked_of = url.trim_start_matches("https://login.example/").split('/').next().expect("a tenant").to_owned();
        let code = format!("code-{}", self.lock().codes.len());
        let given =
            Given { asked_of, nonce, challenge: parameter(url, "challenge"), home: home.parse().expect("a GUID") };
        self.lock().codes.insert(code.clone(), given);
        (state, code)
    }

    /// Holds every code that is shown from now on.
    pub async fn hold_codes(&self) -> HeldCodes {
        HeldCodes(self.gate.clone().write_owned().await)
    }

    /// Waits until a code is shown.
    pub async fn code_is_shown(&self) {
        self.arrived.notified().await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn look_up(&self, _: Cloud, domain: &DomainName) -> Result<TenantId, DirectoryRefused> {
        let found = self.lock().domains.get(domain.as_str()).cloned();
        found.ok_or(DirectoryRefused::TenantUnknown)
    }

    fn consent_url(&self, _: Cloud, tenant: &TenantId, state: &str) -> String {
        format!("https://login.example/{tenant}/v2.0/adminconsent?state={state}")
    }

    fn sign_in_url(&self, _: Cloud, tenant: &TenantId, ask: &SignInAsk<'_>) -> String {
        let SignInAsk { state, nonce, challenge } = ask;
        format!("https://login.example/{tenant}/authorize?state={state}&nonce={nonce}&challenge={challenge}")
    }

    async fn redeem(
        &self,
        _: Cloud,
        tenant: &TenantId,
        code: &str,
        verifier: &str,
        nonce: &str,
    ) -> Result<SignedIn, DirectoryRefused> {
        self.arrived.notify_one();
        let _open = self.gate.read().await;
        let given = self.lock().codes.remove(code).ok_or(DirectoryRefused::SignInOver)?;
        let same = given.asked_of == tenant.as_str()
            && given.nonce == nonce
            && given.challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        if !same {
            return Err(DirectoryRefused::SignInOver);
        }
        let object_id = "0b1ec700-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().expect("a GUID");
        Ok(SignedIn { tenant: given.home, object_id, admin_role: AdminRole::GlobalAdministrator })
    }
}
