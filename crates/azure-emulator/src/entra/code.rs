//! Authorisation codes: each is good once, for ten minutes, for the client, address and verifier it was given for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::entra::users::User;

/// How long a code is good, in seconds.
const LIFE: i64 = 600;

/// What a code was given for.
#[derive(Clone)]
pub(crate) struct Granted {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) scope: String,
    /// The id of the tenant in which the user signed in.
    pub(crate) tenant: String,
    pub(crate) user: User,
}

struct Kept {
    granted: Granted,
    until: i64,
    redeemed: bool,
}

/// Why a code is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Unknown,
    Expired,
    Redeemed,
}

/// The codes that were given out.
#[derive(Default)]
pub(crate) struct Codes(Mutex<HashMap<String, Kept>>);

impl Codes {
    pub(crate) fn give(&self, code: String, granted: Granted, now: i64) {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Long enough to tell an expired code from one that never was.
        codes.retain(|_, kept| now < kept.until + 24 * 3_600);
        codes.insert(code, Kept { granted, until: now + LIFE, redeemed: false });
    }

    /// What the code was given for; from now on it is used up, whatever the asker then shows.
    pub(crate) fn take(&self, code: &str, now: i64) -> Result<Granted, NotTaken> {
        let mut codes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = codes.get_mut(code).ok_or(NotTaken::Unknown)?;
        if kept.redeemed {
            return Err(NotTaken::Redeemed);
        }
        if now >= kept.until {
            return Err(NotTaken::Expired);
        }
        kept.redeemed = true;
        Ok(kept.granted.clone())
    }
}
