//! Callers from the command line: what a person does to let a service in, and to shut it out.

use crate::program::Byokctl;
use crate::site::{Site, TOKEN};

/// A caller is made, given a token that is shown once, used, changed, shown, listed and deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_is_made_used_changed_and_deleted() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let create =
        ["caller", "create", "billing", "--grant", "platform-service@acme/support-*", "--grant", "auditor@acme"];
    let made = ctl.run(&[&create[..], &["--expires", "2099-01-01T00:00:00Z"]].concat()).await.good();
    let made = String::from_utf8(made.stdout).unwrap();
    assert!(
        made.contains("callers/billing") && made.contains("platform-service@acme/support-* auditor@acme"),
        "{made}"
    );

    let issued = ctl.run(&["caller", "issue-token", "billing", "--output", "json"]).await.good().json();
    let token = issued["token"].as_str().unwrap().to_owned();
    assert_eq!(
        (issued["slot"].as_str(), issued["caller"]["tokens"][0]["issuer"].as_str()),
        (Some("a"), Some("tester"))
    );
    let billing = ctl.with_token(&token);
    billing.feed(&["data", "encrypt", "--app", "acme/support-bot", "--message"], b"order 42").await.good();
    billing.run(&["caller", "list"]).await.bad(2);

    let shown = ctl.run(&["caller", "show", "callers/billing", "--output", "json"]).await.good();
    assert!(!String::from_utf8_lossy(&shown.stdout).contains(&token), "a token is shown once");
    let shown = shown.json();
    assert_eq!(shown["expire_time"], "2099-01-01T00:00:00.000Z");
    assert_eq!((&shown["disabled"], &shown["configured"]), (&false.into(), &false.into()));

    ctl.run(&["caller", "revoke-grant", "billing", "platform-service@acme/support-*"]).await.good();
    let refused = billing.feed(&["data", "encrypt", "--app", "acme/support-bot", "--message"], b"x").await.bad(2);
    assert!(refused.stderr.contains("PERMISSION_DENIED"), "{}", refused.stderr);
    ctl.run(&["caller", "grant", "billing", "platform-service@acme"]).await.good();
    ctl.run(&["caller", "disable", "billing"]).await.good();
    let refused = billing.feed(&["data", "encrypt", "--app", "acme/support-bot", "--message"], b"x").await.bad(2);
    assert!(refused.stderr.contains("UNAUTHENTICATED"), "{}", refused.stderr);
    ctl.run(&["caller", "enable", "billing"]).await.good();
    ctl.run(&["caller", "set", "billing", "--expires", "never", "--certificate-name", "billing.example"]).await.good();
    let shown = ctl.run(&["caller", "show", "billing", "--output", "json"]).await.good().json();
    assert_eq!((&shown["expire_time"], &shown["certificate"]), (&serde_json::Value::Null, &"billing.example".into()));

    let table = String::from_utf8(ctl.run(&["caller", "list"]).await.good().stdout).unwrap();
    assert!(table.starts_with("NAME") && table.contains("configured") && table.contains("token a"), "{table}");
    let roles = ctl.run(&["caller", "roles", "--output", "json"]).await.good().json();
    assert_eq!(roles["roles"][1]["name"], "platform-operator");

    ctl.run(&["caller", "issue-token", "billing"]).await.good();
    ctl.run(&["caller", "remove-token", "billing", "a"]).await.good();
    billing.run(&["caller", "list"]).await.bad(2);
    ctl.run(&["caller", "delete", "billing"]).await.bad(2);
    ctl.run(&["caller", "delete", "billing", "--yes"]).await.good();
    ctl.run(&["caller", "show", "billing"]).await.bad(2);
    let events = ctl.run(&["audit", "list", "platform", "--event", "caller", "--output", "json"]).await.good();
    assert!(!String::from_utf8_lossy(&events.stdout).contains("byokd_"), "no token is in the ledger");
    let events = events.json();
    let names: Vec<_> =
        events["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["caller.created", "caller.expiry_set", "caller.token_issued"]);
    assert_eq!(names.last(), Some(&"caller.deleted"));
}

/// What is mistyped is refused before anything is sent, with the rule; what the service refuses names its reason; each ends with 2.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_about_a_caller_is_said() {
    let site = Site::start().await;
    let ctl = Byokctl::of(&site);
    let offline = Byokctl::at("http://127.0.0.1:9", TOKEN);
    for (typed, words) in [
        (&["create", "billing", "--grant", "root"] as &[&str], "a grant begins with"),
        (&["create", "billing", "--grant", "workspace-owner"], "workspace-owner@WORKSPACE"),
        (&["create", "billing", "--grant", "auditor@acme*"], "the beginning before *"),
        (&["create", "Billing", "--grant", "auditor"], "lower-case"),
        (&["create", "billing"], "--grant"),
        (&["create", "billing", "--grant", "auditor", "--expires", "tomorrow"], "2026-11-01T00:00:00Z"),
        (&["create", "billing", "--grant", "auditor", "--certificate-name", "*.example"], "one name"),
        (&["remove-token", "billing", "c"], "a, b"),
        (&["set", "billing"], "--certificate-name"),
        (&["grant", "billing"], "GRANT"),
    ] {
        let ended = offline.run(&[&["caller"], typed].concat()).await;
        assert_eq!(ended.code, Some(2), "{typed:?}");
        assert!(ended.stderr.contains(words), "{typed:?}: {}", ended.stderr);
    }
    ctl.run(&["caller", "create", "billing", "--grant", "auditor"]).await.good();
    for (typed, words) in [
        (&["create", "billing", "--grant", "auditor"] as &[&str], "ALREADY_EXISTS"),
        (&["create", "tester-two", "--grant", "auditor", "--expires", "2001-01-01T00:00:00Z"], "has passed"),
        (&["create", "service", "--grant", "auditor"], "NAME_INVALID"),
        (&["disable", "nobody"], "NOT_FOUND"),
        (&["disable", "tester"], "CALLER_IS_CONFIGURED"),
        (&["revoke-grant", "billing", "auditor@acme"], "REQUEST_INVALID"),
    ] {
        let refused = ctl.run(&[&["caller"], typed].concat()).await.bad(2);
        assert!(refused.stderr.contains(words), "{typed:?}: {}", refused.stderr);
    }
}
