//! Nobody is served with another's key, whatever they send, store or flood.

use std::time::Duration;

use domain::{DataKeyState, Owner, Reason};
use envelope::Context;
use proptest::prelude::*;
use service::{Options, SeededBug};
use store::StoreError;
use testkit::{TestApp, World};
use vault::memory::{Fault, Operation};

/// Every pair of three workspaces with three apps of the same names each, half of them under customer keys.
async fn populated(world: &World) -> Vec<TestApp> {
    let mut apps = Vec::new();
    for workspace in ["acme", "contoso", "fabrikam"] {
        let workspace = world.workspace(workspace).await;
        if workspace.id.as_str() != "acme" {
            workspace.connect_key().await;
        }
        for app in ["bot", "search", "mail"] {
            apps.push(workspace.app(app).await);
        }
    }
    apps
}

/// Whether what an app encrypts is under a data key of its own.
async fn encrypts_under_its_own_key(world: &World) -> bool {
    for app in populated(world).await {
        for _ in 0..2 {
            let Ok(sealed) = app.encrypt(b"mine").await else { return false };
            let id = World::data_key_of(&sealed);
            if world.store.inner().data_key(&app.workspace, &app.id, id).await.unwrap().is_none() {
                return false;
            }
        }
    }
    true
}

/// I-14: what an app encrypts is under its own data key, where other workspaces have apps of the same name.
#[tokio::test]
async fn an_app_encrypts_under_its_own_key_only() {
    assert!(encrypts_under_its_own_key(&World::start()).await);
    let bug = World::with_bug(SeededBug::WorkspaceForgotten);
    assert!(!encrypts_under_its_own_key(&bug).await, "the seeded bug was not found");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// I-14, I-16: over random pairs of apps and contexts, a ciphertext opens for the app and the context it was made for, and
    /// everything else is the one refusal.
    #[test]
    fn no_app_is_served_with_anothers_data(
        trials in prop::collection::vec((0_usize..9, 0_usize..9, 0_u8..3, 0_u8..3, any::<[u8; 8]>()), 200)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::start();
            let apps = populated(&world).await;
            let context = |n: u8| match n {
                0 => Context::empty(),
                n => Context::from_entries([("row", n.to_string())]).unwrap(),
            };
            for (maker, reader, made_in, read_in, plaintext) in trials {
                let sealed = apps[maker].encrypt_in(&context(made_in), &plaintext).await.unwrap();
                let opened = apps[reader].decrypt_in(&context(read_in), &sealed).await;
                if maker == reader && made_in == read_in {
                    assert_eq!(opened.unwrap(), plaintext);
                } else {
                    assert_eq!(opened.unwrap_err().reason(), Reason::DecryptionFailed);
                }
            }
        });
    }
}

/// I-16: a foreign key, an unknown key, another context and every kind of damage are told in the same words.
#[tokio::test]
async fn every_failure_to_open_reads_the_same() {
    let world = World::start();
    let apps = populated(&world).await;
    let (mine, theirs) = (&apps[3], &apps[0]);
    let sealed = mine.encrypt(b"order 42").await.unwrap();
    let foreign = theirs.encrypt(b"order 42").await.unwrap();
    let with = |at: usize, byte: u8| {
        let mut changed = sealed.clone();
        changed[at] ^= byte;
        changed
    };
    let last = sealed.len() - 1;
    let mut told = Vec::new();
    for ciphertext in [foreign, with(8, 1), with(23, 1), with(24, 1), with(48, 1), with(80, 1), with(last, 1)] {
        let refused = mine.decrypt(&ciphertext).await.unwrap_err();
        told.push((format!("{refused} {refused:?}"), refused.remedy(), refused.owner(), refused.wait()));
    }
    let context = Context::from_entries([("row", "7")]).unwrap();
    let refused = mine.decrypt_in(&context, &sealed).await.unwrap_err();
    told.push((format!("{refused} {refused:?}"), refused.remedy(), refused.owner(), refused.wait()));
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");

    for (malformed, reason) in [
        (&b""[..], Reason::CiphertextMalformed),
        (&sealed[..79], Reason::CiphertextMalformed),
        (&with(0, 1), Reason::CiphertextMalformed),
        (&with(4, 2), Reason::CiphertextVersionUnsupported),
    ] {
        assert_eq!(mine.decrypt(malformed).await.unwrap_err().reason(), reason);
    }
}

