//! Watching which apps and bots of a workspace are under the customer's key.

use api::byok::v1 as pb;

use crate::refused::Error;

/// The states of a selection, as they are told: the one there is, then each that differs from the one before.
pub struct Selections {
    states: tonic::Streaming<pb::Selection>,
    server: String,
}

impl Selections {
    pub(crate) fn new(states: tonic::Streaming<pb::Selection>, server: String) -> Self {
        Self { states, server }
    }

    /// The next. `None`: the service ended the watch. Whatever ends it, another watch begins with the selection as it is then.
    pub async fn next(&mut self) -> Result<Option<pb::Selection>, Error> {
        self.states.message().await.map_err(|status| Error::from_status(&status, &self.server, None))
    }
}
