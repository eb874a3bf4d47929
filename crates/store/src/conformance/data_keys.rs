//! Promises about data keys: their birth, and the race for being the active one.

use std::sync::Arc;

use domain::{DataKeyState, KeyVersionId, Protection, WrapScheme, WrappingKey};
use tokio::task::JoinSet;

use super::Database;
use super::sample::{app, app_id, at, customer_key, data_key_id, furnish, key_config, platform_key, workspace_id};
use crate::{Activation, Conflict, Store, StoreError};

/// I-2, I-18: only a pending key is stored, and only with a wrapping of its own made by its own side's key.
pub async fn a_data_key_is_born_pending_with_its_own_wrapping(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    for state in [DataKeyState::Staged, DataKeyState::Active, DataKeyState::Retired, DataKeyState::Abandoned] {
        let (mut key, wrapping) = customer_key("acme", "bot", 1);
        key.state = state;
        let refused = store.insert_data_key(key, wrapping).await;
        assert_eq!(refused, Err(Conflict::State { data_key: data_key_id(1), state }.into()));
    }
    let (key, own) = customer_key("acme", "bot", 1);
    let (_, of_another) = customer_key("acme", "bot", 2);
    let (_, of_the_platform) = platform_key("acme", "bot", 1);
    let mut of_another_workspace = own.clone();
    of_another_workspace.workspace = workspace_id("bell");
    let mut of_another_scheme = own.clone();
    of_another_scheme.scheme = WrapScheme::PlatformAesGcm;
    for wrapping in [of_another, of_the_platform, of_another_workspace, of_another_scheme] {
        let refused = store.insert_data_key(key.clone(), wrapping).await;
        assert_eq!(refused, Err(Conflict::NotItsWrapping.into()));
    }
    assert_eq!(store.data_keys(&key.workspace, None, 10).await.unwrap(), []);
    store.insert_data_key(key, own).await.unwrap();
    store.verify().await.unwrap();
}

/// I-23: a key wrapped before a rotation and stored after it would be left behind under the old version.
pub async fn a_data_key_wrapped_under_an_old_configuration_is_not_stored(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (key, wrapping) = customer_key("acme", "bot", 1);
    let mut of_another_version = wrapping.clone();
    of_another_version.wrapped_by = WrappingKey::Customer(KeyVersionId::from_bytes([2; 16]));
    let refused = store.insert_data_key(key.clone(), of_another_version).await;
    assert_eq!(refused, Err(Conflict::WrapEpoch { present: Some(1) }.into()));

    let mut tx = store.begin("rotate").await.unwrap();
    tx.put_key_config(&key_config("acme", 2)).await.unwrap();
    tx.commit().await.unwrap();
    let refused = store.insert_data_key(key, wrapping).await;
    assert_eq!(refused, Err(Conflict::WrapEpoch { present: Some(2) }.into()));

    // A platform key has nothing to do with the customer's.
    let (key, wrapping) = platform_key("acme", "bot", 2);
    store.insert_data_key(key, wrapping).await.unwrap();
}

/// An id handed out twice would make two keys answer to one ciphertext header. Other workspaces have their own ids.
pub async fn a_data_key_id_is_taken_once(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot", "crm"]).await;
    let (key, wrapping) = customer_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping.clone()).await.unwrap();
    assert_eq!(store.insert_data_key(key, wrapping).await, Err(Conflict::Exists.into()));
    let (key, wrapping) = platform_key("acme", "crm", 1);
    assert_eq!(store.insert_data_key(key, wrapping).await, Err(Conflict::Exists.into()));
    let (key, wrapping) = customer_key("bell", "bot", 1);
    store.insert_data_key(key, wrapping).await.unwrap();
    store.verify().await.unwrap();
}

/// I-19: however many create a key for the same app at once, one is active and every other is abandoned and knows it.
pub async fn of_many_racing_to_be_active_one_wins(db: &dyn Database) {
    const RACERS: u64 = 32;
    let store: Arc<dyn Store> = db.open().await.into();
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut race = JoinSet::new();
    for n in 0..RACERS {
        let store = Arc::clone(&store);
        race.spawn(async move {
            let (key, wrapping) = customer_key("acme", "bot", n);
            store.insert_data_key(key.clone(), wrapping).await.unwrap();
            (key.id, store.activate_data_key(&key.workspace, &key.app, key.id, at(5)).await.unwrap())
        });
    }
    let ended = race.join_all().await;
    let won: Vec<_> = ended.iter().filter(|(_, how)| *how == Activation::Won).map(|(id, _)| *id).collect();
    let [winner] = won[..] else { panic!("{} winners", won.len()) };
    assert!(ended.iter().all(|(id, how)| *id == winner || *how == Activation::Lost { winner }));

    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    let active = store.active_data_key(&acme, &bot, Protection::CustomerKey).await.unwrap().unwrap();
    assert_eq!((active.id, active.activated_at), (winner, Some(at(5))));
    let all = store.data_keys(&acme, None, 100).await.unwrap();
    let abandoned = all.iter().filter(|key| key.state == DataKeyState::Abandoned).count();
    assert_eq!((all.len() as u64, abandoned as u64), (RACERS, RACERS - 1));
    store.verify().await.unwrap();
}

