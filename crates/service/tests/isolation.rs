//! Nobody is served with another's key, whatever they send, store or flood.

use std::collections::HashMap;
use std::time::Duration;

use domain::permission::{Caller, Decrypt, Encrypt, Grant, Target, permit};
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

/// Ids that begin alike, so that a pattern, a key of a map or a comparison that reaches too far is noticed.
const WORKSPACES: [&str; 10] =
    ["acme", "acme-eu", "acme-eu-2", "acme-us", "acmecorp", "acm", "contoso", "contoso-2", "fabrikam", "fab"];
const APPS: [&str; 5] = ["bot", "bot-2", "support-bot", "support", "search"];
const WHAT: [&str; 7] =
    ["platform-service", "platform-service", "data.decrypt", "data.encrypt", "*", "workspace-owner", "auditor"];
const WHERE: [&str; 12] = [
    "acme",
    "acme-*",
    "acme-eu-*",
    "contoso",
    "contoso/bot",
    "fab",
    "fab*/search",
    "*/support-*",
    "acm/bot",
    "acme/support",
    "*",
    "acme-us/bot-2",
];

/// xorshift64*: the same calls every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }
}

/// Whether a grant lets its holder do this with an app's data, read from its words and from nothing that decides.
fn lets(grant: &str, verb: &str, app: &TestApp) -> bool {
    let (what, place) = grant.split_once('@').unwrap();
    let (workspaces, apps) = place.split_once('/').unwrap_or((place, "*"));
    let covers = |pattern: &str, id: &str| match pattern.strip_suffix('*') {
        Some(beginning) => id.starts_with(beginning) && (beginning.is_empty() || id != beginning),
        None => pattern == id,
    };
    let does = ["*", verb].contains(&what) || what == "platform-service";
    does && covers(workspaces, app.workspace.as_str()) && covers(apps, app.id.as_str())
}

/// What came of many calls: how many were refused before a key was touched, refused by the key, and served.
#[derive(Debug, Default)]
struct Served {
    not_permitted: u32,
    of_another: u32,
    own: u32,
}

/// Random callers with random grants, each calling for random apps with what random apps sealed, from the permission through the
/// service to the keys themselves. `Err`: what was served across, or refused wrongly.
async fn many_calls(world: &World, calls: u32) -> Result<Served, String> {
    let mut dice = Dice(0x0B10_C0DE_5EED_0042);
    let (mut apps, mut sealed, mut owners) = (Vec::new(), Vec::new(), HashMap::new());
    for (n, id) in WORKSPACES.iter().enumerate() {
        let workspace = world.workspace(id).await;
        if n % 2 == 1 {
            workspace.connect_key().await;
        }
        for id in APPS {
            apps.push(workspace.app(id).await);
        }
    }
    // What an app's sealed text says when it is opened.
    let own = |app: &TestApp| format!("{}/{}", app.workspace, app.id).into_bytes();
    for app in &apps {
        sealed.push(app.encrypt(&own(app)).await.map_err(|why| format!("{}: {why}", app.id))?);
    }
    // Not every role is one for a single app.
    let grant = |dice: &mut Dice| loop {
        let words = format!("{}@{}", dice.one(&WHAT), dice.one(&WHERE));
        if words.parse::<Grant>().is_ok() {
            return words;
        }
    };
    let callers: Vec<(Vec<String>, Caller)> = (0..60)
        .map(|n| {
            let words: Vec<String> = (0..=dice.roll(3)).map(|_| grant(&mut dice)).collect();
            let grants: Vec<Grant> = words.iter().map(|grant| grant.parse().unwrap()).collect();
            (words, Caller::new(&format!("caller-{n}"), &grants))
        })
        .collect();
    let (mut served, mut out) = (Served::default(), Vec::new());
    for n in 0..calls {
        // What persons did is written down before more of it is let in.
        if n % 500 == 0 {
            world.service.flush_ledger().await.map_err(|why| why.to_string())?;
        }
        let (words, caller) = &callers[dice.roll(callers.len())];
        let (target, maker) = (dice.roll(apps.len()), dice.roll(apps.len()));
        // Every other time what is the target's own.
        let maker = if dice.roll(2) == 0 { target } else { maker };
        let app = &apps[target];
        let place = || Target::App(app.workspace.clone(), app.id.clone());
        let wrong = |what: &str| Err(format!("call {n}: {words:?} for {}/{}: {what}", app.workspace, app.id));
        let may = |verb| words.iter().any(|grant| lets(grant, verb, app));
        out.clear();
        if dice.roll(4) == 0 {
            let Ok(permit) = permit::<Encrypt>(caller, place()) else {
                served.not_permitted += 1;
                if may("data.encrypt") {
                    return wrong("refused what its grants let it");
                }
                continue;
            };
            if !may("data.encrypt") {
                return wrong("let do what no grant says");
            }
            let context = Context::empty();
            if let Err(why) = world.service.encrypt(&permit, &context, &own(app), &mut out).await {
                return wrong(&why.to_string());
            }
            // Under a data key of the target's own, as the database has it.
            let key = World::data_key_of(&out);
            if *owners.entry(key).or_insert(target) != target {
                return wrong("sealed under the key of another app");
            }
            if world.store.inner().data_key(&app.workspace, &app.id, key).await.unwrap().is_none() {
                return wrong("sealed under a key that is not the app's");
            }
            served.own += 1;
            continue;
        }
        let Ok(permit) = permit::<Decrypt>(caller, place()) else {
            served.not_permitted += 1;
            if may("data.decrypt") {
                return wrong("refused what its grants let it");
            }
            continue;
        };
        if !may("data.decrypt") {
            return wrong("let do what no grant says");
        }
        match world.service.decrypt(&permit, &Context::empty(), &sealed[maker], &mut out).await {
            Ok(_) if maker == target && out == own(app) => served.own += 1,
            Ok(_) => return wrong(&format!("opened {:?}", String::from_utf8_lossy(&out))),
            Err(why) if maker != target && why.reason() == Reason::DecryptionFailed && out.is_empty() => {
                served.of_another += 1
            }
            Err(why) => return wrong(&why.to_string()),
        }
    }
    Ok(served)
}

/// I-14, I-16: of 50,000 calls by 60 callers of different grants for 50 apps of ten workspaces, with real keys, none is served
/// with another's data or key, and none is refused what is its own.
#[tokio::test]
async fn of_many_calls_with_real_keys_none_is_served_across() {
    let served = many_calls(&World::start(), 50_000).await.unwrap();
    assert_eq!(served.not_permitted + served.of_another + served.own, 50_000);
    assert!([served.not_permitted, served.of_another, served.own].iter().all(|times| *times > 2_500), "{served:?}");
    let bug = World::with_bug(SeededBug::WorkspaceForgotten);
    assert!(many_calls(&bug, 2_000).await.is_err(), "the seeded bug was not found");
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
