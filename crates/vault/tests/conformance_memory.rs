//! The provider in memory keeps every promise of a provider: so a test above it meets what a vault would do.

mod support;

use std::sync::Arc;

use domain::{Clock, KeyLocation, KeyVersionId, TenantId, Timestamp};
use support::RealTime;
use vault::{
    CustomerKeys, KeyRef, KeyUnavailable, Trace,
    conformance::Fixture,
    memory::{Fault, MemoryKeys, Operation},
};

struct Memory(Arc<MemoryKeys>);

async fn memory() -> Memory {
    Memory(MemoryKeys::new(Arc::new(RealTime)))
}

#[async_trait::async_trait]
impl Fixture for Memory {
    fn keys(&self) -> &dyn CustomerKeys {
        &*self.0
    }

    fn now(&self) -> Timestamp {
        RealTime.now().wall
    }

    async fn create_key(&self) -> (KeyRef, KeyVersionId) {
        let location = KeyLocation::from_vault_uri("https://contoso.vault.azure.net", "byok").unwrap();
        let at = KeyRef::of_platform("8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap(), location);
        let version = self.0.create_key(&at);
        (at, version)
    }

    async fn another_tenant(&self) -> TenantId {
        "11111111-2222-4333-8444-555555555555".parse().unwrap()
    }

    async fn rotate(&self, at: &KeyRef) -> KeyVersionId {
        self.0.create_key(at)
    }

    async fn set_enabled(&self, at: &KeyRef, version: KeyVersionId, enabled: bool) {
        self.0.change(at, version, |attributes| attributes.enabled = enabled);
    }

    async fn set_dates(&self, at: &KeyRef, version: KeyVersionId, from: Option<Timestamp>, until: Option<Timestamp>) {
        self.0.change(at, version, |attributes| {
            attributes.not_before = from;
            attributes.expires = until;
        });
    }

    async fn permit_unwrap_only(&self, at: &KeyRef, version: KeyVersionId) {
        self.0.change(at, version, |attributes| attributes.key_ops = vec!["unwrapKey".into()]);
    }

    async fn delete(&self, at: &KeyRef) {
        self.0.delete_key(at);
    }

    async fn recover(&self, at: &KeyRef) {
        self.0.recover_key(at);
    }

    async fn set_access(&self, _at: &KeyRef, access: bool) {
        if access { self.0.heal() } else { self.0.refuse_all(&KeyUnavailable::RoleMissing(Trace::default())) }
    }

    async fn set_silent(&self, _at: &KeyRef, silent: bool) {
        if silent { self.0.fail(Operation::Unwrap, Fault::Hang) } else { self.0.heal() }
    }
}

vault::conformance_suite!(memory);

/// A held call arrives, waits, and delivers what was true when it was asked, though the key has been disabled since.
#[tokio::test]
async fn a_held_unwrap_delivers_what_was_true_when_it_was_asked() {
    let memory = memory().await;
    let (at, version) = memory.create_key().await;
    let wrapped = memory.0.wrap(&at, version, &support::payload(7), support::DEADLINE).await.unwrap();
    let held = memory.0.hold(Operation::Unwrap);
    let overtaken = tokio::spawn({
        let (keys, at, blob) = (Arc::clone(&memory.0), at.clone(), wrapped.blob.clone());
        async move { keys.unwrap(&at, version, &blob, support::DEADLINE).await.is_ok() }
    });
    held.arrived(1).await;
    memory.0.disable(&at, version);
    assert!(!overtaken.is_finished());
    held.release();
    assert!(overtaken.await.unwrap());
    assert!(memory.0.unwrap(&at, version, &wrapped.blob, support::DEADLINE).await.is_err());
    assert_eq!((memory.0.calls().wrap, memory.0.calls().unwrap), (1, 2));
}

/// A planned fault meets one call, a standing one every call, and both are over when they are healed.
#[tokio::test]
async fn faults_meet_the_calls_they_were_planned_for() {
    let memory = memory().await;
    let (at, version) = memory.create_key().await;
    let wrapped = memory.0.wrap(&at, version, &support::payload(7), support::DEADLINE).await.unwrap();
    let unwrap = || memory.0.unwrap(&at, version, &wrapped.blob, support::DEADLINE);
    memory.0.fail_next(Operation::Unwrap, Fault::WrongPlaintext);
    assert!(unwrap().await.unwrap().payload.expose(|bytes| bytes[0] == 7 && bytes[1] == !7 && bytes[64] == 7));
    assert!(unwrap().await.unwrap().payload.expose(|bytes| bytes.iter().all(|byte| *byte == 7)));
    for fault in [Fault::WrongKid, Fault::WrongLength] {
        memory.0.fail(Operation::Unwrap, fault);
        assert!(matches!(unwrap().await.map(|_| ()), Err(KeyUnavailable::AnswerInvalid { .. })));
        assert!(unwrap().await.is_err());
    }
    memory.0.heal();
    assert!(unwrap().await.is_ok());
}
