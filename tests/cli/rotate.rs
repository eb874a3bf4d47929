//! A rotation from the command line: planned, done, watched, listed, cancelled.

use crate::program::Byokctl;
use crate::site::Site;

/// What a person sees from the new version in the vault to the answer about the old one; programs read the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_from_the_command_line() {
    let site = Site::start().await;
    site.acme().await;
    let first = site.under_customer_key().await;
    let ctl = Byokctl::of(&site);
    let sealed = ctl.feed(&["data", "encrypt", "--app", "acme/support-bot"], b"order 42").await.good().stdout;
    let nothing = ctl.run(&["key", "rotate", "acme"]).await.bad(2);
    assert!(
        nothing.stderr.contains("NOTHING_TO_ROTATE") && nothing.stderr.contains("new version"),
        "{}",
        nothing.stderr
    );

    let second = site.vault.create_key(&Site::key());
    let plan = ctl.run(&["key", "rotate", "acme", "--dry-run", "--output", "json"]).await.good().json();
    assert_eq!((&plan["data_keys"], &plan["vault_calls"]), (&1.into(), &5.into()));
    assert!(plan["to_version"].as_str().unwrap().ends_with(&second.to_string()));
    let people = String::from_utf8(ctl.run(&["key", "rotate", "acme", "--dry-run"]).await.good().stdout).unwrap();
    assert!(people.contains("vault calls   5") && people.contains("takes about"), "{people}");
    let listed = ctl.run(&["operation", "list", "acme", "--output", "json"]).await.good().json();
    assert_eq!(listed["operations"], serde_json::json!([]), "a dry run begins nothing");

    let done = ctl.run(&["key", "rotate", "acme", "--output", "json"]).await.good().json();
    assert_eq!((&done["state"], &done["done"], &done["total"]), (&"DONE".into(), &1.into(), &1.into()), "{done}");
    let id = done["name"].as_str().unwrap().strip_prefix("operations/").unwrap().to_owned();
    let watched = ctl.run(&["operation", "watch", &id, "--output", "json"]).await.good().json();
    assert_eq!(watched, done, "one that has ended is told at once");
    ctl.run(&["operation", "cancel", &id]).await.bad(2);
    let unknown = ctl.run(&["operation", "get", "01JABCDEFGHJKMNPQRSTVWXYZ0"]).await.bad(2);
    assert!(unknown.stderr.contains("NOT_FOUND"), "{}", unknown.stderr);

    let versions = ctl.run(&["key", "versions", "acme", "--output", "json"]).await.good().json();
    let of = |id: domain::KeyVersionId| {
        let all = versions["versions"].as_array().unwrap();
        all.iter().find(|version| version["name"].as_str().unwrap().ends_with(&id.to_string())).unwrap().clone()
    };
    assert_eq!((&of(second)["in_force"], &of(second)["data_keys"]), (&true.into(), &1.into()));
    assert_eq!((&of(first)["data_keys"], &of(first)["safe_to_disable"]), (&0.into(), &false.into()));
    assert!(of(first)["not_safe_to_disable"].as_str().unwrap().contains("safe from"), "{versions}");
    let table = String::from_utf8(ctl.run(&["key", "versions", "acme"]).await.good().stdout).unwrap();
    assert!(table.starts_with("VERSION") && table.contains("no: it wraps new data keys"), "{table}");
    let opened = ctl.feed(&["data", "decrypt", "--app", "acme/support-bot"], &sealed).await.good();
    assert_eq!(opened.stdout, b"order 42");
}

/// Data keys on demand; and a rotation that waits and is cancelled, which its watcher's exit code says.
#[tokio::test(flavor = "multi_thread")]
async fn data_keys_are_rotated_and_an_operation_is_cancelled() {
    let site = Site::start().await;
    site.acme().await;
    let first = site.under_customer_key().await;
    let ctl = Byokctl::of(&site);
    let sealed = ctl.feed(&["data", "encrypt", "--app", "acme/support-bot"], b"order 42").await.good().stdout;
    let rotate = ["key", "rotate-data-keys", "acme", "--app", "acme/support-bot", "--output", "json"];
    let done = ctl.run(&rotate).await.good().json();
    assert_eq!((&done["kind"], &done["state"]), (&"ROTATE_DATA_KEYS".into(), &"DONE".into()), "{done}");
    let opened = ctl.feed(&["data", "decrypt", "--app", "acme/support-bot"], &sealed).await.good();
    assert_eq!(opened.stdout, b"order 42");

    // The customer has disabled the version that the data keys are under: the rotation waits, and somebody calls it off.
    site.vault.create_key(&Site::key());
    site.vault.disable(&Site::key(), first);
    let begun = ctl.run(&["key", "rotate", "acme", "--no-wait", "--output", "json"]).await.good().json();
    let id = begun["name"].as_str().unwrap().to_owned();
    let refused = ctl.run(&["key", "rotate-data-keys", "acme"]).await.bad(2);
    assert!(refused.stderr.contains("OPERATION_UNDER_WAY"), "{}", refused.stderr);
    ctl.run(&["operation", "cancel", &id]).await.good();
    let ended = ctl.run(&["operation", "watch", &id, "--output", "json"]).await.bad(2);
    assert_eq!(ended.json()["state"], "CANCELLED");
    let list = String::from_utf8(ctl.run(&["operation", "list", "acme"]).await.good().stdout).unwrap();
    assert!(list.contains("ROTATE_KEY") && list.contains("CANCELLED") && list.contains("ROTATE_DATA_KEYS"), "{list}");
}
