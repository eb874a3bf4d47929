//! Promises about customers' app registrations and their credentials.

use domain::credential::{Credential, Integration, Proof, Registration};
use domain::{Cloud, CredentialId};
use sha2::{Digest, Sha256};

use super::Database;
use super::sample::{at, furnish, workspace_id};
use crate::{Conflict, Store, StoreError};

fn credential(n: u8) -> Credential {
    let guid = |n: u8| format!("8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f{n:02x}");
    let proof = match n % 2 {
        0 => Proof::Secret { last_four: format!("abc{n}") },
        _ => {
            let der = vec![n; 40];
            Proof::Certificate { thumbprint: Sha256::digest(&der).into(), der }
        }
    };
    Credential {
        id: CredentialId::from_bytes([n; 16]),
        registration: Registration {
            cloud: Cloud::Public,
            tenant: guid(1).parse().expect("a GUID"),
            client_id: guid(n).parse().expect("a GUID"),
        },
        proof,
        created_at: at(20),
        expires_at: at(500_000),
        added_by: "ada".into(),
        tested_at: None,
        removed_at: None,
        noticed: None,
        sealed: format!("the-sealed-part-of-{n}").into_bytes(),
    }
}

fn empty() -> Integration {
    Integration::new(workspace_id("acme"), at(20))
}

/// A registration of a workspace, step by step: a certificate that is active, and a secret that is not tested yet.
pub fn registration_of(workspace: &str) -> Vec<Integration> {
    let ok = "a step that the rules allow";
    let (one, two) = (credential(1), credential(2));
    let first = one.id;
    let added = Integration::new(workspace_id(workspace), at(20)).add(one, at(21)).expect(ok);
    let tested = added.clone().tested(first, true, at(22)).expect(ok);
    let active = tested.clone().activate(first, at(23)).expect(ok);
    let both = active.clone().add(two, at(24)).expect(ok);
    vec![added, tested, active, both]
}

async fn put(store: &dyn Store, integration: &Integration) -> Result<(), StoreError> {
    let mut tx = store.begin("integration").await?;
    tx.put_integration(integration).await?;
    assert_eq!(tx.integration(&integration.workspace).await?.as_ref(), Some(integration));
    tx.commit().await.map(|_| ())
}

/// The steps of a rotation: each follows the one before.
fn steps() -> Vec<Integration> {
    let ok = "a step that the rules allow";
    let (one, two) = (credential(1), credential(2));
    let mut steps = vec![empty().add(one.clone(), at(21)).expect(ok)];
    let mut then = |next: Box<dyn Fn(Integration) -> Integration>| steps.push(next(steps[steps.len() - 1].clone()));
    then(Box::new(move |last| last.tested(one.id, true, at(22)).expect(ok)));
    then(Box::new(|last| last.activate(CredentialId::from_bytes([1; 16]), at(23)).expect(ok)));
    then(Box::new(move |last| last.add(two.clone(), at(24)).expect(ok)));
    then(Box::new(|last| {
        let due = last.notices_due(at(499_999));
        last.noticed(&due, at(25))
    }));
    then(Box::new(|last| last.tested(CredentialId::from_bytes([2; 16]), true, at(26)).expect(ok)));
    then(Box::new(|last| last.activate(CredentialId::from_bytes([2; 16]), at(27)).expect(ok)));
    then(Box::new(|last| last.remove(CredentialId::from_bytes([1; 16]), at(28)).expect(ok)));
    then(Box::new(|last| last.use_platform(at(29))));
    steps
}

/// Credentials are read back as they were written at every step of a rotation, also after a restart, and each step is told.
pub async fn credentials_are_read_back_as_they_change(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "other"], &["bot"]).await;
    assert_eq!(store.integration(&workspace_id("acme")).await, Ok(None));
    for step in steps() {
        let before = store.revision().await.unwrap();
        put(&*store, &step).await.unwrap();
        assert_eq!(store.integration(&step.workspace).await, Ok(Some(step.clone())));
        let (_, changes) = store.changed_since(before).await.unwrap();
        let told: Vec<_> = changes.iter().map(|change| (change.workspace.as_str(), change.credentials)).collect();
        assert_eq!(told, [("acme", true)]);
        store.verify().await.unwrap();
    }
    assert_eq!(store.integration(&workspace_id("other")).await, Ok(None));
    drop(store);
    let store = db.open().await;
    assert_eq!(store.integration(&workspace_id("acme")).await.unwrap(), steps().pop());
    store.verify().await.unwrap();
}

