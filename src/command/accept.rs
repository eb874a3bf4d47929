//! `byokd store accept`: a database that does not stand where its head says becomes the one that counts, by two people.
//!
//! Without names it only looks: what the database holds, and what its head says is missing.

use std::io::Write;
use std::path::Path;
use std::time::UNIX_EPOCH;

use domain::{Clock as _, Timestamp};
use store::sqlite::Acceptance;

use super::init::runtime;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::trouble::{Trouble, Troubles};
use crate::wire;

/// What whoever accepts has typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accept {
    /// The revision of the database they looked at.
    pub revision: Option<u64>,
    /// Who they are.
    pub approved_by: Vec<String>,
}

/// Looks at the database, and accepts it if exactly this revision was asked for by two people.
pub fn store_accept(path: &Path, accept: &Accept, out: &mut impl Write) -> Result<(), Troubles> {
    let config = Config::read(path)?;
    secmem::harden(config.memory_lock)?;
    let platform = runtime()?.block_on(wire::open_platform_root(&config))?;
    let found = wire::look_at_database(&config, &platform)?;
    tell(&config, &found, out);
    let revision = found.database.revision;
    let Some(asked) = accept.revision else {
        let hint = format!(
            "stop every writer, keep a copy of the database and the head; then: byokd store accept --config {} --revision {revision} \
             --approved-by NAME --approved-by ANOTHER",
            path.display()
        );
        return Err(Trouble::new("nothing was accepted", hint).into());
    };
    if asked != revision {
        let what = format!("the database stands at revision {revision}, not {asked}: nothing was accepted");
        return Err(Trouble::new(what, "look again, and name the revision of the database you looked at").into());
    }
    let approved_by = two_people(&accept.approved_by)?;
    let head = found.accept(approved_by, SystemClock.now().wall).map_err(Trouble::from)?;
    let _ = writeln!(
        out,
        "accepted: the database goes on at {head}, and the platform's audit chain says who accepted it\n\
         start the service, and tell the owners of what is missing: data that was encrypted since under lost data keys cannot be opened"
    );
    Ok(())
}

fn tell(config: &Config, found: &Acceptance, out: &mut impl Write) {
    let newest = match &found.newest_event {
        Some((at, name)) => format!("its newest event is {name} of {at}"),
        None => "it holds no event".to_owned(),
    };
    let verified = found.verified;
    let mut lines = vec![format!(
        "database  {}: {}; {newest}; {} rows and {} events verified",
        config.database.display(),
        found.database,
        verified.rows,
        verified.events
    )];
    if let Some((present, newest)) = found.older_schema {
        lines.push(format!("schema    {present}: it is as it was, and accepting brings it to {newest}"));
    }
    match &found.head {
        Ok(head) => {
            lines.push(format!("head      {}: {head}{}", config.head().display(), written_at(&config.head())));
            let commits = head.revision.saturating_sub(found.database.revision);
            lines.push(match commits {
                0 => "missing   the database has another history than the head: how much is missing cannot be told".to_owned(),
                commits => format!(
                    "missing   {commits} commits that were acknowledged: data keys, dates, revocations, approvals and events may be \
                     among them"
                ),
            });
        }
        Err(why) => {
            lines.push(format!("head      {}: {why}", config.head().display()));
            lines.push("missing   cannot be told without the head".to_owned());
        }
    }
    lines.push(
        "compare   the checkpoints that customers keep (byokctl audit verify --checkpoint) and the logs of their vaults".to_owned(),
    );
    let _ = writeln!(out, "{}", lines.join("\n"));
}

fn written_at(head: &Path) -> String {
    let modified = head.metadata().and_then(|found| found.modified()).ok();
    let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let micros = since.and_then(|since| i64::try_from(since.as_micros()).ok());
    micros.map_or(String::new(), |micros| format!(", written {}", Timestamp::from_micros(micros)))
}

/// Two names, of two people.
fn two_people(names: &[String]) -> Result<[String; 2], Trouble> {
    let hint = "two people each give a name of their own: --approved-by ann --approved-by bob";
    let plain = |name: &String| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._@:/-".contains(c);
        !name.is_empty() && name.len() <= 100 && name.chars().all(allowed) && name != domain::audit::SERVICE
    };
    match names {
        [one, other] if !names.iter().all(plain) => {
            Err(Trouble::new(format_args!("{one:?} and {other:?} are not both names"), hint))
        }
        [one, other] if one.eq_ignore_ascii_case(other) => {
            Err(Trouble::new("one person cannot approve twice: nothing was accepted", hint))
        }
        [one, other] => Ok([one.clone(), other.clone()]),
        _ => Err(Trouble::new(format_args!("{} names where two belong: nothing was accepted", names.len()), hint)),
    }
}
