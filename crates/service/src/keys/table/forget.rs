//! How one data key is taken out of memory: it was destroyed, and nothing here may open with it any more (I-5).

use domain::ledger::WhyPurged;
use domain::{AppId, DataKeyId};

use super::{AppRef, Held, KeyTable, WorkspaceState};

impl KeyTable {
    /// Wipes this one data key. Called under the workspace's lock.
    pub(super) fn forget(&self, workspace: &WorkspaceState, held: &mut Held, app: &AppId, id: DataKeyId) {
        let under = held.keys.remove(&(app.clone(), id));
        let (open, sealing) = (self.open.pin(), self.sealing.pin());
        let app = AppRef { workspace: &workspace.id, app };
        if let Some(cell) = sealing.get(&app)
            && cell.key.load().as_deref().is_some_and(|key| key.id() == id)
        {
            cell.key.store(None);
            sealing.remove(&app);
        }
        if let Some(cell) = open.get(&app.data_key(id)) {
            cell.store(None);
            open.remove(&app.data_key(id));
        }
        if let Some(version) = under {
            self.journal.purged(&workspace.id, version, WhyPurged::Destroyed, 1);
        }
    }
}
