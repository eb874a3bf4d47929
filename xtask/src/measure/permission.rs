//! What it costs a warm call to know who calls and to decide whether they may.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use byokd::clock::SystemClock;
use domain::Clock;
use domain::caller::{StoredCaller, StoredToken};
use domain::permission::{Encrypt, Grant, Target, permit};
use identity::{Admission, CallerRegistry, Credential, EitherCallers, Token, TokenCallers, token_hash};

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
        Ok(Token { name: format!("caller-{i}"), sha256: token_hash(&token(i)), grants: grants()?, expires: None })
    };
    let tokens = (0..CALLERS).map(caller).collect::<Result<Vec<_>>>()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // As in the daemon: the configuration's callers, then the database's.
    let registry = Arc::new(CallerRegistry::new(clock.clone(), Duration::from_secs(3_600)));
    let stored_token = "byokd-stored-and-measured-in-this-process-only";
    registry.know(&[stored(stored_token, &clock)?], clock.now());
    let callers = Arc::new(EitherCallers(TokenCallers::granted(tokens, clock.clone())?, registry));
    let connection = Admission::new(callers.clone(), clock.clone());
    let of_the_database = Admission::new(callers, clock);
    let shown = token(CALLERS / 2);
    let target =
        |i: usize| -> Result<Target> { Ok(Target::App(format!("acme-{i}").parse()?, format!("support-{i}").parse()?)) };
    let targets = (0..WORKSPACES).map(target).collect::<Result<Vec<_>>>()?;
    connection.admit(Credential::Bearer(&shown)).context("the caller is known")?;
    of_the_database.admit(Credential::Bearer(stored_token)).context("the database's caller is known")?;
    let mut next = 0;
    // The target is moved into a permit, which a call does with the name it has just parsed: a copy of one stands in for that,
    // and is measured by itself to be taken off.
    let (mut copied, mut next_stored) = (0, 0);
    let mut contestants = [
        Contestant::timed("whole", Duration::from_millis(1), || {
            next = (next + 1) % WORKSPACES;
            let caller = connection.admit(Credential::Bearer(&shown));
            caller.and_then(|caller| permit::<Encrypt>(&caller, targets[next].clone()).ok())
        }),
        Contestant::timed("stored", Duration::from_millis(1), || {
            next_stored = (next_stored + 1) % WORKSPACES;
            let caller = of_the_database.admit(Credential::Bearer(stored_token));
            caller.and_then(|caller| permit::<Encrypt>(&caller, targets[next_stored].clone()).ok())
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
    // Its answer is good for as long as the database was read: one look at the clock more.
    let stored = times.nanoseconds("stored") - times.nanoseconds("copy");
    report.add("the same for a caller of the database".to_owned(), stored, "ns", aim);
    Ok(())
}

fn grants() -> Result<Vec<Grant>> {
    let grants = ["workspace-owner@contoso", "auditor", "platform-service@acme-*/support-*"];
    Ok(grants.iter().map(|grant| grant.parse::<Grant>()).collect::<Result<_, _>>()?)
}

/// A caller as the database keeps it.
fn stored(token: &str, clock: &Arc<dyn Clock>) -> Result<StoredCaller> {
    let (at, by) = (clock.now().wall, "bench".to_owned());
    let token = StoredToken { sha256: token_hash(token), issued_by: by.clone(), issued_at: at, expires: None };
    Ok(StoredCaller {
        id: "measured".parse()?,
        certificate: None,
        tokens: [Some(token), None],
        grants: grants()?,
        expires: None,
        disabled: false,
        created_by: by.clone(),
        created_at: at,
        changed_by: by,
        changed_at: at,
        deleted_at: None,
        hands: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The measurement runs to its end, unoptimised as it is here: what it says is looked at elsewhere.
    #[test]
    fn it_measures() {
        let mut report = Report::default();
        measure(&Effort { rounds: 3, long_rounds: 1 }, &mut report).unwrap();
        println!("{report}");
    }
}
