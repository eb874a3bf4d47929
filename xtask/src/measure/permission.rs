//! What it costs a warm call to know who calls and to decide whether they may.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use byokd::clock::SystemClock;
use domain::permission::{Encrypt, Grant, Target, permit};
use identity::{Admission, Credential, Token, TokenCallers, token_hash};

use super::{
    Effort,
    report::{Report, Target as Aim},
    rounds::{Contestant, interleave},
};

const CALLERS: usize = 100;
const WORKSPACES: usize = 64;

/// A connection that is open: its token hashed and compared, its permission decided over three grants of which the last fits.
/// The names are parsed outside: a call does that whoever makes it.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    let token = |i: usize| format!("byokd-measured-in-this-process-only-{i:012}");
    let caller = |i: usize| -> Result<Token> {
        let grants = ["workspace-owner@contoso", "auditor", "platform-service@acme-*/support-*"];
        let grants = grants.iter().map(|grant| grant.parse::<Grant>()).collect::<Result<_, _>>()?;
        Ok(Token { name: format!("caller-{i}"), sha256: token_hash(&token(i)), grants, expires: None })
    };
    let tokens = (0..CALLERS).map(caller).collect::<Result<Vec<_>>>()?;
    let callers = Arc::new(TokenCallers::granted(tokens, Arc::new(SystemClock))?);
    let connection = Admission::new(callers, Arc::new(SystemClock));
    let shown = token(CALLERS / 2);
    let target =
        |i: usize| -> Result<Target> { Ok(Target::App(format!("acme-{i}").parse()?, format!("support-{i}").parse()?)) };
    let targets = (0..WORKSPACES).map(target).collect::<Result<Vec<_>>>()?;
    connection.admit(Credential::Bearer(&shown)).context("the caller is known")?;
    let mut next = 0;
    // The target is moved into a permit, which a call does with the name it has just parsed: a copy of one stands in for that,
    // and is measured by itself to be taken off.
    let mut copied = 0;
    let mut contestants = [
        Contestant::timed("whole", Duration::from_millis(1), || {
            next = (next + 1) % WORKSPACES;
            let caller = connection.admit(Credential::Bearer(&shown));
            caller.and_then(|caller| permit::<Encrypt>(&caller, targets[next].clone()).ok())
        }),
        Contestant::timed("copy", Duration::from_millis(1), || {
            copied = (copied + 1) % WORKSPACES;
            targets[copied].clone()
        }),
    ];
    let times = interleave(effort.rounds, &mut contestants)?;
    let authorised = times.nanoseconds("whole") - times.nanoseconds("copy");
    let aim = Aim::AtMost { gate: 300.0, stretch: 150.0 };
    report.add(format!("who calls and may they: {CALLERS} callers of 3 grants"), authorised, "ns", aim);
    Ok(())
}
