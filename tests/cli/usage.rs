//! Validation, usage, coverage, and a bulk re-encryption from one key to another, as a person types them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::enterprise_keys_client::EnterpriseKeysClient;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use testkit::HandClock;
use tonic::Code;

use crate::program::{Byokctl, names};
use crate::site::{APP as APP_NAME, Client, Site};

const APP: [&str; 4] = ["--app", "acme/support-bot", "--context", "table=orders"];

async fn seal(ctl: &Byokctl, plaintext: &[u8], more: &[&str]) -> Vec<u8> {
    ctl.feed(&[&["data", "encrypt"][..], &APP, more].concat(), plaintext).await.good().stdout
}

async fn open(ctl: &Byokctl, ciphertext: &[u8]) -> Vec<u8> {
    ctl.feed(&[&["data", "decrypt"][..], &APP].concat(), ciphertext).await.good().stdout
}

fn key_of(ciphertext: &[u8]) -> String {
    hex::encode(envelope::Header::parse(ciphertext).unwrap().data_key_id)
}

/// "Basic authentication successful." on standard output and 0; before that what is missing, and whose move it is. Then what the
/// app did is shown by the hour, and its data keys with what is left.
#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_validated_and_its_use_is_shown() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let refused = ctl.run(&["app", "validate", "acme/support-bot"]).await.bad(2);
    assert!(refused.stderr.contains("KEY_NOT_CONFIGURED") && refused.stdout.is_empty(), "{}", refused.stderr);
    let told = ctl.run(&["app", "validate", "acme/support-bot", "--output", "json"]).await;
    assert_eq!(told.code, Some(2), "{}", told.stderr);
    assert_eq!((&told.json()["successful"], &told.json()["protection"]), (&json!(false), &json!("PLATFORM_KEY")));

    let version = site.under_customer_key().await;
    let good = ctl.run(&["app", "validate", "acme/support-bot"]).await.good();
    assert_eq!(String::from_utf8(good.stdout).unwrap(), "Basic authentication successful.\n");
    seal(&ctl, b"order 42", &["--message"]).await;

    let usage = ctl.run(&["app", "usage", "acme", "--output", "json"]).await.good().json();
    let hours: Vec<_> = usage["hours"]
        .as_array()
        .unwrap()
        .iter()
        .map(|h| (&h["app"], &h["protection"], &h["sealed_messages"]))
        .collect();
    let bot = json!("workspaces/acme/apps/support-bot");
    assert_eq!(hours, [(&bot, &json!("PLATFORM_KEY"), &json!(2)), (&bot, &json!("CUSTOMER_KEY"), &json!(2))]);
    let none = ctl.run(&["app", "usage", "acme/other-app", "--last", "7d", "--output", "json"]).await.good().json();
    assert_eq!(none["hours"], json!([]));
    ctl.run(&["app", "usage", "acme", "--from", "2026-01-02T00:00:00Z", "--until", "2026-01-01T00:00:00Z"])
        .await
        .bad(2);
    let table = String::from_utf8(ctl.run(&["app", "usage", "acme/support-bot"]).await.good().stdout).unwrap();
    assert!(table.starts_with("HOUR") && table.contains("acme/support-bot  CUSTOMER_KEY"), "{table}");

    let table = String::from_utf8(ctl.run(&["app", "coverage", "acme"]).await.good().stdout).unwrap();
    assert!(table.contains("left to encrypt again: at most 2 messages under 1 data key"), "{table}");
    assert!(table.contains("acme/other-app: new data is under CUSTOMER_KEY; nothing is left"), "{table}");
    ctl.run(&["app", "coverage", "acme/nobody"]).await.bad(2);

    site.vault.disable(&Site::key(), version);
    let refused = ctl.run(&["app", "validate", "acme/other-app"]).await.bad(3);
    assert!(refused.stderr.contains("KEY_DISABLED") && refused.stderr.contains("re-enable"), "{}", refused.stderr);
}

