//! What an admin gets wrong about a key, a date or a selection: each has its reason, its exit code and a sentence to act on, and
//! changes nothing.

use std::sync::Arc;
use std::time::Duration;

use api::byok::v1 as pb;
use domain::tenant_input::PERSONAL_ACCOUNTS;
use serde_json::Value;
use testkit::HandClock;
use tonic_types::StatusExt;

use crate::program::{Byokctl, Ended};
use crate::site::{KEY, Site, TENANT};

const HOUR: Duration = Duration::from_secs(3_600);
/// Into the freeze, which begins six minutes before the date, and not beyond its last moment to decide.
const IN_THE_FREEZE: Duration = Duration::from_secs(340);
const CALLER: i32 = 2;

/// A daemon whose clock is moved by hand, an admin, and acme with its two apps.
struct Admin {
    site: Site,
    clock: Arc<HandClock>,
    ctl: Byokctl,
}

impl Admin {
    async fn new() -> Self {
        let clock = HandClock::new();
        let hands = clock.clone();
        let site = Site::with(move |assembly| assembly.clock = hands).await;
        site.acme().await;
        let ctl = Byokctl::of(&site);
        Self { site, clock, ctl }
    }

    async fn run(&self, line: &str) -> Ended {
        self.ctl.run(&words(line)).await
    }

    /// One refusal: its reason, the exit code of whose fault it is, and advice.
    async fn refused(&self, line: &str, reason: &str, code: i32) {
        let ended = self.run(line).await;
        let context = format!("{line}:\n{}", ended.stderr);
        assert_eq!(ended.code, Some(code), "{context}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        let [error, hint] = lines[..] else { panic!("not one error and one hint: {context}") };
        assert!(error.starts_with("error: ") && error.contains(&format!("[{reason}, request ")), "{context}");
        assert!(hint.strip_prefix("hint: ").is_some_and(|hint| hint.len() > 10), "no next step: {context}");
        assert!(ended.stdout.is_empty(), "{context}");
    }

    async fn status(&self) -> Value {
        self.run("key status acme --output json").await.good().json()
    }

    /// Connected, proven and tested; and the clock stands at 2027-03-01T09:00 at Greenwich.
    async fn tested(&self) {
        self.site.vault.create_key(&Site::key());
        self.run(&configure(KEY)).await.good();
        self.prove().await;
        self.run("key test acme --output json").await.good();
    }

    /// The version that is configured.
    async fn current(&self) -> domain::KeyVersionId {
        let status = self.status().await;
        status["current_version"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
    }

    /// Sets the tag of the configured version, as the key's owner does.
    async fn prove(&self) {
        let status = self.status().await;
        self.site.vault.change(&Site::key(), self.current().await, |attributes| {
            let [tag, nonce] =
                ["ownership_tag", "ownership_nonce"].map(|field| status[field].as_str().unwrap().to_owned());
            attributes.tags.insert(tag, nonce);
        });
    }

    /// Waits until the daemon's own loops have made it so.
    async fn until(&self, what: &str, so: impl Fn(&Value) -> bool) {
        for _ in 0..200 {
            if so(&self.status().await) {
                return;
            }
        }
        panic!("never {what}: {}", self.status().await);
    }
}

/// `''` is an empty word.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').map(|word| if word == "''" { "" } else { word }).collect()
}

fn configure(key: &str) -> String {
    format!("key configure acme --key-identifier {key} --tenant {TENANT}")
}

fn schedule(at: &str, zone: &str) -> String {
    format!("key schedule acme --at {at} --zone {zone}")
}

/// I-22: a date that is past, too close, that no clock shows or two clocks show, without a zone or in one that is none; and each way in
/// which a test does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_cannot_be_meant_is_refused_with_its_reason() {
    let admin = Admin::new().await;
    let good = schedule("2027-03-01T12:00", "UTC");
    admin.refused(&good, "KEY_NOT_CONFIGURED", CALLER).await;
    admin.site.vault.create_key(&Site::key());
    admin.run(&configure(KEY)).await.good();
    admin.refused(&good, "KEY_NOT_TESTED", CALLER).await;
    admin.prove().await;
    admin.run("key test acme --output json").await.good();
    for (at, zone, reason) in [
        ("2026-03-01T12:00", "UTC", "ENFORCEMENT_DATE_PAST"),
        ("2027-03-01T09:05", "UTC", "ENFORCEMENT_DATE_TOO_SOON"),
        ("2027-03-28T02:30", "Europe/Berlin", "ENFORCEMENT_DATE_IN_GAP"),
        ("2027-10-31T02:30", "Europe/Berlin", "ENFORCEMENT_DATE_AMBIGUOUS"),
        ("2027-03-01T12:00", "''", "ENFORCEMENT_ZONE_MISSING"),
        ("2027-03-01T12:00", "Europe/Atlantis", "ENFORCEMENT_ZONE_UNKNOWN"),
        ("2027-03-01T12:00+01:00", "UTC", "ENFORCEMENT_DATE_INVALID"),
        ("tomorrow", "UTC", "ENFORCEMENT_DATE_INVALID"),
        ("2027-02-29", "UTC", "ENFORCEMENT_DATE_INVALID"),
    ] {
        admin.refused(&schedule(at, zone), reason, CALLER).await;
    }
    assert_eq!(admin.status().await["enforcement"], Value::Null, "nothing was set");

