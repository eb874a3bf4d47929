//! What every change of a caller has in common: what its giver holds now, who is left to make changes, and who hears of it.

use domain::audit::{AuditEvent, AuditKind};
use domain::caller::{CallerChange, CallerChanged, StoredCaller};
use domain::permission::{self, Caller, Giver, Grant, covers, permit_to_give};
use domain::{CallerId, CertificateName, Reason, Timestamp, WorkspaceId};
use identity::ConfiguredCaller;
use store::{StoreError, Transaction};

use super::callers::UpdateCaller;
use super::not_found;
use crate::Refusal;
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// Somebody who changes callers, with what they hold now.
pub(super) struct Held {
    by: Giver,
    /// As the database has it in this transaction; absent: they are not one of its callers.
    now: Option<Vec<Grant>>,
    unchecked: bool,
}

impl Held {
    pub(super) fn actor(&self) -> &str {
        self.by.actor()
    }

    pub(super) fn gives(&self, grants: &[Grant]) -> Result<(), Refusal> {
        let held = |grant: &Grant| self.by.may_give(grant) && self.now.as_ref().is_none_or(|now| covers(now, grant));
        match grants.iter().find(|grant| !held(grant)) {
            Some(grant) if !self.unchecked => Err(Refusal::because(Reason::GrantNotHeld).detail(grant.to_string())),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn is_another(&self, id: &CallerId) -> Result<(), Refusal> {
        if self.actor() == id.as_str() { Err(Refusal::because(Reason::CallerIsYourself)) } else { Ok(()) }
    }

    pub(super) fn changes(&self, caller: StoredCaller, at: Timestamp) -> StoredCaller {
        caller.changed(self.actor(), at)
    }
}

impl Core {
    pub(super) fn configured_callers(&self) -> Vec<ConfiguredCaller> {
        let mut merged: Vec<ConfiguredCaller> = Vec::new();
        for one in self.configured.get().into_iter().flatten() {
            match merged.iter_mut().find(|known| known.name == one.name) {
                // Known by a token and by a certificate: one caller.
                Some(known) => {
                    known.token |= one.token;
                    known.certificate = known.certificate.take().or_else(|| one.certificate.clone());
                }
                None => merged.push(one.clone()),
            }
        }
        merged
    }

    pub(super) fn is_configured(&self, name: &str) -> bool {
        self.configured.get().into_iter().flatten().any(|configured| configured.name == name)
    }

    pub(super) fn free_certificate(&self, wanted: Option<&CertificateName>) -> Result<(), Refusal> {
        let taken = wanted.is_some_and(|wanted| {
            self.configured
                .get()
                .into_iter()
                .flatten()
                .any(|configured| configured.certificate.as_ref() == Some(wanted))
        });
        if taken { Err(Refusal::because(Reason::CallerCertificateTaken)) } else { Ok(()) }
    }

    /// Grants that were taken away since they came in count no more.
    pub(super) async fn held(&self, tx: &mut dyn Transaction, by: Giver) -> Result<Held, Refusal> {
        let unchecked = self.bugs.has(SeededBug::GivesWhatIsNotHeld);
        let stored = match by.actor().parse::<CallerId>() {
            Ok(id) if !self.is_configured(id.as_str()) => tx.caller(&id).await?,
            Ok(_) | Err(_) => None,
        };
        if let Some(stored) = &stored {
            let caller = Caller::new(stored.id.as_str(), &stored.grants);
            if !stored.is_open(self.clock.now().wall) || permit_to_give(&caller).is_err() {
                let detail = permission::Verb::ChangeCallers.as_str();
                return Err(Refusal::because(Reason::PermissionDenied).detail(detail));
            }
        }
        Ok(Held { by, now: stored.map(|stored| stored.grants), unchecked })
    }

    pub(super) async fn to_change(
        &self,
        tx: &mut dyn Transaction,
        by: Giver,
        id: &CallerId,
    ) -> Result<(Held, StoredCaller), Refusal> {
        if self.is_configured(id.as_str()) {
            return Err(Refusal::because(Reason::CallerIsConfigured));
        }
        let held = self.held(tx, by).await?;
        let found = tx.caller(id).await?.filter(|caller| caller.deleted_at.is_none());
        Ok((held, found.ok_or_else(not_found)?))
    }

    pub(super) async fn update_caller(
        &self,
        by: Giver,
        id: &CallerId,
        update: UpdateCaller,
    ) -> Result<StoredCaller, Refusal> {
        let now = self.clock.now().wall;
        let UpdateCaller { add, remove, expires, certificate, disabled } = update;
        if let Some(expires) = expires {
            ahead(expires, now)?;
        }
        if let Some(certificate) = &certificate {
            self.free_certificate(certificate.as_ref())?;
        }
        let mut tx = self.store.begin("update_caller").await?;
        let (held, before) = self.to_change(&mut *tx, by, id).await?;
        held.is_another(id)?;
        let (mut caller, mut changes) = (before.clone(), Vec::new());
        if let Some(at) = remove.iter().position(|grant| !before.grants.contains(grant)) {
            let what = format!("remove_grants: entry {} is not a grant that the caller has", at + 1);
            return Err(Refusal::because(Reason::RequestInvalid).detail(what));
        }
        if !remove.is_empty() {
            caller.grants.retain(|grant| !remove.contains(grant));
            changes.push((CallerChange::Revoked, distinct(remove)));
        }
        let added: Vec<Grant> = distinct(add).into_iter().filter(|grant| !caller.grants.contains(grant)).collect();
        held.gives(&added)?;
        if !added.is_empty() {
            caller.grants.extend(added.iter().cloned());
            few(&caller.grants)?;
            changes.push((CallerChange::Granted, added));
        }
        // What lets it in again, for longer, or by something else hands on all that it was given.
        let mut lets_in = false;
        if let Some(expires) = expires.filter(|expires| *expires != before.expires) {
            lets_in |= later(expires, before.expires);
            caller.expires = expires;
            changes.push((CallerChange::Expires(expires), Vec::new()));
        }
        if let Some(certificate) = certificate.filter(|certificate| *certificate != before.certificate) {
            lets_in |= certificate.is_some();
            caller.certificate.clone_from(&certificate);
            changes.push((CallerChange::Certificate(certificate), Vec::new()));
        }
        if let Some(disabled) = disabled.filter(|disabled| *disabled != before.disabled) {
            lets_in |= !disabled;
            caller.disabled = disabled;
            changes.push((if disabled { CallerChange::Disabled } else { CallerChange::Enabled }, Vec::new()));
        }
        if lets_in {
            held.gives(&caller.grants)?;
        }
        if changes.is_empty() {
            return Ok(before);
        }
        self.one_is_left(&mut *tx, &before, &caller, now).await?;
        self.write_caller(tx, held.changes(caller, now), changes, &before.grants).await
    }

    /// Where nobody could change callers any more, nobody could change that.
    pub(super) async fn one_is_left(
        &self,
        tx: &mut dyn Transaction,
        before: &StoredCaller,
        after: &StoredCaller,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if !before.administers(now) || after.administers(now) {
            return Ok(());
        }
        let configured = self.configured.get().into_iter().flatten().any(|configured| {
            let caller = Caller::new(&configured.name, &configured.grants);
            configured.expires.is_none_or(|expires| now < expires) && permit_to_give(&caller).is_ok()
        });
        if configured || tx.live_callers().await?.iter().any(|other| other.id != before.id && other.administers(now)) {
            return Ok(());
        }
        Err(Refusal::because(Reason::CallerLastAdministrator))
    }

    /// Writes a caller and its records, and knows it here when it answers. `had`: grants from before that name workspaces which are
    /// to hear of it as well.
    pub(super) async fn write_caller(
        &self,
        mut tx: Box<dyn Transaction>,
        caller: StoredCaller,
        changes: Vec<(CallerChange, Vec<Grant>)>,
        had: &[Grant],
    ) -> Result<StoredCaller, Refusal> {
        tx.put_caller(&caller).await?;
        let (at, actor) = (caller.changed_at, caller.changed_by.clone());
        for (change, grants) in changes {
            let about = |workspace: Option<&WorkspaceId>| {
                let named = |grant: &&Grant| workspace.is_none() || grant.workspace().as_ref() == workspace;
                let grants = grants.iter().filter(named).cloned().collect();
                let changed = CallerChanged { caller: caller.id.clone(), change: change.clone(), grants };
                let (workspace, actor) = (workspace.cloned(), actor.clone());
                AuditEvent { workspace, at, actor, what: AuditKind::CallerChanged(changed) }
            };
            tx.append_audit(about(None)).await?;
            // Each workspace hears of who may do something in it by name, and of nobody else's grants.
            let whole = caller.grants.iter().chain(had);
            let mut workspaces: Vec<WorkspaceId> = match grants.is_empty() {
                true => whole.filter_map(Grant::workspace).collect(),
                false => grants.iter().filter_map(Grant::workspace).collect(),
            };
            workspaces.sort_unstable();
            workspaces.dedup();
            for workspace in &workspaces {
                if tx.workspace(workspace).await?.is_some() {
                    tx.append_audit(about(Some(workspace))).await?;
                }
            }
        }
        match tx.commit().await {
            // I-3: what is read now is what happened.
            Err(StoreError::OutcomeUnknown) if self.store.caller(&caller.id).await?.as_ref() == Some(&caller) => {}
            outcome => drop(outcome?),
        }
        tracing::info!(caller = %caller.id, actor, "a caller was changed");
        // Here it holds when this answers; where that fails, with the next reading.
        let _ = self.read_feed(&self.budget()).await;
        Ok(caller)
    }
}

pub(super) fn ahead(expires: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    match expires {
        Some(expires) if expires <= now => {
            Err(Refusal::because(Reason::RequestInvalid).detail("expire_time has passed: write one that is ahead"))
        }
        Some(_) | None => Ok(()),
    }
}

fn later(one: Option<Timestamp>, other: Option<Timestamp>) -> bool {
    match (one, other) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(one), Some(other)) => one > other,
    }
}

pub(super) fn distinct(grants: Vec<Grant>) -> Vec<Grant> {
    let mut seen: Vec<Grant> = Vec::with_capacity(grants.len());
    for grant in grants {
        if !seen.contains(&grant) {
            seen.push(grant);
        }
    }
    seen
}

pub(super) fn few(grants: &[Grant]) -> Result<(), Refusal> {
    if grants.len() > Caller::MOST_GRANTS {
        let what = "a caller has at most 100 grants: give roles, or patterns such as acme-*, instead of single ones";
        return Err(Refusal::because(Reason::RequestInvalid).detail(what));
    }
    Ok(())
}