/// Files, directories and lines are counted by data key without the service, and by protection with it; what is no ciphertext is
/// named by its path or line, and the exit code says so.
#[tokio::test(flavor = "multi_thread")]
async fn stored_ciphertexts_are_counted() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let old = seal(&ctl, b"from before", &["--message"]).await;
    let stream = seal(&ctl, &[7; 100_000], &[]).await;
    site.under_customer_key().await;
    let new = seal(&ctl, b"from now on", &["--message"]).await;
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    std::fs::create_dir(path("deeper")).unwrap();
    for (name, bytes) in [("old", &old), ("deeper/stream", &stream), ("deeper/new", &new)] {
        std::fs::write(path(name), bytes).unwrap();
    }
    let at = dir.path().to_str().unwrap();

    // Nobody is asked: there is nobody.
    let nobody = Byokctl::at("http://127.0.0.1:1", "none");
    let counted = nobody.run(&["data", "inspect", at, "--output", "json"]).await.good().json();
    assert_eq!((&counted["ciphertexts"], &counted["protections"]), (&json!(3), &json!([])));
    let total = old.len() + stream.len() + new.len();
    assert_eq!(counted["bytes"], json!(total));
    let of = |counted: &Value, ciphertext: &[u8]| {
        let keys = counted["data_keys"].as_array().unwrap();
        keys.iter().find(|key| key["data_key_id"] == key_of(ciphertext)).unwrap().clone()
    };
    let found = of(&counted, &old);
    assert_eq!((&found["messages"], &found["streams"], &found["protection"]), (&json!(1), &json!(1), &Value::Null));

    std::fs::write(path("deeper/no-ciphertext"), "hello").unwrap();
    let asked = ctl.run(&["data", "inspect", at, "--workspace", "acme", "--output", "json"]).await;
    assert_eq!(asked.code, Some(2), "one is no ciphertext");
    let counted = asked.json();
    assert_eq!(
        (&of(&counted, &old)["protection"], &of(&counted, &old)["present"]),
        (&json!("PLATFORM_KEY"), &json!(false))
    );
    assert_eq!(
        (&of(&counted, &new)["protection"], &of(&counted, &new)["present"]),
        (&json!("CUSTOMER_KEY"), &json!(true))
    );
    assert!(counted["bad"][0]["at"].as_str().unwrap().ends_with("deeper/no-ciphertext"), "{counted}");
    let sums = counted["protections"].as_array().unwrap();
    let sums: Vec<_> = sums.iter().map(|sum| (&sum["protection"], &sum["ciphertexts"])).collect();
    assert_eq!(sums, [(&json!("CUSTOMER_KEY"), &json!(1)), (&json!("PLATFORM_KEY"), &json!(2))]);

    let lines = format!("{}\n\nhello!\n{}", STANDARD.encode(&old), STANDARD_NO_PAD.encode(&new));
    let counted = nobody.feed(&["data", "inspect", "--lines", "--output", "json"], lines.as_bytes()).await;
    assert_eq!(counted.code, Some(2));
    assert_eq!(counted.json()["ciphertexts"], json!(2));
    assert_eq!(counted.json()["bad"], json!([{ "at": "line 3", "why": "the line is not base64" }]));
    let table = nobody.feed(&["data", "inspect", "--lines", "-"], lines.as_bytes()).await;
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(
        text.contains(&key_of(&old)) && table.stderr.contains("line 3: the line is not base64"),
        "{text}{}",
        table.stderr
    );
}

struct Stored<'a>(&'a Path);

impl Stored<'_> {
    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.0.join(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }
}

