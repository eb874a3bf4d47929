//! Callers that are kept in the database: making, changing, deleting and listing them.
//!
//! Nobody gives what they do not hold, by the grants they have when the change is written and not only when they came in. Taking away
//! needs no more than the right to change callers: whoever is on duty may shut anybody out.

use domain::audit::{AuditEvent, AuditKind, SERVICE};
use domain::caller::{CallerChange, CallerChanged, StoredCaller, StoredToken, TokenSlot};
use domain::entropy::random;
use domain::permission::{self, Caller, Giver, Grant, Permit, covers, permit_to_give};
use domain::{CallerId, CertificateName, Reason, Timestamp, WorkspaceId};
use identity::{ConfiguredCaller, token_hash};
use store::{StoreError, Transaction};
use zeroize::Zeroizing;

use super::{cut, not_found, page_size, to_the_end};
use crate::core::Core;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// Live callers of the database, at most: each replica holds them all in memory.
const MOST_CALLERS: usize = 10_000;
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;

/// A caller to be made.
#[derive(Debug, Clone)]
pub struct CreateCaller {
    /// Its id.
    pub id: CallerId,
    /// What it may do: at least one grant.
    pub grants: Vec<Grant>,
    /// The name of its certificate, if it is to be known by one.
    pub certificate: Option<CertificateName>,
    /// From when on it is refused; absent: never.
    pub expires: Option<Timestamp>,
}

/// What is to become of a caller. What is absent stays.
#[derive(Debug, Clone, Default)]
pub struct UpdateCaller {
    /// Grants it is given.
    pub add: Vec<Grant>,
    /// Grants that are taken away; it has them.
    pub remove: Vec<Grant>,
    /// From when on it is refused; `Some(None)`: never.
    pub expires: Option<Option<Timestamp>>,
    /// The name of its certificate; `Some(None)`: none any more.
    pub certificate: Option<Option<CertificateName>>,
    /// Whether it is refused until it is enabled.
    pub disabled: Option<bool>,
}

/// A token that was made. Its text is nowhere else.
pub struct IssuedToken {
    /// Whose it is.
    pub caller: StoredCaller,
    /// Its place.
    pub slot: TokenSlot,
    /// Its text.
    pub token: Zeroizing<String>,
}

/// A caller, wherever it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListedCaller {
    /// In the database.
    Stored(Box<StoredCaller>),
    /// In the configuration.
    Configured(ConfiguredCaller),
}

/// Some callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerPage {
    /// Those of the configuration, which the first page begins with, then those of the database by id.
    pub callers: Vec<ListedCaller>,
    /// After which one the next page begins; absent on the last.
    pub next: Option<CallerId>,
}

impl Service {
    /// Makes a caller, which has no token yet. An id that is taken, or was once, is refused, and so is a name of the configuration.
    pub async fn create_caller(&self, by: Giver, wanted: CreateCaller) -> Result<StoredCaller, Refusal> {
        let core = self.0.clone();
        to_the_end(async move {
            let now = core.clock.now().wall;
            let CreateCaller { id, grants, certificate, expires } = wanted;
            if id.as_str() == SERVICE {
                return Err(Refusal::because(Reason::NameInvalid).detail("`service` is the service itself"));
            }
            if core.is_configured(id.as_str()) {
                return Err(Refusal::because(Reason::AlreadyExists).detail("the name stands in the configuration"));
            }
            ahead(expires, now)?;
            core.free_certificate(certificate.as_ref())?;
            let grants = distinct(grants);
            few(&grants)?;
            if grants.is_empty() {
                return Err(Refusal::because(Reason::RequestInvalid).detail("a caller has at least one grant"));
            }
            let mut tx = core.store.begin("create_caller").await?;
            let held = core.held(&mut *tx, by).await?;
            held.gives(&grants)?;
            if tx.caller(&id).await?.is_some() {
                return Err(Refusal::because(Reason::AlreadyExists));
            }
            if tx.live_callers().await?.len() >= MOST_CALLERS {
                return Err(Refusal::because(Reason::QuotaExceeded).detail("there are 10,000 callers; delete some first"));
            }
            let (created_by, changed_by) = (held.actor().to_owned(), held.actor().to_owned());
            let (created_at, changed_at, deleted_at) = (now, now, None);
            let (tokens, disabled) = ([None, None], false);
            let caller = StoredCaller {
                id,
                certificate,
                tokens,
                grants: grants.clone(),
                expires,
                disabled,
                created_by,
                created_at,
                changed_by,
                changed_at,
                deleted_at,
            };
            let mut changes = vec![(CallerChange::Created, grants)];
            if caller.certificate.is_some() {
                changes.push((CallerChange::Certificate(caller.certificate.clone()), Vec::new()));
            }
            if expires.is_some() {
                changes.push((CallerChange::Expires(expires), Vec::new()));
            }
            core.write_caller(tx, caller, changes, &[]).await
        })
        .await
    }

