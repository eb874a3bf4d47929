//! Callers in the database: heard of on every replica, never more than their giver held, and recorded; and what a person does with
//! data, recorded call by call.

use std::time::Duration;

use domain::audit::AuditKind;
use domain::caller::{StoredCaller, StoredToken, TokenSlot};
use domain::operation::OperationState;
use domain::permission::{self, Caller, Encrypt, Giver, Grant, Permit, Target, permit, permit_to_give};
use domain::{AppId, CallerId, Reason};
use envelope::Context;
use identity::{Admission, Callers, ConfiguredCaller, Credential};
use service::{CreateCaller, SeededBug, Service, UpdateCaller};
use store::{Outage, RecordedEvent, StoreError};
use testkit::{TestWorkspace, World};

const SECOND: Duration = Duration::from_secs(1);

fn grants(texts: &[&str]) -> Vec<Grant> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn giver(name: &str, held: &[&str]) -> Giver {
    permit_to_give(&Caller::new(name, &grants(held))).unwrap()
}

fn root() -> Giver {
    giver("root", &["*", "platform-service"])
}

fn id(text: &str) -> CallerId {
    text.parse().unwrap()
}

fn wanted(name: &str, held: &[&str]) -> CreateCaller {
    CreateCaller { id: id(name), grants: grants(held), certificate: None, expires: None }
}

/// Makes a caller with a token; the token's text.
async fn caller(service: &Service, by: Giver, name: &str, held: &[&str]) -> String {
    service.create_caller(by, wanted(name, held)).await.unwrap();
    service.issue_token(root(), &id(name), None).await.unwrap().token.to_string()
}

/// A connection to one replica.
fn connection(world: &World, service: &Service) -> Admission {
    Admission::new(service.callers(), world.clock.clone())
}

fn lets_in(connection: &Admission, token: &str) -> bool {
    connection.admit(Credential::Bearer(token)).is_some()
}

const DISABLED: UpdateCaller =
    UpdateCaller { add: Vec::new(), remove: Vec::new(), expires: None, certificate: None, disabled: Some(true) };

/// Whether a caller that is disabled on one replica is refused on the other, on a connection that knew it, a second later.
async fn is_heard_of(world: World) -> bool {
    let other = World::another_service(&world);
    let (here, there) = (connection(&world, &other), connection(&world, &world.service));
    other.run_due_tasks().await;
    world.service.run_due_tasks().await;
    let token = caller(&other, root(), "billing", &["platform-service"]).await;
    assert!(lets_in(&here, &token), "on the replica that was asked it is known when it answers");
    world.clock.advance(SECOND);
    world.service.run_due_tasks().await;
    if !lets_in(&there, &token) {
        return false;
    }
    other.update_caller(root(), &id("billing"), DISABLED).await.unwrap();
    assert!(!lets_in(&here, &token), "and shut out when it answers");
    world.clock.advance(SECOND);
    world.service.run_due_tasks().await;
    !lets_in(&there, &token)
}

/// I-13: a caller that is made, and one that is shut out, is heard of on every replica within a reading of the store.
#[tokio::test]
async fn a_caller_who_is_shut_out_is_refused_on_every_replica() {
    assert!(is_heard_of(World::start()).await);
    assert!(!is_heard_of(World::with_bug(SeededBug::CallersNotFollowed)).await);
}

/// A replica that cannot read the store refuses the database's callers when C is over, also those it let in before.
#[tokio::test]
async fn without_the_store_nobody_is_let_in_after_c() {
    let world = World::start();
    let token = caller(&world.service, root(), "billing", &["platform-service"]).await;
    let connection = connection(&world, &world.service);
    assert!(lets_in(&connection, &token));
    world.store.fail_reads(Some(StoreError::Unavailable(Outage::Disk)));
    world.clock.advance(299 * SECOND);
    world.service.run_due_tasks().await;
    assert!(lets_in(&connection, &token));
    world.clock.advance(2 * SECOND);
    assert!(!lets_in(&connection, &token) && !world.service.callers().is_current());
    world.store.fail_reads(None);
    world.service.run_due_tasks().await;
    assert!(lets_in(&connection, &token));
}

