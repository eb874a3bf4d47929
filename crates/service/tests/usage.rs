//! What is counted, when it is written down, and what coverage says.

use std::sync::Arc;
use std::time::Duration;

use domain::{DataKeyState, Hour, HourOfApp, Protection, Reason, Tally};
use envelope::{Context, InvalidContext};
use service::{AppCoverage, ItemToOpen, ItemToSeal, Options, ReadUsage, SeededBug, Service};
use testkit::{Step, TestApp, TestWorkspace, World};

async fn usage(service: &Service, workspace: &TestWorkspace, request: ReadUsage) -> Vec<HourOfApp> {
    service.read_usage(&workspace.may_read_usage(), request).await.unwrap().hours
}

async fn seals(service: &Service, workspace: &TestWorkspace) -> u64 {
    usage(service, workspace, ReadUsage::default()).await.iter().map(|hour| hour.tally.seals).sum()
}

async fn coverage(world: &World, app: &TestApp) -> AppCoverage {
    let acme = world.workspace_of(app);
    let page = world.service.read_coverage(&acme.may_read_usage(), Some(&app.id), None, None).await.unwrap();
    page.apps.into_iter().next().unwrap()
}

/// Every message and byte that goes out is counted once, by whatever call; what is refused is not.
#[tokio::test]
async fn what_goes_out_is_counted_and_what_is_refused_is_not() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    acme.connect_key().await;
    let empty = Context::empty;

    let sealed = bot.encrypt(&[1; 10]).await.unwrap(); // 1 message, 10 bytes
    bot.decrypt(&sealed).await.unwrap(); // opened: 1, 10
    let other = Context::from_entries([("a", "b")]).unwrap();
    bot.decrypt_in(&other, &sealed).await.unwrap_err();
    bot.encrypt(&vec![0; 5 << 20]).await.unwrap_err();

    let items = [(empty(), 100), (empty(), 200), (empty(), 300)].map(|(context, n)| (context, vec![7; n]));
    let mut to_seal: Vec<_> =
        items.iter().map(|(context, bytes)| ItemToSeal { context: Ok(context.clone()), plaintext: bytes }).collect();
    to_seal[1].context = Err(InvalidContext::TooManyEntries);
    let mut out = Vec::new();
    let batch = world.service.batch_encrypt(&bot.may_encrypt(), &to_seal, &mut out).await.unwrap(); // 2, 400
    let mut ciphertexts: Vec<Vec<u8>> = batch.items.into_iter().flatten().map(|at| out[at].to_vec()).collect();
    ciphertexts[1][100] ^= 1;
    let to_open: Vec<_> =
        ciphertexts.iter().map(|ciphertext| ItemToOpen { context: Ok(empty()), ciphertext }).collect();
    world.service.batch_decrypt(&bot.may_decrypt(), &to_open, &mut Vec::new()).await.unwrap(); // opened: 1, 100

    let mut stream = Vec::new();
    let mut sealer = world.service.encrypt_stream(&bot.may_encrypt(), &empty(), &mut stream).await.unwrap();
    sealer.push(&vec![3; 200_000], &mut stream).await.unwrap();
    sealer.finish(&mut stream).await.unwrap(); // 1, 200,000
    let mut opener = world.service.decrypt_stream(&bot.may_decrypt(), &empty(), &stream[..96]).await.unwrap();
    let mut opened = Vec::new();
    opener.push(&stream[96..], &mut opened).await.unwrap();
    opener.finish(&mut opened).await.unwrap(); // opened: 1, 200,000
    assert_eq!(opened.len(), 200_000);

    world.service.re_encrypt(&bot.may_re_encrypt(), &sealed, &empty(), None, &mut Vec::new()).await.unwrap(); // 1, 10 each

    let found = usage(&world.service, &acme, ReadUsage::default()).await;
    let tally = Tally { seals: 5, sealed_bytes: 200_420, opens: 4, opened_bytes: 200_120 };
    let [hour] = &found[..] else { panic!("{found:?}") };
    assert_eq!((hour.app.as_str(), hour.protection, hour.tally), ("bot", Protection::CustomerKey, tally));
    let covered = coverage(&world, &bot).await;
    assert_eq!(covered.under(Protection::CustomerKey), (1, tally));
    // I-14: nobody else's.
    let bell = world.workspace("bell").await;
    bell.app("bot").await;
    assert_eq!(usage(&world.service, &bell, ReadUsage::default()).await, []);
    world.store.inner().verify().await.unwrap();
}