    /// Changes what a caller may do, until when, by which certificate it is known, and whether it is let in.
    pub async fn update_caller(&self, by: Giver, id: &CallerId, update: UpdateCaller) -> Result<StoredCaller, Refusal> {
        let (core, id) = (self.0.clone(), id.clone());
        to_the_end(async move { core.update_caller(by, &id, update).await }).await
    }

    /// Makes a token for a caller. Whoever has it made sees it, and could use it: so they hold what the caller was given.
    pub async fn issue_token(
        &self,
        by: Giver,
        id: &CallerId,
        expires: Option<Timestamp>,
    ) -> Result<IssuedToken, Refusal> {
        let (core, id) = (self.0.clone(), id.clone());
        to_the_end(async move {
            let now = core.clock.now().wall;
            ahead(expires, now)?;
            let mut tx = core.store.begin("issue_token").await?;
            let (held, mut caller) = core.to_change(&mut *tx, by, &id).await?;
            held.gives(&caller.grants)?;
            let slot = caller.free_slot(now).ok_or_else(|| Refusal::because(Reason::CallerTokensInUse))?;
            let random: Zeroizing<[u8; TOKEN_BYTES]> = Zeroizing::new(random(&*core.entropy));
            let token = Zeroizing::new(format!("byokd_{}", *Zeroizing::new(hex::encode(*random))));
            let (sha256, issued_by, issued_at) = (token_hash(&token), held.actor().to_owned(), now);
            caller.tokens[slot.index()] = Some(StoredToken { sha256, issued_by, issued_at, expires });
            let changes = vec![(CallerChange::TokenIssued(slot, expires), Vec::new())];
            let caller = core.write_caller(tx, held.changes(caller, now), changes, &[]).await?;
            Ok(IssuedToken { caller, slot, token })
        })
        .await
    }

    /// Takes a token away.
    pub async fn remove_token(&self, by: Giver, id: &CallerId, slot: TokenSlot) -> Result<StoredCaller, Refusal> {
        let (core, id) = (self.0.clone(), id.clone());
        to_the_end(async move {
            let now = core.clock.now().wall;
            let mut tx = core.store.begin("remove_token").await?;
            let (held, before) = core.to_change(&mut *tx, by, &id).await?;
            let mut caller = before.clone();
            if caller.tokens[slot.index()].take().is_none() {
                return Err(Refusal::because(Reason::RequestInvalid).detail("the caller has no token in this slot"));
            }
            core.one_is_left(&mut *tx, &before, &caller, now).await?;
            let changes = vec![(CallerChange::TokenRemoved(slot), Vec::new())];
            core.write_caller(tx, held.changes(caller, now), changes, &[]).await
        })
        .await
    }

    /// Deletes a caller: it is refused from now on, here at once, and its id is never given out again.
    pub async fn delete_caller(&self, by: Giver, id: &CallerId) -> Result<(), Refusal> {
        let (core, id) = (self.0.clone(), id.clone());
        to_the_end(async move {
            let now = core.clock.now().wall;
            let mut tx = core.store.begin("delete_caller").await?;
            let (held, before) = core.to_change(&mut *tx, by, &id).await?;
            held.is_another(&id)?;
            let (had, gone) = (before.grants.clone(), before.clone().delete(held.actor(), now));
            core.one_is_left(&mut *tx, &before, &gone, now).await?;
            core.write_caller(tx, gone, vec![(CallerChange::Deleted, Vec::new())], &had).await.map(drop)
        })
        .await
    }

