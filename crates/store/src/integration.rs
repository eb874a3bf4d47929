//! Which bytes of rows about customers' app registrations are authenticated.

use domain::credential::{Credential, Proof};
use domain::row_seal::RowBytes;
use domain::{CredentialId, Timestamp, WorkspaceId};

use crate::row::Row;

/// Which credential a workspace uses: the row that decides as whom its vault is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntegrationHead {
    pub(crate) workspace: WorkspaceId,
    pub(crate) change: u64,
    pub(crate) active: Option<CredentialId>,
    pub(crate) changed_at: Timestamp,
}

/// A credential of a workspace's registration, with its number among them, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnedCredential {
    pub(crate) workspace: WorkspaceId,
    pub(crate) number: u64,
    pub(crate) credential: Credential,
}

/// The number of a proof's kind, and what is told of it.
pub(crate) fn proof_columns(proof: &Proof) -> (i64, &[u8]) {
    match proof {
        Proof::Secret { last_four } => (1, last_four.as_bytes()),
        Proof::Certificate { der, .. } => (2, der),
    }
}

fn optional_time(row: RowBytes, at: Option<Timestamp>) -> RowBytes {
    row.optional(at.map(|at| at.micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice))
}

impl Row for IntegrationHead {
    const TABLE: &'static str = "integrations";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        row.field(&self.change.to_be_bytes())
            .optional(self.active.as_ref().map(|active| active.as_bytes().as_slice()))
            .number(self.changed_at.micros())
    }
}

impl Row for OwnedCredential {
    const TABLE: &'static str = "registration_credentials";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let Credential { id, registration, proof, created_at, expires_at, added_by, .. } = &self.credential;
        let (kind, told) = proof_columns(proof);
        let row = row
            .field(id.as_bytes())
            .field(&self.number.to_be_bytes())
            .field(registration.cloud.as_str().as_bytes())
            .field(registration.tenant.as_str().as_bytes())
            .field(registration.client_id.as_str().as_bytes())
            .number(kind)
            .field(told)
            .number(created_at.micros())
            .number(expires_at.micros())
            .field(added_by.as_bytes());
        let row = optional_time(optional_time(row, self.credential.tested_at), self.credential.removed_at);
        row.optional(self.credential.noticed.map(u16::to_be_bytes).as_ref().map(<[u8; 2]>::as_slice))
            .field(&self.credential.sealed)
    }
}
