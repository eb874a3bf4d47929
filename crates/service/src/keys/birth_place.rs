//! How many data keys of a workspace are born at once, so that those that are begun are finished.
//!
//! A birth is two calls to the vault, one after the other. Where hundreds begin at once on a slow vault, the second calls would
//! queue behind the first calls of all the others, until every deadline has passed and nothing was born but wrapped keys that nobody
//! uses. So a few are under way, and the others wait before their first call, and not so long that no time is left for both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::WorkspaceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use vault::KeyUnavailable;

use super::lock;
use super::vault_call::Budget;
use crate::core::Core;

/// The places of every workspace whose apps got data keys here.
#[derive(Default)]
pub(crate) struct BirthPlaces(Mutex<HashMap<WorkspaceId, Arc<Semaphore>>>);

impl BirthPlaces {
    fn of(&self, workspace: &WorkspaceId, places: usize) -> Arc<Semaphore> {
        let fresh = || Arc::new(Semaphore::new(places));
        lock(&self.0).entry(workspace.clone()).or_insert_with(fresh).clone()
    }
}

impl Core {
    /// How many data keys of a workspace are born at once.
    pub(crate) fn births_at_once(&self) -> usize {
        (self.options.vault_calls_per_workspace / 2).max(1)
    }

    /// Waits for a place, half of the time that is left at most.
    pub(crate) async fn birth_place(
        &self,
        workspace: &WorkspaceId,
        budget: &Budget<'_>,
    ) -> Result<OwnedSemaphorePermit, KeyUnavailable> {
        let places = self.births.of(workspace, self.births_at_once());
        let patience = budget.left() / 2;
        match timeout(patience, places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            // Never closed; a place that does not come free is a vault that does not keep up.
            Ok(Err(_)) | Err(_) => Err(KeyUnavailable::TimedOut { waited: patience }),
        }
    }
}