/// I-6: a database that was put in place of a newer one lets none of its callers in, from the reading on that finds it out: who was
/// shut out since may be let in by it.
#[tokio::test]
async fn a_database_that_was_rolled_back_lets_nobody_in() {
    let world = World::start();
    let token = caller(&world.service, root(), "billing", &["platform-service"]).await;
    let connection = connection(&world, &world.service);
    assert!(lets_in(&connection, &token));
    world.store.fail_reads(Some(StoreError::RolledBack));
    world.clock.advance(SECOND);
    world.service.run_due_tasks().await;
    assert!(!lets_in(&connection, &token) && !world.service.callers().is_current());
}

/// Whether what is given has to be held by who gives it, now and not only when they came in.
async fn is_compared(world: World) -> bool {
    let operator = ["platform-operator"];
    let more = world.service.create_caller(giver("ann", &operator), wanted("mole", &["platform-service"])).await;
    let refused = more.map(drop).map_err(|refusal| refusal.reason()) == Err(Reason::GrantNotHeld);
    // Somebody of the database, who lost what they hand on after they came in.
    world.service.create_caller(root(), wanted("bob", &["platform-operator", "workspace-owner@acme"])).await.unwrap();
    let as_before = || giver("bob", &["platform-operator", "workspace-owner@acme"]);
    let lost = UpdateCaller { remove: grants(&["workspace-owner@acme"]), ..UpdateCaller::default() };
    world.service.update_caller(root(), &id("bob"), lost).await.unwrap();
    let late = world.service.create_caller(as_before(), wanted("second", &["workspace-owner@acme"])).await;
    refused && late.map(drop).map_err(|refusal| refusal.reason()) == Err(Reason::GrantNotHeld)
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_hold() {
    assert!(is_compared(World::start()).await);
    assert!(!is_compared(World::with_bug(SeededBug::GivesWhatIsNotHeld)).await);
}

/// Somebody who was shut out after they came in changes nobody any more.
#[tokio::test]
async fn who_is_shut_out_changes_nobody() {
    let world = World::start();
    world.service.create_caller(root(), wanted("bob", &["platform-operator"])).await.unwrap();
    let came_in = || giver("bob", &["platform-operator"]);
    world.service.create_caller(came_in(), wanted("one", &["auditor"])).await.unwrap();
    world.service.update_caller(root(), &id("bob"), DISABLED).await.unwrap();
    let refused = world.service.create_caller(came_in(), wanted("two", &["auditor"])).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PermissionDenied);
}

/// The last one who could change callers stays, unless somebody of the configuration could.
#[tokio::test]
async fn the_last_administrator_stays() {
    let world = World::start();
    let token = caller(&world.service, root(), "only", &["platform-operator"]).await;
    assert!(!token.is_empty());
    world.service.create_caller(root(), wanted("without-token", &["platform-operator"])).await.unwrap();
    caller(&world.service, root(), "reader", &["auditor"]).await;
    let no_more = UpdateCaller { remove: grants(&["platform-operator"]), ..UpdateCaller::default() };
    let slot = domain::caller::TokenSlot::A;
    for refused in [
        world.service.update_caller(root(), &id("only"), DISABLED).await.map(drop),
        world.service.update_caller(root(), &id("only"), no_more).await.map(drop),
        world.service.remove_token(root(), &id("only"), slot).await.map(drop),
        world.service.delete_caller(root(), &id("only")).await,
    ] {
        assert_eq!(refused.unwrap_err().reason(), Reason::CallerLastAdministrator);
    }
    world.service.issue_token(root(), &id("without-token"), None).await.unwrap();
    world.service.delete_caller(root(), &id("only")).await.unwrap();

    let other = world.another_service();
    let (name, certificate, expires) = ("configured".to_owned(), None, None);
    let grants = grants(&["platform-operator"]);
    other.know_configured(vec![ConfiguredCaller { name, certificate, token: true, grants, expires }]);
    other.delete_caller(root(), &id("without-token")).await.unwrap();
}

