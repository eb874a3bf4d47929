//! `byokctl audit …`: reading the ledger, and judging a copy of it without the service.

mod args;
mod export;
mod otlp;
mod reconcile;
mod verify;

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use client::pb;
use domain::Timestamp;
use domain::ledger::{ChainName, Checkpoint, SignedCheckpoint};
use ledger::{CheckpointJson, Event};
use serde::Serialize;

pub(crate) use self::args::AuditVerb;
use crate::args::{Global, Output};
use crate::connect::connect;
use crate::data::destination::Destination;
use crate::failure::{Exit, Failure};
use crate::output;

pub(crate) async fn run(global: &Global, verb: AuditVerb) -> Result<(), Failure> {
    match verb {
        AuditVerb::List { chain, after, last, event } => list(global, &chain, after, last, event.as_deref()).await,
        AuditVerb::Export { chain, otlp: Some(to), otlp_ca, after, .. } => {
            otlp::run(global, &chain, &to, otlp_ca.as_deref(), after).await
        }
        AuditVerb::Export { chain, out, after, force, otlp: None, .. } => {
            export::run(global, &chain, &out, after, force).await
        }
        AuditVerb::Verify { export, known } => verify::run(global, &export, known),
        AuditVerb::Reconcile { export, vault_log, application, margin, known } => {
            let margin = Duration::from_secs(margin);
            reconcile::run(global, &export, &vault_log, (&application, margin), known)
        }
        AuditVerb::Checkpoint { chain, now, out, force } => {
            checkpoint(global, &chain, now, out.as_deref(), force).await
        }
    }
}

#[derive(Serialize)]
struct Events {
    events: Vec<Event>,
}

async fn list(global: &Global, chain: &ChainName, after: u64, last: u32, event: Option<&str>) -> Result<(), Failure> {
    let client = connect(global).await?;
    let wanted = |found: &Event| {
        event.is_none_or(|name| {
            found.event == name || found.event.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
        })
    };
    let last = usize::try_from(last).unwrap_or(usize::MAX);
    let mut newest: VecDeque<Event> = VecDeque::new();
    let mut after = i64::try_from(after).unwrap_or(i64::MAX);
    loop {
        let request = pb::ListEventsRequest { parent: chain.to_string(), after, page_size: 1_000 };
        let page = client.events_page(request).await?;
        newest.extend(page.events.into_iter().map(read_event).filter(&wanted));
        let more = newest.len().saturating_sub(last);
        newest.drain(..more);
        if page.next_after <= after {
            break;
        }
        after = page.next_after;
    }
    let events: Vec<Event> = newest.into();
    let row = |event: &Event| {
        let details = event.details.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        [event.number.to_string(), event.time.clone(), event.actor.clone(), event.event.clone(), shortened(&details)]
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    output::many(global, ["NUMBER", "TIME", "ACTOR", "EVENT", "DETAILS"], &rows, &Events { events })
}

/// A few details for people; the JSON has all.
fn shortened(details: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = details.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(" ");
    match details.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

async fn checkpoint(
    global: &Global,
    chain: &ChainName,
    now: bool,
    out: Option<&Path>,
    force: bool,
) -> Result<(), Failure> {
    let client = connect(global).await?;
    let parent = chain.to_string();
    let made = if now {
        client.create_checkpoint(pb::CreateCheckpointRequest { parent }).await?
    } else {
        client.checkpoint(pb::GetCheckpointRequest { parent }).await?
    };
    let checkpoint = CheckpointJson::from(&read_checkpoint(&made)?);
    if let Some(path) = out {
        let mut file = Destination::open(path, force, false)?;
        file.write_all(output::document(&checkpoint)?.as_bytes()).await?;
        file.keep().await?;
    }
    let fields = [
        ("chain", checkpoint.chain.clone()),
        ("installation", checkpoint.cluster.clone()),
        ("events", checkpoint.number.to_string()),
        ("head", checkpoint.head.clone()),
        ("signed", checkpoint.time.clone()),
        ("public key", checkpoint.public_key.clone()),
        ("signature", checkpoint.signature.clone()),
    ];
    match (out, global.output) {
        (Some(_), Output::Table) => Ok(()),
        (None | Some(_), _) => output::one(global, &fields, &checkpoint),
    }
}

fn read_event(event: pb::AuditEvent) -> Event {
    Event {
        number: u64::try_from(event.number).unwrap_or(0),
        time: Event::time_text(event.time_micros),
        time_micros: event.time_micros,
        actor: event.actor,
        event: event.event,
        details: event.details.into_iter().map(|detail| (detail.name, detail.value)).collect(),
        previous: hex::encode(&event.previous),
        hash: hex::encode(&event.hash),
    }
}

fn read_checkpoint(made: &pb::Checkpoint) -> Result<SignedCheckpoint, Failure> {
    let read = || {
        Some(SignedCheckpoint {
            checkpoint: Checkpoint {
                cluster: (*made.cluster).try_into().ok()?,
                chain: made.chain.parse().ok()?,
                number: u64::try_from(made.number).ok()?,
                head: (*made.head).try_into().ok()?,
                at: Timestamp::from_micros(made.time_micros),
            },
            public_key: (*made.public_key).try_into().ok()?,
            signature: (*made.signature).try_into().ok()?,
        })
    };
    read().ok_or_else(not_an_answer)
}

fn not_an_answer() -> Failure {
    Failure {
        exit: Exit::Service,
        message: "the service answered with something that is no part of a ledger".to_owned(),
        hint: "check that byokctl and byokd are of the same release".to_owned(),
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::caller(format!("{} cannot be read: {error}", path.display())).hint("check the name and its permissions")
}
