//! The customer's own log against the ledger: what one side only has is found, and nothing else.

mod support;

use domain::ledger::{CalledVault, Purpose, VaultCall};
use domain::{BootId, KeyVersionId, Timestamp};
use ledger::reconcile::{Calls, NotALog, OneSided, Reconciled, VaultLog};
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
    let mut chain = Chain::new(1);
    for together in calls.chunks(100) {
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
    let found = ledger(calls).against(VaultLog::read(&text).unwrap(), OURS);
    assert_eq!(ids(&found), ["vault planted", "ledger r-70000"]);
    assert_eq!((found.matched, found.by_others), (99_989, 10));
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
        let found =
            ledger((0..5).map(|n| call(n, Purpose::Unwrap)).collect()).against(VaultLog::read(&form).unwrap(), OURS);
        assert_eq!((found.matched, ids(&found)), (5, vec![]), "{form}");
    }
}

/// The vault's own id counts as well, wherever a log has it.
#[test]
fn the_vaults_own_id_is_matched_too() {
    let mut one = record(0, Purpose::Unwrap, OURS);
    one["correlationId"] = json!("");
    one["properties"]["requestId"] = json!("R-0");
    let found = ledger(vec![call(0, Purpose::Unwrap)]).against(VaultLog::read(&one.to_string()).unwrap(), OURS);
    assert_eq!((found.matched, ids(&found)), (1, vec![]));
}

/// The same id does not cover a second use, another operation or another version.
#[test]
fn one_call_covers_one_entry_of_its_own_kind() {
    let calls = || vec![call(0, Purpose::Unwrap), call(1, Purpose::Unwrap), call(9, Purpose::Wrap)];
    let twice = [0, 1, 1, 9].map(|n| record(n, if n == 9 { Purpose::Wrap } else { Purpose::Unwrap }, OURS));
    let text = |records: &[Value]| json!({ "records": records }).to_string();
    let found = ledger(calls()).against(VaultLog::read(&text(&twice)).unwrap(), OURS);
    assert_eq!(ids(&found), ["vault c-1"]);
    let mut other = [0, 1, 9].map(|n| record(n, if n == 9 { Purpose::Wrap } else { Purpose::Unwrap }, OURS));
    other[1]["properties"]["id"] =
        json!("https://contoso-kv.vault.azure.net/keys/byok/11111111111111111111111111111111");
    let found = ledger(calls()).against(VaultLog::read(&text(&other)).unwrap(), OURS);
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
    let found = ledger(calls).against(VaultLog::read(&json!({ "records": records }).to_string()).unwrap(), OURS);
    assert_eq!(ids(&found), Vec::<String>::new());
    assert_eq!((found.matched, found.unanswered, found.never_arrived), (2, 1, 1));
    assert_eq!((found.unauthenticated, found.outside), (1, 2));
}

/// What is no log is said to be none, with its place.
#[test]
fn what_is_no_log_is_refused() {
    let unreadable = |place| Err(NotALog::Unreadable { place });
    assert_eq!(VaultLog::read("[1]"), unreadable(1));
    assert_eq!(VaultLog::read("time,operation\n"), unreadable(1));
    assert_eq!(VaultLog::read("{\"records\": 3}"), unreadable(1));
    let text = format!("{}\n{{}}\n", record(0, Purpose::Wrap, OURS));
    assert_eq!(VaultLog::read(&text), Err(NotALog::Incomplete { place: 2, what: "time" }));
    assert!(VaultLog::read("").unwrap().is_empty());
}
