//! What a simulated replica reads and writes together, and what becomes of it when the replica stands still or is cut off.

use std::time::Duration;

use async_trait::async_trait;
use domain::audit::AuditEvent;
use domain::credential::Integration;
use domain::key_life::{AppSelection, KeyLife};
use domain::operation::{Operation, OperationId};
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, AppId, CallerId, KeyConfig, KeyTest, KeyVersion, KeyVersionId, StoredCaller, StoredCredential, Timestamp,
    Workspace, WorkspaceId,
};
use store::{Conflict, Outage, StoreError, Transaction};
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;

use super::database::{Changed, StoreLine};

/// Everybody waits for who writes; one that stands still is rolled back after so long.
const LONGEST_IDLE: Duration = Duration::from_secs(10);

/// A transaction over the rows in memory. The rows that the simulated tasks do not touch are not there.
pub(super) struct MemoryTransaction {
    line: StoreLine,
    turn: Option<OwnedMutexGuard<()>>,
    rows: Changed,
    wrote_life: bool,
}

impl MemoryTransaction {
    pub(super) async fn begin(line: &StoreLine) -> Result<Box<dyn Transaction>, StoreError> {
        let turn = line.database.turn.clone().lock_owned().await;
        let rows = line.database.changed().clone();
        let mut begun = Self { line: line.clone(), turn: Some(turn), rows, wrote_life: false };
        begun.step().await?;
        Ok(Box::new(begun))
    }

    /// Every step takes its time, and has to be within the time a transaction may stand still.
    async fn step(&mut self) -> Result<(), StoreError> {
        if self.turn.is_none() {
            return Err(StoreError::TransactionEnded { name: "simulated" });
        }
        match timeout(LONGEST_IDLE, self.line.ground()).await {
            Ok(reached) => reached.map(drop),
            Err(_) => {
                self.turn = None;
                Err(StoreError::TransactionEnded { name: "simulated" })
            }
        }
    }

    fn not_simulated<T>() -> Result<T, StoreError> {
        Err(StoreError::Unavailable(Outage::Busy))
    }
}

#[async_trait]
impl Transaction for MemoryTransaction {
    async fn workspace(&mut self, workspace: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        self.step().await?;
        let found = self.line.database.ground.workspace.clone();
        Ok(Some(found).filter(|found| found.id == *workspace))
    }

    async fn app(&mut self, _: &WorkspaceId, _: &AppId) -> Result<Option<App>, StoreError> {
        Self::not_simulated()
    }

    async fn key_config(&mut self, _: &WorkspaceId) -> Result<Option<KeyConfig>, StoreError> {
        self.step().await?;
        Ok(Some(self.line.database.ground.config.clone()))
    }

    async fn key_version(&mut self, _: &WorkspaceId, _: KeyVersionId) -> Result<Option<KeyVersion>, StoreError> {
        Self::not_simulated()
    }

    async fn put_workspace(&mut self, _: &Workspace) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn put_app(&mut self, _: &App) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn put_key_config(&mut self, _: &KeyConfig) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn add_key_version(&mut self, _: &KeyVersion) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn key_life(&mut self, _: &WorkspaceId) -> Result<Option<KeyLife>, StoreError> {
        self.step().await?;
        Ok(Some(self.rows.life.clone()))
    }

    async fn app_selections(&mut self, _: &WorkspaceId) -> Result<Vec<AppSelection>, StoreError> {
        self.step().await?;
        Ok(Vec::new())
    }

    async fn live_apps(&mut self, _: &WorkspaceId) -> Result<Vec<App>, StoreError> {
        Self::not_simulated()
    }

    async fn put_key_life(&mut self, life: &KeyLife) -> Result<(), StoreError> {
        self.step().await?;
        let present = self.rows.life.change;
        if life.change != present + 1 {
            return Err(Conflict::LifeMoved { present }.into());
        }
        self.rows.life = life.clone();
        self.wrote_life = true;
        Ok(())
    }

    async fn abandon_staged(&mut self, _: &WorkspaceId, _: Timestamp) -> Result<u64, StoreError> {
        Self::not_simulated()
    }

    async fn put_app_selection(&mut self, _: &AppSelection) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn key_tests(&mut self, _: &WorkspaceId, _: usize) -> Result<Vec<KeyTest>, StoreError> {
        self.step().await?;
        Ok(self.rows.tests.clone())
    }

    async fn add_key_test(&mut self, test: &KeyTest) -> Result<(), StoreError> {
        self.step().await?;
        self.rows.tests.insert(0, test.clone());
        Ok(())
    }

    async fn operation(&mut self, _: OperationId) -> Result<Option<Operation>, StoreError> {
        Self::not_simulated()
    }

    async fn put_operation(&mut self, _: &Operation) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn append_audit(&mut self, event: AuditEvent) -> Result<(), StoreError> {
        self.step().await?;
        self.rows.recorded.push(event.what.record().0);
        Ok(())
    }

    async fn put_credential(&mut self, _: &StoredCredential) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn integration(&mut self, _: &WorkspaceId) -> Result<Option<Integration>, StoreError> {
        Self::not_simulated()
    }

    async fn put_integration(&mut self, _: &Integration) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn tenants(&mut self, workspace: &WorkspaceId) -> Result<Vec<TenantLink>, StoreError> {
        let _ = workspace;
        Self::not_simulated()
    }

    async fn tag_nonces(&mut self, workspace: &WorkspaceId) -> Result<Vec<TagNonce>, StoreError> {
        let _ = workspace;
        Self::not_simulated()
    }

    async fn proven_keys(&mut self, workspace: &WorkspaceId) -> Result<Vec<ProvenKey>, StoreError> {
        let _ = workspace;
        Self::not_simulated()
    }

    async fn put_tenant(&mut self, link: &TenantLink) -> Result<(), StoreError> {
        let _ = link;
        Self::not_simulated()
    }

    async fn put_tag_nonce(&mut self, nonce: &TagNonce) -> Result<(), StoreError> {
        let _ = nonce;
        Self::not_simulated()
    }

    async fn put_proven_key(&mut self, proven: &ProvenKey) -> Result<(), StoreError> {
        let _ = proven;
        Self::not_simulated()
    }

    async fn destroy_data_key(&mut self, _: OperationId, _: Timestamp) -> Result<(), StoreError> {
        Self::not_simulated()
    }

    async fn commit(mut self: Box<Self>) -> Result<u64, StoreError> {
        self.step().await?;
        // A disk that is slow, and perhaps a line that is cut meanwhile: then nothing was written.
        self.line.commit_takes().await?;
        let off = self.rows.life.revoked.is_some();
        let database = &self.line.database;
        let changed = &mut *database.changed();
        changed.life = self.rows.life.clone();
        changed.tests = self.rows.tests.clone();
        changed.recorded = self.rows.recorded.clone();
        let wrote_life = self.wrote_life;
        database.tell(|change| change.switched_off = wrote_life.then_some(off), changed);
        Ok(changed.revision)
    }

    async fn caller(&mut self, _: &CallerId) -> Result<Option<StoredCaller>, StoreError> {
        Self::not_simulated()
    }

    async fn live_callers(&mut self) -> Result<Vec<StoredCaller>, StoreError> {
        Self::not_simulated()
    }

    async fn put_caller(&mut self, _: &StoredCaller) -> Result<(), StoreError> {
        Self::not_simulated()
    }
}
