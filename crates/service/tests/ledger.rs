//! What the service records of itself: every call to a vault by the vault's own id, every wipe, every lost lease, the use of
//! keys by the hour; and signatures of how far the chains have come.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::ledger::{CalledVault, ChainName, SignedCheckpoint};
use domain::permission::{self, Caller, Permit, Target, permit};
use ledger::export::{End, FORMAT, Head, Line};
use ledger::{CheckpointJson, Event, Report, Verifier};
use service::{LedgerPage, SeededBug, Service};
use store::{Outage, RecordedEvent, StoreError};
use testkit::{TestApp, TestWorkspace, World};
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, Trace};

const SECOND: Duration = Duration::from_secs(1);

async fn in_use(world: &World) -> (TestWorkspace, TestApp, Vec<u8>) {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    (acme, bot, sealed)
}

/// Lets time pass in steps of a second, with the app in use and everything done that is due.
async fn live(world: &World, bot: &TestApp, seconds: u64) {
    for _ in 0..seconds {
        world.clock.advance(SECOND);
        let _ = bot.encrypt(b"x").await;
        world.service.run_due_tasks().await;
        world.service.look_at_leases();
    }
}

async fn events(world: &World, acme: &TestWorkspace, name: &str) -> Vec<RecordedEvent> {
    world.service.flush_ledger().await.unwrap();
    world.audit(&acme.id).await.into_iter().filter(|event| event.name == name).collect()
}

fn detail<'a>(event: &'a RecordedEvent, name: &str) -> &'a str {
    event.details.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

fn chain<A: permission::Action>(acme: &TestWorkspace) -> Permit<A> {
    permit(&Caller::platform("ann"), Target::Workspace(acme.id.clone())).unwrap()
}

/// Each wrap, unwrap and probe that a vault answered is in the chain under the vault's own id; nothing more and nothing twice.
async fn every_call_is_recorded(world: World) -> bool {
    let (acme, bot, _) = in_use(&world).await;
    live(&world, &bot, 250).await;
    acme.test_key().await.unwrap();
    let mut ids = BTreeSet::new();
    let mut calls = 0_u64;
    for event in events(&world, &acme, CalledVault::EVENT).await {
        let (_, read) = CalledVault::calls(&event.details).unwrap();
        for call in read {
            calls += 1;
            ids.extend(call.request_id.map(str::to_owned));
        }
    }
    let counted = world.vault.calls();
    let expected = counted.wrap + counted.unwrap;
    // The test's last step asks for what is refused: by the same id in this vault each time.
    expected > 8 && calls == expected && ids.len() as u64 == expected
}

#[tokio::test]
async fn every_call_to_a_vault_is_in_the_ledger_by_the_vaults_own_id() {
    assert!(every_call_is_recorded(World::start()).await);
    assert!(!every_call_is_recorded(World::with_bug(SeededBug::RequestIdForgotten)).await);
}

/// What a forged chain does not take keeps nothing out of the others: it waits apart, and is there when the chain is in order again.
#[tokio::test]
async fn a_forged_chain_keeps_nothing_out_of_the_others() {
    let world = World::start();
    let bell = world.workspace("bell").await;
    bell.connect_key().await;
    bell.app("crm").await.encrypt(b"x").await.unwrap();
    world.store.forge(Some(&bell.id));
    let (acme, _, _) = in_use(&world).await;
    let of_bell = async || events(&world, &bell, CalledVault::EVENT).await.len();
    for _ in 0..3 {
        assert_eq!(of_bell().await, 0);
        assert_eq!(events(&world, &acme, CalledVault::EVENT).await.len(), 1);
    }
    world.store.forge(None);
    assert_eq!(of_bell().await, 1);
}

/// What a forged chain does not take until the end goes with the process: the platform's chain says how much that was.
#[tokio::test]
async fn what_is_given_up_at_the_end_is_told() {
    let world = World::start();
    let bell = world.workspace("bell").await;
    bell.connect_key().await;
    bell.app("crm").await.encrypt(b"x").await.unwrap();
    world.store.forge(Some(&bell.id));
    world.service.end_ledger().await.unwrap();
    let told = world.store.inner().audit(None, 0, 1_000).await.unwrap();
    let lost = told.iter().find(|event| event.name == "ledger.events_lost").expect("it is told");
    assert_ne!(detail(lost, "count"), "0");
    world.store.forge(None);
    assert_eq!(events(&world, &bell, CalledVault::EVENT).await.len(), 0, "nothing of it is tried again");
}

