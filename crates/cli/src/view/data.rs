//! What was done with a file.

use serde::Serialize;

/// What `data encrypt` and `data reencrypt` say of a file they wrote.
#[derive(Serialize)]
pub(crate) struct Sealed {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) protection: String,
    pub(crate) data_key: String,
    /// Absent under the platform key.
    pub(crate) key_version: Option<String>,
}

/// What `data decrypt` says of a file it wrote.
#[derive(Serialize)]
pub(crate) struct Opened {
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// What `data inspect` reads in a header.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub(crate) struct Inspected {
    pub(crate) kind: &'static str,
    pub(crate) format_version: u8,
    pub(crate) suite: &'static str,
    pub(crate) data_key_id: String,
    pub(crate) size: u64,
    pub(crate) plaintext_size: u64,
    /// Absent for a message.
    pub(crate) segments: Option<u64>,
}
