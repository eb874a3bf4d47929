//! Callers that are kept in the database, through the whole daemon: let in, changed and shut out while it runs.

use std::sync::Arc;

use api::byok::v1 as pb;
use api::byok::v1::callers_client::CallersClient;
use api::byok::v1::encryption_client::EncryptionClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use byokd::clock::SystemClock;
use domain::permission::Grant;
use identity::{Token, TokenCallers, token_hash};
use store::{Outage, StoreError};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::site::{APP, Client, Site, TOKEN, encrypt};

/// A site whose configured callers hold these grants; the token of each is its own name.
async fn site(callers: &[(&str, &[&str])]) -> Site {
    let tokens: Vec<Token> = callers
        .iter()
        .map(|(name, grants)| Token {
            name: (*name).to_owned(),
            sha256: token_hash(if *name == "tester" { TOKEN } else { name }),
            grants: grants.iter().map(|grant| grant.parse::<Grant>().unwrap()).collect(),
            expires: None,
        })
        .collect();
    let site = Site::with(|assembly| {
        assembly.callers = Arc::new(TokenCallers::granted(tokens, Arc::new(SystemClock)).unwrap());
    })
    .await;
    site.acme().await;
    site
}

const EVERYTHING: (&str, &[&str]) = ("tester", &["*", "platform-service"]);

async fn callers(site: &Site, token: &str) -> CallersClient<Client> {
    CallersClient::new(site.with_token(token).await)
}

fn create(id: &str, grants: &[&str]) -> pb::CreateCallerRequest {
    let grants = grants.iter().map(|grant| (*grant).to_owned()).collect();
    pb::CreateCallerRequest { caller_id: id.into(), grants, ..Default::default() }
}

fn issue(id: &str) -> pb::IssueTokenRequest {
    pb::IssueTokenRequest { name: format!("callers/{id}"), expire_time: None }
}

fn switch(id: &str, disabled: bool) -> pb::UpdateCallerRequest {
    let update_mask = Some(prost_types::FieldMask { paths: vec!["disabled".into()] });
    pb::UpdateCallerRequest { name: format!("callers/{id}"), disabled, update_mask, ..Default::default() }
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("a refusal has an ErrorInfo").reason
}

async fn seals(client: &Client) -> Result<(), String> {
    let mut client = api::byok::v1::encryption_client::EncryptionClient::new(client.clone());
    client.encrypt(encrypt("order 42")).await.map(drop).map_err(|status| reason(&status))
}

/// A caller is made, shows its token, is given and loses grants, is disabled and enabled, and is gone when it is deleted: each on
/// a connection that lasts, from the answer on.
#[tokio::test]
async fn a_caller_is_let_in_and_shut_out_while_the_daemon_runs() {
    let site = site(&[EVERYTHING]).await;
    let mut admin = callers(&site, TOKEN).await;
    let made = admin.create_caller(create("billing", &["platform-service@acme"])).await.unwrap().into_inner();
    assert_eq!((made.name.as_str(), made.creator.as_str(), made.tokens.len()), ("callers/billing", "tester", 0));
    let issued = admin.issue_token(issue("billing")).await.unwrap().into_inner();
    assert!(issued.token.starts_with("byokd_") && issued.token.len() == 70, "256 bits");
    let billing = site.with_token(&issued.token).await;
    assert_eq!(seals(&billing).await, Ok(()));

    admin.update_caller(switch("billing", true)).await.unwrap();
    assert_eq!(seals(&billing).await, Err("UNAUTHENTICATED".into()));
    admin.update_caller(switch("billing", false)).await.unwrap();
    assert_eq!(seals(&billing).await, Ok(()));

    let name = || "callers/billing".to_owned();
    let remove = pb::UpdateCallerRequest {
        name: name(),
        add_grants: vec!["auditor@acme".into()],
        remove_grants: vec!["platform-service@acme".into()],
        ..Default::default()
    };
    let changed = admin.update_caller(remove).await.unwrap().into_inner();
    assert_eq!(changed.grants, ["auditor@acme"]);
    assert_eq!(seals(&billing).await, Err("PERMISSION_DENIED".into()));

    admin.delete_caller(pb::DeleteCallerRequest { name: name() }).await.unwrap();
    assert_eq!(seals(&billing).await, Err("UNAUTHENTICATED".into()));
    let gone = admin.get_caller(pb::GetCallerRequest { name: name() }).await.unwrap_err();
    assert_eq!(reason(&gone), "NOT_FOUND");
    let again = admin.create_caller(create("billing", &["auditor"])).await.unwrap_err();
    assert_eq!(reason(&again), "ALREADY_EXISTS");
}

