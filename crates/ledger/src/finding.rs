//! What a verification finds, in words that name the event.

use std::fmt;

use domain::ledger::ChainName;

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A line that is none of an export.
    Line {
        /// From 1.
        line: u64,
        /// The event that belongs there.
        expected: u64,
        /// What is wrong.
        why: String,
    },
    /// An event's content does not give its hash.
    Altered {
        /// Which.
        number: u64,
    },
    /// Events that are not there.
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// An event that stands elsewhere than its number says, or twice.
    Misplaced {
        /// Which.
        number: u64,
        /// Where it stands.
        line: u64,
    },
    /// An event that is whole and does not follow the one before: one of the two was replaced.
    Unlinked {
        /// The later one.
        number: u64,
    },
    /// The export ends too early.
    CutOff {
        /// The last event there is.
        after: u64,
        /// How that is known.
        why: &'static str,
    },
    /// A checkpoint whose signature does not hold.
    BadSignature {
        /// Where it stands.
        place: Place,
    },
    /// A checkpoint that was signed by a key nobody named: neither the caller nor, where that said none, the first line.
    OtherKey {
        /// Where it stands.
        place: Place,
        /// The key.
        public_key: String,
    },
    /// A checkpoint that says something else of an event than the export does.
    Rewritten {
        /// The event: it, or one before it, was replaced since the checkpoint was signed.
        number: u64,
        /// Where the checkpoint stands.
        place: Place,
    },
    /// A checkpoint in the chain about an event that does not come before it.
    Ahead {
        /// The event that it is.
        event: u64,
        /// The one that it is about.
        about: u64,
    },
    /// A checkpoint of another chain or installation.
    OtherChain {
        /// Where it stands.
        place: Place,
    },
    /// More than anybody reads.
    More,
}

/// Where a checkpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the chain, as this event.
    Event(u64),
    /// In the export's closing line.
    End,
    /// In the file that the customer kept.
    Kept,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(number) => write!(f, "the checkpoint in event {number}"),
            Self::End => f.write_str("the checkpoint of the closing line"),
            Self::Kept => f.write_str("the checkpoint that was kept"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { line, expected, why } => write!(f, "line {line}, where event {expected} belongs: {why}"),
            Self::Altered { number } => write!(f, "event {number} was altered: its content does not give its hash"),
            Self::Missing { from, to } if from == to => write!(f, "event {from} is missing"),
            Self::Missing { from, to } => write!(f, "events {from} to {to} are missing"),
            Self::Misplaced { number, line } => {
                write!(f, "event {number} stands on line {line}, where it does not belong")
            }
            Self::Unlinked { number } => {
                write!(
                    f,
                    "event {number} does not follow event {}: one of the two was replaced",
                    number.saturating_sub(1)
                )
            }
            Self::CutOff { after, why } => write!(f, "the export is cut off after event {after}: {why}"),
            Self::BadSignature { place } => write!(f, "the signature of {place} does not hold"),
            Self::OtherKey { place, public_key } => {
                write!(f, "{place} was signed by the key {public_key}, which nobody named")
            }
            Self::Rewritten { number, place } => {
                write!(f, "{place} says something else of event {number}: it, or one before it, was replaced since")
            }
            Self::Ahead { event, about } => {
                write!(f, "the checkpoint in event {event} is about event {about}, which does not come before it")
            }
            Self::OtherChain { place } => write!(f, "{place} is of another chain or installation"),
            Self::More => f.write_str("and more"),
        }
    }
}

/// What came of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is wrong; empty if nothing is.
    pub findings: Vec<Finding>,
    /// Which chain; absent if the first line is none.
    pub chain: Option<ChainName>,
    /// How many events were read.
    pub events: u64,
    /// The event it begins after, of which and of what stands before it nothing was looked at; 0: from the chain's beginning.
    pub after: u64,
    /// Whether the service says that it could not write its latest events before the export, so that they are not in it.
    pub behind: bool,
    /// The first one's number and the last one's.
    pub range: Option<(u64, u64)>,
    /// Checkpoints whose signature holds, the closing one and the kept one among them.
    pub checkpoints: u64,
    /// The key that signed the closing line.
    pub public_key: Option<String>,
    /// Whether somebody said from elsewhere which key it has to be.
    pub key_was_known: bool,
    /// Whether a kept checkpoint lies before the event that the export begins after, so that nothing ties the two.
    pub kept_is_older: bool,
}

impl Report {
    /// Whether everything is as it was written, and what follows from each checkpoint that was kept.
    pub fn is_good(&self) -> bool {
        self.findings.is_empty() && !self.kept_is_older
    }
}
