//! Promises about counts of usage and credentials of validations: they add up, once, to the right key.

use domain::{BootId, Hour, HourOfApp, KeyUsage, Protection, Traffic};

use super::Database;
use super::sample::{app_id, credential, customer_key, data_key_id, event, furnish, platform_key, usage, workspace_id};
use crate::{Conflict, Store, StoreError, UsageDropped};

/// Two workspaces with a data key each under either protection: 1 the customer's, 2 the platform's.
async fn furnished(db: &dyn Database) -> Box<dyn Store> {
    let store = db.open().await;
    furnish(&*store, &["acme", "bell"], &["bot", "crm"]).await;
    for name in ["acme", "bell"] {
        for (key, wrapping) in
            [customer_key(name, "bot", 1), platform_key(name, "bot", 2), customer_key(name, "crm", 3)]
        {
            store.insert_data_key(key, wrapping).await.unwrap();
        }
    }
    store
}

fn counted(n: u64, hour: u32, boot: u8, flush: u64, seals: u64) -> KeyUsage {
    let (hour, boot) = (Some(Hour::of_number(hour)), BootId::from_bytes([boot; 16]));
    KeyUsage { hour, boot, flush, ..usage("acme", "bot", n, seals) }
}

fn in_all(row: &KeyUsage) -> KeyUsage {
    KeyUsage { hour: None, ..row.clone() }
}

async fn hours(store: &dyn Store, workspace: &str) -> Vec<(u32, String, Protection, u64)> {
    let range = Hour::of_number(490_000)..Hour::of_number(490_300);
    let found = store.usage_by_hour(&workspace_id(workspace), None, range, None, 1_000).await.unwrap();
    let row = |found: HourOfApp| (found.hour.number(), found.app.to_string(), found.protection, found.tally.seals);
    found.into_iter().map(row).collect()
}

/// Counts of several replicas, hours, protections and flushes add up; another workspace's are not among them; a restart keeps
/// them.
pub async fn counts_add_up(db: &dyn Database) {
    let store = furnished(db).await;
    let (first, second) = (counted(1, 490_001, 1, 1, 5), counted(1, 490_001, 2, 1, 7));
    store.add_usage(vec![first.clone(), in_all(&first), counted(2, 490_001, 1, 1, 1)]).await.unwrap();
    store.add_usage(vec![second.clone(), in_all(&second)]).await.unwrap();
    let later = counted(1, 490_001, 1, 2, 10);
    store.add_usage(vec![later.clone(), in_all(&later), counted(1, 490_200, 1, 2, 4)]).await.unwrap();
    store
        .add_usage(vec![KeyUsage { hour: Some(Hour::of_number(490_001)), ..usage("bell", "bot", 1, 99) }])
        .await
        .unwrap();
    drop(store);

    let store = db.open().await;
    use Protection::{CustomerKey, PlatformKey};
    let bot = || "bot".to_owned();
    let expected =
        [(490_001, bot(), PlatformKey, 1), (490_001, bot(), CustomerKey, 22), (490_200, bot(), CustomerKey, 4)];
    assert_eq!(hours(&*store, "acme").await, expected);
    assert_eq!(hours(&*store, "bell").await, [(490_001, bot(), CustomerKey, 99)]);
    let by_key = store.usage_by_key(&workspace_id("acme")).await.unwrap();
    let mut sum = Traffic::default();
    [&first, &second, &later].iter().for_each(|row| sum.add(&row.traffic));
    assert_eq!(by_key, [(data_key_id(1), sum)]);
    assert_eq!(sum.tally.seals, 22);

    // Pages of any size bring the same.
    let range = || Hour::of_number(490_000)..Hour::of_number(490_300);
    let (acme, mut after, mut paged) = (workspace_id("acme"), None, 0);
    loop {
        let page = store.usage_by_hour(&acme, None, range(), after.clone(), 1).await.unwrap();
        let Some(next) = page.first() else { break };
        after = Some((next.hour, next.app.clone(), next.protection));
        paged += 1;
    }
    assert_eq!(paged, expected.len());
    let other = store.usage_by_hour(&acme, Some(&app_id("crm")), range(), None, 10).await.unwrap();
    assert_eq!(other, []);
    store.verify().await.unwrap();
}

/// A flush that is written again, in whole or in part, counts once; the next one counts.
pub async fn a_flush_counts_once(db: &dyn Database) {
    let store = furnished(db).await;
    let flush = vec![counted(1, 490_001, 1, 1, 5), counted(2, 490_001, 1, 1, 3)];
    for part in [&flush[..1], &flush, &flush[1..], &flush] {
        store.add_usage(part.to_vec()).await.unwrap();
    }
    store.add_usage(vec![counted(1, 490_001, 1, 2, 1)]).await.unwrap();
    store.add_usage(flush).await.unwrap();
    let seals: Vec<u64> = hours(&*store, "acme").await.into_iter().map(|(.., seals)| seals).collect();
    assert_eq!(seals, [3, 6], "platform's, customer's");
    store.verify().await.unwrap();
}