/// A warm request writes nothing into the database, and what it leads to is written in a few events, however many there are.
#[tokio::test]
async fn warm_requests_write_nothing() {
    let world = World::start();
    let (_, bot, sealed) = in_use(&world).await;
    world.service.flush_ledger().await.unwrap();
    let before = world.store.inner().revision().await.unwrap();
    for _ in 0..100 {
        bot.encrypt(b"x").await.unwrap();
        bot.decrypt(&sealed).await.unwrap();
    }
    assert_eq!(world.store.inner().revision().await.unwrap(), before);
    world.service.flush_ledger().await.unwrap();
    assert_eq!(world.store.inner().revision().await.unwrap(), before, "nothing was asked of a vault");
}

/// After a denial each replica that held keys says when it had wiped them, by the id of its own life.
async fn each_replica_gives_a_receipt(world: World) -> bool {
    let (acme, bot, sealed) = in_use(&world).await;
    let other = world.another_service();
    let there = acme.through(&other).app("bot").await;
    there.decrypt(&sealed).await.unwrap();
    let version = acme.configure(acme.request()).await.unwrap().config.current_version;
    world.vault.disable(&acme.key(), version);
    live(&world, &bot, 40).await;
    // The other hears of it by the feed.
    other.run_due_tasks().await;
    other.flush_ledger().await.unwrap();
    let receipts = events(&world, &acme, "keys.purged").await;
    let of: Vec<_> = receipts.iter().filter(|receipt| detail(receipt, "why") == "denied").collect();
    let replicas: BTreeSet<&str> = of.iter().map(|receipt| detail(receipt, "replica")).collect();
    let denied = events(&world, &acme, "vault.denied").await;
    of.iter().all(|receipt| detail(receipt, "version") == version.to_string())
        && of.iter().all(|receipt| receipt.at >= denied[0].at && detail(receipt, "data_keys") == "1")
        && (of.len(), replicas.len()) == (2, 2)
}

#[tokio::test]
async fn replicas_give_receipts_for_what_they_wiped() {
    assert!(each_replica_gives_a_receipt(World::start()).await);
    assert!(!each_replica_gives_a_receipt(World::with_bug(SeededBug::ReceiptForgotten)).await);
}

/// A lease that ends because the vault is silent is told once, and once when it holds again; an outage that is shorter is not.
#[tokio::test]
async fn a_lost_lease_is_told_once() {
    let world = World::start();
    let (acme, bot, _) = in_use(&world).await;
    let silent = Fault::Refuse(KeyUnavailable::ServerError { status: 503, retry_after: None, trace: Trace::default() });
    world.vault.fail(Operation::Unwrap, silent.clone());
    live(&world, &bot, 200).await;
    world.vault.heal();
    live(&world, &bot, 60).await;
    assert!(events(&world, &acme, "lease.lost").await.is_empty());
    world.vault.fail(Operation::Unwrap, silent);
    live(&world, &bot, 400).await;
    assert_eq!(events(&world, &acme, "lease.lost").await.len(), 1);
    world.vault.heal();
    live(&world, &bot, 60).await;
    let (lost, regained) = (events(&world, &acme, "lease.lost").await, events(&world, &acme, "lease.regained").await);
    assert_eq!((lost.len(), regained.len()), (1, 1));
    assert!(regained[0].at > lost[0].at && !detail(&lost[0], "proven_at").is_empty());
}

/// What was sealed and opened is in the chain by the hour, as it was counted.
#[tokio::test]
async fn the_use_of_keys_is_in_the_ledger_by_the_hour() {
    let world = World::start();
    let (acme, bot, sealed) = in_use(&world).await;
    for _ in 0..6 {
        bot.decrypt(&sealed).await.unwrap();
    }
    world.service.flush_usage().await.unwrap();
    let used = events(&world, &acme, "keys.used").await;
    assert_eq!(used.len(), 1);
    let expected = format!("{} 1 8 6 48", World::data_key_of(&sealed));
    assert_eq!(detail(&used[0], "data_key"), expected);
}

