//! When people are told that a credential will expire: each time once.

use std::time::Duration;

use super::{Credential, Integration};
use crate::{CredentialId, Timestamp};

/// How many days before its expiry a credential's owner is told, from the first notice to the last.
pub const NOTICES: [u16; 5] = [60, 30, 14, 7, 1];

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A notice that a credential expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Which.
    pub credential: CredentialId,
    /// Within how many days: one of [`NOTICES`].
    pub days: u16,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// The notice that holds now for something that expires then: the last one whose day has come.
pub fn notice_at(expires_at: Timestamp, now: Timestamp) -> Option<u16> {
    let left = now.until(expires_at);
    let expired = expires_at <= now;
    NOTICES.into_iter().filter(|days| expired || left <= DAY * u32::from(*days)).min()
}

/// Whether a notice follows the last one that was given.
pub fn is_news(days: u16, given: Option<u16>) -> bool {
    given.is_none_or(|given| days < given)
}

impl Credential {
    /// The notice that holds now, whether or not it was given.
    pub fn notice(&self, now: Timestamp) -> Option<u16> {
        notice_at(self.expires_at, now)
    }
}

impl Integration {
    /// The notices to be given now: of each credential the one that holds, if it was not given. Those whose day passed while nobody
    /// looked are left out; the latest says what they would have.
    pub fn notices_due(&self, now: Timestamp) -> Vec<Notice> {
        let due = |credential: &Credential| {
            let days = credential.notice(now).filter(|days| is_news(*days, credential.noticed))?;
            Some(Notice { credential: credential.id, days, expires_at: credential.expires_at })
        };
        self.live().filter_map(due).collect()
    }

    /// Notes that these were given.
    pub fn noticed(mut self, given: &[Notice], now: Timestamp) -> Self {
        for notice in given {
            if let Some(found) = self.credentials.iter_mut().find(|found| found.id == notice.credential) {
                found.noticed = Some(notice.days);
            }
        }
        self.moved(now)
    }
}
