//! A credential that was stored and fetched again to show that an app's data is under the customer's key.

use crate::{AppId, DataKeyId, Protection, Timestamp, WorkspaceId};

/// What is said when a stored credential came back from a ciphertext under the customer's key, and never otherwise.
pub const SUCCESSFUL: &str = "Basic authentication successful.";

/// The credential that an app's last validation stored: a ciphertext like any other of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCredential {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Which app's.
    pub app: AppId,
    /// The data key it is sealed under.
    pub data_key: DataKeyId,
    /// Under whose key that is.
    pub protection: Protection,
    /// The sealed credential.
    pub ciphertext: Vec<u8>,
    /// When it was stored.
    pub stored_at: Timestamp,
}
