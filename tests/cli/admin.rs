//! Workspaces, apps and keys from the command line, and whose fault a failure is.

use crate::program::Byokctl;
use crate::site::{KEY, Site, TENANT, TOKEN};

/// What a person and what a program reads of the same things.
#[tokio::test(flavor = "multi_thread")]
async fn workspaces_and_apps_are_made_listed_and_deleted() {
    let site = Site::start().await;
    let ctl = Byokctl::of(&site);
    ctl.run(&["workspace", "create", "acme", "--display-name", "Acme Inc"]).await.good();
    ctl.run(&["workspace", "create", "globex"]).await.good();
    ctl.run(&["app", "upsert", "acme/support-bot", "--kind", "bot"]).await.good();
    ctl.run(&["app", "upsert", "workspaces/acme/apps/orders", "--display-name", "Orders"]).await.good();

    let listed = ctl.run(&["workspace", "list", "--output", "json"]).await.good().json();
    let names: Vec<_> = listed["workspaces"].as_array().unwrap().iter().map(|w| &w["name"]).collect();
    assert_eq!(names, ["workspaces/acme", "workspaces/globex"]);
    let apps = ctl.run(&["app", "list", "acme", "--output", "json"]).await.good().json();
    let apps: Vec<_> = apps["apps"].as_array().unwrap().iter().map(|a| (&a["name"], &a["kind"])).collect();
    assert_eq!(
        apps,
        [
            (&"workspaces/acme/apps/orders".into(), &"APP".into()),
            (&"workspaces/acme/apps/support-bot".into(), &"BOT".into())
        ]
    );
    let table = String::from_utf8(ctl.run(&["app", "list", "acme"]).await.good().stdout).unwrap();
    assert!(table.starts_with("NAME") && table.contains("Orders") && !table.contains('\u{1b}'), "{table}");

    ctl.run(&["app", "delete", "acme/orders", "--yes"]).await.good();
    ctl.run(&["workspace", "delete", "globex", "--yes"]).await.good();
    ctl.run(&["workspace", "get", "globex"]).await.bad(2);
    let again = ctl.run(&["workspace", "create", "globex"]).await.bad(2);
    assert!(again.stderr.contains("ALREADY_EXISTS"), "an id was given out twice: {}", again.stderr);
}

/// Exit codes 2, 3 and 4 tell the caller's, the customer's and the service's faults apart.
#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_says_whose_fault_it_is() {
    let mut site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let configure = ["key", "configure", "acme", "--key-identifier", KEY, "--tenant", TENANT, "--lease", "300s"];

    let unknown = ctl.run(&["workspace", "get", "nobody"]).await.bad(2);
    assert!(unknown.stderr.contains("NOT_FOUND"), "{}", unknown.stderr);
    let stranger = ctl.with_token("another-token").run(&["workspace", "list"]).await.bad(2);
    assert!(stranger.stderr.contains("UNAUTHENTICATED") && !stranger.stderr.contains(TOKEN), "{}", stranger.stderr);
    ctl.run(&["key", "status", "acme"]).await.bad(2);

    // The customer's vault has no such key yet.
    ctl.run(&configure).await.bad(3);
    site.vault.create_key(&Site::key());
    let key = ctl.run(&[&configure[..], &["--output", "json"]].concat()).await.good().json();
    assert_eq!((&key["key_identifier"], &key["lease_seconds"]), (&KEY.into(), &300.into()));
    let versions = ctl.run(&["key", "versions", "acme", "--output", "json"]).await.good().json();
    assert!(versions["versions"][0]["kid"].as_str().unwrap().starts_with(KEY), "{versions}");

    site.stop();
    site.stopped().await;
    ctl.run(&["workspace", "list"]).await.bad(4);
}

