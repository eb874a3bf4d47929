//! The ledger as a person reads, exports, verifies and reconciles it.
#![cfg(feature = "dev")]

use std::path::Path;

use azure_emulator::{Emulator, Operation, Options};
use domain::Timestamp;
use serde_json::{Value, json};

use crate::program::{Byokctl, Dev};
use crate::site::Site;

const APPLICATION: &str = "9a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";

async fn export(ctl: &Byokctl, path: &Path) -> Vec<u8> {
    ctl.run(&["audit", "export", "acme", "-o", path.to_str().unwrap()]).await.good();
    std::fs::read(path).unwrap()
}

/// What was done is listed; an export appears whole, verifies without the service, and with one byte changed, one line dropped
/// or its end cut off it does not, by name.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_verified_and_what_was_changed_is_named() {
    let site = Site::start().await;
    site.acme().await;
    site.under_customer_key().await;
    let ctl = Byokctl::of(&site);
    ctl.feed(&["data", "encrypt", "--app", "acme/support-bot", "--message"], b"order 42").await.good();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();

    let listed = ctl.run(&["audit", "list", "acme", "--output", "json"]).await.good().json();
    let names: Vec<&str> = listed["events"].as_array().unwrap().iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["workspace.created", "app.upserted", "app.upserted"]);
    assert!(names.contains(&"key.configured") && names.contains(&"vault.called"), "{names:?}");
    let table = String::from_utf8(ctl.run(&["audit", "list", "acme", "--event", "app"]).await.good().stdout).unwrap();
    assert!(table.starts_with("NUMBER") && table.contains("app=support-bot") && !table.contains("vault"), "{table}");
    ctl.run(&["audit", "list", "platform"]).await.good();
    ctl.run(&["audit", "list", "nobody"]).await.bad(2);

    ctl.run(&["audit", "checkpoint", "acme"]).await.bad(2);
    ctl.run(&["audit", "checkpoint", "acme", "--now", "-o", &path("kept")]).await.good();
    let kept = ctl.run(&["audit", "checkpoint", "acme", "--output", "json"]).await.good().json();
    assert_eq!(kept, serde_json::from_slice::<Value>(&std::fs::read(path("kept")).unwrap()).unwrap());

    let whole = export(&ctl, &dir.path().join("acme.jsonl")).await;
    let piped = ctl.run(&["audit", "export", "acme"]).await.good().stdout;
    let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(lines(&whole), lines(&piped));
    ctl.run(&["audit", "export", "acme", "-o", &path("acme.jsonl")]).await.bad(2);
    // The service is not asked: it could be gone.
    let offline = Byokctl::at("http://127.0.0.1:9", "none");
    let kept = ["--checkpoint", &path("kept")];
    let verify = |name: &str, more: &[&str]| {
        let (offline, args) = (offline.clone(), [&["audit", "verify", &path(name)][..], more].concat().join("\n"));
        async move { offline.run(&args.split('\n').collect::<Vec<_>>()).await }
    };
    let good = verify("acme.jsonl", &kept).await.good();
    assert!(String::from_utf8(good.stdout).unwrap().contains("are as they were written"));
    let told = verify("acme.jsonl", &["--output", "json"]).await.good().json();
    assert_eq!(
        (&told["good"], &told["chain"], &told["key_was_known"]),
        (&json!(true), &json!("workspaces/acme"), &json!(false))
    );

    // A part from after the checkpoint that was kept: nothing ties the two, and nobody is told that it is good.
    let last = told["last"].as_u64().unwrap().to_string();
    ctl.run(&["app", "upsert", "acme/another"]).await.good();
    ctl.run(&["audit", "checkpoint", "acme", "--now", "-o", &path("newer")]).await.good();
    ctl.run(&["audit", "export", "acme", "--after", &last, "-o", &path("part")]).await.good();
    // Where it begins is signed by nobody: it is a part to whoever asked for one, and to others a chain without its beginning.
    let asked = ["--after", &last];
    let part = verify("part", &[&asked[..], &["--checkpoint", &path("newer")]].concat()).await.good();
    assert!(String::from_utf8(part.stdout).unwrap().contains("what stands before is not looked at"));
    let missing = verify("part", &["--checkpoint", &path("newer")]).await.bad(4).stderr;
    assert!(missing.contains(&format!("events 1 to {last} are missing")) && missing.contains("--after"), "{missing}");
    let untied = verify("part", &[&kept[..], &asked, &["--output", "json"]].concat()).await;
    assert_eq!((untied.code, untied.json()["good"].clone()), (Some(4), json!(false)));
    assert_eq!((&untied.json()["kept_is_older"], &untied.json()["findings"]), (&json!(true), &json!([])));
    assert_eq!(untied.json()["after"].to_string(), last);
    assert!(verify("part", &[&kept[..], &asked].concat()).await.bad(4).stderr.contains("nothing ties this part"));

    // Bytes that are no text are no text, wherever they stand.
    let mut bytes = whole.clone();
    let at = bytes.windows(11).position(|name| name == b"support-bot").unwrap();
    bytes[at] = 0xff;
    std::fs::write(path("bytes"), bytes).unwrap();
    assert!(verify("bytes", &[]).await.bad(4).stderr.contains("not UTF-8"));

    let text = String::from_utf8(whole).unwrap();
    std::fs::write(path("changed"), text.replacen("support-bot", "support-bat", 1)).unwrap();
    let bad = verify("changed", &[]).await.bad(4);
    assert!(bad.stderr.contains("event 2 was altered"), "{}", bad.stderr);
    let dropped: String = text.lines().enumerate().filter(|(n, _)| *n != 3).map(|(_, l)| format!("{l}\n")).collect();
    std::fs::write(path("dropped"), dropped).unwrap();
    let bad = verify("dropped", &[]).await.bad(4);
    assert!(bad.stderr.contains("event 3 is missing"), "{}", bad.stderr);
    let cut: String = text.lines().take(4).map(|line| format!("{line}\n")).collect();
    std::fs::write(path("cut"), &cut).unwrap();
    let bad = verify("cut", &kept).await.bad(4);
    assert!(bad.stderr.contains("cut off after event 3"), "{}", bad.stderr);
    verify("acme.jsonl", &["--public-key", &"00".repeat(32)]).await.bad(4);

    // A broken export is gone on with, and is the same in the end.
    std::fs::write(path("again.jsonl.partial"), cut + "{\"number\":").unwrap();
    let gone_on = ctl.run(&["audit", "export", "acme", "-o", &path("again.jsonl")]).await.good();
    assert!(gone_on.stderr.contains("going on after event 3"), "{}", gone_on.stderr);
    verify("again.jsonl", &kept).await.good();
    assert!(!Path::new(&path("again.jsonl.partial")).exists());
}

