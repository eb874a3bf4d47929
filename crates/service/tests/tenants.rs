//! A workspace's directories: named, consented to, proven by whoever signs in, let go of; and every answer that is none of ours.

use std::time::Duration;

use domain::key_test::Step;
use domain::{Cloud, Reason};
use service::{
    ConfigureKey, ConsentAnswer, Options, Parts, Proven, Refusal, SeededBug, Service, SignInAnswer, Started, WhatNext,
};
use testkit::{MemoryDirectory, TestWorkspace, World, parameter};
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, Trace};

const TENANT: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
const OTHER: &str = "11111111-0d4e-4c0e-9a1f-2b6d7c8e9f01";

struct Site {
    world: World,
    directory: std::sync::Arc<MemoryDirectory>,
    acme: TestWorkspace,
}

impl Site {
    async fn of(world: World) -> Self {
        let directory = MemoryDirectory::new();
        directory.own("contoso.com", TENANT);
        world.service.offer_consent(directory.clone(), "https://keys.example/");
        let acme = world.workspace("acme").await;
        Self { world, directory, acme }
    }

    async fn new() -> Self {
        Self::of(World::start()).await
    }

    async fn with_bug(bug: SeededBug) -> Self {
        Self::of(World::with_bug(bug)).await
    }

    async fn begin(&self, tenant: &str) -> service::ConsentStarted {
        self.world.service.start_consent(&self.acme.may_connect(), Cloud::Public, tenant).await.unwrap()
    }

    async fn open(&self, start_url: &str) -> Result<Started, Refusal> {
        let ticket = parameter(start_url, "ticket");
        let form = self.world.service.look_at_consent(&ticket, None).await?.form;
        self.world.service.open_consent(&ticket, Some(&form), Some(&form)).await
    }

    /// A browser comes back from this consent address.
    async fn back(&self, session: Option<&str>, consent_url: &str) -> Result<WhatNext, Refusal> {
        self.back_with(session, answer(consent_url)).await
    }

    async fn back_with(&self, session: Option<&str>, answer: ConsentAnswer) -> Result<WhatNext, Refusal> {
        self.world.service.consent_came_back(session, answer).await
    }

    async fn sign_in(&self, session: &str, go_to: &str, home: &str) -> Result<Proven, Refusal> {
        let (state, code) = self.directory.sign_in(go_to, home);
        let answer = SignInAnswer { state, code: Some(code), error: None };
        self.world.service.owner_signed_in(Some(session), answer).await
    }

    async fn state(&self) -> Vec<(String, &'static str)> {
        let status = self.world.service.read_connection(&self.acme.may_read_connection(), false).await.unwrap();
        status.tenants.iter().map(|t| (t.link.tenant.to_string(), t.link.standing.as_str())).collect()
    }

    async fn names(&self) -> Vec<String> {
        self.world.audit_names(&self.acme.id).await
    }

    /// Owner's consent and sign-in, to the end.
    async fn prove(&self) {
        let begun = self.begin(TENANT).await;
        let Started { session, go_to, .. } = self.open(&begun.start_url).await.unwrap();
        let to = signs_in(self.back(Some(&session), &go_to).await);
        assert_eq!(self.sign_in(&session, &to, TENANT).await.map(|proven| proven.tenant).unwrap(), TENANT);
    }
}

fn answer(consent_url: &str) -> ConsentAnswer {
    ConsentAnswer { state: parameter(consent_url, "state"), error: None, tenant: Some(TENANT.to_owned()) }
}

fn signs_in(next: Result<WhatNext, Refusal>) -> String {
    match next.unwrap() {
        WhatNext::SignIn { go_to } => go_to,
        WhatNext::ReadBack { .. } => panic!("the owner came back"),
    }
}

fn reads_back(next: Result<WhatNext, Refusal>) -> (String, String) {
    match next.unwrap() {
        WhatNext::ReadBack { workspace, code } => (workspace, code),
        WhatNext::SignIn { .. } => panic!("somebody else came back"),
    }
}

