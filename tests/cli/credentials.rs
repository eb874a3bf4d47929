//! Credentials of a customer's own app registration, as an admin types them: what is pasted by mistake, and a rotation.

use std::path::Path;

use domain::credential::CERTIFICATE_LASTS;
use domain::tenant_input::PERSONAL_ACCOUNTS;
use domain::usage::parse_time;

use crate::program::{Byokctl, ended, names};
use crate::site::{Site, TENANT};

const CLIENT: &str = "11111111-2222-4333-8444-555555555555";
const SECRET: &str = "canary8Q~0123456789abcdefWXYZ";
const CANARY: &[u8] = b"canary8Q~0123456789";

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn add(more: &str) -> String {
    format!("tenant credential add-secret acme --client-id {CLIENT} --tenant {TENANT} {more}")
}

/// Each thing that is pasted in place of a secret's Value, a client id or a directory is called what it is, with whose mistake it
/// is and what to do, and nothing of it is repeated or kept.
#[tokio::test]
async fn what_is_pasted_by_mistake_is_told_apart() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let usual = add("--expires 2030-01-01");
    let pem = |label: &str| format!("-----BEGIN {label}-----\nQ0FOQVJZ\n-----END {label}-----\n");
    let long = "x".repeat(257);
    for (line, input, reason, says) in [
        (&usual, CLIENT, "SECRET_ID_PASTED", "paste its Value"),
        (&usual, &format!(" {{{CLIENT}}}\n"), "SECRET_ID_PASTED", "paste its Value"),
        (&usual, &pem("PRIVATE KEY"), "PRIVATE_KEY_PASTED", "not kept"),
        (&usual, &(pem("CERTIFICATE") + &pem("RSA PRIVATE KEY")), "PRIVATE_KEY_PASTED", "not kept"),
        (&usual, &pem("CERTIFICATE"), "REQUEST_INVALID", "certificate"),
        (&usual, "", "REQUEST_INVALID", "16 to 256"),
        (&usual, &long, "REQUEST_INVALID", "16 to 256"),
        (&usual, "two words in a secret", "REQUEST_INVALID", "white space"),
        (&add("--expires 2001-01-01"), SECRET, "CREDENTIAL_EXPIRED", "expired"),
        (&usual.replace(CLIENT, "my-app"), SECRET, "REQUEST_INVALID", "Application (client) ID"),
        (&usual.replace(TENANT, "contoso.com"), SECRET, "TENANT_INVALID", "domain"),
        (&usual.replace(TENANT, "https://example.com/x"), SECRET, "TENANT_INVALID", "type the Tenant ID"),
        (&usual.replace(TENANT, PERSONAL_ACCOUNTS), SECRET, "TENANT_INVALID", "personal Microsoft accounts"),
        (&usual.replace(&format!("--tenant {TENANT}"), ""), SECRET, "TENANT_INVALID", "name the tenant"),
    ] {
        let ended = ctl.feed(&words(line), input.as_bytes()).await;
        let context = format!("{line} < {reason}:\n{}", ended.stderr);
        assert_eq!(ended.code, Some(2), "{context}");
        assert!(ended.stderr.contains(&format!("[{reason}")) && ended.stderr.contains(says), "{context}");
        assert!(ended.stderr.contains("hint: ") && ended.stdout.is_empty(), "{context}");
        assert!(input.trim().len() < 8 || !ended.stderr.contains(input.trim()), "{context}");
    }
    // What nobody could mean is not even sent.
    for line in ["--expires tomorrow", "", &format!("--expires 2030-01-01 --value {SECRET}")] {
        let ended = ctl.feed(&words(&add(line)), SECRET.as_bytes()).await;
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
    }
    let listed = ctl.run(&words("tenant credential list acme --output json")).await.good().json();
    assert_eq!((&listed["model"], listed["credentials"].as_array().unwrap().len()), (&"PLATFORM".into(), 0));
    let nobodys = format!("workspaces/acme/credentials/{}", "0".repeat(32));
    for verb in ["test", "activate", "remove"] {
        let ended = ctl.run(&["tenant", "credential", verb, &nobodys]).await.bad(2);
        assert!(ended.stderr.contains("[NOT_FOUND"), "{}", ended.stderr);
    }
}

