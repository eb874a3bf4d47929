//! What probes find, kept with the keys: which version is due, what was not answered, and how each version stands.

use std::sync::Arc;

use domain::{KeyVersionId, Moment, Timestamp, WorkspaceId};
use vault::KeyUnavailable;

use super::KeyTable;
use crate::keys::lock;
use crate::keys::probing::Next;
use crate::keys::standing::{Held, Version, WorkspaceState};

/// What is known of a workspace's key here.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// When the last probe or unwrap that succeeded was asked for.
    pub(crate) last_success: Option<Moment>,
    /// Which versions are refused, since when, and why.
    pub(crate) denied: Vec<(KeyVersionId, Timestamp, KeyUnavailable)>,
}

/// What the ledger is told of a version's lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseNews {
    /// It ended without an answer that counts, while keys are held under it.
    Lost {
        /// When the last success was asked for.
        proven_at: Option<Timestamp>,
    },
    /// It holds again.
    Regained,
}

impl KeyTable {
    /// What is known of a workspace's key: when `current` last proved itself, and which versions are refused, that one first,
    /// whether anything still needs them or not.
    pub(crate) fn health(&self, workspace: &WorkspaceId, current: KeyVersionId) -> Health {
        let Some(workspace) = self.workspace(workspace) else { return Health::default() };
        let held = lock(&workspace.held);
        let denied = |(id, version): (&KeyVersionId, &Version)| {
            version.denial.as_ref().map(|denial| (*id, denial.since, denial.why.clone()))
        };
        let mut denied: Vec<_> = held.versions.iter().filter_map(denied).collect();
        denied.sort_by_key(|(id, since, _)| (*id != current, *since));
        Health { last_success: held.versions.get(&current).and_then(|version| version.probing.last_success()), denied }
    }

    /// Somebody wants to know how a version stands: it is asked about again, also where nobody uses it.
    pub(crate) fn ask_on_behalf(&self, workspace: &WorkspaceId, version: KeyVersionId) {
        if let Some(workspace) = self.workspace(workspace) {
            lock(&workspace.held).lease(version).use_it();
        }
    }

    /// The probe was answered, or not, without a yes and without a denial.
    pub(crate) fn not_answered(
        &self,
        workspace: &WorkspaceState,
        version: KeyVersionId,
        why: &KeyUnavailable,
        now: Moment,
    ) {
        let mut held = lock(&workspace.held);
        let version = held.version(version);
        version.lease.settle();
        version.probing.failed(now, self.pace, why.retry_after());
        if let Some(denial) = &mut version.denial {
            denial.asked_at = now;
        }
    }

    /// Whose probe is due now. A version counts while keys are held under it, or while it is refused.
    pub(crate) fn due_probes(&self, now: Moment) -> Vec<(Arc<WorkspaceState>, KeyVersionId)> {
        let workspaces: Vec<_> = self.workspaces.pin().values().cloned().collect();
        let mut due = Vec::new();
        for workspace in workspaces {
            let mut held = lock(&workspace.held);
            let Held { versions, keys, .. } = &mut *held;
            for (id, version) in versions.iter_mut() {
                let concerned = version.denial.is_some() || keys.values().any(|under| *under == Some(*id));
                if !concerned {
                    continue;
                }
                match version.probing.next(now, version.lease.is_used(), self.pace) {
                    Next::Wait => {}
                    Next::Probe => {
                        version.lease.forget_use();
                        due.push((workspace.clone(), *id));
                    }
                    Next::Doze => version.lease.doubt(),
                }
            }
        }
        due
    }

    /// Leases that were lost since the last look, or came back. A lease that nobody renews because nobody uses it is not lost, and
    /// a denial is told as one.
    pub(crate) fn lease_news(&self, now: Moment) -> Vec<(WorkspaceId, KeyVersionId, LeaseNews)> {
        let workspaces: Vec<_> = self.workspaces.pin().values().cloned().collect();
        let mut news = Vec::new();
        for workspace in workspaces {
            let mut held = lock(&workspace.held);
            let Held { versions, keys, .. } = &mut *held;
            for (id, version) in versions.iter_mut() {
                let holds = version.lease.holds(now);
                if version.lost && holds {
                    version.lost = false;
                    news.push((workspace.id.clone(), *id, LeaseNews::Regained));
                } else if !version.lost
                    && !holds
                    && version.denial.is_none()
                    && version.probing.is_failing()
                    && keys.values().any(|under| *under == Some(*id))
                {
                    version.lost = true;
                    let proven_at = version.probing.last_success().map(|at| at.wall);
                    news.push((workspace.id.clone(), *id, LeaseNews::Lost { proven_at }));
                }
            }
        }
        news
    }

    /// This replica stood still: whatever is used next is asked about first.
    pub(crate) fn doubt_all(&self) {
        for workspace in self.workspaces.pin().values() {
            lock(&workspace.held).versions.values().for_each(|version| version.lease.doubt());
        }
    }
}