/// A name of the configuration that stands in the database too, be it of a deleted caller, keeps a replica from starting: the
/// ledger could not tell the two apart.
#[tokio::test]
async fn a_name_is_one_callers() {
    let world = World::start();
    world.service.create_caller(root(), wanted("billing", &["auditor"])).await.unwrap();
    world.service.delete_caller(root(), &id("billing")).await.unwrap();
    for (name, starts) in [("billing", false), ("somebody-else", true)] {
        let other = world.another_service();
        let (name, certificate, expires) = (name.to_owned(), None, None);
        let grants = grants(&["auditor"]);
        other.know_configured(vec![ConfiguredCaller { name, certificate, token: true, grants, expires }]);
        assert_eq!(other.know_callers().await.is_ok(), starts);
    }
}

fn named<'a>(events: &'a [RecordedEvent], kind: &str) -> Vec<(&'a str, Vec<&'a str>)> {
    let of = |event: &'a RecordedEvent| {
        let grants = event.details.iter().filter(|(name, _)| name == "grant").map(|(_, grant)| grant.as_str());
        (event.name.as_str(), grants.collect())
    };
    events.iter().filter(|event| event.name.starts_with(kind)).map(of).collect()
}

/// Every change is in the platform's chain; and in a workspace's what is about that workspace by name, and nobody else's.
#[tokio::test]
async fn every_change_is_recorded_where_it_concerns_somebody() {
    let world = World::start();
    let (acme, bell) = (world.workspace("acme").await, world.workspace("bell").await);
    let held = ["auditor@acme", "auditor@bell-*", "workspace-owner@nowhere", "platform-service@acme/bot"];
    caller(&world.service, root(), "billing", &held).await;
    let more =
        UpdateCaller { add: grants(&["auditor@bell"]), remove: grants(&["auditor@acme"]), ..UpdateCaller::default() };
    world.service.update_caller(root(), &id("billing"), more).await.unwrap();
    world.service.update_caller(root(), &id("billing"), DISABLED).await.unwrap();
    world.service.delete_caller(root(), &id("billing")).await.unwrap();

    let platform = world.store.inner().audit(None, 0, 100).await.unwrap();
    assert!(platform.iter().all(|event| event.actor == "root"));
    let names: Vec<_> = named(&platform, "caller.").into_iter().collect();
    assert_eq!(
        names,
        [
            ("caller.created", held.to_vec()),
            ("caller.token_issued", vec![]),
            ("caller.grants_revoked", vec!["auditor@acme"]),
            ("caller.granted", vec!["auditor@bell"]),
            ("caller.disabled", vec![]),
            ("caller.deleted", vec![]),
        ]
    );
    let text = format!("{platform:?}");
    assert!(!text.contains("byokd_"), "no token is in a chain");
    let in_acme = world.audit(&acme.id).await;
    assert_eq!(
        named(&in_acme, "caller."),
        [
            ("caller.created", vec!["auditor@acme", "platform-service@acme/bot"]),
            ("caller.token_issued", vec![]),
            ("caller.grants_revoked", vec!["auditor@acme"]),
            ("caller.disabled", vec![]),
            ("caller.deleted", vec![]),
        ]
    );
    let in_bell = world.audit(&bell.id).await;
    assert_eq!(
        named(&in_bell, "caller."),
        [("caller.granted", vec!["auditor@bell"]), ("caller.disabled", vec![]), ("caller.deleted", vec![])]
    );
    assert!(!format!("{in_bell:?}").contains("acme"), "nothing of others");
    world.store.inner().verify().await.unwrap();
}