/// A token is rotated without a failed call: the second is in use before the first goes, and there is no third.
#[tokio::test]
async fn a_token_rotates_without_a_failed_call() {
    let site = site(&[EVERYTHING]).await;
    let mut admin = callers(&site, TOKEN).await;
    admin.create_caller(create("billing", &["platform-service@acme"])).await.unwrap();
    let mut token = admin.issue_token(issue("billing")).await.unwrap().into_inner();
    let mut client = site.with_token(&token.token).await;
    for _ in 0..5 {
        assert_eq!(seals(&client).await, Ok(()));
        let next = admin.issue_token(issue("billing")).await.unwrap().into_inner();
        let third = admin.issue_token(issue("billing")).await.unwrap_err();
        assert_eq!(reason(&third), "CALLER_TOKENS_IN_USE");
        assert_eq!(seals(&client).await, Ok(()), "the old one counts until it is removed");
        let newer = site.with_token(&next.token).await;
        assert_eq!(seals(&newer).await, Ok(()));
        let remove = pb::RemoveTokenRequest { name: "callers/billing".into(), slot: token.slot.clone() };
        admin.remove_token(remove).await.unwrap();
        assert_eq!(seals(&client).await, Err("UNAUTHENTICATED".into()));
        (token, client) = (next, newer);
    }
}

/// Nobody gives what they do not hold: an operator makes operators and auditors, and neither services nor owners; nor does an
/// operator see the token of a caller with more.
#[tokio::test]
async fn an_operator_cannot_become_more_than_that() {
    let site = site(&[EVERYTHING, ("operator", &["platform-operator"]), ("person", &["*"])]).await;
    let (mut admin, mut operator) = (callers(&site, TOKEN).await, callers(&site, "operator").await);
    admin.create_caller(create("chat", &["platform-service"])).await.unwrap();
    for grant in ["platform-service", "data.decrypt@acme/support-bot", "workspace-owner@acme", "*", "*@acme"] {
        let refused = operator.create_caller(create("mole", &["auditor", grant])).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "GRANT_NOT_HELD"), "{grant}");
        assert!(refused.message().ends_with(grant), "{}", refused.message());
    }
    operator.create_caller(create("second", &["platform-operator", "auditor@acme"])).await.unwrap();
    for refused in [
        operator.issue_token(issue("chat")).await.map(drop),
        callers(&site, "person").await.issue_token(issue("chat")).await.map(drop),
        operator
            .update_caller(pb::UpdateCallerRequest {
                certificate: "mole.example".into(),
                update_mask: Some(prost_types::FieldMask { paths: vec!["certificate".into()] }),
                name: "callers/chat".into(),
                ..Default::default()
            })
            .await
            .map(drop),
    ] {
        assert_eq!(reason(&refused.unwrap_err()), "GRANT_NOT_HELD");
    }
    // Taking away needs no more than being on duty.
    operator.update_caller(switch("chat", true)).await.unwrap();
    let enabled = operator.update_caller(switch("chat", false)).await.unwrap_err();
    assert_eq!(reason(&enabled), "GRANT_NOT_HELD");

    let token = operator.issue_token(issue("second")).await.unwrap().into_inner().token;
    let mut second = callers(&site, &token).await;
    let own = pb::UpdateCallerRequest {
        name: "callers/second".into(),
        add_grants: vec!["auditor".into()],
        ..Default::default()
    };
    for refused in [
        second.update_caller(own).await.map(drop),
        second.update_caller(switch("second", true)).await.map(drop),
        second.delete_caller(pb::DeleteCallerRequest { name: "callers/second".into() }).await.map(drop),
    ] {
        assert_eq!(reason(&refused.unwrap_err()), "CALLER_IS_YOURSELF");
    }
}

