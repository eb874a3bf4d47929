//! The customer's own log against the ledger: what one side only has is found, and nothing else.

mod support;

use std::time::Duration;

use domain::ledger::{CalledVault, Purpose, VaultCall};
use domain::{BootId, KeyVersionId, Timestamp};
use ledger::reconcile::{Calls, MARGIN, NotALog, OneSided, Reconciled, VaultLog};
use serde_json::{Value, json};
use support::Chain;

const OURS: &str = "9a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
const OTHERS: &str = "11111111-2222-3333-4444-555555555555";
const VERSION: KeyVersionId = KeyVersionId::from_bytes([9; 16]);
const FROM: i64 = 1_700_000_000_000_000;

fn call(n: i64, purpose: Purpose) -> VaultCall {
    VaultCall {
        purpose,
        at: Timestamp::from_micros(FROM + n * 1_000_000),
        outcome: Some(Ok(())),
        request_id: Some(format!("r-{n}").into()),
        client_request_id: Some(format!("c-{n}").into()),
    }
}

/// A record as Azure Monitor writes it to storage. `correlationId` is what Microsoft documents as the client's own id.
fn record(n: i64, purpose: Purpose, application: &str) -> Value {
    let kid = format!("https://contoso-kv.vault.azure.net/keys/byok/{VERSION}");
    json!({
        "time": Timestamp::from_micros(FROM + n * 1_000_000 + 40_000).to_string(),
        "category": "AuditEvent",
        "operationName": if purpose.wraps() { "KeyWrap" } else { "KeyUnwrap" },
        "resultType": "Success",
        "resultSignature": "OK",
        "correlationId": format!("C-{n}"),
        "identity": { "claim": { "appid": application } },
        "properties": { "id": kid, "requestUri": format!("{kid}/unwrapkey?api-version=7.4"), "httpStatusCode": 200 },
    })
}

/// The ledger's side: these calls, a hundred an event, as the service writes them.
fn ledger(calls: Vec<VaultCall>) -> Calls {
    ledger_of(calls.chunks(100))
}

/// The ledger's side, event by event.
fn ledger_of<'a>(events: impl IntoIterator<Item = &'a [VaultCall]>) -> Calls {
    let mut chain = Chain::new(1);
    for together in events {
        let called =
            CalledVault { version: VERSION, boot: BootId::from_bytes([1; 16]), calls: together.to_vec(), left_out: 0 };
        let at = together.last().unwrap().at;
        let (name, details) = domain::audit::AuditKind::VaultCalled(called).record();
        let details = details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        chain.push_at(at.micros(), name, details);
    }
    let mut calls = Calls::default();
    assert!(chain.events.iter().all(|event| calls.take(event)));
    calls
}

fn purpose(n: i64) -> Purpose {
    [Purpose::Probe, Purpose::Unwrap, Purpose::Wrap][usize::try_from(n % 3).unwrap()]
}

fn ids(found: &Reconciled) -> Vec<String> {
    let of = |one: &OneSided| match one {
        OneSided::VaultOnly(entry) => format!("vault {}", entry.ids.join(" ")),
        OneSided::LedgerOnly(call) => format!("ledger {}", call.request_id.as_deref().unwrap_or("-")),
    };
    found.one_sided.iter().map(of).collect()
}

/// 100,000 lines: the planted unwrap and the removed entry are named, and nothing else is.
#[test]
fn in_a_large_log_the_planted_and_the_removed_are_found() {
    let calls = (0..99_990).map(|n| call(n, purpose(n))).collect();
    let mut lines: Vec<Value> = (0..99_990).filter(|n| *n != 70_000).map(|n| record(n, purpose(n), OURS)).collect();
    // Somebody with our credential, and ten who are none of ours.
    lines.insert(40_000, record(40_000, Purpose::Unwrap, OURS));
    lines[40_000]["correlationId"] = json!("planted");
    lines.extend((0..10).map(|n| record(n, Purpose::Unwrap, OTHERS)));
    assert_eq!(lines.len(), 100_000);
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    let found = ledger(calls).against(VaultLog::read(&text).unwrap(), OURS, Duration::ZERO);
    assert_eq!(ids(&found), ["vault planted", "ledger r-70000"]);
    assert_eq!((found.matched, found.by_others), (99_989, 10));
}