/// Whether who asks cannot approve as a caller of its own making, nor as one whose token it saw.
async fn takes_two_people(world: World) -> bool {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    // `tester`, who asks below, also makes callers.
    let owner = ["*"];
    world.service.create_caller(giver("tester", &owner), wanted("puppet", &["workspace-owner@acme"])).await.unwrap();
    let asked = world.service.leave_customer_key(&acme.may_leave(), false).await.unwrap().operation.unwrap();
    let by = |name: &str| {
        let caller = Caller::new(name, &grants(&["workspace-owner@acme"]));
        permit::<permission::DecideOperation>(&caller, Target::Workspace(acme.id.clone())).unwrap()
    };
    let own = world.service.approve_operation(&by("puppet"), asked.id).await;
    let refused = own.map(drop).map_err(|refusal| refusal.reason()) == Err(Reason::ApprovalOwnRequest);
    world.service.create_caller(root(), wanted("carol", &["workspace-owner@acme"])).await.unwrap();
    let another = world.service.approve_operation(&by("carol"), asked.id).await;
    refused && another.is_ok_and(|operation| operation.state == OperationState::Waiting)
}

#[tokio::test]
async fn nobody_approves_as_a_caller_of_their_own_making() {
    assert!(takes_two_people(World::start()).await);
    assert!(!takes_two_people(World::with_bug(SeededBug::OwnCallerApproves)).await);
}

/// Whether who asks cannot approve through others either: as a caller made by a caller of their own making, be that one deleted
/// since, nor as one whose token they saw before somebody else changed it.
async fn origins_are_told(world: World) -> bool {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let (service, owner) = (&world.service, ["workspace-owner@acme"]);
    service.create_caller(giver("tester", &["*"]), wanted("helper", &["*"])).await.unwrap();
    service.create_caller(giver("helper", &["*"]), wanted("between", &["*"])).await.unwrap();
    service.create_caller(giver("between", &["*"]), wanted("puppet", &owner)).await.unwrap();
    service.delete_caller(root(), &id("helper")).await.unwrap();
    service.create_caller(root(), wanted("bob", &owner)).await.unwrap();
    let seen = service.issue_token(giver("tester", &["*"]), &id("bob"), None).await.unwrap();
    service.remove_token(root(), &id("bob"), seen.slot).await.unwrap();
    service.issue_token(root(), &id("bob"), None).await.unwrap();
    service.create_caller(root(), wanted("carol", &owner)).await.unwrap();

    let asked = service.leave_customer_key(&acme.may_leave(), false).await.unwrap().operation.unwrap();
    assert_eq!(asked.actor, "tester");
    let by = |name: &str| {
        let caller = Caller::new(name, &grants(&owner));
        permit::<permission::DecideOperation>(&caller, Target::Workspace(acme.id.clone())).unwrap()
    };
    for own in ["puppet", "bob"] {
        let decided = service.approve_operation(&by(own), asked.id).await;
        if decided.map(drop).map_err(|refusal| refusal.reason()) != Err(Reason::ApprovalOwnRequest) {
            return false;
        }
    }
    service.approve_operation(&by("carol"), asked.id).await.is_ok()
}

#[tokio::test]
async fn nobody_approves_through_others_of_their_making() {
    assert!(origins_are_told(World::start()).await);
    assert!(!origins_are_told(World::with_bug(SeededBug::OnlyTheLastHandCounts)).await);
}

/// Of a caller from before hands were kept, whoever issued a token is known by the token alone: the change that takes its place
/// remembers them.
#[tokio::test]
async fn who_issued_a_token_is_remembered_when_it_goes() {
    let world = World::start();
    let now = world.now();
    let token = |n, expires| Some(StoredToken { sha256: [n; 32], issued_by: "ann".into(), issued_at: now, expires });
    let before = |name: &str, tokens| StoredCaller {
        id: id(name),
        grants: grants(&["workspace-owner@acme"]),
        certificate: None,
        tokens,
        expires: None,
        disabled: false,
        created_by: "root".into(),
        created_at: now,
        changed_by: "carl".into(),
        changed_at: now,
        deleted_at: None,
        hands: Vec::new(),
    };
    let mut tx = world.store.inner().begin("put").await.unwrap();
    tx.put_caller(&before("removed", [token(7, None), None])).await.unwrap();
    tx.put_caller(&before("renewed", [token(8, Some(now.saturating_add(SECOND))), None])).await.unwrap();
    tx.commit().await.unwrap();
    world.clock.advance(SECOND * 2);
    let removed = world.service.remove_token(giver("carl", &["*"]), &id("removed"), TokenSlot::A).await.unwrap();
    let renewed = world.service.issue_token(giver("carl", &["*"]), &id("renewed"), None).await.unwrap();
    assert_eq!(renewed.slot, TokenSlot::A, "in the place of the one that expired");
    for caller in [removed, renewed.caller] {
        assert!(caller.may_be("ann") && caller.may_be("carl") && !caller.may_be("bob"), "{:?}", caller.hands);
        assert!(caller.tokens.iter().flatten().all(|token| token.issued_by != "ann"));
    }
}

