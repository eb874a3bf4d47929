//! Promises about rows: they come back as they went in, and some never change again.

use super::Database;
use super::sample::{
    app, app_id, at, customer_key, data_key_id, event, furnish, key_config, key_version, platform_key, workspace,
    workspace_id,
};
use crate::{Conflict, StoreError};

/// Everything written is read back as it was, also after a restart; what was not written is not there.
pub async fn what_was_written_is_read_back(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (key, wrapping) = customer_key("acme", "bot", 7);
    store.insert_data_key(key.clone(), wrapping.clone()).await.unwrap();
    store.record(event(None, 5)).await.unwrap();
    drop(store);

    let store = db.open().await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    assert_eq!(store.workspace(&acme).await.unwrap(), Some(workspace("acme")));
    assert_eq!(store.app(&acme, &bot).await.unwrap(), Some(app("acme", "bot")));
    assert_eq!(store.key_config(&acme).await.unwrap(), Some(key_config("acme", 1)));
    let version = key_version("acme", 2);
    assert_eq!(store.key_version(&acme, version.id).await.unwrap(), Some(version.clone()));
    assert_eq!(store.key_versions(&acme).await.unwrap(), [key_version("acme", 1), version]);
    assert_eq!(store.data_key(&acme, &bot, key.id).await.unwrap(), Some(key.clone()));
    assert_eq!(store.data_keys(&acme, None, 10).await.unwrap(), std::slice::from_ref(&key));
    assert_eq!(store.wrapping(&acme, key.id).await.unwrap(), Some(wrapping));
    assert_eq!(store.active_data_key(&acme, &bot, key.protection).await.unwrap(), None);
    let events = store.audit(None, 0, 10).await.unwrap();
    assert_eq!((events.len(), events[0].name.as_str(), events[0].seq), (1, "key.exported", 1));
    assert_eq!(events[0].details, [("count".to_owned(), "5".to_owned())]);
    assert_eq!(store.audit(Some(&acme), 0, 10).await.unwrap().len(), 1);
    store.verify().await.unwrap();

    let nobody = workspace_id("nobody");
    assert_eq!(store.workspace(&nobody).await.unwrap(), None);
    assert_eq!(store.app(&nobody, &bot).await.unwrap(), None);
    assert_eq!(store.key_config(&nobody).await.unwrap(), None);
    assert_eq!(store.wrapping(&nobody, key.id).await.unwrap(), None);
    assert_eq!(store.wrapping(&acme, data_key_id(8)).await.unwrap(), None);
    assert_eq!(store.data_keys(&nobody, None, 10).await.unwrap(), []);
}

/// Walking a listing page by page gives every row once, in order, whatever the size of the pages.
pub async fn a_listing_is_complete_in_pages_of_any_size(db: &dyn Database) {
    let store = db.open().await;
    let names = ["acme", "bell", "corp", "duff", "echo"];
    furnish(&*store, &names, &["app-one", "app-two", "app-three"]).await;
    for n in 0..7 {
        let (key, wrapping) = platform_key("acme", "app-one", n);
        store.insert_data_key(key, wrapping).await.unwrap();
        store.record(event(Some("acme"), n)).await.unwrap();
    }
    let acme = workspace_id("acme");
    for size in [1, 2, 3, 100] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = store.workspaces(after.as_ref(), size).await.unwrap();
            assert!(page.len() <= size);
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            seen.extend(page.into_iter().map(|found| found.id.to_string()));
        }
        assert_eq!(seen, names);

        let (mut after, mut seen) = (None, Vec::new());
        while let Some(page) = Some(store.apps(&acme, after.as_ref(), size).await.unwrap()).filter(|p| !p.is_empty()) {
            after = page.last().map(|last| last.id.clone());
            seen.extend(page.into_iter().map(|found| found.id.to_string()));
        }
        assert_eq!(seen, ["app-one", "app-three", "app-two"]);

        let (mut after, mut seen) = (None, Vec::new());
        while let Some(page) = Some(store.data_keys(&acme, after, size).await.unwrap()).filter(|p| !p.is_empty()) {
            after = page.last().map(|last| last.id);
            seen.extend(page.into_iter().map(|found| found.id));
        }
        assert_eq!(seen, (0..7).map(data_key_id).collect::<Vec<_>>());

        let (mut after, mut seen) = (0, 0);
        while let Some(page) = Some(store.audit(Some(&acme), after, size).await.unwrap()).filter(|p| !p.is_empty()) {
            for found in &page {
                assert_eq!(found.seq, after + 1);
                after = found.seq;
            }
            seen += page.len();
        }
        assert_eq!(seen, 8);
    }
    assert_eq!(store.workspaces(None, 0).await.unwrap(), []);
}

