//! What was given out and has to stay secret where it went: client secrets, access tokens, unwrapped values.
//!
//! Kept only where it was asked for, so that a drill that looks for secrets knows all of them, also those that whoever asked
//! keeps nowhere.

use std::sync::{Mutex, PoisonError};

/// One value as it was given out.
#[derive(Clone, PartialEq, Eq)]
pub enum GivenOut {
    /// A client secret.
    ClientSecret(String),
    /// An access token.
    AccessToken(String),
    /// What an unwrap answered, or a wrap was given.
    Unwrapped(Vec<u8>),
}

/// All of them, in their order; nothing until it is begun.
#[derive(Default)]
pub(crate) struct Record(Mutex<Option<Vec<GivenOut>>>);

impl Record {
    pub(crate) fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default();
    }

    pub(crate) fn add(&self, value: impl FnOnce() -> GivenOut) {
        if let Some(record) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            record.push(value());
        }
    }

    pub(crate) fn all(&self) -> Vec<GivenOut> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}