/// Callers of the configuration are listed, stay as they are, and keep their names.
#[tokio::test]
async fn configured_callers_are_listed_and_stay() {
    let site = site(&[EVERYTHING, ("web", &["auditor"])]).await;
    let mut admin = callers(&site, TOKEN).await;
    admin.create_caller(create("billing", &["auditor@acme"])).await.unwrap();
    let listed = admin.list_callers(pb::ListCallersRequest::default()).await.unwrap().into_inner().callers;
    let names: Vec<_> = listed.iter().map(|caller| (caller.name.as_str(), caller.configured)).collect();
    assert_eq!(names, [("callers/tester", true), ("callers/web", true), ("callers/billing", false)]);
    let shown = admin.get_caller(pb::GetCallerRequest { name: "callers/web".into() }).await.unwrap().into_inner();
    assert_eq!((shown.grants.as_slice(), shown.configured), (&["auditor".to_owned()][..], true));
    assert_eq!(reason(&admin.create_caller(create("web", &["auditor"])).await.unwrap_err()), "ALREADY_EXISTS");
    for refused in [
        admin.update_caller(switch("web", true)).await.map(drop),
        admin.issue_token(issue("web")).await.map(drop),
        admin.delete_caller(pb::DeleteCallerRequest { name: "callers/web".into() }).await.map(drop),
    ] {
        assert_eq!(reason(&refused.unwrap_err()), "CALLER_IS_CONFIGURED");
    }
    let roles = admin.list_roles(pb::ListRolesRequest {}).await.unwrap().into_inner().roles;
    assert_eq!(roles.len(), 5);
    assert!(roles[1].actions.contains(&"callers.change".to_owned()));
}