fn why<T>(outcome: Result<T, Refusal>) -> Reason {
    outcome.err().expect("it was taken").reason()
}

/// Named, come back, signed in: each step is told as what it is, and recorded.
#[tokio::test]
async fn an_owner_proves_a_directory_by_consent_and_sign_in() {
    let site = Site::new().await;
    let begun = site.begin(" Contoso.COM ").await;
    assert_eq!(begun.link.tenant.as_str(), TENANT);
    assert!(begun.start_url.starts_with("https://keys.example/entra/start?ticket="), "{}", begun.start_url);
    assert!(begun.command.starts_with("az ad sp create --id "));
    assert_eq!(site.state().await, [(TENANT.to_owned(), "NAMED")]);
    let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
    let to = signs_in(site.back(Some(&session), &go_to).await);
    assert_eq!(site.state().await, [(TENANT.to_owned(), "CAME_BACK")]);
    let proven = site.sign_in(&session, &to, TENANT).await.map(|proven| proven.workspace);
    assert_eq!(proven.unwrap(), "A customer");
    assert_eq!(site.state().await, [(TENANT.to_owned(), "PROVEN")]);
    let expected =
        ["tenant.named", "tenant.consent_started", "tenant.came_back", "tenant.proven", "tenant.application_seen"];
    assert_eq!(site.names().await[1..], expected);
}

/// Whoever the address was sent to sees the workspace and a code; only the owner who reads it back has come back, and that proves
/// nothing. The owner's own sign-in still does.
#[tokio::test]
async fn another_admins_consent_is_read_back() {
    let site = Site::new().await;
    let begun = site.begin(TENANT).await;
    let (workspace, code) = reads_back(site.back(None, &begun.consent_url).await);
    assert_eq!((workspace.as_str(), code.len()), ("A customer", 9));
    assert_eq!(site.state().await, [(TENANT.to_owned(), "NAMED")], "nobody has read it back");
    let complete = async |code: &str| site.world.service.complete_consent(&site.acme.may_connect(), code).await;
    assert_eq!(why(complete("BBBB-BBBB").await), Reason::ConsentCodeWrong);
    let link = complete(&code.to_lowercase().replace('-', " ")).await.unwrap();
    assert_eq!((link.standing.as_str(), link.proof()), ("CAME_BACK", None));
    assert_eq!(why(complete(&code).await), Reason::ConsentNotUnderWay, "once");
    let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
    site.sign_in(&session, &go_to, TENANT).await.map(drop).unwrap();
    assert_eq!(site.state().await, [(TENANT.to_owned(), "PROVEN")]);
}

/// Of two consents for one directory each admin is shown the code of the one they came back from, whichever was begun first.
#[tokio::test]
async fn a_code_is_of_the_consent_that_came_back() {
    for (site, mixed) in [(Site::new().await, false), (Site::with_bug(SeededBug::CodeOfTheNewest).await, true)] {
        let (first, second) = (site.begin(TENANT).await, site.begin(TENANT).await);
        let (_, of_second) = reads_back(site.back(None, &second.consent_url).await);
        let (_, of_first) = reads_back(site.back(None, &first.consent_url).await);
        let complete = async |code: &str| site.world.service.complete_consent(&site.acme.may_connect(), code).await;
        assert_eq!(complete(&of_second).await.is_err(), mixed, "the seeded bug gives the newest another code");
        assert!(complete(&of_first).await.is_ok());
    }
}

