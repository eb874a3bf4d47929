//! How long an auditor waits: 100,000 events verified without the service, and 100,000 lines of a vault's own log held against them.

#[path = "../../../crates/ledger/tests/support/mod.rs"]
mod support;

use anyhow::{Context, Result, ensure};
use domain::audit::AuditKind;
use domain::ledger::{CalledVault, Purpose, VaultCall};
use domain::{BootId, KeyVersionId, Timestamp};
use ledger::reconcile::{Calls, MARGIN, VaultLog};
use ledger::{Line, Verifier};

use self::support::Chain;
use super::{
    Effort,
    report::{Report, Target},
    rounds::{Contestant, interleave},
};
use crate::stopwatch::Stopwatch;

/// Events of the export, and lines of the log.
const LINES: u64 = 100_000;
/// Calls of one event, as the service writes them.
const CALLS_TOGETHER: usize = 100;
const APPLICATION: &str = "9a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
const VERSION: KeyVersionId = KeyVersionId::from_bytes([9; 16]);

/// Both from memory: reading a file is the disk's affair.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    measure_of(LINES, effort, report)
}

fn measure_of(lines: u64, effort: &Effort, report: &mut Report) -> Result<()> {
    let export = Chain::of(lines).export();
    let (calls, log) = (exported(lines)?, vault_log(lines));
    let mut contestants = [
        Contestant::measured("verify", || {
            let stopwatch = Stopwatch::start();
            let mut verifier = Verifier::new(Vec::new(), Vec::new());
            export.iter().for_each(|line| verifier.bytes(line.as_bytes()));
            let found = verifier.finish();
            let took = stopwatch.elapsed();
            ensure!(found.is_good() && found.events == lines, "what was measured is no verification: {found:?}");
            Ok(took.as_secs_f64())
        }),
        Contestant::measured("reconcile", || {
            let stopwatch = Stopwatch::start();
            let mut called = Calls::default();
            for line in &calls {
                if let Line::Event(event) = Line::read(line)? {
                    ensure!(called.take(&event), "an event without calls");
                }
            }
            let found = called.against(VaultLog::read(&log)?, APPLICATION, MARGIN);
            let took = stopwatch.elapsed();
            ensure!(found.matched == lines && found.one_sided.is_empty(), "what was measured is no reconciliation");
            Ok(took.as_secs_f64())
        }),
    ];
    let times = interleave(effort.long_rounds, &mut contestants)?;
    let seconds = |name| times.nanoseconds(name) / 1e9;
    let aim = Target::AtMost { gate: 2.0, stretch: 1.0 };
    report.add(format!("{lines} events verified without the service"), seconds("verify"), "s", aim);
    report.add(format!("{lines} lines of a vault's log reconciled"), seconds("reconcile"), "s", Target::None);
    Ok(())
}

fn at(call: u64) -> Result<Timestamp> {
    Ok(Timestamp::from_micros(1_700_000_000_000_000 + i64::try_from(call)? * 100_000))
}

/// An export of a ledger with so many calls.
fn exported(calls: u64) -> Result<Vec<String>> {
    let mut chain = Chain::new(1);
    let call = |n: u64| -> Result<VaultCall> {
        Ok(VaultCall {
            purpose: Purpose::Unwrap,
            at: at(n)?,
            outcome: Some(Ok(())),
            request_id: Some(format!("request-{n}").into()),
            client_request_id: Some(format!("client-{n}").into()),
        })
    };
    for together in (0..calls).map(call).collect::<Result<Vec<_>>>()?.chunks(CALLS_TOGETHER) {
        let last = together.last().context("no chunk is empty")?.at;
        let boot = BootId::from_bytes([1; 16]);
        let called = CalledVault { version: VERSION, boot, calls: together.to_vec(), left_out: 0 };
        let (name, details) = AuditKind::VaultCalled(called).record();
        chain.push_at(last.micros(), name, details.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
    }
    Ok(chain.export())
}

/// The vault's log of the same calls, one record a line.
fn vault_log(calls: u64) -> String {
    let kid = format!("https://contoso-kv.vault.azure.net/keys/byok/{VERSION}");
    let record = |n: u64| {
        let time = at(n).map(|at| at.to_string()).unwrap_or_default();
        serde_json::json!({
            "time": time,
            "category": "AuditEvent",
            "operationName": "KeyUnwrap",
            "resultType": "Success",
            "resultSignature": "OK",
            "callerIpAddress": "192.0.2.7",
            "correlationId": format!("client-{n}"),
            "identity": { "claim": { "appid": APPLICATION } },
            "properties": { "id": kid, "requestUri": format!("{kid}/unwrapkey?api-version=7.4"), "httpStatusCode": 200 },
        })
    };
    (0..calls).map(|n| record(n).to_string() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The measurement runs to its end, unoptimised as it is here: what it says is looked at elsewhere.
    #[test]
    fn it_measures() {
        let mut report = Report::default();
        measure_of(300, &Effort { rounds: 3, long_rounds: 1 }, &mut report).unwrap();
        assert_eq!(report.rows.len(), 2);
        println!("{report}");
    }
}
