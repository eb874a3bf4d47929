//! What needs a second person, from the command line: asked for by one token, approved by another.

use crate::program::Byokctl;
use crate::site::{OTHER_TOKEN, Site, TENANT};

const APP: &str = "acme/support-bot";

/// Leaving: listed, asked for, refused to whoever asked, approved by somebody else, done; old data opens and is listed.
#[tokio::test(flavor = "multi_thread")]
async fn leaving_takes_two_people() {
    let site = Site::start().await;
    site.acme().await;
    site.under_customer_key().await;
    let (ann, bob) = (Byokctl::of(&site), Byokctl::of(&site).with_token(OTHER_TOKEN));
    let sealed = ann.feed(&["data", "encrypt", "--app", APP], b"order 42").await.good().stdout;
    let listed = ann.run(&["key", "leave", "acme", "--dry-run", "--output", "json"]).await.good().json();
    assert!(listed["operation"].is_null(), "{listed}");
    assert_eq!(listed["still_needed"][0]["data_keys"], 1, "{listed}");
    let people = ann.run(&["key", "leave", "acme"]).await.good();
    assert!(people.stderr.contains("byokctl operation approve"), "{}", people.stderr);
    let asked = ann.run(&["key", "leave", "acme", "--output", "json"]).await.good().json();
    let id = asked["operation"]["name"].as_str().unwrap().to_owned();
    assert_eq!(asked["operation"]["state"], "AWAITING_APPROVAL");
    let own = ann.run(&["operation", "approve", &id]).await.bad(2);
    assert!(own.stderr.contains("APPROVAL_OWN_REQUEST") && own.stderr.contains("somebody else"), "{}", own.stderr);
    let shown = String::from_utf8(bob.run(&["operation", "show", &id]).await.good().stdout).unwrap();
    assert!(shown.contains("approval") && shown.contains("by somebody else than tester"), "{shown}");
    let approved = bob.run(&["operation", "approve", &id, "--output", "json"]).await.good().json();
    assert_eq!((&approved["state"], &approved["approval"]["decided_by"]), (&"WAITING".into(), &"second".into()));
    let done = ann.run(&["operation", "watch", &id, "--output", "json"]).await.good().json();
    assert_eq!(done["state"], "DONE", "{done}");
    let again = bob.run(&["operation", "reject", &id]).await.bad(2);
    assert!(again.stderr.contains("OPERATION_ENDED"), "{}", again.stderr);
    let status = String::from_utf8(ann.run(&["key", "status", "acme"]).await.good().stdout).unwrap();
    assert!(status.contains("left"), "{status}");
    assert_eq!(ann.feed(&["data", "decrypt", "--app", APP], &sealed).await.good().stdout, b"order 42");
    let still = ann.run(&["key", "leave", "acme", "--dry-run", "--output", "json"]).await.good().json();
    assert_eq!(still["still_needed"][0]["app"], "workspaces/acme/apps/support-bot", "{still}");
}

/// A data key's destruction: refused for one that encrypts, and without --yes; asked for, rejected; and a replacement refused because
/// nobody tested the other key.
#[tokio::test(flavor = "multi_thread")]
async fn destruction_and_replacement_are_guarded() {
    let site = Site::start().await;
    site.acme().await;
    site.under_customer_key().await;
    let (ann, bob) = (Byokctl::of(&site), Byokctl::of(&site).with_token(OTHER_TOKEN));
    let sealed = ann.feed(&["data", "encrypt", "--app", APP], b"order 42").await.good().stdout;
    let inspected = ann.feed(&["data", "inspect", "--output", "json"], &sealed).await.good().json();
    let name = format!("workspaces/{}", APP.replace('/', "/apps/"));
    let name = format!("{name}/dataKeys/{}", inspected["data_key_id"].as_str().unwrap());
    let warned = ann.run(&["key", "destroy-data-key", &name]).await.bad(2);
    assert!(warned.stderr.contains("--yes"), "{}", warned.stderr);
    let active = ann.run(&["key", "destroy-data-key", &name, "--yes"]).await.bad(2);
    assert!(active.stderr.contains("DATA_KEY_ACTIVE"), "{}", active.stderr);
    let other = "https://contoso-new.vault.azure.net/keys/byok";
    let replace = ["key", "replace", "acme", "--key-identifier", other, "--tenant", TENANT, "--dry-run"];
    let untested = ann.run(&replace).await.bad(2);
    let hint = "byokctl key test";
    assert!(
        untested.stderr.contains("KEY_REPLACEMENT_UNTESTED") && untested.stderr.contains(hint),
        "{}",
        untested.stderr
    );

    // Leaving retires what encrypted.
    let leave = ann.run(&["key", "leave", "acme", "--output", "json"]).await.good().json();
    let leave = leave["operation"]["name"].as_str().unwrap().to_owned();
    bob.run(&["operation", "approve", &leave]).await.good();
    ann.run(&["operation", "watch", &leave]).await.good();
    let asked = ann.run(&["key", "destroy-data-key", &name, "--yes", "--output", "json"]).await.good().json();
    assert_eq!((&asked["kind"], &asked["data_key"]), (&"DESTROY_DATA_KEY".into(), &name.as_str().into()), "{asked}");
    let id = asked["name"].as_str().unwrap().to_owned();
    let rejected = bob.run(&["operation", "reject", &id, "--output", "json"]).await.good().json();
    assert_eq!(rejected["state"], "REJECTED");
    let watched = ann.run(&["operation", "watch", &id]).await.bad(2);
    assert!(watched.stderr.contains("rejected"), "{}", watched.stderr);
    assert_eq!(ann.feed(&["data", "decrypt", "--app", APP], &sealed).await.good().stdout, b"order 42");
}