/// A code is eight letters and five tries: nobody guesses it.
#[tokio::test]
async fn a_code_is_not_guessed() {
    let site = Site::new().await;
    let begun = site.begin(TENANT).await;
    let (_, code) = reads_back(site.back(None, &begun.consent_url).await);
    let complete = async |code: &str| site.world.service.complete_consent(&site.acme.may_connect(), code).await;
    for _ in 0..5 {
        assert_eq!(why(complete("BBBBBBBB").await), Reason::ConsentCodeWrong);
    }
    assert_eq!(why(complete(&code).await), Reason::ConsentNotUnderWay, "it ended with the fifth");
    let refused = site.names().await.iter().filter(|name| *name == "tenant.consent_refused").count();
    assert_eq!(refused, 5);
    let site = Site::with_bug(SeededBug::AnyCode).await;
    let begun = site.begin(TENANT).await;
    reads_back(site.back(None, &begun.consent_url).await);
    let guessed = site.world.service.complete_consent(&site.acme.may_connect(), "BBBBBBBB").await;
    assert!(guessed.is_ok(), "the seeded fault takes any code");
}

/// A made-up answer is refused, and a flood of them is one event of the platform.
#[tokio::test]
async fn a_forged_answer_is_refused_and_counted() {
    let site = Site::new().await;
    site.begin(TENANT).await;
    for n in 0..1_000 {
        let forged = ConsentAnswer { state: format!("forged-{n}"), error: None, tenant: Some(TENANT.to_owned()) };
        assert_eq!(why(site.back_with(None, forged).await), Reason::ConsentStateUnknown);
    }
    assert_eq!(why(site.world.service.open_consent("forged", None, None).await), Reason::ConsentStateUnknown);
    let forged = SignInAnswer { state: "forged".into(), code: Some("c".into()), error: None };
    assert_eq!(why(site.world.service.owner_signed_in(None, forged).await), Reason::ConsentStateUnknown);
    site.world.service.record_refusals().await.unwrap();
    site.world.service.record_refusals().await.unwrap();
    let events = site.world.store.inner().audit(None, 0, 10_000).await.unwrap();
    let counted: Vec<_> = events.iter().filter(|event| event.name == "refusals.counted").collect();
    assert_eq!(counted.len(), 1);
    assert!(
        counted[0].details.contains(&("refused".to_owned(), "CONSENT_STATE_UNKNOWN 1002".to_owned())),
        "{:?}",
        counted[0].details
    );
    assert_eq!(site.state().await, [(TENANT.to_owned(), "NAMED")]);
}

/// An answer counts once: replayed it is refused. The seeded fault takes it again.
#[tokio::test]
async fn a_replayed_answer_is_refused() {
    for (site, again) in [(Site::new().await, false), (Site::with_bug(SeededBug::ConsentReplayed).await, true)] {
        let begun = site.begin(TENANT).await;
        let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
        signs_in(site.back(Some(&session), &go_to).await);
        assert_eq!(site.back(Some(&session), &go_to).await.is_ok(), again);
        assert_eq!(why(site.open(&begun.start_url).await), Reason::ConsentStateUnknown, "a ticket, too");
    }
}

/// An answer to the owner's consent counts in the owner's browser alone; elsewhere it ends the consent, and that is recorded.
#[tokio::test]
async fn an_answer_in_another_browser_is_refused() {
    for session in [None, Some("made up")] {
        let site = Site::new().await;
        let begun = site.begin(TENANT).await;
        let Started { session: owners, go_to, .. } = site.open(&begun.start_url).await.unwrap();
        assert_eq!(why(site.back(session, &go_to).await), Reason::ConsentOtherBrowser);
        assert_eq!(why(site.back(Some(&owners), &go_to).await), Reason::ConsentStateUnknown, "it ended");
        assert_eq!(site.names().await.last().unwrap(), "tenant.consent_refused");
        assert_eq!(site.state().await, [(TENANT.to_owned(), "NAMED")]);
    }
    let site = Site::with_bug(SeededBug::AnyBrowser).await;
    let begun = site.begin(TENANT).await;
    let Started { go_to, .. } = site.open(&begun.start_url).await.unwrap();
    let _ = site.back(Some("made up"), &go_to).await;
    assert_eq!(site.state().await, [(TENANT.to_owned(), "CAME_BACK")], "the seeded fault");
}