/// Of two changes made from the same reading the second finds the credentials moved, and no credential is left out.
pub async fn credentials_change_one_step_at_a_time(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let moved = |present| Err(StoreError::Conflict(Conflict::CredentialsMoved { present }));
    let first = steps().swap_remove(0);
    assert_eq!(put(&*store, &Integration { change: 2, ..first.clone() }).await, moved(0));
    put(&*store, &first).await.unwrap();
    assert_eq!(put(&*store, &first).await, moved(1));
    let without = Integration { change: 2, credentials: vec![credential(3)], ..first.clone() };
    assert_eq!(put(&*store, &without).await, moved(1));
    let nowhere = Integration { workspace: workspace_id("nowhere"), ..first };
    assert_eq!(put(&*store, &nowhere).await, Err(Conflict::NoWorkspace.into()));
}

/// Whoever can write to the database cannot change which credential is used, or what is known of one, or take one away.
pub async fn forged_credentials_are_refused(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "other"], &["bot"]).await;
    for step in &steps()[..4] {
        put(&*store, step).await.unwrap();
    }
    let kept = store.integration(&workspace_id("acme")).await.unwrap();
    drop(store);
    for (forge, undo) in [
        (
            "UPDATE integrations SET active = x'02020202020202020202020202020202'",
            "UPDATE integrations SET active = x'01010101010101010101010101010101'",
        ),
        (
            "UPDATE integrations SET active = NULL",
            "UPDATE integrations SET active = x'01010101010101010101010101010101'",
        ),
        ("UPDATE integrations SET change = change + 1", "UPDATE integrations SET change = change - 1"),
        ("UPDATE integrations SET workspace = 'other'", "UPDATE integrations SET workspace = 'acme'"),
        (
            "CREATE TABLE gone AS SELECT * FROM integrations; DELETE FROM integrations",
            "INSERT INTO integrations SELECT * FROM gone; DROP TABLE gone",
        ),
        (
            "CREATE TABLE gone AS SELECT * FROM registration_credentials WHERE number = 1; DELETE FROM registration_credentials WHERE number = 1",
            "INSERT INTO registration_credentials SELECT * FROM gone; DROP TABLE gone",
        ),
    ] {
        db.tamper(forge).await;
        let store = db.open().await;
        let read = store.integration(&workspace_id("acme")).await;
        assert!(matches!(read, Err(StoreError::RowForged { .. })), "{forge}: {read:?}");
        assert!(store.verify().await.is_err(), "{forge}");
        drop(store);
        db.tamper(undo).await;
    }
    for column in [
        "cloud = 'china'",
        "tenant = '8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9fff'",
        "client_id = '8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9fff'",
        "kind = 3 - kind",
        "told = x'61626364'",
        "created_at = created_at + 1",
        "expires_at = expires_at + 1",
        "added_by = 'eve'",
        "tested_at = 1",
        "removed_at = 1, sealed = x''",
        "noticed = 7",
        "sealed = x'00'",
        "sealed = (SELECT sealed FROM registration_credentials WHERE number = 1)",
    ] {
        db.tamper("CREATE TABLE before AS SELECT * FROM registration_credentials").await;
        db.tamper(&format!("UPDATE registration_credentials SET {column} WHERE number = 2")).await;
        let store = db.open().await;
        let read = store.integration(&workspace_id("acme")).await;
        assert!(matches!(read, Err(StoreError::RowForged { .. })), "{column}: {read:?}");
        drop(store);
        db.tamper(
            "DELETE FROM registration_credentials; INSERT INTO registration_credentials SELECT * FROM before; DROP TABLE before",
        )
        .await;
    }
    let store = db.open().await;
    assert_eq!(store.integration(&workspace_id("acme")).await.unwrap(), kept, "put back as it was");
    store.verify().await.unwrap();
}
