//! What the tests share: the real clock and real randomness, and an emulator with a key in it.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{sync::Arc, time::Duration};

use azure_emulator::{
    AppHandle, Emulator, KeyOperation, Options, Principal, Role, RoleScope, TenantHandle, VaultHandle,
};
use domain::{Clock, Entropy, KeyLocation, KeyVersionId, Moment, Timestamp};
use secmem::Secret;
use vault::{
    KeyRef, PAYLOAD_LEN,
    azure::{AzureKeys, AzureOptions, ClientSecret, DevelopmentConnector, PlatformCredential},
};
use zeroize::Zeroizing;

pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The machine's time: the emulator goes by it too.
pub(crate) struct RealTime;

impl Clock for RealTime {
    #[expect(clippy::disallowed_methods, reason = "the emulator and the SDK go by the machine's clock")]
    fn now(&self) -> Moment {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Moment { wall: Timestamp::from_micros(i64::try_from(wall.as_micros()).unwrap()), boot: wall }
    }
}

/// The library's own randomness.
pub(crate) struct RealEntropy;

impl Entropy for RealEntropy {
    fn fill(&self, out: &mut [u8]) {
        aws_lc_rs::rand::fill(out).unwrap();
    }
}

/// An emulator with the platform's app consented to in Contoso's tenant, and Contoso's vault.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) app: AppHandle,
    pub(crate) contoso: TenantHandle,
    pub(crate) us: Principal,
    pub(crate) vault: VaultHandle,
    pub(crate) secret: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let app = emulator.app("byokd");
        let secret = app.add_secret();
        let contoso = emulator.tenant("contoso");
        let us = contoso.consent(&app);
        let vault = contoso.vault("contoso-keys");
        vault.assign_role(&us, Role::CryptoServiceEncryptionUser, RoleScope::Vault);
        Self { emulator, app, contoso, us, vault, secret }
    }

    /// A key of this name for wrapping and unwrapping.
    pub(crate) async fn key(&self, name: &str) -> (KeyRef, KeyVersionId) {
        let made = self.vault.create_key(name, 2048, &KeyOperation::WRAP).await.unwrap();
        (self.at(name), made.version.parse().unwrap())
    }

    pub(crate) fn at(&self, name: &str) -> KeyRef {
        let location = KeyLocation::from_vault_uri(&self.vault.url(), name).unwrap();
        KeyRef::of_platform(self.contoso.id().parse().unwrap(), location)
    }

    pub(crate) fn secret_credential(&self) -> PlatformCredential {
        PlatformCredential::Secret(ClientSecret::new(Zeroizing::new(self.secret.clone())))
    }

    /// A provider that has asked nothing yet.
    pub(crate) fn keys(&self) -> AzureKeys {
        self.keys_as(self.secret_credential())
    }

    pub(crate) fn keys_as(&self, credential: PlatformCredential) -> AzureKeys {
        let emulator = self.emulator.clone();
        let options = options(self.app.client_id(), credential, self.emulator.addr(), self.emulator.ca_pem())
            .development_names(Arc::new(move |name: &str| emulator.resolves(name)));
        AzureKeys::new(options).unwrap()
    }
}

pub(crate) fn options(
    client_id: &str,
    credential: PlatformCredential,
    addr: std::net::SocketAddr,
    ca_pem: &str,
) -> AzureOptions {
    AzureOptions::new(client_id, credential, Arc::new(RealTime), Arc::new(RealEntropy))
        .unwrap()
        .development(DevelopmentConnector { addr, ca_pem: ca_pem.as_bytes().to_vec() })
}

pub(crate) fn payload(byte: u8) -> Secret<PAYLOAD_LEN> {
    Secret::fill(|out| out.fill(byte)).unwrap()
}