/// A sign-in that another browser began, or that another account finishes, proves nothing.
#[tokio::test]
async fn only_the_owners_own_sign_in_proves() {
    let site = Site::new().await;
    let begun = site.begin(TENANT).await;
    let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
    let to = signs_in(site.back(Some(&session), &go_to).await);
    assert_eq!(why(site.sign_in("another", &to, TENANT).await), Reason::ConsentOtherBrowser);
    assert_eq!(why(site.sign_in(&session, &to, TENANT).await), Reason::ConsentStateUnknown);

    let begun = site.begin(TENANT).await;
    let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
    let to = signs_in(site.back(Some(&session), &go_to).await);
    assert_eq!(why(site.sign_in(&session, &to, OTHER).await), Reason::ConsentOtherTenant);
    assert_eq!(site.state().await, [(TENANT.to_owned(), "CAME_BACK")]);
    let refused = site.names().await.iter().filter(|name| *name == "tenant.consent_refused").count();
    assert_eq!(refused, 2);
}

/// The redirect from consent proves nothing, whatever it says. The seeded fault believes it.
#[tokio::test]
async fn coming_back_proves_nothing() {
    for (site, state) in
        [(Site::new().await, "CAME_BACK"), (Site::with_bug(SeededBug::ComingBackProves).await, "PROVEN")]
    {
        let begun = site.begin(TENANT).await;
        let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
        signs_in(site.back(Some(&session), &go_to).await);
        assert_eq!(site.state().await, [(TENANT.to_owned(), state)]);
    }
}

/// A refusal is looked at before everything else an answer says; and one that comes from another directory counts for nothing.
#[tokio::test]
async fn a_refusal_and_another_directory_are_told_as_such() {
    let site = Site::new().await;
    for (error, tenant, reason) in
        [(Some("access_denied"), TENANT, Reason::ConsentDeclined), (None, OTHER, Reason::ConsentOtherTenant)]
    {
        let begun = site.begin(TENANT).await;
        let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
        let answer = ConsentAnswer {
            error: error.map(str::to_owned),
            tenant: Some(tenant.to_owned()),
            state: parameter(&go_to, "state"),
        };
        assert_eq!(why(site.back_with(Some(&session), answer).await), reason);
        assert_eq!(site.names().await.last().unwrap(), "tenant.consent_refused");
    }
    assert_eq!(site.state().await, [(TENANT.to_owned(), "NAMED")]);
}

/// Whoever opens a start address is shown what it is for, as often as they look; it is begun by the form of that very page in that very
/// browser, and a form that another page sends ends it.
#[tokio::test]
async fn a_start_address_begins_nothing_by_being_opened() {
    for form in [None, Some("theirs")] {
        let site = Site::new().await;
        let begun = site.begin(TENANT).await;
        let ticket = parameter(&begun.start_url, "ticket");
        for _ in 0..2 {
            let shown =
                site.world.service.look_at_consent(&ticket, None).await.map(|shown| (shown.workspace, shown.tenant));
            assert_eq!(shown.unwrap(), ("A customer".to_owned(), TENANT.to_owned()));
        }
        let ours = site.world.service.look_at_consent(&ticket, None).await.map(|shown| shown.form).unwrap();
        let sent = site.world.service.open_consent(&ticket, form, form.map(|_| ours.as_str())).await;
        assert_eq!(why(sent), Reason::ConsentOtherBrowser);
        assert_eq!(site.names().await.last().unwrap(), "tenant.consent_refused");
        assert_eq!(why(site.open(&begun.start_url).await), Reason::ConsentStateUnknown, "it ended");
    }
    let site = Site::with_bug(SeededBug::AnyBrowser).await;
    let begun = site.begin(TENANT).await;
    let sent = site.world.service.open_consent(&parameter(&begun.start_url, "ticket"), None, None).await;
    assert!(sent.is_ok(), "the seeded fault");
}