    admin.clock.advance(25 * HOUR);
    admin.refused(&schedule("2027-03-03T12:00", "UTC"), "TEST_OUTDATED", CALLER).await;
    admin.run("key test acme --output json").await.good();
    let version = admin.site.vault.create_key(&Site::key());
    admin.run(&configure(&format!("{KEY}/{version}"))).await.good();
    admin.refused(&schedule("2027-03-03T12:00", "UTC"), "TEST_OF_ANOTHER_CONFIGURATION", CALLER).await;
}

/// I-21: in the freeze, between the decision and the date, and after it: another key and another date are refused each time, with the
/// reason of that time.
#[tokio::test(flavor = "multi_thread")]
async fn an_edit_in_or_after_the_freeze_is_refused_with_its_reason() {
    let admin = Admin::new().await;
    admin.tested().await;
    admin.run(&schedule("2027-03-01T12:00", "UTC")).await.good();
    let other = configure(&format!("{KEY}/{}", admin.site.vault.create_key(&Site::key())));

    // The version to be decided about is disabled, so that nothing is decided yet.
    let current = admin.current().await;
    admin.site.vault.disable(&Site::key(), current);
    admin.clock.advance(3 * HOUR - IN_THE_FREEZE);
    admin.refused(&other, "ENFORCEMENT_FROZEN", CALLER).await;
    admin.refused(&schedule("2027-03-02T12:00", "UTC"), "ENFORCEMENT_FROZEN", CALLER).await;
    assert_eq!(admin.status().await["enforcement"]["armed"], false);
    admin.site.vault.enable(&Site::key(), current);

    admin.clock.advance(Duration::from_secs(10));
    admin.until("armed", |status| status["enforcement"]["armed"] == true).await;
    assert_eq!(admin.status().await["phase"], "SCHEDULED");
    admin.refused(&other, "ENFORCEMENT_FROZEN", CALLER).await;
    admin.refused(&schedule("2027-03-02T12:00", "UTC"), "ENFORCEMENT_FROZEN", CALLER).await;

    admin.clock.advance(IN_THE_FREEZE);
    admin.until("in force", |status| status["phase"] == "ENFORCED").await;
    admin.refused(&other, "KEY_ALREADY_ENFORCED", CALLER).await;
    admin.refused(&schedule("2027-03-02T12:00", "UTC"), "KEY_ALREADY_ENFORCED", CALLER).await;
}

/// A rehearsal that fails is told by the key's status, with what it found, what to do about it, and a date that still stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_rehearsal_is_told_by_the_keys_status() {
    let admin = Admin::new().await;
    admin.tested().await;
    admin.run(&schedule("2027-03-02T12:00", "UTC")).await.good();
    admin.site.vault.disable(&Site::key(), admin.current().await);
    admin.clock.advance(4 * HOUR);
    let warned = |status: &Value| {
        let warnings = status["warnings"].as_array().unwrap();
        warnings.iter().any(|warning| {
            let warning = warning.as_str().unwrap();
            warning.contains("will not be kept: KEY_DISABLED") && warning.contains("re-enable that version")
        })
    };
    admin.until("warned", warned).await;
    assert_eq!(admin.status().await["phase"], "SCHEDULED");
}

/// An app that is not there, one that is added and removed at once, and a selection for a workspace without a key.
#[tokio::test(flavor = "multi_thread")]
async fn a_selection_of_what_is_not_there_is_refused_with_its_reason() {
    let admin = Admin::new().await;
    admin.refused("key select acme --every", "KEY_NOT_CONFIGURED", CALLER).await;
    admin.site.under_customer_key().await;
    let before = admin.status().await;
    admin.refused("key select acme --only nobody", "APP_UNKNOWN", CALLER).await;
    admin.refused("key select acme --add support-bot --add nobody", "APP_UNKNOWN", CALLER).await;
    admin.refused("key select acme --add nobody --preview", "APP_UNKNOWN", CALLER).await;
    admin.refused("key select acme --add support-bot --remove support-bot", "SELECTION_CONTRADICTORY", CALLER).await;
    assert_eq!(admin.status().await, before);
}