async fn export(service: &Service, acme: &TestWorkspace) -> Vec<String> {
    let mut pages = service.export_events(&chain(acme), 0).await.unwrap();
    let head = Head {
        byokd_ledger: FORMAT,
        cluster: hex(&pages.cluster()),
        chain: pages.chain().to_string(),
        public_key: hex(&pages.public_key()),
        after: 0,
    };
    let mut lines = vec![Line::Head(head).write()];
    while let Some(page) = pages.next().await.unwrap() {
        match page {
            LedgerPage::Events(events) => {
                lines.extend(events.into_iter().map(|event| Line::Event(read(event)).write()))
            }
            LedgerPage::End { signed, behind } => {
                let checkpoint = CheckpointJson::from(&signed);
                let end = End { events: lines.len() as u64 - 1, checkpoint, behind };
                lines.push(Line::End(end).write());
            }
        }
    }
    lines
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(event: RecordedEvent) -> Event {
    Event {
        number: event.seq,
        time: event.at.to_string(),
        time_micros: event.at.micros(),
        actor: event.actor,
        event: event.name,
        details: event.details,
        previous: hex(&event.previous),
        hash: hex(&event.hash),
    }
}

fn verify(lines: &[String], kept: Option<SignedCheckpoint>) -> Report {
    let mut verifier = Verifier::new(Vec::new(), kept.into_iter().collect());
    lines.iter().for_each(|line| verifier.line(line));
    verifier.finish()
}

/// A chain that grew is signed once an hour and not more often, and one that did not grow is not; its export verifies against
/// each checkpoint that was kept, and is of the same key ever after.
async fn chains_are_signed(world: World) -> bool {
    let (acme, _, _) = in_use(&world).await;
    let sign = || async {
        world.service.sign_grown_chains().await.unwrap();
        events(&world, &acme, SignedCheckpoint::EVENT).await.len()
    };
    world.service.flush_ledger().await.unwrap();
    assert_eq!((sign().await, sign().await), (1, 1));
    acme.app("another").await;
    assert_eq!(sign().await, 1);
    world.clock.advance(Duration::from_secs(3_601));
    assert_eq!(sign().await, 2);
    let newest = world.service.newest_checkpoint(&chain(&acme)).await.unwrap();
    assert_eq!(newest.checkpoint.chain, ChainName::of(Some(acme.id.clone())));
    // Whoever asks all the time adds nothing.
    assert_eq!(world.service.make_checkpoint(&chain(&acme)).await.unwrap(), newest);
    acme.app("yet-another").await;
    let made = world.service.make_checkpoint(&chain(&acme)).await.unwrap();
    assert!(made.checkpoint.number > newest.checkpoint.number && made.public_key == newest.public_key);
    acme.app("one-more").await;
    let restarted = world.another_service();
    let report = verify(&export(&restarted, &acme).await, Some(made));
    assert_eq!(report.events, report.range.unwrap().1);
    report.is_good()
}

#[tokio::test]
async fn chains_are_signed_when_they_grow_and_once_an_hour() {
    assert!(chains_are_signed(World::start()).await);
    assert!(!chains_are_signed(World::with_bug(SeededBug::CheckpointNotSigned)).await);
}

/// An export before which the service could not write its own latest events says so, and the next one has them.
#[tokio::test]
async fn an_export_without_the_latest_events_says_so() {
    let world = World::start();
    let (acme, bot, _) = in_use(&world).await;
    let calls = |lines: &[String]| lines.iter().filter(|line| line.contains(CalledVault::EVENT)).count();
    let whole = export(&world.service, &acme).await;
    assert!(!verify(&whole, None).behind);
    live(&world, &bot, 40).await;
    world.store.forge(Some(&acme.id));
    let without = export(&world.service, &acme).await;
    let report = verify(&without, None);
    assert!(report.behind && report.is_good(), "{report:?}");
    assert_eq!(calls(&without), calls(&whole));
    world.store.forge(None);
    let with = export(&world.service, &acme).await;
    assert!(!verify(&with, None).behind);
    assert!(calls(&with) > calls(&whole));
}

/// A chain that never was is not there, and neither is what no chain has yet.
#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::start();
    let (acme, _, _) = in_use(&world).await;
    let nobody = permit(&Caller::platform("ann"), Target::Workspace("nobody".parse().unwrap())).unwrap();
    let refused = world.service.list_events(&nobody, 0, None).await.unwrap_err();
    assert_eq!(refused.reason(), domain::Reason::NotFound);
    let refused = world.service.newest_checkpoint(&chain(&acme)).await.unwrap_err();
    assert_eq!(refused.reason(), domain::Reason::NotFound);
    let refused = world.service.export_events(&chain(&acme), 1_000_000).await.err().unwrap();
    assert_eq!(refused.reason(), domain::Reason::RequestInvalid);
}

/// While the database is away nothing is refused for the ledger's sake, and nothing of it is lost.
#[tokio::test]
async fn a_database_that_is_away_loses_no_event() {
    let world = World::start();
    let (acme, bot, _) = in_use(&world).await;
    let before = events(&world, &acme, CalledVault::EVENT).await.len();
    live(&world, &bot, 40).await;
    world.store.fail_reads(Some(StoreError::Unavailable(Outage::Busy)));
    assert!(world.service.flush_ledger().await.is_err());
    assert!(bot.encrypt(b"x").await.is_ok());
    world.store.fail_reads(None);
    assert!(events(&world, &acme, CalledVault::EVENT).await.len() > before);
}
