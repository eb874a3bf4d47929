//! A database that is not where its head says counts again once two people have said so, and nothing that came after it does.

mod fixture;
#[path = "fixture/place.rs"]
mod place;

use std::fs;

use store::conformance::sample::{app_id, at, customer_key, data_key_id, workspace_id};
use store::sqlite::{AcceptRefused, Acceptance, OpenRefused};
use store::{Head, Store as _, StoreError};

use self::place::{Place, furnished, names, refusal, write};

fn accept(place: &Place) -> Result<Head, AcceptRefused> {
    Acceptance::look(&place.file.options(), &place.outside())?.accept(names(), at(9))
}

/// A restored backup counts once two people have said so: in a higher epoch, with all of its rows, and nothing of what came after
/// it ever counts again.
#[tokio::test]
async fn an_older_copy_is_accepted_in_a_higher_epoch() {
    let place = Place::new();
    let store = furnished(&place).await;
    write(&store, 0).await;
    drop(store);
    assert!(matches!(accept(&place), Err(AcceptRefused::InOrder(_))));
    let backup = place.copy();
    let store = place.open();
    write(&store, 1).await;
    write(&store, 2).await;
    drop(store);
    let lost = place.copy();
    place.put(&backup.database, &lost.head);
    let found = Acceptance::look(&place.file.options(), &place.outside()).unwrap();
    let before = found.head.clone().unwrap();
    assert_eq!(before.revision - found.database.revision, 2);
    drop(found);
    assert!(matches!(refusal(&place), OpenRefused::RolledBack { .. }), "looking changes nothing");

    let head = accept(&place).unwrap();
    assert!(head.epoch == 2 && head.revision > before.revision, "{head}");
    let accepted = place.copy();
    assert!(matches!(accept(&place), Err(AcceptRefused::InOrder(_))));
    let store = place.open();
    assert_eq!(store.epoch(), 2);
    store.verify().await.unwrap();
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    let (key, wrapping) = customer_key("acme", "bot", 1);
    assert_eq!(store.data_key(&acme, &bot, key.id).await.unwrap(), Some(key));
    assert_eq!(store.wrapping(&acme, data_key_id(1)).await.unwrap(), Some(wrapping));
    let events = store.audit(None, 0, 10).await.unwrap();
    let told = events.iter().find(|event| event.name == "database.accepted").unwrap();
    assert!(
        told.details.iter().filter(|(name, _)| name == "approved_by").map(|(_, who)| who.as_str()).eq(["ann", "bob"])
    );
    write(&store, 2).await;
    drop(store);

    // Ended between the commit and its head: the next start goes on.
    place.put(&accepted.database, &lost.head);
    place.open().verify().await.unwrap();
    // What was lost, found again, is another history now; and no row of it counts.
    place.put(&lost.database, &accepted.head);
    assert!(matches!(refusal(&place), OpenRefused::RolledBack { .. }));
    place.put(&accepted.database, &accepted.head);
    fs::write(place.state.path().join("lost.db"), &lost.database).unwrap();
    let raw = place.file.raw();
    raw.execute("ATTACH ?1 AS lost", [place.state.path().join("lost.db").to_str().unwrap()]).unwrap();
    raw.execute_batch("DELETE FROM data_keys; INSERT INTO data_keys SELECT * FROM lost.data_keys").unwrap();
    drop(raw);
    let planted = place.open().data_key(&acme, &bot, data_key_id(1)).await;
    assert_eq!(planted, Err(StoreError::RowForged { table: "data_keys" }));
    // Nor is a database accepted that is not in order in itself.
    fs::remove_file(place.head()).unwrap();
    assert!(matches!(accept(&place), Err(AcceptRefused::NotItself(_))));
}

/// A lost head is accepted in the same way, in an epoch that no history before can have had: what was accepted and lost with the
/// head is another history for ever.
#[tokio::test]
async fn a_lost_head_is_accepted_by_two_people() {
    let place = Place::new();
    drop(furnished(&place).await);
    let backup = place.copy();
    let mut epochs = Vec::new();
    for second in 0..3 {
        // Each time from the same backup, whose own epoch is the first.
        place.put(&backup.database, &backup.head);
        fs::remove_file(place.head()).unwrap();
        let found = Acceptance::look(&place.file.options(), &place.outside()).unwrap();
        assert!(found.head.is_err() && found.database.epoch == 1);
        found.accept(names(), at(second * 1_000_000)).unwrap();
        let store = place.open();
        epochs.push(store.epoch());
        store.verify().await.unwrap();
    }
    assert_eq!(epochs, [1_800_000_000, 1_800_000_001, 1_800_000_002]);
    // A clock that stands does not repeat the epoch of the history that is there.
    fs::remove_file(place.head()).unwrap();
    assert_eq!(accept(&place).unwrap().epoch, 1_800_000_003);
}