fn person<A: permission::Action>(name: &str, grant: &str, acme: &TestWorkspace, app: &AppId) -> Permit<A> {
    let caller = Caller::new(name, &grants(&[grant]));
    permit(&caller, Target::App(acme.id.clone(), app.clone())).unwrap()
}

fn uses(events: &[RecordedEvent]) -> Vec<(String, String)> {
    let told = |event: &RecordedEvent| {
        let details: Vec<&str> = event.details.iter().map(|(_, value)| value.as_str()).collect();
        (event.actor.clone(), details.join(" "))
    };
    events.iter().filter(|event| event.name == "data.used").map(told).collect()
}

/// Whether each call of a person is in the workspace's chain, with who, which app, what and how it ended.
async fn is_recorded_one_by_one(world: World) -> bool {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let (service, none) = (&world.service, Context::empty());
    let mut sealed = Vec::new();
    let may = person::<Encrypt>("ann", "data.encrypt@acme", &acme, &bot.id);
    assert!(service.try_encrypt(&may, &none, b"x", &mut Vec::new()).is_none(), "never at once");
    service.encrypt(&may, &none, b"order 42", &mut sealed).await.unwrap();
    let may = person::<permission::Decrypt>("bob", "*", &acme, &bot.id);
    service.decrypt(&may, &none, &sealed, &mut Vec::new()).await.unwrap();
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    service.decrypt(&may, &none, &sealed, &mut Vec::new()).await.unwrap_err();
    let may = person::<Encrypt>("ann", "data.encrypt@acme", &acme, &bot.id);
    let stream = service.encrypt_stream(&may, &none, &mut Vec::new()).await.unwrap();
    drop(stream);
    let mut stream = service.encrypt_stream(&may, &none, &mut Vec::new()).await.unwrap();
    stream.push(b"order 42", &mut Vec::new()).await.unwrap();
    stream.finish(&mut Vec::new()).await.unwrap();
    // What a service does is counted, and not told one by one.
    bot.encrypt(b"x").await.unwrap();
    service.flush_ledger().await.unwrap();
    let used = |actor: &str, told: &str| (actor.to_owned(), told.to_owned());
    uses(&world.audit(&acme.id).await)
        == [
            // Streams, before the rest is gathered and written.
            used("ann", "bot data.encrypt 1 BEGUN"),
            used("ann", "bot data.encrypt 1 BEGUN"),
            used("ann", "bot data.encrypt 1 OK"),
            used("bob", "bot data.decrypt 1 OK"),
            used("bob", "bot data.decrypt 1 DECRYPTION_FAILED"),
            used("ann", "bot data.encrypt 1 NO_ANSWER"),
            used("ann", "bot data.encrypt 1 OK"),
        ]
}

#[tokio::test]
async fn what_a_person_does_with_data_is_recorded_call_by_call() {
    assert!(is_recorded_one_by_one(World::start()).await);
    assert!(!is_recorded_one_by_one(World::with_bug(SeededBug::PersonalUseNotRecorded)).await);
}