/// Ciphertexts bind workspace and app, so a deleted id stays taken; deletion itself can be read, and listings leave it out.
pub async fn an_id_that_was_deleted_is_never_given_out_again(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot"]).await;
    let mut tx = store.begin("delete").await.unwrap();
    let mut gone = app("acme", "bot");
    gone.deleted_at = Some(at(9));
    tx.put_app(&gone).await.unwrap();
    let mut closed = workspace("bell");
    closed.deleted_at = Some(at(9));
    tx.put_workspace(&closed).await.unwrap();
    tx.commit().await.unwrap();
    drop(store);

    let store = db.open().await;
    let mut tx = store.begin("reuse").await.unwrap();
    let taken = Err(StoreError::Conflict(Conflict::Tombstone));
    assert_eq!(tx.put_app(&app("acme", "bot")).await, taken);
    assert_eq!(tx.put_workspace(&workspace("bell")).await, taken);
    let mut reborn = workspace("bell");
    reborn.created_at = at(10);
    assert_eq!(tx.put_workspace(&reborn).await, taken);
    tx.commit().await.unwrap();

    assert_eq!(store.workspace(&closed.id).await.unwrap(), Some(closed));
    assert_eq!(store.app(&gone.workspace, &gone.id).await.unwrap(), Some(gone.clone()));
    assert_eq!(store.apps(&gone.workspace, None, 10).await.unwrap(), []);
    assert_eq!(store.workspaces(None, 10).await.unwrap(), [workspace("acme")]);
}

/// The same version id with another public key, or at another place, is an alarm and never an update.
pub async fn a_key_version_is_recorded_once(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let recorded = key_version("acme", 1);
    let mut tx = store.begin("again").await.unwrap();
    let mut again = recorded.clone();
    again.recorded_at = at(99);
    tx.add_key_version(&again).await.unwrap();
    let mut other_modulus = recorded.clone();
    other_modulus.modulus[0] ^= 1;
    let mut other_place = recorded.clone();
    other_place.location = key_version("bell", 1).location;
    for substituted in [other_modulus, other_place] {
        let refused = tx.add_key_version(&substituted).await;
        assert_eq!(refused, Err(StoreError::Conflict(Conflict::KeySubstituted)));
    }
    tx.commit().await.unwrap();
    assert_eq!(store.key_version(&recorded.workspace, recorded.id).await.unwrap(), Some(recorded));
}

/// A configuration that skips or repeats a wrap epoch was decided on an older one; a version never seen wraps nothing.
pub async fn a_key_configuration_moves_one_epoch_at_a_time(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut tx = store.begin("configure").await.unwrap();
    let stale = Err(StoreError::Conflict(Conflict::WrapEpoch { present: Some(1) }));
    for wrap_epoch in [0, 1, 3] {
        let mut other = key_config("acme", 2);
        other.wrap_epoch = wrap_epoch;
        assert_eq!(tx.put_key_config(&other).await, stale, "epoch {wrap_epoch}");
    }
    let mut same_key = key_config("acme", 1);
    same_key.lease = std::time::Duration::from_secs(60);
    tx.put_key_config(&same_key).await.unwrap();
    tx.put_key_config(&key_config("acme", 2)).await.unwrap();
    let unknown = tx.put_key_config(&key_config("acme", 3)).await;
    assert_eq!(unknown, Err(StoreError::Conflict(Conflict::NoKeyVersion)));
    tx.commit().await.unwrap();
    assert_eq!(store.key_config(&workspace_id("acme")).await.unwrap(), Some(key_config("acme", 2)));
}

/// Rows hang together: no app, configuration, key or event for a workspace that does not exist; no change of one created by
/// somebody else meanwhile.
pub async fn nothing_belongs_to_a_workspace_that_is_not_there(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut tx = store.begin("orphans").await.unwrap();
    let nowhere = Err(StoreError::Conflict(Conflict::NoWorkspace));
    assert_eq!(tx.put_app(&app("nobody", "bot")).await, nowhere);
    assert_eq!(tx.put_key_config(&key_config("nobody", 1)).await, nowhere);
    assert_eq!(tx.add_key_version(&key_version("nobody", 1)).await, nowhere);
    assert_eq!(tx.append_audit(event(Some("nobody"), 1)).await, nowhere);
    let mut created_again = workspace("acme");
    created_again.created_at = at(77);
    assert_eq!(tx.put_workspace(&created_again).await, Err(StoreError::Conflict(Conflict::Exists)));
    tx.commit().await.unwrap();
    let refused = store.record(event(Some("nobody"), 1)).await;
    assert_eq!(refused, nowhere);
    store.verify().await.unwrap();
}