/// What one side only has at the ends of the time that both cover is nobody's fault: it was under way when the export was written, or
/// stands in an event before it, or was a probe that another replica had not written yet. In between it is somebody's.
#[test]
fn at_the_ends_of_the_common_time_nobody_is_accused() {
    let margin = i64::try_from(MARGIN.as_secs()).unwrap();
    let end = 4 * margin;
    let marks = [0, margin - 1, margin, end / 2, end - margin, end - margin + 1, end];
    let steady: Vec<i64> = (0..=end).step_by(60).filter(|n| !marks.contains(n)).collect();
    // Both begin and end at the same moments, whatever is missing in between.
    let both = |without: &[i64]| {
        let all = steady.iter().chain(&marks).copied().filter(|n| !without.contains(n));
        all.collect::<Vec<_>>()
    };
    let log = |of: &[i64]| {
        let mut other: Vec<Value> = of.iter().map(|n| record(*n, purpose(0), OURS)).collect();
        // The log's own times are those of its records of any kind; an entry is logged a little later than it was asked.
        for n in [0, end] {
            let mut looked = record(n, Purpose::Unwrap, OURS);
            looked["operationName"] = json!("KeyGet");
            looked["time"] = json!(Timestamp::from_micros(FROM + n * 1_000_000).to_string());
            other.push(looked);
        }
        VaultLog::read(&json!(other).to_string()).unwrap()
    };
    let calls = |of: &[i64]| {
        let calls: Vec<_> = of.iter().map(|n| call(*n, purpose(0))).collect();
        let mut calls = ledger(calls);
        for n in [0, end] {
            assert!(calls.take(&something_else(n)));
        }
        calls
    };
    // In the vault only: it was under way, or its event stands before a part's beginning.
    let found = calls(&both(&marks)).against(log(&both(&[])), OURS, MARGIN);
    assert_eq!(ids(&found), [margin, end / 2].map(|n| format!("vault c-{n}")));
    assert_eq!((found.outside_ledger, found.outside_log), (5, 0));
    // In the ledger only: the log was not that far.
    let found = calls(&both(&[])).against(log(&both(&marks)), OURS, MARGIN);
    assert_eq!(ids(&found), [margin, end / 2, end - margin].map(|n| format!("ledger r-{n}")));
    assert_eq!((found.outside_ledger, found.outside_log), (0, 4));
    // Without the margin all of them are named.
    let found = calls(&both(&marks)).against(log(&both(&[])), OURS, Duration::ZERO);
    assert_eq!((found.one_sided.len(), found.outside_ledger), (6, 1));
    // Where there is nothing but ends, nothing is said of anything.
    let found = calls(&[0]).against(log(&[0, 1]), OURS, MARGIN * 3);
    assert_eq!((found.window, found.matched, found.outside_ledger), (None, 1, 1));
    // An hour of a log out of days of a ledger is judged up to its ends, for the ledger has all around it.
    let found = calls(&[-20 * margin, 0, end, 20 * margin]).against(log(&[0, 1, end / 2, end - 1, end]), OURS, MARGIN);
    assert_eq!(ids(&found), [1, end / 2, end - 1].map(|n| format!("vault c-{n}")));
}

/// An event of another kind.
fn something_else(n: i64) -> ledger::Event {
    let mut chain = Chain::new(1);
    chain.push_at(FROM + n * 1_000_000, "app.upserted", vec![]);
    chain.events.remove(0)
}

/// The service only wraps and unwraps: whatever else its application used the key for was somebody else, whose answer opens as much.
#[test]
fn a_use_that_the_service_never_makes_is_named() {
    for operation in ["KeyDecrypt", "KeyEncrypt", "KeySign", "KeyVerify", "KeyRelease", "KeyBackup"] {
        let mut other = record(500, Purpose::Unwrap, OURS);
        other["operationName"] = json!(operation);
        let mut read = record(501, Purpose::Unwrap, OURS);
        read["operationName"] = json!("KeyGet");
        let log = json!([record(0, purpose(0), OURS), other, read, record(1_000, purpose(0), OURS)]);
        let both = vec![call(0, purpose(0)), call(500, Purpose::Unwrap), call(1_000, purpose(0))];
        let found = ledger(both).against(VaultLog::read(&log.to_string()).unwrap(), OURS, Duration::ZERO);
        assert_eq!(ids(&found), ["ledger r-500", "vault c-500"], "{operation}");
    }
}