/// What a workspace chooses about versions is typed as yes or no, shown, and stays until it is said otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn choices_about_versions_are_typed_and_shown() {
    let site = Site::start().await;
    site.acme().await;
    site.vault.create_key(&Site::key());
    let ctl = Byokctl::of(&site);
    let configure = async |more: &[&str]| {
        let typed = ["key", "configure", "acme", "--key-identifier", KEY, "--tenant", TENANT, "--output", "json"];
        let key = ctl.run(&[&typed, more].concat()).await.good().json();
        (key["follow_new_versions"].as_bool().unwrap(), key["newest_version_counts"].as_bool().unwrap())
    };
    assert_eq!(configure(&[]).await, (true, true));
    assert_eq!(configure(&["--follow-new-versions", "no", "--newest-version-counts", "no"]).await, (false, false));
    assert_eq!(configure(&["--newest-version-counts", "yes"]).await, (false, true));
    let shown = ctl.run(&["key", "status", "acme"]).await.good().stdout;
    let shown = String::from_utf8(shown).unwrap();
    let says = |name: &str, what: &str| shown.lines().any(|line| line.starts_with(name) && line.ends_with(what));
    assert!(says("new versions ", " rotated to by hand") && says("newest version ", " counts"), "{shown}");
    let typed = ["key", "configure", "acme", "--key-identifier", KEY, "--tenant", TENANT];
    // The command line itself refuses it, before anything is sent.
    assert_eq!(ctl.run(&[&typed[..], &["--follow-new-versions", "perhaps"]].concat()).await.code, Some(2));
}

/// A test says each step as it ends and what mends the one that failed; the exit code is the customer's until they have acted.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_what_to_do_and_whose_move_it_is() {
    let site = Site::start().await;
    site.acme().await;
    let version = site.under_customer_key().await;
    let ctl = Byokctl::of(&site);
    let key = ctl.run(&["key", "status", "acme", "--output", "json"]).await.good().json();
    let (tag, nonce) = (key["ownership_tag"].as_str().unwrap(), key["ownership_nonce"].as_str().unwrap());
    assert_eq!((tag, nonce.len()), ("byok-enrol", 32));

    let unproven = ctl.run(&["key", "test", "acme"]).await;
    assert_eq!(unproven.code, Some(3), "{}", unproven.stderr);
    assert!(
        unproven.stderr.contains("OWNERSHIP_NOT_PROVEN") && unproven.stderr.contains("hint: "),
        "{}",
        unproven.stderr
    );
    let table = String::from_utf8(unproven.stdout).unwrap();
    assert!(table.contains(&format!("--tags byok-enrol={nonce}")) && table.contains("NOT_RUN"), "{table}");
    assert!(!table.contains('\u{1b}') && !unproven.stderr.contains('\u{1b}'), "colour where there is no terminal");

    site.vault.change(&Site::key(), version, |attributes| {
        attributes.tags.insert(tag.to_owned(), nonce.to_owned());
    });
    let passed = ctl.run(&["key", "test", "acme", "--output", "json"]).await.good();
    let lines: Vec<serde_json::Value> =
        String::from_utf8(passed.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 21, "ten steps begin and end, and then all is over");
    assert_eq!((&lines[0]["event"], &lines[0]["step"]), (&"started".into(), &"NAME_RESOLUTION".into()));
    assert_eq!((&lines[1]["event"], &lines[1]["state"]), (&"ended".into(), &"PASSED".into()));
    assert_eq!((&lines[20]["event"], &lines[20]["passed"]), (&"finished".into(), &true.into()));

    // Another key is tested and not configured.
    let other =
        ["key", "test", "acme", "--key-identifier", "https://nobody-kv.vault.azure.net/keys/byok", "--tenant", TENANT];
    let nowhere = ctl.run(&other).await;
    assert_eq!(nowhere.code, Some(3), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("VAULT_NAME_UNKNOWN"), "{}", nowhere.stderr);
    let history = ctl.run(&["key", "tests", "acme", "--output", "json"]).await.good().json();
    let history = history["tests"].as_array().unwrap();
    assert_eq!((history.len(), history.iter().filter(|test| test["passed"] == true).count()), (3, 1));
    let own = history.iter().filter(|test| test["config_hash"] == lines[20]["config_hash"]).count();
    assert_eq!(own, 2, "the third is bound to another configuration");
}

/// The customer disables the key: the error names it, the exit code is the customer's, and no file appears.
#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_key_is_the_customers_to_enable() {
    let site = Site::start().await;
    site.acme().await;
    let version = site.under_customer_key().await;
    let ctl = Byokctl::of(&site);
    site.vault.disable(&Site::key(), version);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let args = ["data", "encrypt", "--app", "acme/support-bot", "-o", out.to_str().unwrap()];
    let refused = ctl.feed(&args, b"order 42").await.bad(3);
    assert!(refused.stderr.contains("KEY_DISABLED") && refused.stderr.contains("re-enable"), "{}", refused.stderr);
    assert!(crate::program::names(dir.path()).is_empty());
}
