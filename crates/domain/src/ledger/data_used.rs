//! What a person did with an app's data keys: one event for each call, and for a stream one more, when it begins.

use crate::permission::Verb;
use crate::{AppId, Reason};

/// A call that used data keys, by somebody who was given that as a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataUsed {
    /// Whose keys.
    pub app: AppId,
    /// What was done.
    pub action: Verb,
    /// How many payloads: one, or those of a batch.
    pub items: u64,
    /// How far it came.
    pub outcome: UseOutcome,
}

/// How far a use came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UseOutcome {
    /// A stream begins: the caller has seen nothing of it yet, and will.
    Begun,
    /// It was done, or why not.
    Ended(Result<(), Reason>),
    /// It was broken off, and nobody knows what the caller saw.
    NoAnswer,
}

impl DataUsed {
    /// The event's name.
    pub const EVENT: &'static str = "data.used";

    /// Its details in a fixed order.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        let outcome = match self.outcome {
            UseOutcome::Begun => "BEGUN",
            UseOutcome::Ended(Ok(())) => "OK",
            UseOutcome::Ended(Err(why)) => why.as_str(),
            UseOutcome::NoAnswer => "NO_ANSWER",
        };
        vec![
            ("app", self.app.to_string()),
            ("action", self.action.to_string()),
            ("items", self.items.to_string()),
            ("outcome", outcome.to_owned()),
        ]
    }
}