/// Hours are UTC's; a range is of whole ones; an app can be read alone; pages bring everything once.
#[tokio::test]
async fn usage_is_read_by_hour_app_and_protection() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let (bot, crm) = (acme.app("bot").await, acme.app("crm").await);
    bot.encrypt(b"x").await.unwrap();
    let first = Hour::of(world.now());
    world.service.flush_usage().await.unwrap();
    acme.connect_key().await;
    world.clock.advance(Duration::from_secs(3_600));
    for app in [&bot, &bot, &crm] {
        app.encrypt(b"xy").await.unwrap();
    }
    let request = |change: fn(&mut ReadUsage)| {
        let mut request = ReadUsage::default();
        change(&mut request);
        request
    };
    let found = usage(&world.service, &acme, ReadUsage::default()).await;
    let read: Vec<_> = found
        .iter()
        .map(|h| (h.hour.number() - first.number(), h.app.as_str(), h.protection, h.tally.sealed_bytes))
        .collect();
    use Protection::{CustomerKey, PlatformKey};
    assert_eq!(read, [(0, "bot", PlatformKey, 1), (1, "bot", CustomerKey, 4), (1, "crm", CustomerKey, 2)]);

    let one = request(|r| r.last = Some(Duration::from_secs(60)));
    assert_eq!(usage(&world.service, &acme, one).await, found[1..]);
    let of_crm = ReadUsage { app: Some(crm.id.clone()), ..ReadUsage::default() };
    assert_eq!(usage(&world.service, &acme, of_crm).await, found[2..]);
    let permit = acme.may_read_usage();
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let request = ReadUsage { page: Some(1), after, ..ReadUsage::default() };
        let page = world.service.read_usage(&permit, request).await.unwrap();
        paged.extend(page.hours);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, found);
    let nobody = ReadUsage { app: Some("nobody".parse().unwrap()), ..ReadUsage::default() };
    assert_eq!(world.service.read_usage(&permit, nobody).await.unwrap_err().reason(), Reason::NotFound);
    let backwards = ReadUsage { from: Some(world.now()), until: Some(first.start()), ..ReadUsage::default() };
    assert_eq!(world.service.read_usage(&permit, backwards).await.unwrap_err().reason(), Reason::RequestInvalid);
}

/// Whether counts whose answer was lost on the way, before or after they were written, are there once.
async fn a_lost_answer_counts_once(world: World) -> bool {
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    acme.connect_key().await;
    for (n, step) in [Step::BeforeAddUsage, Step::AfterAddUsage].into_iter().enumerate() {
        bot.encrypt(b"x").await.unwrap();
        world.store.lose_answer_at(step);
        world.service.flush_usage().await.unwrap_err();
        // No request fails by it, and what is counted meanwhile is written too.
        bot.encrypt(b"x").await.unwrap();
        world.service.flush_usage().await.unwrap();
        let expected = 2 * (n as u64 + 1);
        let found = seals(&world.service, &acme).await;
        if found != expected {
            return false;
        }
        assert_eq!(coverage(&world, &bot).await.under(Protection::CustomerKey).1.seals, expected);
    }
    true
}

/// I-3: a flush whose outcome is not known is sent again, and counts once.
#[tokio::test]
async fn a_flush_whose_answer_was_lost_counts_once() {
    assert!(a_lost_answer_counts_once(World::start()).await);
    let bug = World::with_bug(SeededBug::UsageCountedAgain);
    assert!(!a_lost_answer_counts_once(bug).await, "the seeded bug was not found");
}

