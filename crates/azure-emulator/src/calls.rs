//! The call log: what clients asked and what they were told.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use crate::operation::Operation;

/// How many calls are kept; older ones are forgotten.
const KEPT: usize = 200_000;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// When it came, microseconds since 1970 UTC by the emulator's clock.
    pub at_micros: i64,
    /// Host name, without port.
    pub host: String,
    /// HTTP method; empty for a refused handshake.
    pub method: String,
    /// Path, without the query.
    pub path: String,
    /// Kind of request.
    pub operation: Operation,
    /// Key name, where there is one.
    pub key: Option<String>,
    /// Key version that was asked for, or the one "latest" meant.
    pub version: Option<String>,
    /// Object id (vault) or client id (token endpoint) of the caller, where it showed itself.
    pub principal: Option<String>,
    /// HTTP status; 0 when no answer was sent.
    pub status: u16,
    /// `x-ms-request-id` of the answer.
    pub request_id: String,
}

/// All calls since the start or the last [`Calls::clear`].
#[derive(Default)]
pub(crate) struct Calls {
    log: Mutex<VecDeque<Call>>,
}

impl Calls {
    pub(crate) fn add(&self, call: Call) {
        let mut log = self.lock();
        if log.len() == KEPT {
            log.pop_front();
        }
        log.push_back(call);
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.lock().iter().filter(|c| c.operation == operation).count()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Call>> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
