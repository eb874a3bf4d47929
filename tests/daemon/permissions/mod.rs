//! Who may make which call: the golden file, the handlers held to it, and "not yours" that nobody can tell from "not there".

pub(crate) mod any_call;

use std::sync::Arc;

use api::byok::v1 as pb;
use api::byok::v1::callers_client::CallersClient;
use api::byok::v1::encryption_client::EncryptionClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use byokd::clock::SystemClock;
use byokd::grpc::rpc::{About, RPCS, Rpc};
use domain::permission::{Caller, Grant, NotPermitted, ROLES, Role, Target, Verb};
use domain::{OperationId, Timestamp};
use identity::{Token, TokenCallers, token_hash};
use store::{Outage, StoreError};
use tonic::{Code, Status};

use self::any_call::{Place, reason, told};
use crate::site::{Client, Site};

/// The golden file. After a change that is meant, run these tests with `BYOKD_WRITE_DOCS=1` and read the difference.
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/permissions.golden");
const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/permissions.md");

/// How a role is given where its column is asked: of a workspace where it has one, else everywhere.
fn given(role: Role) -> String {
    if role.names_its_workspaces() { format!("{role}@acme") } else { role.to_string() }
}

fn caller(grants: &[String]) -> Caller {
    let grants: Vec<Grant> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    Caller::new("somebody", &grants)
}

macro_rules! deciders {
    ($($action:ident)*) => {
        /// Asks the one function for an action that is known only now.
        fn decide(caller: &Caller, verb: Verb, target: Target) -> Result<(), NotPermitted> {
            use domain::permission::{self, permit};
            match verb { $(Verb::$action => permit::<permission::$action>(caller, target).map(drop),)* }
        }
    };
}

deciders! {
    Encrypt Decrypt ReEncrypt CreateWorkspace ReadWorkspaces DeleteWorkspace ChangeApps ReadApps ConfigureKey ReadKey
    ScheduleEnforcement SelectApps ReadSelection RevokeKey RestoreKey TestKey ExportWrappedKeys RotateKey RotateDataKeys
    ReadOperations CancelOperation ValidateApp ReadUsage DecideOperation ReplaceKey LeaveCustomerKey DestroyDataKey
    ReadAudit MakeCheckpoint ReadCallers ChangeCallers ReadCredentials ChangeCredentials ReadConnection ConnectTenant DisconnectTenants
}

fn target(rpc: &Rpc) -> Target {
    let workspace = || "acme".parse().unwrap();
    match rpc.about {
        About::Platform => Target::Platform,
        About::Workspace => Target::Workspace(workspace()),
        About::App => Target::App(workspace(), "support-bot".parse().unwrap()),
    }
}

