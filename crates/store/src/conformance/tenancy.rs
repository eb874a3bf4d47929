//! Promises about directories, nonces and proven keys.

use domain::tenancy::{AppSeen, Origin, Proof, ProvenBy, ProvenKey, TagNonce, TenantLink};
use domain::{Cloud, KeyLocation, KeyTestId, Reason, TenantId};

use super::Database;
use super::sample::{at, furnish, workspace_id};
use crate::{Conflict, Store, StoreError};

fn tenant() -> TenantId {
    "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().expect("a GUID")
}

fn key(name: &str) -> KeyLocation {
    KeyLocation::from_parts(Cloud::Public, "shared-kv", name).expect("a key")
}

/// A directory in each of its states.
pub fn links(workspace: &str) -> Vec<TenantLink> {
    let named =
        TenantLink::named(workspace_id(workspace), Cloud::Public, tenant(), "contoso.com", Origin::Asked, at(1));
    let signed_in = ProvenBy::SignIn { object_id: "0b1ec700-0d4e-4c0e-9a1f-2b6d7c8e9f01".to_owned(), admin: true };
    let tag = ProvenBy::KeyTag { test: Some(KeyTestId::new(at(3), [3; 10])) };
    let app = |refused| Some(AppSeen { at: at(4), refused });
    vec![
        named.clone(),
        TenantLink { app: app(None), ..named.clone().came_back(at(2)) },
        TenantLink { app: app(Some(Reason::EntraAppDisabled)), ..named.clone() }.proven(Proof { at: at(3), by: tag }),
        named.clone().proven(Proof { at: at(3), by: signed_in }),
        TenantLink { origin: Origin::Implied, ..named }.disconnected(at(5)),
    ]
}

/// A nonce of the workspace.
pub fn tag_nonce(workspace: &str, name: &str, value: u8) -> TagNonce {
    TagNonce::drawn(workspace_id(workspace), key(name), tenant(), [value; 16], None, at(i64::from(value)))
}

/// A key that was proven the workspace's.
pub fn proven_key(workspace: &str, name: &str) -> ProvenKey {
    ProvenKey {
        workspace: workspace_id(workspace),
        key: key(name),
        tenant: tenant(),
        at: at(6),
        test: Some(KeyTestId::new(at(3), [3; 10])),
        nonce: Some([7; 16]),
        void_since: None,
        released_at: None,
    }
}

async fn prove(store: &dyn Store, proven: &ProvenKey) -> Result<(), StoreError> {
    let mut tx = store.begin("prove").await?;
    tx.put_proven_key(proven).await?;
    tx.commit().await.map(drop)
}

/// What is written of a directory, a nonce and a proof is read back so, in each of their states, and the sets add up.
pub async fn directories_and_proofs_are_kept(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    for link in links("acme") {
        let mut tx = store.begin("tenant").await.unwrap();
        tx.put_tenant(&link).await.unwrap();
        assert_eq!(tx.tenants(&link.workspace).await.unwrap(), std::slice::from_ref(&link));
        tx.commit().await.unwrap();
        assert_eq!(store.tenants(&link.workspace).await.unwrap(), [link]);
        store.verify().await.unwrap();
    }
    let drawn = tag_nonce("acme", "byok", 1);
    let used = TagNonce { consumed_at: Some(at(8)), previous: Some([9; 16]), ..drawn.clone() };
    for nonce in [drawn, used] {
        let mut tx = store.begin("nonce").await.unwrap();
        tx.put_tag_nonce(&nonce).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(store.tag_nonces(&nonce.workspace).await.unwrap(), [nonce]);
    }
    let proven = proven_key("acme", "byok");
    for state in [
        proven.clone(),
        ProvenKey { void_since: Some(at(9)), ..proven.clone() },
        ProvenKey { nonce: None, test: None, released_at: Some(at(9)), ..proven },
    ] {
        prove(&*store, &state).await.unwrap();
        assert_eq!(store.proven_keys(&state.workspace).await.unwrap(), [state]);
    }
    store.verify().await.unwrap();
}

/// A key is one workspace's: of two that prove it the second is told so and changes nothing, whoever comes first; what was let go of
/// anybody may prove, and what is only void nobody else.
pub async fn a_key_is_proven_once(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    let (acmes, bells) = (proven_key("acme", "byok"), proven_key("bell", "byok"));
    prove(&*store, &acmes).await.unwrap();
    let bound = Err(StoreError::Conflict(Conflict::KeyBound));
    assert_eq!(prove(&*store, &bells).await, bound);
    // The transaction goes on without it.
    let mut tx = store.begin("prove").await.unwrap();
    assert_eq!(tx.put_proven_key(&bells).await, bound);
    tx.put_proven_key(&proven_key("bell", "another")).await.unwrap();
    tx.commit().await.unwrap();
    prove(&*store, &ProvenKey { void_since: Some(at(9)), ..acmes.clone() }).await.unwrap();
    assert_eq!(prove(&*store, &bells).await, bound);
    prove(&*store, &ProvenKey { released_at: Some(at(9)), ..acmes.clone() }).await.unwrap();
    prove(&*store, &bells).await.unwrap();
    assert_eq!(prove(&*store, &acmes).await, bound, "and the first comes too late to have it back");
    store.verify().await.unwrap();
}

/// A proof, a nonce or a directory that somebody edited at the database is refused, and one that they deleted shows.
pub async fn a_forged_proof_is_refused(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    prove(&*store, &proven_key("acme", "byok")).await.unwrap();
    let mut tx = store.begin("others").await.unwrap();
    tx.put_tenant(&links("acme")[0]).await.unwrap();
    tx.put_tag_nonce(&tag_nonce("acme", "byok", 1)).await.unwrap();
    tx.commit().await.unwrap();
    drop(store);
    db.tamper("UPDATE proven_keys SET tenant = '11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01'").await;
    db.tamper("UPDATE tag_nonces SET drawn_at = drawn_at + 1").await;
    db.tamper("UPDATE tenant_links SET state = 4, state_at = 1").await;
    let (store, acme) = (db.open().await, workspace_id("acme"));
    assert_eq!(store.proven_keys(&acme).await, Err(StoreError::RowForged { table: "proven_keys" }));
    assert_eq!(store.tag_nonces(&acme).await, Err(StoreError::RowForged { table: "tag_nonces" }));
    assert_eq!(store.tenants(&acme).await, Err(StoreError::RowForged { table: "tenant_links" }));
    drop(store);
    for table in ["proven_keys", "tag_nonces", "tenant_links"] {
        db.tamper(&format!("DELETE FROM {table}")).await;
    }
    let set = Err(StoreError::SetForged { workspace: Some(acme) });
    assert_eq!(db.open().await.verify().await, set);
}