/// I-3: whoever did not hear the answer asks again and hears the same.
pub async fn activation_says_the_same_when_asked_again(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    for n in [1, 2] {
        let (key, wrapping) = customer_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    let (first, second) = (data_key_id(1), data_key_id(2));
    for _ in 0..2 {
        assert_eq!(store.activate_data_key(&acme, &bot, first, at(5)).await, Ok(Activation::Won));
        let lost = Activation::Lost { winner: first };
        assert_eq!(store.activate_data_key(&acme, &bot, second, at(6)).await, Ok(lost));
    }
    let unknown = store.activate_data_key(&acme, &bot, data_key_id(3), at(7)).await;
    assert_eq!(unknown, Err(Conflict::NoDataKey.into()));
    let active = store.data_key(&acme, &bot, first).await.unwrap().unwrap();
    assert_eq!(active.activated_at, Some(at(5)), "asking again does not activate again");
    drop(store);
    let store = db.open().await;
    assert_eq!(store.activate_data_key(&acme, &bot, first, at(8)).await, Ok(Activation::Won));
}

/// I-17, I-19: a retired key opens and seals no more, leaves its place to the next one, and never comes back.
pub async fn a_retired_key_leaves_its_place_to_the_next(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    for n in [1, 2, 3] {
        let (key, wrapping) = customer_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    let [first, second, third] = [1, 2, 3].map(data_key_id);
    let early = store.retire_data_key(&acme, &bot, first, at(4)).await;
    let pending = Conflict::State { data_key: first, state: DataKeyState::Pending };
    assert_eq!(early, Err(pending.into()), "it was never active");
    assert_eq!(store.activate_data_key(&acme, &bot, first, at(5)).await, Ok(Activation::Won));
    for time in [6, 7] {
        assert_eq!(store.retire_data_key(&acme, &bot, first, at(time)).await, Ok(()));
    }
    let protection = domain::Protection::CustomerKey;
    assert_eq!(store.active_data_key(&acme, &bot, protection).await.unwrap(), None);
    let back = store.activate_data_key(&acme, &bot, first, at(8)).await;
    let retired = Conflict::State { data_key: first, state: DataKeyState::Retired };
    assert_eq!(back, Err(retired.into()));
    assert_eq!(store.activate_data_key(&acme, &bot, second, at(9)).await, Ok(Activation::Won));
    let lost = Activation::Lost { winner: second };
    assert_eq!(store.activate_data_key(&acme, &bot, third, at(9)).await, Ok(lost));
    let nobody = store.retire_data_key(&acme, &bot, data_key_id(4), at(9)).await;
    assert_eq!(nobody, Err(Conflict::NoDataKey.into()));
    drop(store);
    let store = db.open().await;
    let kept = store.data_key(&acme, &bot, first).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.activated_at, kept.retired_at), (DataKeyState::Retired, Some(at(5)), Some(at(6))));
    store.verify().await.unwrap();
}

/// I-18, I-19: an app has one active key per protection and per workspace, independent of each other.
pub async fn each_protection_has_its_own_active_key(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot", "crm"]).await;
    let keys = [
        customer_key("acme", "bot", 1),
        platform_key("acme", "bot", 2),
        customer_key("acme", "crm", 3),
        customer_key("bell", "bot", 1),
    ];
    for (key, wrapping) in &keys {
        store.insert_data_key(key.clone(), wrapping.clone()).await.unwrap();
        let won = store.activate_data_key(&key.workspace, &key.app, key.id, at(5)).await;
        assert_eq!(won, Ok(Activation::Won));
    }
    for (key, _) in &keys {
        let active = store.active_data_key(&key.workspace, &key.app, key.protection).await.unwrap().unwrap();
        assert_eq!(active.id, key.id);
    }
}

/// I-14: a data key is found only by the workspace and the app it belongs to.
pub async fn another_apps_data_key_is_not_there(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot", "crm"]).await;
    let (key, wrapping) = customer_key("acme", "bot", 1);
    store.insert_data_key(key.clone(), wrapping).await.unwrap();
    for (workspace, app) in [("acme", "crm"), ("bell", "bot"), ("bell", "crm")] {
        let (workspace, app) = (workspace_id(workspace), app_id(app));
        assert_eq!(store.data_key(&workspace, &app, key.id).await.unwrap(), None);
        let refused = store.activate_data_key(&workspace, &app, key.id, at(5)).await;
        assert_eq!(refused, Err(Conflict::NoDataKey.into()));
    }
    assert_eq!(store.wrapping(&workspace_id("bell"), key.id).await.unwrap(), None);
}

/// I-5: what is deleted gets nothing new, and what it had stays readable.
pub async fn a_deleted_app_gets_no_data_key(db: &dyn Database) {
    let store = db.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let (kept, wrapping) = customer_key("acme", "bot", 1);
    store.insert_data_key(kept.clone(), wrapping).await.unwrap();
    let mut gone = app("acme", "bot");
    gone.deleted_at = Some(at(9));
    let mut tx = store.begin("delete").await.unwrap();
    tx.put_app(&gone).await.unwrap();
    tx.commit().await.unwrap();

    let nothing: StoreError = Conflict::NoApp.into();
    for app in ["bot", "never"] {
        let (key, wrapping) = customer_key("acme", app, 2);
        assert_eq!(store.insert_data_key(key, wrapping).await, Err(nothing.clone()));
    }
    let refused = store.activate_data_key(&kept.workspace, &kept.app, kept.id, at(10)).await;
    assert_eq!(refused, Err(nothing));
    assert_eq!(store.data_key(&kept.workspace, &kept.app, kept.id).await.unwrap(), Some(kept));
}
