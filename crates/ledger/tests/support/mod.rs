//! A chain as a service would write it, and its export.

#![allow(dead_code, reason = "each test file uses its part")]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use domain::Timestamp;
use domain::ledger::{ChainName, Checkpoint, START, SignedCheckpoint};
use ledger::export::{End, FORMAT, Head, Line};
use ledger::verify::Look;
use ledger::{CheckpointJson, Event, Report, Verifier};

/// The installation.
pub(crate) const CLUSTER: [u8; 16] = [7; 16];

/// A chain that grows.
pub(crate) struct Chain {
    pub(crate) name: ChainName,
    pub(crate) events: Vec<Event>,
    key: Ed25519KeyPair,
}

impl Chain {
    /// An empty one, whose checkpoints are signed by the key of this seed.
    pub(crate) fn new(seed: u8) -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        Self { name: "workspaces/acme".parse().unwrap(), events: Vec::new(), key }
    }

    /// One of this many events, every twentieth of them a checkpoint.
    pub(crate) fn of(count: u64) -> Self {
        let mut chain = Self::new(1);
        for n in 1..=count {
            if n % 20 == 0 {
                let details = chain.checkpoint().details();
                chain.push(SignedCheckpoint::EVENT, details.into_iter().map(|(n, v)| (n.to_owned(), v)).collect());
            } else {
                chain.push("app.upserted", vec![("app".to_owned(), format!("app-{n}"))]);
            }
        }
        chain
    }

    /// Appends an event.
    pub(crate) fn push(&mut self, event: &str, details: Vec<(String, String)>) {
        let micros = 1_700_000_000_000_000 + i64::try_from(self.events.len()).unwrap() * 1_000_003;
        self.push_at(micros, event, details);
    }

    /// Appends an event of this time.
    pub(crate) fn push_at(&mut self, micros: i64, event: &str, details: Vec<(String, String)>) {
        let event = Event {
            number: self.events.len() as u64 + 1,
            time: Event::time_text(micros),
            time_micros: micros,
            actor: "ann".to_owned(),
            event: event.to_owned(),
            details,
            previous: self.events.last().map_or_else(|| hex::encode(START), |last| last.hash.clone()),
            hash: String::new(),
        };
        let hash = hex::encode(event.expected_hash(&self.name).unwrap());
        self.events.push(Event { hash, ..event });
    }

    /// Writes every event's link and hash anew from `from` on: what somebody does who can write the database.
    pub(crate) fn follow_through(&mut self, from: usize) {
        for at in from..self.events.len() {
            self.events[at].number = at as u64 + 1;
            self.events[at].previous = if at == 0 { hex::encode(START) } else { self.events[at - 1].hash.clone() };
            self.events[at].hash = hex::encode(self.events[at].expected_hash(&self.name).unwrap());
        }
    }

    /// Signs how far it has come.
    pub(crate) fn checkpoint(&self) -> SignedCheckpoint {
        let head = self.events.last().map_or(START, |last| ledger::export::hash(&last.hash).unwrap());
        self.checkpoint_of(self.events.len() as u64, head)
    }

    /// Signs whatever it is told.
    pub(crate) fn checkpoint_of(&self, number: u64, head: [u8; 32]) -> SignedCheckpoint {
        let at = Timestamp::from_micros(1_800_000_000_000_000);
        let checkpoint = Checkpoint { cluster: CLUSTER, chain: self.name.clone(), number, head, at };
        let signature = self.key.sign(&checkpoint.signed_bytes()).as_ref().try_into().unwrap();
        SignedCheckpoint { checkpoint, public_key: self.public_key(), signature }
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        self.key.public_key().as_ref().try_into().unwrap()
    }

    /// The lines of an export of the events after `after`.
    pub(crate) fn export_after(&self, after: u64) -> Vec<String> {
        let head = Head {
            byokd_ledger: FORMAT,
            cluster: hex::encode(CLUSTER),
            chain: self.name.to_string(),
            public_key: hex::encode(self.public_key()),
            after,
        };
        let events = &self.events[usize::try_from(after).unwrap()..];
        let end =
            End { events: events.len() as u64, checkpoint: CheckpointJson::from(&self.checkpoint()), behind: false };
        let mut lines = vec![Line::Head(head).write()];
        lines.extend(events.iter().map(|event| Line::Event(event.clone()).write()));
        lines.push(Line::End(end).write());
        lines
    }

    /// The lines of an export of all of it.
    pub(crate) fn export(&self) -> Vec<String> {
        self.export_after(0)
    }
}

/// As [`verify`], for somebody who asked for the events after `after`.
pub(crate) fn verify_after(after: u64, lines: &[String], kept: Option<SignedCheckpoint>) -> Report {
    let mut verifier = Verifier::new(Vec::new(), kept.into_iter().collect()).after(after);
    lines.iter().for_each(|line| verifier.line(line));
    verifier.finish()
}

/// Verifies these lines.
pub(crate) fn verify(lines: &[String], kept: Option<SignedCheckpoint>) -> Report {
    verify_without(None, lines, kept)
}

/// As [`verify`], with one look left out.
pub(crate) fn verify_without(look: Option<Look>, lines: &[String], kept: Option<SignedCheckpoint>) -> Report {
    let mut verifier = Verifier::new(Vec::new(), kept.into_iter().collect());
    if let Some(look) = look {
        verifier = verifier.without(look);
    }
    lines.iter().for_each(|line| verifier.line(line));
    verifier.finish()
}

/// As [`verify`], of bytes.
pub(crate) fn verify_bytes(lines: &[Vec<u8>]) -> Report {
    let mut verifier = Verifier::new(Vec::new(), Vec::new());
    lines.iter().for_each(|line| verifier.bytes(line));
    verifier.finish()
}

/// As [`verify`], for somebody who knows these keys, kept these checkpoints and asked for a part, wherever it begins.
pub(crate) fn verify_knowing(lines: &[String], keys: Vec<[u8; 32]>, kept: Vec<SignedCheckpoint>) -> Report {
    let Ok(Line::Head(head)) = Line::read(&lines[0]) else { panic!("{}", lines[0]) };
    let mut verifier = Verifier::new(keys, kept).after(head.after);
    lines.iter().for_each(|line| verifier.line(line));
    verifier.finish()
}

/// What somebody makes of an export who takes the first `count` events out and has the first line say that it begins after them.
pub(crate) fn cut_at_the_front(lines: &[String], count: u64) -> Vec<String> {
    let (Ok(Line::Head(head)), Some(Ok(Line::End(end)))) = (Line::read(&lines[0]), lines.last().map(|l| Line::read(l)))
    else {
        panic!("this is no export")
    };
    let mut cut = vec![Line::Head(Head { after: head.after + count, ..head }).write()];
    cut.extend_from_slice(&lines[usize::try_from(count).unwrap() + 1..lines.len() - 1]);
    cut.push(Line::End(End { events: end.events - count, ..end }).write());
    cut
}
