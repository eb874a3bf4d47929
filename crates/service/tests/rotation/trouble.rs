//! What goes wrong in a customer's vault while its key is rotated: a version disabled too early, an outage, damage.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::operation::OperationState;
use domain::rotation::Safety;
use domain::{KeyVersionId, Reason, WrappingKey};
use secmem::Secret;
use service::{SeededBug, Service};
use testkit::{Step, World};
use vault::memory::{Fault, MemoryKeys, Operation};
use vault::{CustomerKeys, KeyDescription, KeyRef, KeyUnavailable, VersionListing, WrappedBlob};

use crate::customer::{Customer, one_after_the_other};

/// The old version is disabled too early: what is still under it waits for the customer, everything else goes on, and after the
/// version is enabled again the rotation ends by itself.
#[tokio::test]
async fn a_version_disabled_too_early_stops_only_what_is_under_it() {
    let world = one_after_the_other();
    let customer = Customer::with_apps(&world, 4).await;
    let acme = &customer.acme;
    world.clock.advance(Duration::from_secs(1));
    let second = world.vault.create_key(&acme.key());
    let operation = acme.rotate().await.unwrap().operation.unwrap();
    world.store.crash_at_nth(Step::AfterAddWrapping, 1);
    let _ = world.service.run_operations().await;
    world.vault.disable(&acme.key(), customer.first);
    let service = world.another_service();
    service.run_operations().await.unwrap();
    let waits = service.read_operation(&acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!((waits.state, waits.reason), (OperationState::Running, Some(Reason::KeyDisabled)));
    let under = customer.under(&world).await;
    for ((app, ciphertext), _) in customer.sealed.iter().zip(&under) {
        let row = World::data_key_of(ciphertext);
        let wrapping = world.store.inner().wrapping(&acme.id, row).await.unwrap().unwrap();
        let opened = app.through(&service).decrypt(ciphertext).await;
        assert_eq!(opened.is_ok(), wrapping.wrapped_by == WrappingKey::Customer(second));
    }
    world.vault.enable(&acme.key(), customer.first);
    // Two probes 5 s apart have to say yes before anything else asks.
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(5));
        service.run_operations().await.unwrap();
    }
    let done = service.read_operation(&acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!((done.state, done.reason), (OperationState::Done, None));
    customer.everything_opens(&world).await;
}

/// An outage in the middle: it waits, asks no vault ten thousand times, and goes on when the vault answers.
#[tokio::test]
async fn an_outage_makes_a_rotation_wait() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 20).await;
    world.clock.advance(Duration::from_secs(1));
    world.vault.create_key(&customer.acme.key());
    let operation = customer.acme.rotate().await.unwrap().operation.unwrap();
    world.vault.refuse_all(&KeyUnavailable::Unreachable);
    let before = world.vault.calls().unwrap;
    world.service.run_operations().await.unwrap();
    let waits = world.service.read_operation(&customer.acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!((waits.state, waits.reason), (OperationState::Running, Some(Reason::VaultUnreachable)));
    assert!(world.vault.calls().unwrap - before <= 12, "{} calls", world.vault.calls().unwrap - before);
    world.vault.heal();
    world.service.run_operations().await.unwrap();
    let done = world.service.read_operation(&customer.acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!(done.state, OperationState::Done);
}

/// A vault whose wrap answers with damaged bytes from some call on.
struct Damaging {
    vault: Arc<MemoryKeys>,
}

#[async_trait]
impl CustomerKeys for Damaging {
    fn approach(&self) -> &dyn vault::Approach {
        self.vault.approach()
    }

    async fn describe(
        &self,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        deadline: Duration,
    ) -> Result<KeyDescription, KeyUnavailable> {
        self.vault.describe(at, version, deadline).await
    }

    async fn prove_consent(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.vault.prove_consent(at, deadline).await
    }

    async fn versions(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<VersionListing>, KeyUnavailable> {
        self.vault.versions(at, deadline).await
    }

    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &Secret<65>,
        deadline: Duration,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        let mut wrapped = self.vault.wrap(at, version, payload, deadline).await?;
        if let Some(last) = wrapped.blob.last_mut() {
            *last ^= 1;
        }
        Ok(wrapped)
    }

    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: Duration,
    ) -> Result<vault::Unwrapped, KeyUnavailable> {
        self.vault.unwrap(at, version, blob, deadline).await
    }
}

/// Whether every ciphertext opens after a rotation whose vault wrapped badly.
async fn survives_a_vault_that_wraps_badly(bug: Option<SeededBug>) -> bool {
    let world = World::start();
    let customer = Customer::with_apps(&world, 3).await;
    world.clock.advance(Duration::from_secs(1));
    world.vault.create_key(&customer.acme.key());
    customer.acme.rotate().await.unwrap();
    let mut parts = world.parts(world.store.inner());
    parts.customer_keys = Arc::new(Damaging { vault: world.vault.clone() });
    let service = match bug {
        None => Service::start(parts),
        Some(bug) => Service::start_with_bug(parts, bug),
    };
    service.unwrap().run_operations().await.unwrap();
    let fresh = world.another_service();
    for (app, ciphertext) in &customer.sealed {
        if app.through(&fresh).decrypt(ciphertext).await.is_err() {
            return false;
        }
    }
    true
}

/// I-4: a wrapping counts only after it was unwrapped again and compared.
#[tokio::test]
async fn a_wrapping_that_does_not_open_is_never_stored() {
    assert!(survives_a_vault_that_wraps_badly(None).await);
    let broken = !survives_a_vault_that_wraps_badly(Some(SeededBug::RewrapNotVerified)).await;
    assert!(broken, "the seeded bug was not found");
}

/// A data key that the vault opens to something else is told, ends the rotation, and stops no other data key.
#[tokio::test]
async fn a_corrupt_data_key_ends_the_rotation_and_stops_no_other() {
    let world = World::start();
    let customer = Customer::with_apps(&world, 3).await;
    world.clock.advance(Duration::from_secs(1));
    let second = world.vault.create_key(&customer.acme.key());
    let operation = customer.acme.rotate().await.unwrap().operation.unwrap();
    world.vault.fail_next(Operation::Unwrap, Fault::WrongPlaintext);
    let service = world.another_service();
    service.run_operations().await.unwrap();
    let ended = service.read_operation(&customer.acme.may_read_operations(), operation.id).await.unwrap();
    assert_eq!((ended.state, ended.reason), (OperationState::Failed, Some(Reason::WrappedKeyCorrupt)));
    let under = customer.under(&world).await;
    assert_eq!(under.iter().filter(|version| **version == second).count(), 2);
    assert_eq!(customer.safety(&service, customer.first).await, Safety::InForce, "it never switched");
    assert_eq!(customer.safety(&service, second).await, Safety::DataKeys { count: 2 });
    customer.everything_opens(&world).await;
}
