//! The way out: every data key the customer's key wraps, as the vault wrapped it. With these, the customer's vault and the
//! format's description the data is readable without this service.

use std::sync::Arc;

use domain::audit::AuditKind;
use domain::permission::{self, Permit};
use domain::rotation::Exports;
use domain::{AppId, DataKey, DataKeyId, KeyVersionLocation, Protection, Timestamp, WorkspaceId, WrappingKey};
use store::RecordedEvent;

use super::{event, workspace_of};
use crate::core::Core;
use crate::keys::Failure;
use crate::keys::unwrap::{blob_binding, identity_of};
use crate::options::EXPORT_PAGE;
use crate::{Refusal, Service};

/// One data key as the customer's vault wrapped it, by RSA-OAEP-256.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// The data key, as it stands in ciphertexts.
    pub data_key: DataKeyId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Which app's it is.
    pub app: AppId,
    /// Always the customer's.
    pub protection: Protection,
    /// The version that unwraps it.
    pub kid: KeyVersionLocation,
    /// The wrapped payload, without the platform's own layer around it.
    pub blob: Vec<u8>,
    /// When the data key was made.
    pub created_at: Timestamp,
}

/// Without the blob: it does not belong in a log.
impl std::fmt::Debug for WrappedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WrappedKey").field("data_key", &self.data_key).field("app", &self.app).finish_non_exhaustive()
    }
}

/// An export under way.
pub struct ExportPages {
    core: Arc<Core>,
    workspace: WorkspaceId,
    actor: String,
    after: Option<DataKeyId>,
    state: Progress,
    begun_at: Timestamp,
}

#[derive(PartialEq, Eq)]
enum Progress {
    NothingYet,
    Some,
    Done,
}

impl Service {
    /// Begins an export of all data keys under the customer's key that could have sealed anything.
    pub async fn export_wrapped_keys(
        &self,
        permit: &Permit<permission::ExportWrappedKeys>,
    ) -> Result<ExportPages, Refusal> {
        let workspace = workspace_of(permit)?;
        let found = self.0.store.workspace(&workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(super::not_found)?;
        if self.0.store.key_config(&workspace).await?.is_none() {
            return Err(Refusal::because(domain::Reason::KeyNotConfigured));
        }
        let (core, actor) = (self.0.clone(), permit.actor().to_owned());
        let begun_at = core.clock.now().wall;
        Ok(ExportPages { core, workspace, actor, after: None, state: Progress::NothingYet, begun_at })
    }
}

impl ExportPages {
    /// The next page, `None` at the end. Each page is in the audit chain before it is handed out, so that what left is on
    /// record even if the export is broken off; an export of nothing leaves one record of nothing.
    pub async fn next(&mut self) -> Result<Option<Vec<WrappedKey>>, Refusal> {
        while self.state != Progress::Done {
            let rows = self.core.store.data_keys(&self.workspace, self.after, EXPORT_PAGE).await?;
            let last = rows.last().map(|row| row.id);
            let mut page = Vec::new();
            for row in rows.iter().filter(|row| row.protection == Protection::CustomerKey && row.opens()) {
                page.push(self.core.wrapped(row).await?);
            }
            self.after = last.or(self.after);
            let nothing_at_all = last.is_none() && self.state == Progress::NothingYet;
            if !page.is_empty() || nothing_at_all {
                let count = page.len() as u64;
                let now = self.core.clock.now().wall;
                let what = AuditKind::WrappedKeysExported { count };
                self.core.store.record(event(&self.workspace, now, &self.actor, what)).await?;
                self.state = Progress::Some;
            }
            if last.is_none() {
                // Everything before was handed out: only now is it an export to rely on.
                let what = AuditKind::ExportFinished { begun_at: self.begun_at };
                let now = self.core.clock.now().wall;
                self.core.store.record(event(&self.workspace, now, &self.actor, what)).await?;
                self.state = Progress::Done;
            }
            if !page.is_empty() {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }
}

impl Core {
    /// What was ever exported of a workspace, as its audit chain says.
    pub(super) async fn exports(&self, workspace: &WorkspaceId) -> Result<Exports, Refusal> {
        let last_page = self.store.last_event(workspace, "key.exported").await?.map(|event| event.at);
        let finished = self.store.last_event(workspace, "key.export_finished").await?;
        let begun = |event: &RecordedEvent| {
            let micros = event.details.iter().find(|(name, _)| name == "begun_at_micros")?.1.parse().ok()?;
            Some(Timestamp::from_micros(micros))
        };
        Ok(Exports { last_page, whole_since: finished.as_ref().and_then(begun) })
    }

    /// A data key's blob with the platform's layer taken off.
    async fn wrapped(&self, row: &DataKey) -> Result<WrappedKey, Refusal> {
        let corrupt = |what| Refusal::from(Failure::Corrupt(what));
        let wrapping = self.store.wrapping(&row.workspace, row.id).await?;
        let wrapping = wrapping.ok_or_else(|| corrupt("a data key has no wrapping"))?;
        let WrappingKey::Customer(version) = wrapping.wrapped_by else {
            return Err(corrupt("a customer's data key under the platform's key"));
        };
        let recorded = self.store.key_version(&row.workspace, version).await?;
        let recorded = recorded.ok_or_else(|| corrupt("a wrapping names a version nobody recorded"))?;
        let binding = blob_binding(&identity_of(row), wrapping.wrapped_by);
        let blob = self.platform.open_blob(&wrapping.sealed_blob, &binding).map_err(Failure::from)?;
        Ok(WrappedKey {
            data_key: row.id,
            workspace: row.workspace.clone(),
            app: row.app.clone(),
            protection: row.protection,
            kid: recorded.location,
            blob,
            created_at: row.created_at,
        })
    }
}
