//! What a person, and none of the platform's services, does with data: recorded call by call.

use std::sync::Arc;

use domain::audit::{AuditEvent, AuditKind};
use domain::ledger::{DataUsed, UseOutcome};
use domain::permission::{Action, Permit, Target};
use domain::{Reason, WorkspaceId};

use super::journal::Journal;
use crate::Refusal;
use crate::core::Core;
use crate::seeded_bug::SeededBug;

impl Journal {
    /// Data is about to be used. What a person does has its own record, for which a place is taken before anything is done: where
    /// there is none, nothing is done. A service's use is counted, and costs nothing here.
    pub(crate) fn begin_use<A: Action>(
        self: &Arc<Self>,
        permit: &Permit<A>,
        items: usize,
    ) -> Result<Option<PersonalUse>, Refusal> {
        if !permit.is_personal() || self.has(SeededBug::PersonalUseNotRecorded) {
            return Ok(None);
        }
        let Target::App(workspace, app) = permit.target() else { return Ok(None) };
        if !self.take_place(workspace) {
            let why = "what a person does with data is recorded call by call, and too many records wait to be written";
            return Err(Refusal::because(Reason::QuotaExceeded).detail(why));
        }
        let items = items as u64;
        Ok(Some(PersonalUse {
            journal: self.clone(),
            workspace: workspace.clone(),
            actor: permit.actor().to_owned(),
            used: DataUsed { app: app.clone(), action: A::VERB, items, outcome: UseOutcome::NoAnswer },
        }))
    }
}

/// A person's use of data under way. However it ends, and be it by being dropped, it is recorded.
pub(crate) struct PersonalUse {
    journal: Arc<Journal>,
    workspace: WorkspaceId,
    actor: String,
    used: DataUsed,
}

impl PersonalUse {
    /// It was done, or refused.
    pub(crate) fn ended(mut self, outcome: Result<(), Reason>) {
        self.used.outcome = UseOutcome::Ended(outcome);
    }

    /// It begins.
    fn begins(&self, core: &Core) -> AuditEvent {
        let what = AuditKind::DataUsed(DataUsed { outcome: UseOutcome::Begun, ..self.used.clone() });
        let (workspace, at) = (Some(self.workspace.clone()), core.clock.now().wall);
        AuditEvent { workspace, at, actor: self.actor.clone(), what }
    }
}

impl Drop for PersonalUse {
    fn drop(&mut self) {
        let actor = std::mem::take(&mut self.actor);
        self.journal.put_in_place(self.workspace.clone(), actor, self.used.clone());
    }
}

/// A stream is about to be handed over. Where it is a person's, that is in the database before the caller has a byte of it: a stream
/// may last for long, and what waits here is lost with the process. What cannot be written is not begun.
pub(crate) async fn begins(using: Option<&PersonalUse>, core: &Core) -> Result<(), Refusal> {
    match using.filter(|_| !core.bugs.has(SeededBug::StreamRecordedAtItsEnd)) {
        Some(using) => Ok(core.store.record(using.begins(core)).await?),
        None => Ok(()),
    }
}

/// Says how a use ended, where it is a person's.
pub(crate) fn ended<T>(using: Option<PersonalUse>, outcome: &Result<T, Refusal>) {
    if let Some(using) = using {
        using.ended(outcome.as_ref().map(drop).map_err(Refusal::reason));
    }
}

/// Says that a use was refused, where it is a person's.
pub(crate) fn refused(using: Option<PersonalUse>, why: &Refusal) {
    if let Some(using) = using {
        using.ended(Err(why.reason()));
    }
}
