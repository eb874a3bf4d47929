//! Which bytes of rows about usage and validations are authenticated.

use domain::row_seal::RowBytes;
use domain::{Hour, KeyUsage, StoredCredential, Timestamp};

use crate::row::Row;

/// An hour as it stands in a row; -1 for all of them.
pub(crate) fn hour_code(hour: Option<Hour>) -> i64 {
    hour.map_or(-1, |hour| i64::from(hour.number()))
}

/// What an hour in a row means, if it is one.
pub(crate) fn hour(code: i64) -> Option<Option<Hour>> {
    if code == -1 { Some(None) } else { u32::try_from(code).ok().map(|number| Some(Hour::of_number(number))) }
}

fn optional_time(row: RowBytes, at: Option<Timestamp>) -> RowBytes {
    row.optional(at.map(|at| at.micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice))
}

impl Row for KeyUsage {
    const TABLE: &'static str = "usage";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let tally = &self.traffic.tally;
        let row = row
            .number(hour_code(self.hour))
            .field(self.data_key.as_bytes())
            .field(self.boot.as_bytes())
            .field(self.app.as_str().as_bytes())
            .field(&[self.protection.byte()])
            .field(&self.flush.to_be_bytes())
            .field(&tally.seals.to_be_bytes())
            .field(&tally.sealed_bytes.to_be_bytes())
            .field(&tally.opens.to_be_bytes())
            .field(&tally.opened_bytes.to_be_bytes());
        let row = optional_time(row, self.traffic.first_seal);
        optional_time(optional_time(row, self.traffic.last_seal), self.traffic.last_open)
    }
}

impl Row for StoredCredential {
    const TABLE: &'static str = "credentials";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        row.field(self.app.as_str().as_bytes())
            .field(self.data_key.as_bytes())
            .field(&[self.protection.byte()])
            .field(&self.ciphertext)
            .number(self.stored_at.micros())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored number means one hour for ever, and -1 all of them.
    #[test]
    fn stored_hours_keep_their_meaning() {
        for found in [None, Some(Hour::of_number(0)), Some(Hour::of_number(495_000))] {
            assert_eq!(hour(hour_code(found)), Some(found));
        }
        assert_eq!((hour(-2), hour(i64::from(u32::MAX) + 1)), (None, None));
    }
}