/// What was typed or pasted as a key's address and is none.
const NO_KEY_IDENTIFIERS: [&str; 28] = [
    "https://contoso.vault.azure.net.evil.example/keys/k",
    "https://evil.example/keys/k",
    "https://contosovault.azure.net/keys/k",
    "https://a.b.vault.azure.net/keys/k",
    "https://.vault.azure.net/keys/k",
    "https://vault.azure.net/keys/k",
    "https://contoso.vault.azure.net./keys/k",
    "https://user@contoso.vault.azure.net/keys/k",
    "https://contoso.vault.azure.net:443/keys/k",
    "https://contoso.vault.azure.net/keys/k?x=1",
    "https://contoso.vault.azure.net/keys/k#x",
    "http://contoso.vault.azure.net/keys/k",
    "https:/contoso.vault.azure.net/keys/k",
    "contoso.vault.azure.net/keys/k",
    "https://127.0.0.1/keys/k",
    "https://[::1]/keys/k",
    "https://contoso%2evault.azure.net/keys/k",
    "https://contos\u{43e}.vault.azure.net/keys/k",
    "https://contoso.vault.azure.net\\@evil.example/keys/k",
    "https://contoso.vault.azure.net/keys/k\n",
    "https://contoso--x.vault.azure.net/keys/k",
    "https://9contoso.vault.azure.net/keys/k",
    "https://contoso.vault.azure.net/secrets/k",
    "https://contoso.vault.azure.net/",
    "https://contoso.vault.azure.net/keys//v",
    "https://contoso.vault.azure.net/keys/../k",
    "https://contoso.vault.azure.net/keys/k_1",
    "https://contoso.vault.azure.net/keys/k/latest",
];

/// Every key identifier that is none is refused by every call that takes one, before any vault or directory is asked anything; and so are
/// a key store that is not supported, a tenant that is everybody's or none, and a domain where none is looked up.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_identifier_reaches_no_vault() {
    let admin = Admin::new().await;
    admin.site.under_customer_key().await;
    let before = (admin.site.vault.calls(), admin.status().await);
    let mut keys = admin.site.keys().await;
    let invalid = NO_KEY_IDENTIFIERS.iter().map(|text| (*text, TENANT, pb::Reason::KeyIdentifierInvalid));
    let more = [
        ("https://pool.managedhsm.azure.net/keys/k", TENANT, pb::Reason::ProviderUnsupported),
        (KEY, "contoso.onmicrosoft.com", pb::Reason::TenantInvalid),
        (KEY, "", pb::Reason::TenantInvalid),
        (KEY, "common", pb::Reason::TenantInvalid),
        (KEY, PERSONAL_ACCOUNTS, pb::Reason::TenantInvalid),
        (KEY, "https://contoso.sharepoint.com/", pb::Reason::TenantInvalid),
    ];
    for (identifier, tenant, reason) in invalid.chain(more) {
        let (name, key_identifier, tenant_id) =
            ("workspaces/acme/key".to_owned(), identifier.to_owned(), tenant.to_owned());
        let request = pb::ConfigureKeyRequest {
            name: name.clone(),
            key_identifier: key_identifier.clone(),
            tenant_id: tenant_id.clone(),
            ..Default::default()
        };
        let configured = keys.configure_key(request).await.map(drop);
        let request = pb::ReplaceKeyRequest { name, key_identifier, tenant_id, ..Default::default() };
        let replaced = keys.replace_key(request).await.map(drop);
        for outcome in [configured, replaced] {
            let status = outcome.expect_err(identifier);
            let details = status.get_error_details();
            let info = details.error_info().unwrap_or_else(|| panic!("{identifier:?}: {status:?}"));
            assert_eq!(info.reason, reason.as_str_name().trim_start_matches("REASON_"), "{identifier:?}");
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{identifier:?}");
            assert!(info.metadata["remedy"].len() > 10, "{identifier:?}: no next step");
        }
    }
    assert_eq!((admin.site.vault.calls(), admin.status().await), before);

    admin
        .refused(&configure("https://contoso.vault.azure.net.evil.example/keys/k"), "KEY_IDENTIFIER_INVALID", CALLER)
        .await;
    admin.refused(&configure("https://pool.managedhsm.azure.net/keys/k"), "PROVIDER_UNSUPPORTED", CALLER).await;
    for verb in ["configure", "test", "replace"] {
        for typed in ["contoso.com", PERSONAL_ACCOUNTS] {
            let line = format!("key {verb} acme --key-identifier {KEY} --tenant {typed}");
            admin.refused(&line, "TENANT_INVALID", CALLER).await;
            let said = admin.run(&line).await.stderr;
            assert!(said.contains("type the Tenant ID") && said.contains("byokctl tenant look-up"), "{said}");
        }
    }
}