/// Whether wrapped keys exchanged between two data keys of one app are refused.
async fn refuses_exchanged_wrappings(world: World) -> bool {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let (bot, search) = (acme.app("bot").await, acme.app("search").await);
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    let others = World::data_key_of(&search.encrypt(b"x").await.unwrap());
    let id = World::data_key_of(&sealed);
    let store = world.store.inner();
    let own = store.wrapping(&acme.id, id).await.unwrap().unwrap();
    // As somebody could who can write rows and their codes: the whole wrapping, and the wrapping under this key's id.
    let mut refused = true;
    for exchanged in [
        store.wrapping(&acme.id, others).await.unwrap().unwrap(),
        domain::Wrapping { data_key: id, ..store.wrapping(&acme.id, others).await.unwrap().unwrap() },
    ] {
        world.store.lie_about_wrapping(id, exchanged);
        let fresh = bot.through(&world.another_service_on(world.store.clone()));
        let told = fresh.decrypt(&sealed).await.unwrap_err();
        refused &= told.owner() == Owner::Service && told.reason() != Reason::KeyDisabled;
    }
    world.store.lie_about_wrapping(id, own);
    // The vault itself gives another key back.
    world.clock.advance(Duration::from_secs(1_000));
    world.service.wipe_lapsed_keys();
    world.vault.fail(Operation::Unwrap, Fault::WrongPlaintext);
    refused &= bot.decrypt(&sealed).await.is_err_and(|told| told.reason() == Reason::WrappedKeyCorrupt);
    world.vault.heal();
    refused && bot.decrypt(&sealed).await.is_ok()
}

/// I-15: an exchanged wrapping and a vault that gives another key back are corruption, and never "revoked".
#[tokio::test]
async fn an_exchanged_wrapping_is_refused_as_corrupt() {
    assert!(refuses_exchanged_wrappings(World::start()).await);
    let bug = World::with_bug(SeededBug::IdentityNotCompared);
    assert!(!refuses_exchanged_wrappings(bug).await, "the seeded bug was not found");
}

/// I-15: a row whose check value, protection, state or wrapping was changed is refused, and a forged one is told to its owner.
#[tokio::test]
async fn a_changed_row_is_refused() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let before = acme.app("bot").await.encrypt(b"x").await.unwrap();
    let platform = World::data_key_of(&before);
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    let id = World::data_key_of(&sealed);
    let store = world.store.inner();
    let row = store.data_key(&acme.id, &bot.id, id).await.unwrap().unwrap();
    let platform_wrapping = store.wrapping(&acme.id, platform).await.unwrap().unwrap();
    let fresh = || bot.through(&world.another_service_on(world.store.clone()));

    let other_value = domain::DataKey { key_check_value: [0; 16], ..row.clone() };
    let crossed = domain::DataKey { protection: domain::Protection::PlatformKey, ..row.clone() };
    for changed in [other_value, crossed] {
        world.store.lie_about_data_key(id, changed);
        assert_eq!(fresh().decrypt(&sealed).await.unwrap_err().reason(), Reason::WrappedKeyCorrupt);
    }
    world.store.tell_the_truth();
    world.store.lie_about_wrapping(id, domain::Wrapping { data_key: id, ..platform_wrapping });
    assert_eq!(fresh().decrypt(&sealed).await.unwrap_err().reason(), Reason::WrappedKeyCorrupt);
    world.store.tell_the_truth();
    for state in [DataKeyState::Pending, DataKeyState::Abandoned] {
        world.store.lie_about_data_key(id, domain::DataKey { state, ..row.clone() });
        assert_eq!(fresh().decrypt(&sealed).await.unwrap_err().reason(), Reason::DecryptionFailed);
    }
    world.store.tell_the_truth();
    world.store.fail_reads(Some(StoreError::RowForged { table: "data_keys" }));
    let told = fresh().decrypt(&sealed).await.unwrap_err();
    assert_eq!((told.reason(), told.owner()), (Reason::RowForged, Owner::Service));
    world.store.fail_reads(None);
    assert_eq!(fresh().decrypt(&sealed).await.unwrap(), b"order 42");
}