/// I-14, I-18: counts of a key that is not the workspace's, the app's or of that protection are refused, whole.
pub async fn counts_stay_with_their_key(db: &dyn Database) {
    let store = furnished(db).await;
    let refused = Err(StoreError::Conflict(Conflict::NoDataKey));
    let good = counted(1, 490_001, 1, 1, 5);
    for bad in [
        counted(9, 490_001, 1, 1, 5),
        KeyUsage { app: app_id("crm"), ..good.clone() },
        KeyUsage { protection: Protection::PlatformKey, ..good.clone() },
        KeyUsage { workspace: workspace_id("nobody"), ..good.clone() },
    ] {
        assert_eq!(store.add_usage(vec![good.clone(), bad]).await, refused);
        assert_eq!(hours(&*store, "acme").await, []);
    }
    store.add_usage(vec![good.clone()]).await.unwrap();
    let moved = KeyUsage { app: app_id("crm"), flush: 2, ..good };
    assert_eq!(store.add_usage(vec![moved]).await, refused, "a row that is there moves to no other app");
    store.verify().await.unwrap();
}

/// Old hours go, and what was done in all stays; the set adds up afterwards.
pub async fn old_hours_go_and_sums_stay(db: &dyn Database) {
    let store = furnished(db).await;
    for hour in 490_000..490_010 {
        let row = counted(1, hour, 1, u64::from(hour), 1);
        store.add_usage(vec![row.clone(), in_all(&row)]).await.unwrap();
    }
    let before = Hour::of_number(490_006);
    let first = store.drop_usage(before, 4, UsageDropped::default()).await.unwrap();
    assert_eq!((first.rows, first.more), (4, true));
    let rest = store.drop_usage(before, 4, first).await.unwrap();
    assert_eq!((rest.rows, rest.more), (2, false));
    assert_eq!(store.drop_usage(before, 4, UsageDropped::default()).await.unwrap().rows, 0);
    assert_eq!(hours(&*store, "acme").await.len(), 4);
    assert_eq!(store.usage_by_key(&workspace_id("acme")).await.unwrap()[0].1.tally.seals, 10);
    store.verify().await.unwrap();
}

/// A validation's credential is read back as it was stored, in the place of the one before; one that names another app's data
/// key, or another protection, is refused.
pub async fn a_credential_is_read_back(db: &dyn Database) {
    let store = furnished(db).await;
    let put = async |credential| {
        let mut tx = store.begin("credential").await.unwrap();
        let put = tx.put_credential(&credential).await;
        tx.append_audit(event(Some("acme"), 1)).await.unwrap();
        tx.commit().await.unwrap();
        put
    };
    let (acme, bot) = (workspace_id("acme"), app_id("bot"));
    assert_eq!(store.credential(&acme, &bot).await.unwrap(), None);
    for n in [7, 8] {
        put(credential("acme", "bot", n)).await.unwrap();
        assert_eq!(store.credential(&acme, &bot).await.unwrap(), Some(credential("acme", "bot", n)));
    }
    let no_key = Err(StoreError::Conflict(Conflict::NoDataKey));
    let mut foreign = credential("acme", "bot", 9);
    foreign.data_key = data_key_id(3);
    assert_eq!(put(foreign).await, no_key);
    let mut crossed = credential("acme", "bot", 9);
    crossed.protection = Protection::PlatformKey;
    assert_eq!(put(crossed).await, no_key);
    assert_eq!(put(credential("acme", "nobody", 9)).await, Err(StoreError::Conflict(Conflict::NoApp)));
    assert_eq!(store.credential(&acme, &bot).await.unwrap(), Some(credential("acme", "bot", 8)));
    store.verify().await.unwrap();
}

/// Whoever can write to the database cannot make a key look unused, or another ciphertext be the credential.
pub async fn forged_counts_and_credentials_are_refused(db: &dyn Database) {
    let store = furnished(db).await;
    let row = counted(1, 490_001, 1, 1, 5);
    store.add_usage(vec![row.clone(), in_all(&row)]).await.unwrap();
    let mut tx = store.begin("credential").await.unwrap();
    tx.put_credential(&credential("acme", "bot", 1)).await.unwrap();
    tx.commit().await.unwrap();
    drop(store);
    db.tamper("UPDATE usage SET last_open = NULL, opens = 0; UPDATE credentials SET ciphertext = x'00'").await;
    let store = db.open().await;
    let acme = workspace_id("acme");
    assert_eq!(store.usage_by_key(&acme).await, Err(StoreError::RowForged { table: "usage" }));
    assert_eq!(store.credential(&acme, &app_id("bot")).await, Err(StoreError::RowForged { table: "credentials" }));
    drop(store);
    db.tamper("DELETE FROM usage; DELETE FROM credentials").await;
    let store = db.open().await;
    assert_eq!(store.verify().await, Err(StoreError::SetForged { workspace: Some(acme) }));
}