/// The emulated vault's own record of its calls, as Azure Monitor would write it, agrees with the ledger call by call; an unwrap
/// that the ledger does not have and an entry that the log does not have are named, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn the_vaults_own_log_agrees_with_the_ledger() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("ca.pem"), emulator.ca_pem()).unwrap();
    let addr = emulator.addr().to_string();
    let dev = Dev::start(&dir.path().join("data"), &["--emulator", &addr, "--emulator-ca", &path("ca.pem")]).await;
    let ctl = dev.byokctl();
    ctl.feed(&["data", "encrypt", "--app", "acme/orders", "--message"], b"order 42").await.good();
    let first = emulator.calls();
    export(&ctl, &dir.path().join("acme.jsonl")).await;
    assert_eq!(dev.interrupt().await, Some(0));

    let entry = |call: &azure_emulator::Call| {
        let operation = match call.operation {
            Operation::WrapKey => "KeyWrap",
            Operation::UnwrapKey => "KeyUnwrap",
            _ => "KeyGet",
        };
        json!({
            "time": Timestamp::from_micros(call.at_micros).to_string(),
            "category": "AuditEvent",
            "operationName": operation,
            "correlationId": call.request_id,
            "identity": { "claim": { "appid": APPLICATION } },
            "properties": { "id": format!("https://{}{}", call.host, call.path), "httpStatusCode": call.status },
        })
    };
    // The log of acme's own vault, as the export is of acme's own chain.
    let of_acme = |call: &&azure_emulator::Call| call.host.starts_with("acme-keys.");
    let calls: Vec<_> =
        first.iter().filter(of_acme).filter(|call| call.status != 0 && call.principal.is_some()).collect();
    let mut records: Vec<Value> = calls.iter().map(|call| entry(call)).collect();
    let log = |records: &[Value]| std::fs::write(path("log.json"), json!({ "records": records }).to_string()).unwrap();
    log(&records);
    let reconcile = ["audit", "reconcile", &path("acme.jsonl"), "--vault-log", &path("log.json")];
    // All of it takes seconds, the only replica wrote all it had, and the log is whole: no call is at an end.
    let reconcile = [&reconcile[..], &["--margin", "0", "--application", APPLICATION, "--output", "json"]].concat();
    let told = ctl.run(&reconcile).await.good().json();
    assert_eq!(told["one_sided"], json!([]), "{told}");
    let uses = calls.iter().filter(|call| matches!(call.operation, Operation::WrapKey | Operation::UnwrapKey));
    assert_eq!(
        told["matched"].as_u64().unwrap() + told["matched_without_answer"].as_u64().unwrap(),
        uses.count() as u64
    );
    assert!(told["matched"].as_u64().unwrap() > 20, "{told}");
    // Whose key signed the export is said, and another than the one that was named is refused.
    let key = told["public_key"].as_str().unwrap().to_owned();
    assert_eq!((key.len(), &told["key_was_known"]), (64, &json!(false)));
    let named = ctl.run(&[&reconcile[..], &["--public-key", &key]].concat()).await.good().json();
    assert_eq!((&named["public_key"], &named["key_was_known"]), (&json!(key), &json!(true)));
    let table = ctl.run(&reconcile[..reconcile.len() - 2]).await.good().stdout;
    assert!(String::from_utf8(table).unwrap().contains(&format!("signed by {key}: compare it")));
    let other = ctl.run(&[&reconcile[..], &["--public-key", &"00".repeat(32)]].concat()).await.bad(2);
    assert!(other.stderr.contains("which nobody named"), "{}", other.stderr);

    // Seconds are no time to judge by, unless whoever asks knows that nothing is missing at the ends.
    let usual: Vec<&str> = reconcile.iter().copied().filter(|arg| !["--margin", "0"].contains(arg)).collect();
    assert!(ctl.run(&usual).await.json()["from"].is_null());

    let unwraps: Vec<usize> = (0..records.len()).filter(|n| records[*n]["operationName"] == "KeyUnwrap").collect();
    let [removed, planted] = [unwraps[unwraps.len() / 2], unwraps[unwraps.len() / 3]];
    let mut plant = records[planted].clone();
    plant["correlationId"] = json!("planted");
    let gone = records.remove(removed)["correlationId"].clone();
    records.push(plant);
    log(&records);
    let told = ctl.run(&reconcile).await;
    assert_eq!(told.code, Some(4), "{}", told.stderr);
    let told = told.json();
    let sides: Vec<_> =
        told["one_sided"].as_array().unwrap().iter().map(|one| (&one["only_in"], &one["ids"][0])).collect();
    assert_eq!(sides.len(), 2, "{told}");
    assert!(
        sides.contains(&(&json!("vault"), &json!("planted"))) && sides.contains(&(&json!("ledger"), &gone)),
        "{told}"
    );
}
