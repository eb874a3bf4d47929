//! What SQLite's errors mean for whoever called the store.

use rusqlite::ErrorCode;

use crate::{Outage, StoreError};

/// Sorts an error of SQLite's by what can be done about it. The statement's text never leaves this crate.
pub(super) fn from_sqlite(error: rusqlite::Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::Refused { detail: error.to_string().into() };
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            StoreError::Unavailable(Outage::Busy)
        }
        ErrorCode::DiskFull => StoreError::Unavailable(Outage::DiskFull),
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::NoLargeFileSupport => StoreError::Unavailable(Outage::Disk),
        ErrorCode::ReadOnly => StoreError::Unavailable(Outage::ReadOnly),
        ErrorCode::OutOfMemory => StoreError::Unavailable(Outage::Memory),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::Damaged,
        // What is left is a statement that should not have been made: a constraint or trigger hit, a type, a misuse. The
        // type is not exhaustive, so a code of a newer SQLite lands here too, and with it in the log.
        _ => StoreError::Refused { detail: error.to_string().into() },
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        from_sqlite(error)
    }
}