/// Whether a person's stream is in the chain before they have a byte of it: what happens to the process then hides nothing.
async fn stream_is_recorded_when_it_begins(world: World) -> bool {
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let (service, none) = (&world.service, Context::empty());
    let may = person::<Encrypt>("ann", "*", &acme, &bot.id);
    let mut sealed = Vec::new();
    let mut stream = service.encrypt_stream(&may, &none, &mut sealed).await.unwrap();
    let begun = uses(&world.audit(&acme.id).await) == [("ann".to_owned(), "bot data.encrypt 1 BEGUN".to_owned())];
    stream.push(b"order 42", &mut sealed).await.unwrap();
    stream.finish(&mut sealed).await.unwrap();

    let may = person::<permission::Decrypt>("bob", "*", &acme, &bot.id);
    let stream = service.decrypt_stream(&may, &none, &sealed[..envelope::PROLOGUE_LEN]).await.unwrap();
    // While it is under way, as when the process is killed: nobody has said how it ended.
    let told = uses(&world.audit(&acme.id).await);
    drop(stream);
    begun && told.last() == Some(&("bob".to_owned(), "bot data.decrypt 1 BEGUN".to_owned()))
}

#[tokio::test]
async fn a_persons_stream_is_recorded_before_its_first_byte() {
    assert!(stream_is_recorded_when_it_begins(World::start()).await);
    assert!(!stream_is_recorded_when_it_begins(World::with_bug(SeededBug::StreamRecordedAtItsEnd)).await);
}

/// What cannot be recorded is not begun: a person gets nothing of a stream while the database takes nothing, and a service's begins.
#[tokio::test]
async fn a_persons_stream_that_cannot_be_recorded_is_not_begun() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"x").await.unwrap();
    let none = Context::empty();
    let may = person::<Encrypt>("ann", "*", &acme, &bot.id);
    let as_service = person::<Encrypt>("worker", "platform-service", &acme, &bot.id);
    world.store.fail_reads(Some(StoreError::Unavailable(Outage::Disk)));
    let mut out = b"before".to_vec();
    let refused = world.service.encrypt_stream(&may, &none, &mut out).await.err().unwrap();
    assert_eq!((refused.reason(), &out[..]), (Reason::StoreUnavailable, &b"before"[..]));
    assert!(world.service.encrypt_stream(&as_service, &none, &mut out).await.is_ok());
}

/// Where there is no room for a record there is no use either: nobody hides one call behind a flood of others, and the services'
/// calls go on.
#[tokio::test]
async fn without_room_for_its_record_a_person_uses_nothing() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let may = person::<Encrypt>("ann", "*", &acme, &bot.id);
    let none = Context::empty();
    for _ in 0..1_024 {
        world.service.encrypt(&may, &none, b"x", &mut Vec::new()).await.unwrap();
    }
    let refused = world.service.encrypt(&may, &none, b"x", &mut Vec::new()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::QuotaExceeded);
    bot.encrypt(b"x").await.unwrap();
    world.service.flush_ledger().await.unwrap();
    world.service.encrypt(&may, &none, b"x", &mut Vec::new()).await.unwrap();
    world.service.flush_ledger().await.unwrap();
    assert_eq!(uses(&world.audit(&acme.id).await).len(), 1_025);
}

/// A deleted workspace's chain is signed as well: its end is what somebody would like to be without.
#[tokio::test]
async fn the_chain_of_a_deleted_workspace_is_signed() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    world.service.delete_workspace(&acme.may_delete()).await.unwrap();
    world.service.sign_grown_chains().await.unwrap();
    let names = world.audit_names(&acme.id).await;
    assert_eq!(names, ["workspace.created", "workspace.deleted", "ledger.checkpointed"]);
    world.service.sign_grown_chains().await.unwrap();
    assert_eq!(world.audit_names(&acme.id).await.len(), 3, "once is enough");
}

/// What is said of a caller in a record is what it is.
#[test]
fn a_record_says_what_happened() {
    let change = domain::caller::CallerChange::TokenIssued(domain::caller::TokenSlot::B, None);
    let changed = domain::caller::CallerChanged { caller: id("billing"), change, grants: grants(&["auditor@acme"]) };
    let (name, details) = AuditKind::CallerChanged(changed).record();
    assert_eq!(name, "caller.token_issued");
    let details: Vec<_> = details.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(details, [("caller", "billing"), ("slot", "b"), ("expires", "never"), ("grant", "auditor@acme")]);
}