/// Whether a browser with two start pages open goes on from the older one, after the newer one's cookie took the place of its own.
async fn the_older_page_goes_on(site: &Site) -> bool {
    let tickets =
        [site.begin(TENANT).await, site.begin(TENANT).await].map(|begun| parameter(&begun.start_url, "ticket"));
    let look = async |ticket: &str, shown: Option<&str>| {
        site.world.service.look_at_consent(ticket, shown).await.map(|shown| shown.form).unwrap()
    };
    let older = look(&tickets[0], None).await;
    let newer = look(&tickets[1], Some(&older)).await;
    site.world.service.open_consent(&tickets[0], Some(&older), Some(&newer)).await.is_ok()
}

/// Of two start pages in a browser each goes on; what a cookie says that no page of ours gave is not taken over. A form that another page sent
/// ends the consent of its ticket, and no other of the same workspace and directory.
#[tokio::test]
async fn two_start_pages_leave_each_other_alone() {
    let site = Site::new().await;
    assert!(the_older_page_goes_on(&site).await);
    let bug = Site::with_bug(SeededBug::NewestPageAlone).await;
    assert!(!the_older_page_goes_on(&bug).await, "the seeded bug was not found");

    let (first, second) = (site.begin(TENANT).await, site.begin(TENANT).await);
    let ticket = parameter(&first.start_url, "ticket");
    for made_up in ["theirs", "", &"<".repeat(43)] {
        let form = site.world.service.look_at_consent(&ticket, Some(made_up)).await.map(|shown| shown.form).unwrap();
        assert!(form != made_up && form.len() == 43, "{form}");
    }
    assert_eq!(why(site.world.service.open_consent(&ticket, None, None).await), Reason::ConsentOtherBrowser);
    assert_eq!(why(site.open(&first.start_url).await), Reason::ConsentStateUnknown, "it ended");
    let Started { session, go_to, consent } = site.open(&second.start_url).await.unwrap();
    assert_eq!(service::consent_of(&parameter(&go_to, "state")), Some(consent.as_str()), "its answer finds its cookie");
    let to = signs_in(site.back(Some(&session), &go_to).await);
    assert_eq!(service::consent_of(&parameter(&to, "state")), Some(consent.as_str()));
    site.sign_in(&session, &to, TENANT).await.map(drop).unwrap();
}