/// What is wrong with a request is said by its place, and nothing of it is repeated.
#[tokio::test]
async fn bad_input_is_named_by_its_place() {
    let site = site(&[EVERYTHING]).await;
    let mut admin = callers(&site, TOKEN).await;
    admin.create_caller(create("billing", &["auditor"])).await.unwrap();
    let past = prost_types::Timestamp { seconds: 1_000_000_000, nanos: 0 };
    let broken = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    let (many, long) = (vec!["auditor@acme"; 101], format!("auditor@{}", "a".repeat(300)));
    let certificate =
        |name: &str| pb::CreateCallerRequest { certificate: name.into(), ..create("other", &["auditor"]) };
    let expires = |at| pb::CreateCallerRequest { expire_time: Some(at), ..create("other", &["auditor"]) };
    let distinct: Vec<String> = (0..101).map(|n| format!("auditor@acme-{n}")).collect();
    let distinct: Vec<&str> = distinct.iter().map(String::as_str).collect();
    for (request, wanted, words) in [
        (create("B", &["auditor"]), "NAME_INVALID", "3 to 63 characters"),
        (create("Billing", &["auditor"]), "NAME_INVALID", "lower-case"),
        (create("service", &["auditor"]), "NAME_INVALID", "the service itself"),
        (create("billing", &["auditor"]), "ALREADY_EXISTS", ""),
        (create("other", &[]), "REQUEST_INVALID", "at least one grant"),
        (
            create("other", &["auditor", "root"]),
            "REQUEST_INVALID",
            "grants: entry 2 is not a grant: a grant begins with",
        ),
        (create("other", &["data.*"]), "REQUEST_INVALID", "entry 1 is not a grant"),
        (create("other", &["auditor@acme*"]), "REQUEST_INVALID", "the beginning before *"),
        (create("other", &["workspace-owner"]), "REQUEST_INVALID", "workspace-owner@WORKSPACE"),
        (create("other", &["\u{1b}[31m\n"]), "REQUEST_INVALID", "entry 1"),
        (create("other", &[&long]), "REQUEST_INVALID", "longer than 200 bytes"),
        (create("other", &distinct), "REQUEST_INVALID", "at most 100 grants"),
        (certificate("*.example"), "REQUEST_INVALID", "one name"),
        (certificate("chat"), "REQUEST_INVALID", "SPIFFE ID"),
        (certificate("spiffe://a/../b"), "REQUEST_INVALID", "SPIFFE ID"),
        (expires(past), "REQUEST_INVALID", "expire_time has passed"),
        (expires(broken), "REQUEST_INVALID", "expire_time is not a time"),
    ] {
        let refused = admin.create_caller(request.clone()).await.expect_err(words);
        assert_eq!(reason(&refused), wanted, "{request:?}");
        assert!(refused.message().contains(words), "{}", refused.message());
        assert!(!refused.message().contains('\u{1b}'));
    }
    // The same grant a hundred and one times is one grant.
    admin.create_caller(create("other", &many)).await.unwrap();

    let name = || "callers/billing".to_owned();
    let mask = |path: &str| Some(prost_types::FieldMask { paths: vec![path.into()] });
    for (request, words) in [
        (pb::UpdateCallerRequest { update_mask: mask("grants"), ..Default::default() }, "update_mask may name"),
        (pb::UpdateCallerRequest { disabled: true, ..Default::default() }, "update_mask must name"),
        (pb::UpdateCallerRequest { remove_grants: vec!["auditor@acme".into()], ..Default::default() }, "entry 1"),
        (pb::UpdateCallerRequest { add_grants: vec!["x".into()], ..Default::default() }, "add_grants: entry 1"),
    ] {
        let refused = admin.update_caller(pb::UpdateCallerRequest { name: name(), ..request }).await.unwrap_err();
        assert_eq!(reason(&refused), "REQUEST_INVALID");
        assert!(refused.message().contains(words), "{}", refused.message());
    }
    let wrong = pb::RemoveTokenRequest { name: name(), slot: "c".into() };
    assert!(admin.remove_token(wrong).await.unwrap_err().message().contains("a or b"));
    let empty = pb::RemoveTokenRequest { name: name(), slot: "a".into() };
    assert!(admin.remove_token(empty).await.unwrap_err().message().contains("no token in this slot"));
    for name in ["billing", "callers/", "callers/a/b", "workspaces/billing", ""] {
        let refused = admin.get_caller(pb::GetCallerRequest { name: name.into() }).await.unwrap_err();
        assert_eq!(reason(&refused), "NAME_INVALID", "{name:?}");
    }
    let taken = pb::CreateCallerRequest { certificate: "chat.example".into(), ..create("one", &["auditor"]) };
    admin.create_caller(taken.clone()).await.unwrap();
    let refused = admin.create_caller(pb::CreateCallerRequest { caller_id: "two".into(), ..taken }).await.unwrap_err();
    assert_eq!(reason(&refused), "CALLER_CERTIFICATE_TAKEN");
}

/// What is no token is nobody's, and says no more than that.
#[tokio::test]
async fn malformed_tokens_are_nobodys() {
    let site = site(&[EVERYTHING]).await;
    let mut admin = callers(&site, TOKEN).await;
    admin.create_caller(create("billing", &["platform-service@acme"])).await.unwrap();
    let token = admin.issue_token(issue("billing")).await.unwrap().into_inner().token;
    let hash = hex::encode(token_hash(&token));
    let long = "a".repeat(4_000);
    for wrong in ["", " ", "byokd_", &token[..69], &token.to_uppercase(), &format!("{token} "), &hash, &long] {
        let refused = seals(&site.with_token(wrong).await).await;
        assert_eq!(refused, Err("UNAUTHENTICATED".into()), "{wrong:?}");
    }
    assert_eq!(seals(&site.with_token(&token).await).await, Ok(()));
}

