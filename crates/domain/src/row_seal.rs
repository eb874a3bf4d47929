//! The seam that authenticates rows: a store can keep a row, only the holder of the platform root can make one.

/// Computes and checks the authentication code of a row. The key lives outside the database.
pub trait RowSeal: Send + Sync + 'static {
    /// HMAC-SHA-256 over the row's canonical bytes, with the id of the platform key it was made under.
    fn seal(&self, row: &[u8]) -> RowMac;

    /// Whether `mac` was made over exactly these bytes, by any platform key still held. Constant time.
    #[must_use]
    fn verify(&self, row: &[u8], mac: &RowMac) -> bool;
}

/// A row's authentication code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowMac {
    /// Which platform root key it was made under, so that the root can rotate.
    pub key: crate::PlatformKeyId,
    /// HMAC-SHA-256.
    pub code: [u8; 32],
}

/// Builds the bytes a [`RowSeal`] covers: each field length-prefixed (u32, big endian), so that no two rows share bytes.
#[derive(Default)]
pub struct RowBytes(Vec<u8>);

impl RowBytes {
    /// Starts a row of `table`.
    pub fn of(table: &str) -> Self {
        // Almost every row fits, and is copied once instead of at each growth.
        Self(Vec::with_capacity(512)).field(b"byokd/row/v1").field(table.as_bytes())
    }

    /// Starts with nothing: for bytes that are no row's.
    pub fn bare() -> Self {
        Self::default()
    }

    /// Appends one column.
    pub fn field(mut self, value: &[u8]) -> Self {
        // A column longer than 4 GiB cannot be stored; saturating keeps the encoding injective for all that can.
        self.0.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    /// Appends a column that may be absent; absent differs from every present value.
    pub fn optional(self, value: Option<&[u8]>) -> Self {
        match value {
            None => self.field(&[0]),
            Some(value) => self.field(&[1]).field(value),
        }
    }

    /// Appends a number.
    pub fn number(self, value: i64) -> Self {
        self.field(&value.to_be_bytes())
    }

    /// The bytes to authenticate.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I-15: moving a byte from one column to the next gives other bytes, and so another code.
    #[test]
    fn no_two_rows_share_their_bytes() {
        let ab_c = RowBytes::of("t").field(b"ab").field(b"c");
        let a_bc = RowBytes::of("t").field(b"a").field(b"bc");
        assert_ne!(ab_c.as_bytes(), a_bc.as_bytes());
        let absent = RowBytes::of("t").optional(None);
        let empty = RowBytes::of("t").optional(Some(b""));
        assert_ne!(absent.as_bytes(), empty.as_bytes());
    }
}