/// A client that hangs up changes nothing about it: what ended its consent is recorded.
#[tokio::test]
async fn a_refusal_is_recorded_without_its_client() {
    let site = Site::new().await;
    let begun = site.begin(TENANT).await;
    let ticket = parameter(&begun.start_url, "ticket");
    tokio::select! {
        biased;
        _ = site.world.service.open_consent(&ticket, Some("theirs"), None) => panic!("it does not wait for the ledger"),
        () = std::future::ready(()) => {}
    }
    for _ in 0..1_000 {
        if site.names().await.last().unwrap() == "tenant.consent_refused" {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(site.names().await.last().unwrap(), "tenant.consent_refused");
    assert_eq!(why(site.open(&begun.start_url).await), Reason::ConsentStateUnknown, "it ended");
}

/// A consent lives for a quarter of an hour, by a clock that nobody sets back.
#[tokio::test]
async fn a_consent_ends_after_a_quarter_of_an_hour() {
    let site = Site::new().await;
    let (begun, later) = (site.begin(TENANT).await, site.begin(TENANT).await);
    let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
    site.world.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(why(site.back(Some(&session), &go_to).await), Reason::ConsentStateUnknown);
    assert_eq!(why(site.open(&later.start_url).await), Reason::ConsentStateUnknown);
    assert_eq!(why(site.back(None, &later.consent_url).await), Reason::ConsentStateUnknown);
}

/// Each entry of a list is looked up by itself.
#[tokio::test]
async fn domains_are_looked_up_one_by_one() {
    let site = Site::new().await;
    let list = format!("contoso.com, nobody.example, ann@contoso.com, {{{OTHER}}}");
    let found = site.world.service.look_up_domains(&site.acme.may_connect(), Cloud::Public, &list).await.unwrap();
    let answers: Vec<_> =
        found.iter().map(|one| one.tenant.as_ref().map(|tenant| tenant.as_str()).map_err(Refusal::reason)).collect();
    let expected = [Ok(TENANT), Err(Reason::EntraTenantUnknown), Err(Reason::TenantInvalid), Ok(OTHER)];
    assert_eq!(answers, expected);
    assert_eq!(site.state().await, [], "a look-up names nothing");
}

/// Once a directory was asked for, keys are taken in the directories that were named and in no others; without that the guide works as it
/// did. The seeded fault takes any.
#[tokio::test]
async fn keys_are_taken_in_the_directories_that_were_named() {
    for (site, taken) in [(Site::new().await, false), (Site::with_bug(SeededBug::AnyTenantTaken).await, true)] {
        site.world.vault.create_key(&site.acme.key());
        site.acme.configure(site.acme.request()).await.unwrap();
        assert_eq!(site.state().await, [(TENANT.to_owned(), "NAMED")], "implied");
        site.begin(OTHER).await;
        site.acme.configure(site.acme.request()).await.unwrap();
        let third = "22222222-0d4e-4c0e-9a1f-2b6d7c8e9f01";
        let elsewhere = ConfigureKey { tenant_id: third.to_owned(), ..site.acme.request() };
        let refused = site.acme.configure(elsewhere).await.unwrap_err().reason();
        assert_eq!(refused == Reason::TenantNotConnected, !taken, "{refused}");
    }
}

/// Disconnected, a key is held everywhere at once; the switch alone does not bring it back, nor does a nonce of before. Proven anew it does.
#[tokio::test]
async fn what_was_disconnected_is_proven_anew() {
    let site = Site::new().await;
    site.prove().await;
    let acme = &site.acme;
    acme.connect_key().await;
    acme.prove_ownership().await;
    assert!(acme.test_key().await.unwrap().passed());
    let bot = acme.app("bot").await;
    let sealed = bot.encrypt(b"order 42").await.unwrap();
    let status = site.world.service.disconnect(&acme.may_disconnect()).await.unwrap();
    assert!(status.tenants.iter().all(|t| t.link.standing.as_str() == "DISCONNECTED"));
    assert_eq!(site.world.service.open_data_keys(), 0);
    assert_eq!(bot.decrypt(&sealed).await.unwrap_err().reason(), Reason::KeyRevoked);
    assert_eq!(bot.encrypt(b"more").await.unwrap_err().reason(), Reason::KeyRevoked);
    let restore = async || site.world.service.restore_key(&acme.may_restore()).await;
    assert_eq!(restore().await.unwrap_err().reason(), Reason::ReconnectFirst);
    // The tag of before is still there.
    assert!(!acme.test_key().await.unwrap().passed());
    assert_eq!(restore().await.unwrap_err().reason(), Reason::ReconnectFirst);
    acme.prove_ownership().await;
    assert!(acme.test_key().await.unwrap().passed(), "{:?}", acme.test_key().await.unwrap().first_failure());
    restore().await.unwrap();
    assert_eq!(bot.decrypt(&sealed).await.unwrap(), b"order 42");
    let names = site.names().await;
    for once in ["tenant.disconnected", "key.revoked", "key.restored"] {
        assert_eq!(names.iter().filter(|name| *name == once).count(), 1, "{once}");
    }
}

/// What is done after a disconnection, while a sign-in that was begun before it is under way still.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Nothing,
    NamedAgain,
    ProvenByTag,
}

/// Whether a directory is proven by a sign-in that was under way when its workspace was disconnected.
async fn disconnection_is_overtaken(site: Site, then: Then) -> bool {
    site.acme.connect_key().await;
    let begun = site.begin(TENANT).await;
    let Started { session, go_to, .. } = site.open(&begun.start_url).await.unwrap();
    let to = signs_in(site.back(Some(&session), &go_to).await);
    let held = site.directory.hold_codes().await;
    let disconnected = async {
        site.directory.code_is_shown().await;
        site.world.service.disconnect(&site.acme.may_disconnect()).await.unwrap();
        match then {
            Then::Nothing => {}
            Then::NamedAgain => drop(site.begin(TENANT).await),
            Then::ProvenByTag => {
                site.acme.prove_ownership().await;
                assert!(site.acme.test_key().await.unwrap().passed());
            }
        }
        drop(held);
    };
    let (signed_in, ()) = tokio::join!(site.sign_in(&session, &to, TENANT), disconnected);
    let status = site.world.service.read_connection(&site.acme.may_read_connection(), false).await.unwrap();
    assert_eq!(status.tenants[0].link.is_signed_in(), signed_in.is_ok());
    if let Err(refusal) = &signed_in {
        assert_eq!(refusal.reason(), Reason::ConsentStateUnknown);
        let stands = match then {
            Then::Nothing => "DISCONNECTED",
            Then::NamedAgain => "NAMED",
            Then::ProvenByTag => "PROVEN",
        };
        assert_eq!(site.state().await, [(TENANT.to_owned(), stands)]);
        assert_eq!(site.names().await.last().unwrap(), "tenant.consent_refused");
        site.prove().await;
        assert_eq!(site.state().await, [(TENANT.to_owned(), "PROVEN")], "begun anew, it proves");
    }
    signed_in.is_ok()
}

/// What was begun before a disconnection proves nothing after it, however long the directory took, and whoever named the directory again or
/// proved it by the key's tag meanwhile: that was not for what was begun before.
#[tokio::test]
async fn a_sign_in_does_not_overtake_a_disconnection() {
    for then in [Then::Nothing, Then::NamedAgain, Then::ProvenByTag] {
        assert!(!disconnection_is_overtaken(Site::new().await, then).await);
        let bug = Site::with_bug(SeededBug::DisconnectionOvertaken).await;
        assert!(disconnection_is_overtaken(bug, then).await, "the seeded bug was not found");
        let bug = Site::with_bug(SeededBug::NamingAgainOverlooked).await;
        assert_eq!(disconnection_is_overtaken(bug, then).await, then != Then::Nothing, "the seeded bug was not found");
    }
}

/// What names one directory is taken for a key's as it is for a connection's: an id however it was copied, an address that names it, a domain,
/// which is looked up. What names none, or everybody's, is refused.
#[tokio::test]
async fn a_keys_directory_is_named_in_any_words() {
    let site = Site::new().await;
    site.world.vault.create_key(&site.acme.key());
    let configure = async |typed: String| {
        let request = ConfigureKey { tenant_id: typed, ..site.acme.request() };
        site.acme.configure(request).await.map(|configured| configured.config.tenant.to_string())
    };
    for typed in [
        TENANT.to_uppercase(),
        format!(" {{{TENANT}}} "),
        format!("https://login.microsoftonline.com/{TENANT}/v2.0"),
        format!("https://portal.azure.com/#@{TENANT}/resource/x"),
        "Contoso.com".to_owned(),
    ] {
        assert_eq!(configure(typed.clone()).await.unwrap(), TENANT, "{typed}");
    }
    for (typed, reason) in [
        ("", Reason::TenantInvalid),
        ("organizations", Reason::TenantInvalid),
        (domain::tenant_input::PERSONAL_ACCOUNTS, Reason::TenantInvalid),
        ("ann@contoso.com", Reason::TenantInvalid),
        ("https://contoso.com/", Reason::TenantInvalid),
        ("nobody.example", Reason::EntraTenantUnknown),
    ] {
        assert_eq!(why(configure(typed.to_owned()).await), reason, "{typed}");
    }
}

/// Where a sign-in is asked for, a key that was let go of comes back after one, and not by the tag alone.
#[tokio::test]
async fn a_required_sign_in_is_asked_for_anew() {
    let site = Site::new().await;
    let acme = &site.acme;
    acme.connect_key().await;
    site.world.service.disconnect(&acme.may_disconnect()).await.unwrap();
    acme.prove_ownership().await;
    assert!(acme.test_key().await.unwrap().passed());
    let options = Options { require_sign_in: true, ..Options::default() };
    let parts = Parts { options, ..site.world.parts(site.world.store.clone()) };
    let strict = Service::start(parts).unwrap();
    assert_eq!(why(strict.restore_key(&acme.may_restore()).await), Reason::ReconnectFirst);
    site.prove().await;
    strict.restore_key(&acme.may_restore()).await.map(drop).unwrap();
}

/// The seeded fault restores what nobody proved anew.
#[tokio::test]
async fn the_switch_alone_restores_under_the_seeded_fault() {
    let site = Site::with_bug(SeededBug::RestoredUnproven).await;
    site.acme.connect_key().await;
    site.world.service.disconnect(&site.acme.may_disconnect()).await.unwrap();
    assert!(site.world.service.restore_key(&site.acme.may_restore()).await.is_ok());
}

/// Where an operator asks for it, a key passes no test before somebody signed in to its directory; and it does then.
#[tokio::test]
async fn a_sign_in_may_be_required() {
    let options = Options { require_sign_in: true, ..Options::default() };
    let site = Site::of(World::builder().options(options).start()).await;
    site.acme.connect_key().await;
    site.acme.prove_ownership().await;
    let stopped = site.acme.test_key().await.unwrap();
    let stopped = stopped.first_failure().unwrap();
    assert_eq!((stopped.step, stopped.reason), (Step::Tenant, Some(Reason::TenantNotProven)));
    site.prove().await;
    site.world.clock.advance(Duration::from_secs(1));
    assert!(site.acme.test_key().await.unwrap().passed());
}

/// An enterprise application that was removed or disabled is told as that, once in the ledger, and so is its coming back; a directory that
/// cannot be asked says nothing.
#[tokio::test]
async fn an_application_that_is_gone_is_told_as_that() {
    let site = Site::new().await;
    site.begin(TENANT).await;
    let look = async || {
        let status = site.world.service.read_connection(&site.acme.may_read_connection(), true).await.unwrap();
        let tenant = status.tenants.into_iter().next().unwrap();
        (tenant.link.app.map(|app| app.refused), tenant.unanswered)
    };
    assert_eq!(look().await, (Some(None), None));
    for (why, reason) in [
        (KeyUnavailable::AppNotInDirectory(Trace::default()), Reason::EntraAppNotInTenant),
        (KeyUnavailable::AppDisabled(Trace::default()), Reason::EntraAppDisabled),
    ] {
        site.world.vault.fail(Operation::SignIn, Fault::Refuse(why));
        assert_eq!(look().await, (Some(Some(reason)), None));
        assert_eq!(look().await, (Some(Some(reason)), None), "and is recorded once");
        site.world.vault.heal();
    }
    site.world.vault.fail(Operation::SignIn, Fault::Refuse(KeyUnavailable::DirectoryUnreachable));
    let before = Some(Some(Reason::EntraAppDisabled));
    assert_eq!(look().await, (before, Some(Reason::EntraUnreachable)));
    site.world.vault.heal();
    assert_eq!(look().await, (Some(None), None));
    let seen = site.names().await.iter().filter(|name| *name == "tenant.application_seen").count();
    assert_eq!(seen, 4);
}