/// One workspace's forged rows hold up nobody else's counts; its own wait, and are added once when its rows are in order again.
#[tokio::test]
async fn forged_rows_hold_up_nobody_elses_counts() {
    let world = World::start();
    let (acme, bell) = (world.workspace("acme").await, world.workspace("bell").await);
    let (bot, crm) = (acme.app("bot").await, bell.app("crm").await);
    world.store.forge(Some(&bell.id));
    for expected in 1..=3 {
        bot.encrypt(b"x").await.unwrap();
        crm.encrypt(b"x").await.unwrap();
        world.service.flush_usage().await.unwrap();
        assert_eq!((seals(&world.service, &acme).await, seals(&world.service, &bell).await), (expected, 0));
    }
    world.store.forge(None);
    world.service.flush_usage().await.unwrap();
    assert_eq!((seals(&world.service, &acme).await, seals(&world.service, &bell).await), (3, 3));
    assert_eq!(coverage(&world, &crm).await.under(Protection::PlatformKey).1.seals, 3);
}

/// Whether two replicas' counts of the same key in the same hour add up.
async fn replicas_add_up(bug: Option<SeededBug>) -> bool {
    let world = World::start();
    let replica = || -> Arc<Service> {
        let parts = world.parts(world.store.inner());
        match bug {
            None => Service::start(parts).unwrap(),
            Some(bug) => Service::start_with_bug(parts, bug).unwrap(),
        }
    };
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    acme.connect_key().await;
    let replicas = [replica(), replica(), replica()];
    for (n, replica) in replicas.iter().enumerate() {
        for _ in 0..=n {
            bot.through(replica).encrypt(b"x").await.unwrap();
        }
        replica.flush_usage().await.unwrap();
    }
    seals(&world.service, &acme).await == 6
}

/// Each replica has rows of its own, which are summed when they are read: none writes over another's.
#[tokio::test]
async fn the_counts_of_replicas_add_up() {
    assert!(replicas_add_up(None).await);
    assert!(!replicas_add_up(Some(SeededBug::ReplicasShareCounts)).await, "the seeded bug was not found");
}

/// What was counted under a key is not lost when the key is taken away, be it by the customer's denial (I-8).
#[tokio::test]
async fn counts_outlive_their_key() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let version = acme.connect_key().await;
    bot.encrypt(b"x").await.unwrap();
    world.vault.disable(&acme.key(), version);
    world.clock.advance(Duration::from_secs(301));
    bot.encrypt(b"x").await.unwrap_err();
    assert_eq!(world.service.open_data_keys(), 0);
    assert_eq!(seals(&world.service, &acme).await, 1);
}

/// A replica that is killed loses what it had not written yet, and nothing else; what it counts afterwards is added.
#[tokio::test]
async fn what_a_killed_replica_had_written_stays() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"x").await.unwrap();
    world.service.flush_usage().await.unwrap();
    bot.encrypt(b"lost").await.unwrap();
    let next = world.another_service();
    bot.through(&next).encrypt(b"x").await.unwrap();
    assert_eq!(seals(&next, &acme).await, 2);
}

/// Hours older than is kept go; what was done under each data key in all stays.
#[tokio::test]
async fn old_hours_go_and_coverage_stays() {
    let options = Options { usage_kept: Duration::from_secs(48 * 3_600), ..Options::default() };
    let world = World::builder().options(options).start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"x").await.unwrap();
    world.service.flush_usage().await.unwrap();
    let all = || ReadUsage { last: Some(Duration::from_secs(300 * 3_600)), ..ReadUsage::default() };
    world.clock.advance(Duration::from_secs(48 * 3_600));
    world.service.drop_old_usage().await.unwrap();
    assert_eq!(usage(&world.service, &acme, all()).await.len(), 1);
    world.clock.advance(Duration::from_secs(3_600));
    world.service.drop_old_usage().await.unwrap();
    assert_eq!(usage(&world.service, &acme, all()).await, []);
    assert_eq!(coverage(&world, &bot).await.under(Protection::PlatformKey).1.seals, 1);
    world.store.inner().verify().await.unwrap();
}