/// A directory goes from the platform's key to the customer's, file by file in its place: run again it does nothing, what is
/// damaged stays as it was and is named, a denial stops it with what was done kept, and it goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_encrypted_again() {
    let clock = HandClock::new();
    let site = Site::with(|assembly| assembly.clock = clock.clone()).await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let dir = tempfile::tempdir().unwrap();
    let stored = Stored(dir.path());
    std::fs::create_dir(dir.path().join("deeper")).unwrap();
    for (name, bytes, form) in
        [("a", &b"one"[..], &["--message"][..]), ("deeper/b", &[7; 200_000], &[]), ("c", b"three", &["--message"])]
    {
        stored.write(name, &seal(&ctl, bytes, form).await);
    }
    std::fs::set_permissions(stored.path("a"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let before = stored.read("a");
    let mut damaged = stored.read("c");
    *damaged.last_mut().unwrap() ^= 1;
    stored.write("damaged", &damaged);
    let at = dir.path().to_str().unwrap();
    let all = [&["data", "re-encrypt"][..], &APP, &["--in-place", at, "--output", "json"]].concat();

    // Without a customer's key all are under the present data key already, and the damaged one too, as far as its header says.
    let nothing = ctl.run(&all).await.good().json();
    assert_eq!((&nothing["re_encrypted"], &nothing["skipped"]), (&json!(0), &json!(4)));
    assert_eq!(stored.read("a"), before, "what is under the present key is left alone");
    ctl.run(&[&["data", "re-encrypt"][..], &APP, &[at]].concat()).await.bad(2);

    let version = site.under_customer_key().await;
    site.vault.disable(&Site::key(), version);
    let stopped = ctl.run(&all).await;
    assert_eq!(stopped.code, Some(3), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("run it again to go on"), "{}", stopped.stderr);
    assert_eq!(stored.read("a"), before);
    site.vault.enable(&Site::key(), version);
    let mut moved = ctl.run(&all).await;
    for _ in 0..5 {
        // I-12: two yeses, five seconds apart.
        if moved.code != Some(3) {
            break;
        }
        clock.advance(Duration::from_secs(6));
        moved = ctl.run(&all).await;
    }
    assert_eq!(moved.code, Some(2), "one is damaged: {}", moved.stderr);
    let told = moved.json();
    assert_eq!((&told["re_encrypted"], &told["skipped"]), (&json!(3), &json!(0)));
    assert!(told["bad"][0]["at"].as_str().unwrap().ends_with("/damaged"), "{told}");
    assert_eq!(stored.read("damaged"), damaged, "what could not be done stays as it was");
    assert_eq!(open(&ctl, &stored.read("a")).await, b"one");
    assert_eq!(open(&ctl, &stored.read("deeper/b")).await, [7; 200_000]);
    assert_eq!(std::fs::metadata(stored.path("a")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(names(dir.path()), ["a", "c", "damaged", "deeper"], "nothing is left behind");

    std::fs::remove_file(stored.path("damaged")).unwrap();
    let (a, again) = (stored.read("a"), ctl.run(&all).await.good().json());
    assert_eq!((&again["re_encrypted"], &again["skipped"]), (&json!(0), &json!(3)));
    assert_eq!(stored.read("a"), a);
    let counted = ctl.run(&["data", "inspect", at, "--workspace", "acme", "--output", "json"]).await.good().json();
    assert_eq!(
        counted["protections"],
        json!([{ "protection": "CUSTOMER_KEY", "ciphertexts": 3, "bytes": counted["bytes"] }])
    );

    // I-16: for another context nothing opens, so that nothing is replaced.
    clock.advance(Duration::from_secs(60));
    ctl.run(&["key", "rotate-data-keys", "acme"]).await.good();
    let elsewhere = ["data", "re-encrypt", "--app", "acme/support-bot", "--in-place", at];
    let refused = ctl.run(&elsewhere).await;
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("3 could not be encrypted again"), "{}", refused.stderr);
    assert_eq!(stored.read("a"), a);
}

/// Lines of base64 go through a pipe or a file, in their order and spelling; what is done, empty or bad stays as it is.
#[tokio::test(flavor = "multi_thread")]
async fn lines_are_encrypted_again() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    let old = [seal(&ctl, b"one", &["--message"]).await, seal(&ctl, b"two", &["--message"]).await];
    site.under_customer_key().await;
    let new = STANDARD.encode(seal(&ctl, b"three", &["--message"]).await);
    let dir = tempfile::tempdir().unwrap();
    let stored = Stored(dir.path());
    let input = format!("{}\n{new}\n\nhello!\n{}", STANDARD.encode(&old[0]), STANDARD_NO_PAD.encode(&old[1]));
    stored.write("column", input.as_bytes());
    let column = stored.path("column");
    let run = [&["data", "re-encrypt", "--lines"][..], &APP, &[&column, "-o", &column, "--force", "--output", "json"]]
        .concat();
    let moved = ctl.run(&run).await;
    assert_eq!(moved.code, Some(2), "one line is none: {}", moved.stderr);
    let told = moved.json();
    assert_eq!(
        (&told["re_encrypted"], &told["skipped"], &told["bad"][0]["at"]),
        (&json!(2), &json!(1), &json!("line 4"))
    );
    let written = String::from_utf8(stored.read("column")).unwrap();
    let lines: Vec<&str> = written.split('\n').collect();
    assert_eq!((lines.len(), lines[1], lines[2], lines[3]), (5, new.as_str(), "", "hello!"));
    assert_eq!(open(&ctl, &STANDARD.decode(lines[0]).unwrap()).await, b"one");
    let last = STANDARD_NO_PAD.decode(lines[4]).unwrap();
    assert_eq!(open(&ctl, &last).await, b"two");
    assert_eq!(key_of(&last), told["data_key"]);

    // Into a pipe go lines and nothing else.
    let piped = ctl
        .feed(&[&["data", "re-encrypt", "--lines"][..], &APP].concat(), STANDARD.encode(&old[0]).as_bytes())
        .await
        .good();
    assert_eq!(piped.stderr, "");
    assert_eq!(open(&ctl, &STANDARD.decode(&piped.stdout).unwrap()).await, b"one");
}

/// What was counted since the last flush is written when the daemon stops in good order.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stops_writes_its_last_counts() {
    let site = Site::start().await;
    site.acme().await;
    seal(&Byokctl::of(&site), b"order 42", &["--message"]).await;
    let (store, acme) = (site.store.clone(), "acme".parse().unwrap());
    site.stopped().await;
    let found = store.inner().usage_by_key(&acme).await.unwrap();
    let seals: Vec<_> = found.iter().map(|(_, traffic)| (traffic.tally.seals, traffic.tally.sealed_bytes)).collect();
    assert_eq!(seals, [(1, 8)]);
}

