//! What a person did with an app's data keys: one event for each call.

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
    /// Whether it was done; why not; or absent: it was broken off, and nobody knows what the caller saw.
    pub outcome: Option<Result<(), Reason>>,
}

impl DataUsed {
    /// The event's name.
    pub const EVENT: &'static str = "data.used";

    /// Its details in a fixed order.
    pub fn details(&self) -> Vec<(&'static str, String)> {
        let outcome = match self.outcome {
            Some(Ok(())) => "OK",
            Some(Err(why)) => why.as_str(),
            None => "NO_ANSWER",
        };
        vec![
            ("app", self.app.to_string()),
            ("action", self.action.to_string()),
            ("items", self.items.to_string()),
            ("outcome", outcome.to_owned()),
        ]
    }
}