/// A replica that cannot read the database lets nobody of it in after C, and says that it is its own fault; the configuration's
/// callers are told who they are.
#[tokio::test]
async fn a_replica_that_is_cut_off_lets_nobody_of_the_database_in() {
    let site = site(&[EVERYTHING]).await;
    let mut admin = callers(&site, TOKEN).await;
    admin.create_caller(create("billing", &["platform-service@acme"])).await.unwrap();
    let token = admin.issue_token(issue("billing")).await.unwrap().into_inner().token;
    let billing = site.with_token(&token).await;
    assert_eq!(seals(&billing).await, Ok(()));
    site.store.fail_reads(Some(StoreError::Unavailable(Outage::Disk)));
    site.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(seals(&billing).await, Err("CONTROL_LEASE_ENDED".into()));
    assert_eq!(seals(&site.with_token("nobody").await).await, Err("CONTROL_LEASE_ENDED".into()));
    let listed = admin.list_callers(pb::ListCallersRequest::default()).await.unwrap_err();
    assert_eq!(reason(&listed), "STORE_UNAVAILABLE");
}

/// A stream lasts no longer than its caller is let in with what it began by: whoever watches is told within a second or so though
/// nothing happens, and whoever sends is refused with the next piece. Others, and who is given more, go on.
#[tokio::test]
async fn a_stream_ends_when_its_caller_is_shut_out() {
    let site = site(&[EVERYTHING]).await;
    let mut admin = callers(&site, TOKEN).await;
    let mut watches = Vec::new();
    for id in ["disabled", "less", "more"] {
        admin.create_caller(create(id, &["auditor@acme", "workspace-admin@acme"])).await.unwrap();
        let token = admin.issue_token(issue(id)).await.unwrap().into_inner().token;
        let mut client = WorkspacesClient::new(site.with_token(&token).await);
        let request = pb::WatchSelectionRequest { parent: "workspaces/acme".into() };
        let mut watch = client.watch_selection(request).await.unwrap().into_inner();
        watch.message().await.unwrap().expect("what is so now");
        watches.push(watch);
    }
    admin.create_caller(create("chat", &["platform-service@acme"])).await.unwrap();
    let token = admin.issue_token(issue("chat")).await.unwrap().into_inner().token;
    let mut sealing = EncryptionClient::new(site.with_token(&token).await);
    let (pieces, outgoing) = tokio::sync::mpsc::channel(4);
    let message = |message| pb::EncryptStreamRequest { message: Some(message) };
    let header = pb::StreamHeader { app: APP.into(), ..Default::default() };
    let piece = || message(pb::encrypt_stream_request::Message::Plaintext(vec![7; 100_000].into()));
    pieces.send(message(pb::encrypt_stream_request::Message::Header(header))).await.unwrap();
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
    let mut sealed = sealing.encrypt_stream(outgoing).await.unwrap().into_inner();
    sealed.message().await.unwrap().expect("the beginning");

    let grants = |id: &str, add: &[&str], remove: &[&str]| pb::UpdateCallerRequest {
        name: format!("callers/{id}"),
        add_grants: add.iter().map(ToString::to_string).collect(),
        remove_grants: remove.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    admin.update_caller(grants("more", &["platform-operator"], &[])).await.unwrap();
    pieces.send(piece()).await.unwrap();
    sealed.message().await.unwrap().expect("another caller's change is nothing to it");
    admin.update_caller(switch("disabled", true)).await.unwrap();
    admin.update_caller(grants("less", &[], &["auditor@acme"])).await.unwrap();
    admin.update_caller(switch("chat", true)).await.unwrap();
    let _ = pieces.send(piece()).await;

    let soon = std::time::Duration::from_secs(30);
    let mut more = watches.pop().unwrap();
    for mut watch in watches {
        let ended = tokio::time::timeout(soon, watch.message()).await.expect("it ends by itself").unwrap_err();
        assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unauthenticated, "UNAUTHENTICATED"));
    }
    let ended = tokio::time::timeout(soon, sealed.message()).await.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::Unauthenticated);
    let app = pb::UpsertAppRequest {
        name: "workspaces/acme/apps/new".into(),
        kind: pb::AppKind::Bot.into(),
        display_name: "New".into(),
    };
    WorkspacesClient::new(site.client().await).upsert_app(app).await.unwrap();
    let told = tokio::time::timeout(soon, more.message()).await.unwrap().unwrap().expect("it goes on");
    assert_eq!(told.apps.len(), 3);
    drop((more, sealed));
    site.stopped().await;
}