/// The table of calls and roles, each cell by asking the one function.
fn table() -> String {
    let mut text = String::from(
        "# Which role may make which call. Roles of a workspace are asked in their own one, the others everywhere.\n",
    );
    text.push_str(&format!("{:<36}{:<26}", "call", "action"));
    for role in Role::ALL {
        text.push_str(&format!("{:<19}", role.as_str()));
    }
    for rpc in RPCS {
        text.truncate(text.trim_end().len());
        text.push_str(&format!("\n{:<36}{:<26}", rpc.name(), rpc.verb.as_str()));
        for role in Role::ALL {
            let allowed = decide(&caller(&[given(*role)]), rpc.verb, target(rpc)).is_ok();
            text.push_str(&format!("{:<19}", if allowed { "yes" } else { "-" }));
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn compare(path: &str, text: &str) {
    if std::env::var_os("BYOKD_WRITE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "{path} is out of date");
}

/// The golden file is what the one function decides: a permission that changes shows in a review.
#[test]
fn the_golden_file_is_what_is_decided() {
    compare(GOLDEN, &table());
}

/// The table of actions that people read is the program's own.
#[test]
fn the_documents_table_is_the_programs_own() {
    let text = std::fs::read_to_string(DOCS).unwrap();
    let (begin, end) = ("<!-- generated: a test compares this with the program -->\n", "<!-- end -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let tail = rest.split_once(end).unwrap().1;
    let mut rows = String::from("| action |");
    for role in Role::ALL {
        rows.push_str(&format!(" {role} |"));
    }
    rows.push_str(&format!(" what it is about |\n|---|{}---|\n", "---|".repeat(Role::ALL.len())));
    for verb in Verb::ALL {
        rows.push_str(&format!("| `{verb}` |"));
        for (_, verbs) in ROLES {
            rows.push_str(if verbs.contains(verb) { " yes |" } else { " |" });
        }
        let about = match verb.reach() {
            domain::permission::Reach::App => "one app",
            domain::permission::Reach::Workspace => "a workspace",
        };
        rows.push_str(&format!(" {about} |\n"));
    }
    compare(DOCS, &format!("{head}{begin}{rows}{end}{tail}"));
}

/// A site whose callers hold these grants; the token of each is its own name.
async fn site(callers: Vec<(String, Vec<String>)>) -> Site {
    let site = Site::with(|assembly| {
        let mut tokens: Vec<Token> = callers
            .iter()
            .map(|(name, grants)| Token {
                name: name.clone(),
                sha256: token_hash(name),
                grants: grants.iter().map(|grant| grant.parse().unwrap()).collect(),
                expires: None,
            })
            .collect();
        tokens.push(Token {
            name: "tester".into(),
            sha256: token_hash(crate::site::TOKEN),
            grants: vec![Grant::EVERYTHING],
            expires: None,
        });
        assembly.callers = Arc::new(TokenCallers::granted(tokens, Arc::new(SystemClock)).unwrap());
    })
    .await;
    site.acme().await;
    site
}

/// The workspace that is there, with an operation of its own.
async fn acme(site: &Site) -> Place {
    let mut keys = site.keys().await;
    let name = "workspaces/acme/key".to_owned();
    let asked = keys.rotate_data_keys(pb::RotateDataKeysRequest { name, ..Default::default() }).await;
    let operation = asked.unwrap().into_inner().name.strip_prefix("operations/").unwrap().to_owned();
    Place { workspace: "acme", app: "support-bot", operation }
}

/// A call whose success would take away what later ones are about comes last.
fn in_order() -> Vec<&'static Rpc> {
    let mut rpcs: Vec<_> = RPCS.iter().collect();
    rpcs.sort_by_key(|rpc| (rpc.verb == Verb::DeleteWorkspace, rpc.path.ends_with("/DeleteApp")));
    rpcs
}

async fn is_denied(place: &Place, client: &Client, rpc: &Rpc) -> bool {
    match place.call(client, rpc.path).await {
        Ok(()) => false,
        Err(status) => {
            assert_ne!(status.code(), Code::Unauthenticated, "{}", rpc.path);
            reason(&status) == "PERMISSION_DENIED"
        }
    }
}

/// Every call, really made by each role, is let in exactly where the golden file says so.
#[tokio::test]
async fn every_call_is_open_to_the_roles_the_golden_file_names() {
    let golden = std::fs::read_to_string(GOLDEN).unwrap();
    for (column, role) in Role::ALL.iter().enumerate() {
        let site = site(vec![("somebody".into(), vec![given(*role)])]).await;
        let (place, client) = (acme(&site).await, site.with_token("somebody").await);
        for rpc in in_order() {
            let line = golden.lines().find(|line| line.split_whitespace().next() == Some(rpc.name())).unwrap();
            let allowed = line.split_whitespace().nth(2 + column).unwrap() == "yes";
            assert_eq!(!is_denied(&place, &client, rpc).await, allowed, "{role} {}", rpc.name());
        }
    }
}

/// Every handler asks for exactly the action that the table says: with nothing but that it opens, with everything but that it
/// does not. A handler that asked for another, or for none, would fail here.
#[tokio::test]
async fn every_handler_asks_for_the_action_of_the_table() {
    let mut callers = Vec::new();
    for verb in Verb::ALL {
        let others = Verb::ALL.iter().filter(|other| *other != verb).map(|other| other.to_string()).collect();
        callers.push((format!("only {verb}"), vec![verb.to_string()]));
        callers.push((format!("all but {verb}"), others));
    }
    let site = site(callers).await;
    let place = acme(&site).await;
    for rpc in in_order() {
        let without = site.with_token(&format!("all but {}", rpc.verb)).await;
        assert!(is_denied(&place, &without, rpc).await, "{} opens without {}", rpc.name(), rpc.verb);
        let with = site.with_token(&format!("only {}", rpc.verb)).await;
        assert!(!is_denied(&place, &with, rpc).await, "{} wants more than {}", rpc.name(), rpc.verb);
    }
}

/// The calls that do not end in `NOT_FOUND` for who may everything, in the order of the table.
const OTHERWISE: [&str; 4] =
    ["Encryption/Decrypt", "Encryption/BatchDecrypt", "Encryption/DecryptStream", "Encryption/ReEncrypt"];

async fn refused(place: &Place, client: &Client, rpc: &Rpc) -> Status {
    place.call(client, rpc.path).await.expect_err(rpc.path)
}

/// I-14: for every call, "not yours" and "not there" are the same in code, text and details, and both are what somebody who may
/// everything is told of what is not there.
#[tokio::test]
async fn not_yours_cannot_be_told_from_not_there() {
    let site = site(vec![("neighbour".into(), vec!["workspace-owner@contoso".into(), "*@contoso".into()])]).await;
    let yours = acme(&site).await;
    let nowhere = OperationId::new(Timestamp::from_micros(1), [7; 10]).to_string();
    let nothing = Place { workspace: "nowhere", app: "nobody", operation: nowhere };
    let (neighbour, tester) = (site.with_token("neighbour").await, site.client().await);
    let mut otherwise = Vec::new();
    for rpc in RPCS.iter().filter(|rpc| rpc.about != About::Platform) {
        let not_yours = told(&refused(&yours, &neighbour, rpc).await);
        assert!(not_yours.starts_with("NotFound"), "{}: {not_yours}", rpc.name());
        assert_eq!(not_yours, told(&refused(&nothing, &neighbour, rpc).await), "{}", rpc.name());
        if rpc.verb == Verb::CreateWorkspace {
            continue; // it would be there
        }
        match nothing.call(&tester, rpc.path).await {
            Err(status) if status.code() == Code::NotFound => {
                assert_eq!(not_yours, told(&status), "{} by who may everything", rpc.name());
            }
            _ => otherwise.push(rpc.name()),
        }
    }
    // Who may everything is told first that what these are to open is no ciphertext.
    assert_eq!(otherwise, OTHERWISE);
}

/// The calls about the platform as a whole, the administration of callers among them, tell somebody without grants the same of what
/// is there and of what is not, byte for byte; and so does every other call.
#[tokio::test]
async fn somebody_without_grants_learns_nothing_from_any_call() {
    let site = site(vec![("stranger".into(), vec!["auditor@contoso".into()])]).await;
    let there = acme(&site).await;
    let mut callers = CallersClient::new(site.client().await);
    let (caller_id, grants) = (there.app.to_owned(), vec!["auditor@acme".to_owned()]);
    callers.create_caller(pb::CreateCallerRequest { caller_id, grants, ..Default::default() }).await.unwrap();
    let nowhere = OperationId::new(Timestamp::from_micros(1), [7; 10]).to_string();
    let nothing = Place { workspace: "nowhere", app: "nobody", operation: nowhere };
    let stranger = site.with_token("stranger").await;
    for rpc in RPCS {
        let (one, other) = (refused(&there, &stranger, rpc).await, refused(&nothing, &stranger, rpc).await);
        assert_eq!(told(&one), told(&other), "{}", rpc.name());
        let expected = if rpc.about == About::Platform { Code::PermissionDenied } else { Code::NotFound };
        assert_eq!(one.code(), expected, "{}", rpc.name());
    }
}

/// Where no grant covers a target the database is not even asked: with all its reads failing, the answer is the same. Only an
/// operation has to be looked up to know whose it is, whether it is there or not.
#[tokio::test]
async fn a_strangers_call_asks_nobody() {
    let site = site(vec![("neighbour".into(), vec!["*@contoso".into()])]).await;
    let yours = acme(&site).await;
    let neighbour = site.with_token("neighbour").await;
    site.store.fail_reads(Some(StoreError::Unavailable(Outage::Disk)));
    for rpc in RPCS {
        let reason = reason(&refused(&yours, &neighbour, rpc).await);
        let by_its_id = rpc.path.starts_with("/byok.v1.Operations/") && !rpc.path.ends_with("/ListOperations");
        let expected = match rpc.about {
            About::Platform => "PERMISSION_DENIED",
            About::Workspace if by_its_id => "STORE_UNAVAILABLE",
            About::Workspace | About::App => "NOT_FOUND",
        };
        assert_eq!(reason, expected, "{}", rpc.name());
    }
}

/// What is missing is named to who was given something for this very workspace, with who can help.
#[tokio::test]
async fn what_is_missing_is_named_to_who_was_given_something() {
    let site = site(vec![("admin".into(), vec!["workspace-admin@acme".into()])]).await;
    let place = acme(&site).await;
    let leave = Rpc::at("/byok.v1.EnterpriseKeys/LeaveCustomerKey").unwrap();
    let status = refused(&place, &site.with_token("admin").await, leave).await;
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(status.message(), "the caller was not granted this action here: key.leave");
}

/// 2,000 random callers and apps through the whole daemon: an app is served exactly to whom it was given, and what it sealed
/// opens for nobody as another app's (I-14).
#[tokio::test]
async fn an_app_is_served_to_whom_it_was_given() {
    const PLACES: [(&str, &str); 6] = [
        ("acme", "bot"),
        ("acme", "bot-two"),
        ("acme-eu", "bot"),
        ("acmecorp", "bot"),
        ("contoso", "bot"),
        ("contoso", "bot-two"),
    ];
    // Which places each caller was given, by hand beside its grant.
    let callers: [(&str, &[usize]); 8] = [
        ("platform-service", &[0, 1, 2, 3, 4, 5]),
        ("platform-service@acme", &[0, 1]),
        ("platform-service@acme-*", &[2]),
        ("platform-service@*/bot", &[0, 2, 3, 4]),
        ("platform-service@contoso/bot-*", &[5]),
        ("data.encrypt@acmecorp", &[3]),
        ("workspace-owner@acme", &[]),
        ("platform-operator", &[]),
    ];
    let known = callers.iter().map(|(grant, _)| ((*grant).to_owned(), vec![(*grant).to_owned()])).collect();
    let site = site(known).await;
    let (mut admin, mut sealed) = (WorkspacesClient::new(site.client().await), Vec::new());
    for (workspace, app) in PLACES {
        let display_name = "A".to_owned();
        let create = pb::CreateWorkspaceRequest { workspace_id: workspace.into(), display_name: display_name.clone() };
        // acme is there, and has two apps.
        let _ = admin.create_workspace(create).await;
        let (name, kind) = (format!("workspaces/{workspace}/apps/{app}"), pb::AppKind::Bot.into());
        admin.upsert_app(pb::UpsertAppRequest { name: name.clone(), kind, display_name }).await.unwrap();
        let request = pb::EncryptRequest { app: name, plaintext: workspace.into(), ..Default::default() };
        sealed.push(site.encryption().await.encrypt(request).await.unwrap().into_inner().ciphertext);
    }
    let mut clients = Vec::new();
    for (grant, given) in callers {
        clients.push((grant, given, EncryptionClient::new(site.with_token(grant).await)));
    }
    let (mut dice, mut served) = (0x5EED_u64, 0);
    let mut roll = |sides: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as usize % sides
    };
    for _ in 0..2_000 {
        let ((grant, given, client), at, other) = (&mut clients[roll(8)], roll(6), roll(6));
        let (workspace, app) = PLACES[at];
        let app = format!("workspaces/{workspace}/apps/{app}");
        let asked = client.encrypt(pb::EncryptRequest { app: app.clone(), ..Default::default() }).await;
        assert_eq!(asked.is_ok(), given.contains(&at), "{grant} {app}");
        served += usize::from(asked.is_ok());
        let request = pb::DecryptRequest { app, ciphertext: sealed[other].clone(), ..Default::default() };
        let opened = client.decrypt(request).await;
        let may = given.contains(&at) && at == other && !grant.starts_with("data.encrypt");
        assert_eq!(opened.is_ok(), may, "{grant} {workspace} {other}");
        if let Ok(opened) = opened {
            assert_eq!(opened.into_inner().plaintext, workspace.as_bytes());
        }
    }
    assert!((200..1_800).contains(&served), "{served}");
}