/// The rotation of the guide: a secret, then a certificate made here, each added, tested and activated; and no secret is in what was
/// printed, or in a file of the service.
#[tokio::test]
async fn a_rotation_with_two_slots() {
    let site = Site::start().await;
    site.acme().await;
    site.under_customer_key().await;
    let ctl = Byokctl::of(&site);
    let out = tempfile::tempdir().unwrap();
    let mut printed = Vec::new();
    let first = ctl.feed(&words(&(add("--expires 2030-01-01") + " --output json")), SECRET.as_bytes()).await.good();
    printed.extend_from_slice(&first.stdout);
    let first = first.json()["name"].as_str().unwrap().to_owned();
    let untested = ctl.run(&["tenant", "credential", "activate", &first]).await.bad(2);
    assert!(untested.stderr.contains("[CREDENTIAL_NOT_TESTED"), "{}", untested.stderr);
    for verb in ["test", "activate"] {
        printed.extend_from_slice(
            &ctl.run(&["tenant", "credential", verb, &first, "--output", "json"]).await.good().stdout,
        );
    }
    let in_use = ctl.run(&["tenant", "credential", "remove", &first]).await.bad(2);
    assert!(in_use.stderr.contains("[CREDENTIAL_IN_USE"), "{}", in_use.stderr);

    // Where nothing else is said, the public part goes where the admin is, under the workspace's name; it lasts twelve months.
    let pem = out.path().join("byokd-acme.pem");
    let make = ["tenant", "credential", "make-certificate", "acme", "--client-id", CLIENT];
    let here = ctl.command(&[&make[..], &["--output", "json"]].concat()).current_dir(out.path()).spawn().unwrap();
    let made = ended(here).await.good().json();
    assert_eq!(names(out.path()), ["byokd-acme.pem"]);
    let [made_at, until] = ["create_time", "expire_time"].map(|time| parse_time(made[time].as_str().unwrap()).unwrap());
    assert_eq!(until, made_at.saturating_add(CERTIFICATE_LASTS));
    let make = [&make[..], &["-o", pem.to_str().unwrap()]].concat();
    let text = std::fs::read_to_string(&pem).unwrap();
    assert!(text.starts_with("-----BEGIN CERTIFICATE-----\n") && !text.contains("PRIVATE"), "{text}");
    assert_eq!(made["kind"], "CERTIFICATE");
    assert_eq!(made["tenant_id"], TENANT, "that of the configured key");
    let second = made["name"].as_str().unwrap().to_owned();
    let in_the_way = ctl.run(&make).await.bad(2);
    assert!(in_the_way.stderr.contains("--force"), "{}", in_the_way.stderr);
    let full = ctl.run(&[&make[..], &["--force"]].concat()).await.bad(2);
    assert!(full.stderr.contains("[CREDENTIAL_SLOTS_FULL"), "{}", full.stderr);
    assert_eq!(std::fs::read_to_string(&pem).unwrap(), text, "what was there is there");
    ctl.run(&["tenant", "credential", "test", &second]).await.good();
    ctl.run(&["tenant", "credential", "activate", &second]).await.good();
    let left = ctl.run(&["tenant", "credential", "remove", &first, "--output", "json"]).await.good().json();
    assert_eq!(left["model"], "CUSTOMER_REGISTRATION");
    assert_eq!(left["credentials"].as_array().unwrap().len(), 1);
    assert_eq!(left["credentials"][0]["state"], "ACTIVE");
    let listed = ctl.run(&words("tenant credential list acme")).await.good();
    assert!(listed.stderr.contains("the customer's own app registration"), "{}", listed.stderr);
    printed.extend_from_slice(&listed.stdout);
    printed.extend_from_slice(&ctl.run(&words("audit list acme --output json")).await.good().stdout);
    let holds = |text: &[u8]| printed.windows(text.len()).any(|part| part == text);
    assert!(holds(b"credential.activated") && !holds(CANARY));
    assert!(files_without(site.socket().parent().unwrap(), CANARY) >= 1);
    let back = ctl.run(&words("tenant use-platform-app acme --output json")).await.good().json();
    assert_eq!(back["model"], "PLATFORM");
}

/// How many files there are, none of which holds these bytes.
fn files_without(dir: &Path, bytes: &[u8]) -> usize {
    let mut looked = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            looked += files_without(&path, bytes);
        } else if path.is_file() {
            let held = std::fs::read(&path).unwrap();
            assert!(!held.windows(bytes.len()).any(|part| part == bytes), "{}", path.display());
            looked += 1;
        }
    }
    looked
}