/// docs/ledger.md: an event whose commit was in doubt may stand twice. Its second copy explains nothing, or whoever has the
/// application's credential would have one use for nothing for each call that was never answered.
#[test]
fn a_call_without_an_answer_that_stands_twice_explains_one_entry() {
    let silent = |client: Option<&str>| VaultCall {
        outcome: None,
        request_id: None,
        client_request_id: client.map(Into::into),
        ..call(500, Purpose::Unwrap)
    };
    let log = || {
        let mut planted = record(530, Purpose::Unwrap, OURS);
        planted["correlationId"] = json!("planted");
        let records = [
            record(0, Purpose::Wrap, OURS),
            record(500, Purpose::Unwrap, OURS),
            planted,
            record(999, Purpose::Wrap, OURS),
        ];
        VaultLog::read(&json!(records).to_string()).unwrap()
    };
    let (first, last) = ([call(0, Purpose::Wrap)], [call(999, Purpose::Wrap)]);
    for client in [None, Some("c-500"), Some("nobody-logged-this")] {
        let once = [silent(client)];
        let found = ledger_of([&first[..], &once, &once, &last]).against(log(), OURS, Duration::ZERO);
        assert_eq!(ids(&found), ["vault planted"], "{client:?}");
        assert_eq!((found.matched + found.unanswered, found.never_arrived), (3, 0), "{client:?}");
    }
    // Two calls of one event are two, at whatever time, and stand twice as two.
    let two = [silent(None), silent(None)];
    let found = ledger_of([&first[..], &two, &two, &last]).against(log(), OURS, Duration::ZERO);
    assert_eq!((ids(&found), found.unanswered, found.never_arrived), (vec![], 2, 0));
}

/// Every shape in which Microsoft documents the log, with all its fields as they are spelt there (`vault_logs/README.md`).
#[test]
fn every_documented_shape_of_the_log_is_read() {
    let calls = || {
        let with = |n, purpose, id: &str| VaultCall { client_request_id: Some(id.into()), ..call(n, purpose) };
        ledger(vec![
            with(0, Purpose::Unwrap, "5e0f7d1c-0a52-4a7a-8d3e-00000000a001"),
            with(1, Purpose::Wrap, "5e0f7d1c-0a52-4a7a-8d3e-00000000a002"),
        ])
    };
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vault_logs");
    for name in ["storage", "azure_diagnostics", "azkv_audit_logs", "query_answer", "command_line"] {
        let text = std::fs::read_to_string(dir.join(name).with_extension("json")).unwrap();
        let log = VaultLog::read(&text).unwrap();
        assert_eq!((log.len(), log.other_operations), (4, 2), "{name}");
        let found = calls().against(log, OURS, Duration::ZERO);
        assert_eq!((found.matched, found.by_others, found.unauthenticated), (2, 1, 1), "{name}: {found:?}");
        assert_eq!(ids(&found), Vec::<String>::new(), "{name}");
        // The version is read: the same ids of another version's calls are not these.
        let other = text.replace(&VERSION.to_string(), &"1".repeat(32));
        assert_ne!(other, text, "{name}");
        let found = calls().against(VaultLog::read(&other).unwrap(), OURS, Duration::ZERO);
        assert_eq!(
            (found.matched, found.one_sided.len() as u64 + found.outside_ledger + found.outside_log),
            (0, 4),
            "{name}"
        );
    }
}

/// A use of a key that does not say whose is no use by others: the log is not read before it does.
#[test]
fn a_use_that_does_not_say_whose_is_refused() {
    let mut unnamed = record(0, Purpose::Unwrap, OURS);
    unnamed["identity"] = json!({});
    let lacks = NotALog::Incomplete { place: 1, what: "identity.claim.appid" };
    assert_eq!(VaultLog::read(&unnamed.to_string()), Err(lacks.clone()));
    unnamed["properties"] = json!({});
    assert_eq!(VaultLog::read(&unnamed.to_string()), Err(lacks));
    unnamed["properties"] = json!({ "httpStatusCode": 403 });
    assert_eq!(VaultLog::read(&unnamed.to_string()).unwrap().len(), 1);
}

/// One file of records, rows of the table AzureDiagnostics, one a line or in an array: all say the same.
#[test]
fn every_form_of_the_log_is_read() {
    let records: Vec<Value> = (0..5).map(|n| record(n, Purpose::Unwrap, OURS)).collect();
    let row = |n: i64| {
        json!({
            "TimeGenerated": Timestamp::from_micros(FROM + n * 1_000_000).to_string(),
            "Category": "AuditEvent",
            "OperationName": "KeyUnwrap",
            "CorrelationId": format!("c-{n}"),
            "identity_claim_appid_g": OURS.to_uppercase(),
            "id_s": format!("https://contoso-kv.vault.azure.net/keys/byok/{VERSION}"),
            "httpStatusCode_d": 200.0,
        })
    };
    let rows: Vec<Value> = (0..5).map(row).collect();
    let lines = |all: &[Value]| all.iter().map(|one| format!("{one}\r\n")).collect::<String>();
    let forms = [
        json!({ "records": records }).to_string(),
        lines(&records),
        format!("\u{feff}{}", json!(records)),
        lines(&[json!({ "records": records[..2] }), json!({ "records": records[2..] })]),
        lines(&rows),
        json!(rows).to_string(),
    ];
    for form in forms {
        let found = ledger((0..5).map(|n| call(n, Purpose::Unwrap)).collect()).against(
            VaultLog::read(&form).unwrap(),
            OURS,
            Duration::ZERO,
        );
        assert_eq!((found.matched, ids(&found)), (5, vec![]), "{form}");
    }
}