/// I-14: an app of another workspace is answered like one that is not there; what makes no sense is said.
#[tokio::test(flavor = "multi_thread")]
async fn usage_and_coverage_stay_in_their_workspace() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    ctl.run(&["workspace", "create", "globex"]).await.good();
    let mut keys = site.keys().await;
    let usage = |change: fn(&mut pb::GetUsageRequest)| {
        let mut request = pb::GetUsageRequest { parent: "workspaces/globex".into(), ..Default::default() };
        change(&mut request);
        request
    };
    let code = async |keys: &mut EnterpriseKeysClient<Client>, request| {
        keys.get_usage(request).await.map(drop).map_err(|s| s.code())
    };
    assert_eq!(code(&mut keys, usage(|_| ())).await, Ok(()));
    let foreign = usage(|r| r.app = APP_NAME.into());
    assert_eq!(code(&mut keys, foreign).await, Err(Code::NotFound));
    for bad in [
        usage(|r| r.page_token = "x".into()),
        usage(|r| r.page_size = -1),
        usage(|r| r.app = "support-bot".into()),
        usage(|r| r.start_time = Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 })),
        usage(|r| r.last = Some(prost_types::Duration { seconds: 400 * 86_400, nanos: 0 })),
    ] {
        assert_eq!(code(&mut keys, bad).await, Err(Code::InvalidArgument));
    }
    let nobody = usage(|r| r.parent = "workspaces/nobody".into());
    assert_eq!(code(&mut keys, nobody).await, Err(Code::NotFound));
    let coverage =
        pb::GetCoverageRequest { parent: "workspaces/globex".into(), app: APP_NAME.into(), ..Default::default() };
    assert_eq!(keys.get_coverage(coverage).await.unwrap_err().code(), Code::NotFound);
    let validate = pb::ValidateAppRequest { app: "workspaces/globex/apps/support-bot".into() };
    assert_eq!(keys.validate_app(validate).await.unwrap_err().code(), Code::NotFound);
}