/// Whether coverage names every data key that still opens something, which is the present one, and when each was used.
async fn coverage_names_what_is_left(bug: Option<SeededBug>) -> bool {
    let options = Options { data_key_age: Duration::from_secs(3_600), ..Options::default() };
    let mut builder = World::builder().options(options);
    if let Some(bug) = bug {
        builder = builder.bug(bug);
    }
    let world = builder.start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let began = world.now();
    let under_platform = bot.encrypt(b"one").await.unwrap();
    world.service.flush_usage().await.unwrap();
    let wrote = world.now();
    acme.connect_key().await;
    let old = bot.encrypt(b"two").await.unwrap();
    bot.encrypt(b"three").await.unwrap();
    world.clock.advance(Duration::from_secs(7_200));
    let new = bot.encrypt(b"four").await.unwrap();
    assert_ne!(World::data_key_of(&old), World::data_key_of(&new), "a new data key by age");
    world.clock.advance(Duration::from_secs(60));
    let opened = world.now();
    bot.decrypt(&old).await.unwrap();

    let covered = coverage(&world, &bot).await;
    assert_eq!(covered.protection, Protection::CustomerKey);
    if covered.data_keys.len() != 3 {
        return false;
    }
    let of = |ciphertext: &[u8]| {
        let id = World::data_key_of(ciphertext);
        covered.data_keys.iter().find(|found| found.key.id == id).unwrap()
    };
    let told = |ciphertext: &[u8]| {
        let found = of(ciphertext);
        (found.key.state, found.present, found.is_left(), found.traffic.tally.seals)
    };
    assert_eq!(told(&under_platform), (DataKeyState::Active, false, true, 1));
    assert_eq!(told(&old), (DataKeyState::Retired, false, true, 2));
    assert_eq!(told(&new), (DataKeyState::Active, true, false, 1));
    let traffic = of(&under_platform).traffic;
    assert!(traffic.first_seal.unwrap() <= began && traffic.last_seal == Some(wrote) && traffic.last_open.is_none());
    assert_eq!(of(&old).traffic.last_open, Some(opened), "which old data keys still decrypt, and when last");
    assert_eq!(of(&new).traffic.last_open, None);

    // Encrypting again leaves nothing to open under the old ones: their last opening does not move any more.
    for ciphertext in [&under_platform, &old] {
        let mut out = Vec::new();
        let permit = bot.may_re_encrypt();
        let moved = world.service.re_encrypt(&permit, ciphertext, &Context::empty(), None, &mut out).await.unwrap();
        assert_eq!(moved.sealed.data_key, World::data_key_of(&new));
    }
    true
}

/// Coverage says which data keys open what is stored, under whose key each is, and what a bulk re-encryption has left.
#[tokio::test]
async fn coverage_says_what_is_left() {
    assert!(coverage_names_what_is_left(None).await);
    let bug = Some(SeededBug::OldKeysNotCovered);
    assert!(!coverage_names_what_is_left(bug).await, "the seeded bug was not found");
}

/// Coverage comes by app, in pages; deleted apps and other workspaces' are not in it (I-14).
#[tokio::test]
async fn coverage_comes_in_pages_of_live_apps() {
    let world = World::start();
    let (acme, bell) = (world.workspace("acme").await, world.workspace("bell").await);
    for id in ["app-one", "app-two", "gone"] {
        let app = acme.app(id).await;
        app.encrypt(b"x").await.unwrap();
        if id == "gone" {
            world.service.delete_app(&app.may_change()).await.unwrap();
        }
    }
    bell.app("app-one").await.encrypt(b"x").await.unwrap();
    let permit = acme.may_read_usage();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = world.service.read_coverage(&permit, None, after.as_ref(), Some(1)).await.unwrap();
        seen.extend(page.apps.iter().map(|app| (app.app.id.to_string(), app.data_keys.len())));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, [("app-one".to_owned(), 1), ("app-two".to_owned(), 1)]);
    let gone = "gone".parse().unwrap();
    let refused = world.service.read_coverage(&permit, Some(&gone), None, None).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::NotFound);
}