/// The vault's own id counts as well, wherever a log has it.
#[test]
fn the_vaults_own_id_is_matched_too() {
    let mut one = record(0, Purpose::Unwrap, OURS);
    one["correlationId"] = json!("");
    one["properties"]["requestId"] = json!("R-0");
    let found =
        ledger(vec![call(0, Purpose::Unwrap)]).against(VaultLog::read(&one.to_string()).unwrap(), OURS, Duration::ZERO);
    assert_eq!((found.matched, ids(&found)), (1, vec![]));
}

/// The same id does not cover a second use, another operation or another version.
#[test]
fn one_call_covers_one_entry_of_its_own_kind() {
    let calls = || vec![call(0, Purpose::Unwrap), call(1, Purpose::Unwrap), call(9, Purpose::Wrap)];
    let twice = [0, 1, 1, 9].map(|n| record(n, if n == 9 { Purpose::Wrap } else { Purpose::Unwrap }, OURS));
    let text = |records: &[Value]| json!({ "records": records }).to_string();
    let found = ledger(calls()).against(VaultLog::read(&text(&twice)).unwrap(), OURS, Duration::ZERO);
    assert_eq!(ids(&found), ["vault c-1"]);
    let mut other = [0, 1, 9].map(|n| record(n, if n == 9 { Purpose::Wrap } else { Purpose::Unwrap }, OURS));
    other[1]["properties"]["id"] =
        json!("https://contoso-kv.vault.azure.net/keys/byok/11111111111111111111111111111111");
    let found = ledger(calls()).against(VaultLog::read(&text(&other)).unwrap(), OURS, Duration::ZERO);
    assert_eq!(ids(&found), ["ledger r-1", "vault c-1"]);
}

/// A call without an answer explains an entry of its kind and time, once; what was refused before the vault knew who called, and
/// what lies outside the time that both cover, is nobody's discrepancy.
#[test]
fn what_can_be_explained_is_explained() {
    let silent = |n| VaultCall { outcome: None, request_id: None, client_request_id: None, ..call(n, Purpose::Unwrap) };
    let calls =
        vec![call(-500, Purpose::Wrap), call(0, Purpose::Wrap), silent(5), silent(500), call(1_000, Purpose::Wrap)];
    let mut refused = record(3, Purpose::Unwrap, "");
    refused["properties"]["httpStatusCode"] = json!(401);
    let records = [
        record(0, Purpose::Wrap, OURS),
        refused,
        record(6, Purpose::Unwrap, OURS),
        record(1_000, Purpose::Wrap, OURS),
        record(5_000, Purpose::Unwrap, OURS),
    ];
    let found = ledger(calls).against(
        VaultLog::read(&json!({ "records": records }).to_string()).unwrap(),
        OURS,
        Duration::ZERO,
    );
    assert_eq!(ids(&found), Vec::<String>::new());
    assert_eq!((found.matched, found.unanswered, found.never_arrived), (2, 1, 1));
    assert_eq!((found.unauthenticated, found.outside_ledger + found.outside_log), (1, 2));
}

/// What is no log is said to be none, with its place.
#[test]
fn what_is_no_log_is_refused() {
    let unreadable = |place| Err(NotALog::Unreadable { place });
    assert_eq!(VaultLog::read("[1]"), unreadable(1));
    assert_eq!(VaultLog::read("time,operation\n"), unreadable(1));
    assert_eq!(VaultLog::read("{\"records\": 3}"), unreadable(1));
    assert_eq!(VaultLog::read("{\"tables\": [{\"rows\": []}]}"), unreadable(1));
    assert_eq!(VaultLog::read("{\"tables\": [{\"columns\": [], \"rows\": [[1]]}]}"), unreadable(1));
    let text = format!("{}\n{{}}\n", record(0, Purpose::Wrap, OURS));
    assert_eq!(VaultLog::read(&text), Err(NotALog::Incomplete { place: 2, what: "time" }));
    assert!(VaultLog::read("").unwrap().is_empty());
}
