//! The Azure provider keeps every promise of a provider, against an emulated Key Vault and Entra ID over TLS.

mod support;

use std::sync::atomic::{AtomicU32, Ordering};

use azure_emulator::{Disturbance, Fault, FaultId, KeyChange, KeyOperation, Operation, Role, RoleScope, Scope};
use domain::{Clock, KeyVersionId, TenantId, Timestamp};
use support::{RealTime, World};
use vault::{CustomerKeys, KeyRef, azure::AzureKeys, conformance::Fixture};

struct Azure {
    world: World,
    keys: AzureKeys,
    made: AtomicU32,
    silence: std::sync::Mutex<Option<FaultId>>,
}

async fn azure() -> Azure {
    let world = World::start().await;
    let keys = world.keys();
    Azure { world, keys, made: AtomicU32::new(0), silence: std::sync::Mutex::default() }
}

fn seconds(at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| at.micros() / 1_000_000)
}

#[async_trait::async_trait]
impl Fixture for Azure {
    fn keys(&self) -> &dyn CustomerKeys {
        &self.keys
    }

    fn now(&self) -> Timestamp {
        RealTime.now().wall
    }

    async fn create_key(&self) -> (KeyRef, KeyVersionId) {
        let name = format!("byok-{}", self.made.fetch_add(1, Ordering::Relaxed));
        self.world.key(&name).await
    }

    async fn another_tenant(&self) -> TenantId {
        let fabrikam = self.world.emulator.tenant("fabrikam");
        fabrikam.consent(&self.world.app);
        fabrikam.id().parse().unwrap()
    }

    async fn rotate(&self, at: &KeyRef) -> KeyVersionId {
        self.world.vault.rotate_key(at.location.key()).await.unwrap().version.parse().unwrap()
    }

    async fn set_enabled(&self, at: &KeyRef, version: KeyVersionId, enabled: bool) {
        let change = KeyChange { version: version.to_string(), enabled: Some(enabled), ..KeyChange::default() };
        self.world.vault.change_key(at.location.key(), change).unwrap();
    }

    async fn set_dates(&self, at: &KeyRef, version: KeyVersionId, from: Option<Timestamp>, until: Option<Timestamp>) {
        let clear = KeyChange { version: version.to_string(), clear_dates: true, ..KeyChange::default() };
        self.world.vault.change_key(at.location.key(), clear).unwrap();
        let (nbf, exp) = (seconds(from), seconds(until));
        let change = KeyChange { version: version.to_string(), nbf, exp, ..KeyChange::default() };
        self.world.vault.change_key(at.location.key(), change).unwrap();
    }

    async fn permit_unwrap_only(&self, at: &KeyRef, version: KeyVersionId) {
        let key_ops = Some(vec![KeyOperation::UnwrapKey]);
        let change = KeyChange { version: version.to_string(), key_ops, ..KeyChange::default() };
        self.world.vault.change_key(at.location.key(), change).unwrap();
    }

    async fn delete(&self, at: &KeyRef) {
        self.world.vault.delete_key(at.location.key()).unwrap();
    }

    async fn recover(&self, at: &KeyRef) {
        self.world.vault.recover_key(at.location.key()).unwrap();
    }

    async fn set_access(&self, _at: &KeyRef, access: bool) {
        let World { vault, us, .. } = &self.world;
        if access {
            vault.assign_role(us, Role::CryptoServiceEncryptionUser, RoleScope::Vault);
        } else {
            vault.remove_roles(us);
        }
    }

    async fn set_silent(&self, _at: &KeyRef, silent: bool) {
        let faults = self.world.emulator.faults();
        let mut silence = self.silence.lock().unwrap();
        if silent {
            let scope = Scope::everywhere().operation(Operation::UnwrapKey);
            *silence = Some(faults.switch_on(Fault::Wire(Disturbance::Timeout), scope));
        } else if let Some(silence) = silence.take() {
            faults.clear(silence);
        }
    }
}

vault::conformance_suite!(azure);