    /// Reads one caller, by its id or its name in the configuration.
    pub async fn read_caller(
        &self,
        _permit: &Permit<permission::ReadCallers>,
        name: &str,
    ) -> Result<ListedCaller, Refusal> {
        if let Some(configured) = self.0.configured_callers().into_iter().find(|configured| configured.name == name) {
            return Ok(ListedCaller::Configured(configured));
        }
        let id: CallerId = name.parse().map_err(|_| not_found())?;
        let found = self.0.store.caller(&id).await?.filter(|caller| caller.deleted_at.is_none());
        found.map(|caller| ListedCaller::Stored(Box::new(caller))).ok_or_else(not_found)
    }

    /// Lists callers: those of the configuration first, then the database's by id, from after `after`. `page`: 1 to 1,000 entries of
    /// the database, 100 if absent.
    pub async fn list_callers(
        &self,
        _permit: &Permit<permission::ReadCallers>,
        after: Option<&CallerId>,
        page: Option<usize>,
    ) -> Result<CallerPage, Refusal> {
        let page = page_size(page);
        let (stored, more) = cut(self.0.store.callers(after, page + 1).await?, page);
        let next = stored.last().filter(|_| more).map(|last| last.id.clone());
        let configured = if after.is_none() { self.0.configured_callers() } else { Vec::new() };
        let configured = configured.into_iter().map(ListedCaller::Configured);
        let callers = configured.chain(stored.into_iter().map(|caller| ListedCaller::Stored(Box::new(caller)))).collect();
        Ok(CallerPage { callers, next })
    }
}

/// Somebody who changes callers, with what they hold now.
struct Held {
    by: Giver,
    /// As the database has it in this transaction; absent: they are not one of its callers.
    now: Option<Vec<Grant>>,
    unchecked: bool,
}

impl Held {
    fn actor(&self) -> &str {
        self.by.actor()
    }

    fn gives(&self, grants: &[Grant]) -> Result<(), Refusal> {
        let held = |grant: &Grant| self.by.may_give(grant) && self.now.as_ref().is_none_or(|now| covers(now, grant));
        match grants.iter().find(|grant| !held(grant)) {
            Some(grant) if !self.unchecked => Err(Refusal::because(Reason::GrantNotHeld).detail(grant.to_string())),
            Some(_) | None => Ok(()),
        }
    }

    fn is_another(&self, id: &CallerId) -> Result<(), Refusal> {
        if self.actor() == id.as_str() { Err(Refusal::because(Reason::CallerIsYourself)) } else { Ok(()) }
    }

    fn changes(&self, caller: StoredCaller, at: Timestamp) -> StoredCaller {
        StoredCaller { changed_by: self.actor().to_owned(), changed_at: at, ..caller }
    }
}

impl Core {
    fn configured_callers(&self) -> Vec<ConfiguredCaller> {
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

    fn is_configured(&self, name: &str) -> bool {
        self.configured.get().into_iter().flatten().any(|configured| configured.name == name)
    }

    fn free_certificate(&self, wanted: Option<&CertificateName>) -> Result<(), Refusal> {
        let taken = wanted.is_some_and(|wanted| {
            self.configured.get().into_iter().flatten().any(|configured| configured.certificate.as_ref() == Some(wanted))
        });
        if taken { Err(Refusal::because(Reason::CallerCertificateTaken)) } else { Ok(()) }
    }

    /// Grants that were taken away since they came in count no more.
    async fn held(&self, tx: &mut dyn Transaction, by: Giver) -> Result<Held, Refusal> {
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

    async fn to_change(
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

    async fn update_caller(&self, by: Giver, id: &CallerId, update: UpdateCaller) -> Result<StoredCaller, Refusal> {
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
    async fn one_is_left(
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
    async fn write_caller(
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

fn ahead(expires: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
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

fn distinct(grants: Vec<Grant>) -> Vec<Grant> {
    let mut seen: Vec<Grant> = Vec::with_capacity(grants.len());
    for grant in grants {
        if !seen.contains(&grant) {
            seen.push(grant);
        }
    }
    seen
}

fn few(grants: &[Grant]) -> Result<(), Refusal> {
    if grants.len() > Caller::MOST_GRANTS {
        let what = "a caller has at most 100 grants: give roles, or patterns such as acme-*, instead of single ones";
        return Err(Refusal::because(Reason::RequestInvalid).detail(what));
    }
    Ok(())
}
