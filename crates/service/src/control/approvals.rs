//! Deciding about what somebody else asked for: the one way in for everything that needs a second person.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::audit::AuditKind;
use domain::operation::{NotMoved, Operation, OperationId, OperationKind};
use domain::permission::{self, Permit};
use domain::{Reason, WorkspaceId};
use store::{Conflict, StoreError, Transaction};

use super::{event, not_found, to_the_end};
use crate::core::Core;
use crate::seeded_bug::SeededBug;
use crate::tasks::rotation::ended;
use crate::{Refusal, Service};

/// Callers that are looked at for who is behind one, at most.
const MOST_ORIGINS: usize = 1_000;

impl Service {
    /// Says yes to what another caller asked for. It is done when its waiting period is over; until then it can be cancelled.
    pub async fn approve_operation(
        &self,
        permit: &Permit<permission::DecideOperation>,
        id: OperationId,
    ) -> Result<Operation, Refusal> {
        self.decide(permit, id, true).await
    }

    /// Says no to what another caller asked for: it ends.
    pub async fn reject_operation(
        &self,
        permit: &Permit<permission::DecideOperation>,
        id: OperationId,
    ) -> Result<Operation, Refusal> {
        self.decide(permit, id, false).await
    }

    async fn decide(
        &self,
        permit: &Permit<permission::DecideOperation>,
        id: OperationId,
        yes: bool,
    ) -> Result<Operation, Refusal> {
        self.own_operation(permit, id).await?;
        let (core, actor) = (self.0.clone(), permit.actor().to_owned());
        self.0.watching(to_the_end(async move { core.decide(id, &actor, yes).await }).await)
    }
}

impl Core {
    /// One transaction: what is decided about is read, decided and written in it, with its record. Of two that decide at once
    /// the second finds it decided.
    async fn decide(&self, id: OperationId, actor: &str, yes: bool) -> Result<Operation, Refusal> {
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("decide_operation").await?;
        let present = tx.operation(id).await?.ok_or_else(not_found)?;
        self.two_people(&mut *tx, &present.actor, actor).await?;
        let by = if self.bugs.has(SeededBug::OwnRequestApproved) { "somebody" } else { actor };
        let decided = if yes { present.approve(by, now) } else { present.reject(by, now) };
        let decided = decided.map_err(not_decided)?;
        tx.put_operation(&decided).await?;
        let what = match decided.not_before() {
            Some(not_before) => AuditKind::OperationApproved { operation: id, not_before },
            None => ended(&decided),
        };
        tx.append_audit(event(&decided.workspace, now, actor, what)).await?;
        match tx.commit().await {
            // I-3: what is read now is what happened.
            Err(StoreError::OutcomeUnknown) if self.store.operation(id).await?.as_ref() == Some(&decided) => {}
            outcome => drop(outcome?),
        }
        let (workspace, state) = (&decided.workspace, decided.state);
        tracing::info!(%workspace, operation = %id, actor, ?state, "an operation was decided about");
        self.operations.wake();
        Ok(decided)
    }

    /// Whoever ever had a hand in a caller may be that caller, and so may whoever had one in them: who asks does not approve as a
    /// caller of its own making, however many others stand in between, nor for one.
    async fn two_people(&self, tx: &mut dyn Transaction, asked: &str, decides: &str) -> Result<(), Refusal> {
        if self.bugs.has(SeededBug::OwnCallerApproves) {
            return Ok(());
        }
        for (name, other) in [(decides, asked), (asked, decides)] {
            if self.may_be(tx, name, other).await? {
                return Err(Refusal::because(Reason::ApprovalOwnRequest));
            }
        }
        Ok(())
    }

    /// Whether this person may be the caller of this name: looked up from who made and changed it to who made and changed those, and
    /// so on. Deleted callers have left who that was. Of what cannot be looked through in a bounded time, anybody may be the origin.
    async fn may_be(&self, tx: &mut dyn Transaction, name: &str, person: &str) -> Result<bool, Refusal> {
        let (mut seen, mut ahead) = (BTreeSet::from([name.to_owned()]), vec![name.to_owned()]);
        while let Some(name) = ahead.pop() {
            // Those of the configuration are nobody's making.
            let Ok(id) = name.parse() else { continue };
            let Some(caller) = tx.caller(&id).await? else { continue };
            if self.bugs.has(SeededBug::OnlyTheLastHandCounts) {
                return Ok(caller.created_by == person || caller.changed_by == person);
            }
            if caller.may_be(person) {
                return Ok(true);
            }
            ahead.extend(caller.known_hands().filter(|hand| seen.insert((*hand).to_owned())).map(str::to_owned));
            if seen.len() > MOST_ORIGINS {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What this workspace has asked for already and nobody has begun.
    pub(super) async fn held_back(
        &self,
        id: &WorkspaceId,
        same: impl Fn(&OperationKind) -> bool,
    ) -> Result<Option<Operation>, Refusal> {
        let open = self.store.open_operations().await?;
        let mine = open.into_iter().filter(|operation| operation.workspace == *id && operation.state.is_held_back());
        Ok(mine.into_iter().find(|operation| same(&operation.kind)))
    }

    /// Writes down a new operation in a transaction that has decided for it, with the record of what is asked of others.
    pub(super) async fn write_down(
        &self,
        mut tx: Box<dyn Transaction>,
        operation: &Operation,
        records: Vec<AuditKind>,
    ) -> Result<(), Refusal> {
        let (id, at) = (&operation.workspace, operation.created_at);
        match tx.put_operation(operation).await {
            Err(StoreError::Conflict(Conflict::OperationOpen)) => {
                return Err(Refusal::because(Reason::OperationUnderWay));
            }
            outcome => outcome?,
        }
        let asked = operation.approval.as_ref().map(|approval| AuditKind::ApprovalAsked {
            operation: operation.id,
            kind: operation.kind.name(),
            approve_by: approval.approve_by,
        });
        for what in records.into_iter().chain(asked) {
            tx.append_audit(event(id, at, &operation.actor, what)).await?;
        }
        match tx.commit().await {
            Err(StoreError::OutcomeUnknown) if self.store.operation(operation.id).await?.is_some() => {}
            outcome => drop(outcome?),
        }
        self.operations.wake();
        Ok(())
    }
}

/// The waiting period of what is begun as soon as it is approved.
pub(super) const AT_ONCE: Duration = Duration::ZERO;

fn not_decided(why: NotMoved) -> Refusal {
    Refusal::because(match why {
        NotMoved::OwnRequest => Reason::ApprovalOwnRequest,
        NotMoved::Unanswered => Reason::ApprovalExpired,
        NotMoved::NotAwaited => Reason::ApprovalNotAwaited,
        NotMoved::Ended => Reason::OperationEnded,
        NotMoved::TooEarly | NotMoved::Left { .. } | NotMoved::ConfigurationMoved | NotMoved::OtherKind => {
            Reason::Internal
        }
    })
}
