//! Connecting a directory from the command line.

use testkit::MemoryDirectory;

use crate::program::Byokctl;
use crate::site::{KEY, Site, TENANT};

async fn site() -> Site {
    let directory = MemoryDirectory::new();
    directory.own("contoso.com", TENANT);
    let site =
        Site::with(|assembly| assembly.directory = Some((directory, "https://keys.example.com".to_owned()))).await;
    site.acme().await;
    site
}

/// Looked up, named, shown: for people and for programs; what is wrong with an entry stands beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_looked_up_named_and_shown() {
    let site = site().await;
    let ctl = Byokctl::of(&site);
    let domains = "contoso.com, nobody.example, ann@contoso.com";
    let found = ctl.run(&["tenant", "look-up", "acme", domains, "--output", "json"]).await.good().json();
    let found: Vec<_> = found["domains"].as_array().unwrap().iter().map(|d| (&d["tenant_id"], &d["reason"])).collect();
    let null = serde_json::Value::Null;
    let expected =
        [(&TENANT.into(), &null), (&null, &"ENTRA_TENANT_UNKNOWN".into()), (&null, &"TENANT_INVALID".into())];
    assert_eq!(found, expected);
    ctl.run(&["tenant", "look-up", "acme", " , "]).await.bad(2);

    let begun = ctl.run(&["tenant", "connect", "acme", "contoso.com", "--output", "json"]).await.good().json();
    assert!(
        begun["start_url"].as_str().unwrap().starts_with("https://keys.example.com/entra/start?ticket="),
        "{begun}"
    );
    assert!(begun["command"].as_str().unwrap().starts_with("az ad sp create --id "), "{begun}");
    assert_eq!((&begun["tenant"]["state"], &begun["tenant"]["typed"]), (&"NAMED".into(), &"contoso.com".into()));
    let table = String::from_utf8(ctl.run(&["tenant", "connect", "acme", TENANT]).await.good().stdout).unwrap();
    assert!(table.contains("or send") && table.contains("az ad sp create"), "{table}");

    let status = ctl.run(&["tenant", "status", "acme", "--output", "json"]).await.good().json();
    assert_eq!((&status["restricts"], &status["tenants"][0]["state"]), (&true.into(), &"NAMED".into()));
    assert!(
        status["tenants"][0]["application_time"].is_string() && status["tenants"][0]["application_reason"].is_null()
    );
    let table = String::from_utf8(ctl.run(&["tenant", "status", "acme"]).await.good().stdout).unwrap();
    assert!(table.starts_with("TENANT") && table.contains("let in"), "{table}");

    // Nobody was shown a code.
    let code = ctl.run(&["tenant", "complete", "acme", "BCDF-GHJK"]).await.bad(2);
    assert!(code.stderr.contains("CONSENT_NOT_UNDER_WAY"), "{}", code.stderr);
}

/// Where no pages are offered, the directory is named all the same, and the other way is shown; there is nothing to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn without_pages_the_other_way_is_shown() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let table = String::from_utf8(ctl.run(&["tenant", "connect", "acme", TENANT]).await.good().stdout).unwrap();
    assert!(table.contains("offers no pages") && table.contains("az ad sp create"), "{table}");
    let waiting = ctl.run(&["tenant", "connect", "acme", TENANT, "--wait"]).await.bad(2);
    assert!(waiting.stderr.contains("no consent to wait for"), "{}", waiting.stderr);
    let domain = ctl.run(&["tenant", "connect", "acme", "contoso.com"]).await.bad(2);
    assert!(domain.stderr.contains("CONSENT_NOT_CONFIGURED"), "{}", domain.stderr);
}

/// Letting go is typed and not slipped into; the key says what holds it, and the switch alone does not bring it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_key_says_so() {
    let site = site().await;
    let ctl = Byokctl::of(&site);
    site.under_customer_key().await;
    let asked = ctl.run(&["tenant", "disconnect", "acme"]).await.bad(2);
    assert!(asked.stderr.contains("--yes"), "{}", asked.stderr);
    let gone = ctl.run(&["tenant", "disconnect", "acme", "--yes", "--output", "json"]).await.good().json();
    assert_eq!(gone["tenants"][0]["state"], "DISCONNECTED");
    let key = ctl.run(&["key", "status", "acme", "--output", "json"]).await.good().json();
    assert_eq!((&key["hold"], &key["key_identifier"]), (&"DISCONNECTED".into(), &KEY.into()));
    assert!(key["ownership_nonce_expire_time"].is_string(), "{key}");
    let restored = ctl.run(&["key", "restore", "acme"]).await.bad(3);
    assert!(restored.stderr.contains("RECONNECT_FIRST"), "{}", restored.stderr);
}

/// Where domains are looked up, a key's directory and a registration's are named by one as well, or by an id however it was copied; the
/// directory of personal accounts is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_keys_directory_is_named_as_one_types_it() {
    let site = site().await;
    site.vault.create_key(&Site::key());
    let ctl = Byokctl::of(&site);
    let add = |tenant| {
        let line =
            ["tenant", "credential", "add-secret", "acme", "--client-id", "11111111-2222-4333-8444-555555555555"];
        [&line[..], &["--expires", "2030-01-01", "--tenant", tenant, "--output", "json"]].concat()
    };
    let braces = format!("{{{TENANT}}}");
    for typed in ["contoso.com", &braces] {
        let line = ["key", "configure", "acme", "--key-identifier", KEY, "--tenant", typed, "--output", "json"];
        assert_eq!(ctl.run(&line).await.good().json()["tenant_id"], TENANT, "{typed}");
        let added = ctl.feed(&add(typed), b"canary8Q~0123456789abcdefWXYZ").await.good().json();
        assert_eq!(added["tenant_id"], TENANT, "{typed}");
    }
    let refused =
        ctl.feed(&add(domain::tenant_input::PERSONAL_ACCOUNTS), b"canary8Q~0123456789abcdefWXYZ").await.bad(2);
    assert!(refused.stderr.contains("[TENANT_INVALID"), "{}", refused.stderr);
}