/// Decrypts `ids` made-up ids, each twice; returns the calls to the vault and to the store that this cost.
async fn flood(world: &World, ids: u32) -> (u64, u64) {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let mut sealed = bot.encrypt(b"order 42").await.unwrap();
    let before = (world.vault.calls(), world.store.calls());
    for i in 0..ids {
        sealed[8..12].copy_from_slice(&i.to_be_bytes());
        for _ in 0..2 {
            assert_eq!(bot.decrypt(&sealed).await.unwrap_err().reason(), Reason::DecryptionFailed);
        }
    }
    let after = (world.vault.calls(), world.store.calls());
    (
        after.0.unwrap + after.0.describe + after.0.wrap - before.0.unwrap - before.0.describe - before.0.wrap,
        after.1 - before.1,
    )
}

/// 10⁵ requests with made-up ids make no vault call; an id asked for again makes no call to the database either.
#[tokio::test]
async fn made_up_ids_reach_no_vault_and_the_database_once() {
    // Standing (workspace, app, key, the key's life) and the data key's row: five reads and no more for each id.
    let (vault, store) = flood(&World::start(), 50_000).await;
    assert_eq!(vault, 0);
    assert_eq!(store, 5 * 50_000);
    let (_, store) = flood(&World::with_bug(SeededBug::UnknownNotRemembered), 100).await;
    assert_eq!(store, 2 * 5 * 100, "the seeded bug was not found");
}

/// Whether workspace B is served while all of A's vault calls hang.
async fn hanging_vault_delays_nobody_else(bug: Option<SeededBug>) -> bool {
    let builder =
        World::builder().options(Options { vault_deadline: Duration::from_millis(2_000), ..Options::default() });
    let world = bug.into_iter().fold(builder, testkit::WorldBuilder::bug).start();
    let (a, b) = (world.workspace("acme").await, world.workspace("contoso").await);
    a.connect_key().await;
    b.connect_key().await;
    let theirs = b.app("bot").await;
    let held = world.vault.hold(Operation::Wrap);
    let mut hanging = Vec::new();
    for i in 0..40 {
        let app = a.app(&format!("app-{i}")).await;
        hanging.push(tokio::spawn(async move { app.encrypt(b"x").await }));
    }
    held.arrived(8).await;
    let hung = held.waiting();
    // B's call reaches its vault although A's do not come back.
    let theirs = tokio::spawn(async move { theirs.encrypt(b"x").await });
    let reached = tokio::time::timeout(Duration::from_millis(200), held.arrived(9)).await.is_ok();
    held.release();
    let served = theirs.await.unwrap().is_ok();
    for hanging in hanging {
        // Each ends by its deadline, with a reason of its own or well after all.
        if let Err(refused) = hanging.await.unwrap() {
            assert_eq!(refused.reason(), Reason::VaultTimeout);
        }
    }
    assert_eq!(hung, 8, "a workspace has 8 data keys under way at its vault at most");
    reached && served
}

/// A vault that hangs uses up its own workspace's places and delays no other workspace.
#[tokio::test]
async fn a_hanging_vault_delays_no_other_workspace() {
    assert!(hanging_vault_delays_nobody_else(None).await);
    let bug = Some(SeededBug::SharedBulkhead);
    assert!(!hanging_vault_delays_nobody_else(bug).await, "the seeded bug was not found");
}

/// I-25: a vault that never answers is a refusal within the deadline, with its reason.
#[tokio::test]
async fn a_vault_that_never_answers_is_a_refusal_in_time() {
    let options = Options { vault_deadline: Duration::from_millis(100), ..Options::default() };
    let world = World::builder().options(options).start();
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    world.vault.fail(Operation::Wrap, Fault::Hang);
    let waited = tokio::time::timeout(Duration::from_secs(5), bot.encrypt(b"x")).await.expect("within the deadline");
    assert_eq!(waited.unwrap_err().reason(), Reason::VaultTimeout);
}
