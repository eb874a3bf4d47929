//! How the columns of a row become typed values. A column that cannot be what we once wrote was written by somebody else.

use std::fmt::Display;
use std::str::FromStr;

use domain::row_seal::RowMac;
use domain::{PlatformKeyId, Timestamp};
use rusqlite::types::ValueRef;

use crate::StoreError;
use crate::row::Stamp;

/// The columns of one row, taken in their order.
pub(super) struct Fields<'r> {
    row: &'r rusqlite::Row<'r>,
    table: &'static str,
    next: usize,
}

impl<'r> Fields<'r> {
    pub(super) fn of(row: &'r rusqlite::Row<'r>, table: &'static str) -> Self {
        Self { row, table, next: 0 }
    }

    /// What a column that is not ours is called.
    pub(super) fn forged(&self) -> StoreError {
        StoreError::RowForged { table: self.table }
    }

    fn value(&mut self) -> Result<ValueRef<'r>, StoreError> {
        let value = self.row.get_ref(self.next)?;
        self.next += 1;
        Ok(value)
    }

    pub(super) fn text(&mut self) -> Result<&'r str, StoreError> {
        self.value()?.as_str().map_err(|_| self.forged())
    }

    /// A text that has to be a well-formed id.
    pub(super) fn parsed<T: FromStr>(&mut self) -> Result<T, StoreError> {
        self.text()?.parse().map_err(|_| self.forged())
    }

    /// A text that has to be exactly what its value prints as: one value has one spelling in a row.
    pub(super) fn spelled<T: FromStr + Display>(&mut self) -> Result<T, StoreError> {
        let text = self.text()?;
        let value: T = text.parse().map_err(|_| self.forged())?;
        if value.to_string() == text { Ok(value) } else { Err(self.forged()) }
    }

    pub(super) fn bytes(&mut self) -> Result<&'r [u8], StoreError> {
        self.value()?.as_blob().map_err(|_| self.forged())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        self.bytes()?.try_into().map_err(|_| self.forged())
    }

    pub(super) fn number(&mut self) -> Result<i64, StoreError> {
        self.value()?.as_i64().map_err(|_| self.forged())
    }

    /// A number that is never negative.
    pub(super) fn count(&mut self) -> Result<u64, StoreError> {
        u64::try_from(self.number()?).map_err(|_| self.forged())
    }

    /// A number that stands for a variant.
    pub(super) fn code<T>(&mut self, meaning: impl FnOnce(i64) -> Option<T>) -> Result<T, StoreError> {
        meaning(self.number()?).ok_or_else(|| self.forged())
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.number().map(Timestamp::from_micros)
    }

    pub(super) fn optional_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(micros) => Ok(Some(Timestamp::from_micros(micros))),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(self.forged()),
        }
    }

    pub(super) fn optional_text(&mut self) -> Result<Option<&'r str>, StoreError> {
        self.value()?.as_str_or_null().map_err(|_| self.forged())
    }

    pub(super) fn optional_number(&mut self) -> Result<Option<i64>, StoreError> {
        self.value()?.as_i64_or_null().map_err(|_| self.forged())
    }

    /// NULL is the usual "yes", 0 a "no", and nothing else is anything.
    pub(super) fn unless_off(&mut self) -> Result<bool, StoreError> {
        match self.optional_number()? {
            None => Ok(true),
            Some(0) => Ok(false),
            Some(_) => Err(self.forged()),
        }
    }

    pub(super) fn optional_array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, StoreError> {
        let bytes = self.value()?.as_blob_or_null().map_err(|_| self.forged())?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| self.forged())).transpose()
    }

    /// The four columns every row ends with.
    pub(super) fn stamp_and_code(&mut self) -> Result<(Stamp, RowMac), StoreError> {
        let stamp = Stamp { epoch: self.count()?, revision: self.count()? };
        let key = PlatformKeyId::from_bytes(self.array()?);
        Ok((stamp, RowMac { key, code: self.array()? }))
    }
}

/// A number as SQLite keeps it.
pub(super) fn stored(what: &'static str, number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::TooLarge { what })
}
