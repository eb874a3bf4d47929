//! Callers that are kept in the database: making, changing, deleting and listing them.
//!
//! Nobody gives what they do not hold, by the grants they have when the change is written and not only when they came in. Taking away
//! needs no more than the right to change callers: whoever is on duty may shut anybody out.

use domain::audit::SERVICE;
use domain::caller::{CallerChange, StoredCaller, StoredToken, TokenSlot};
use domain::entropy::random;
use domain::permission::{self, Giver, Grant, Permit};
use domain::{CallerId, CertificateName, Reason, Timestamp};
use identity::{ConfiguredCaller, token_hash};
use zeroize::Zeroizing;

use super::change_caller::{ahead, distinct, few};
use super::{cut, not_found, page_size, to_the_end};
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
                return Err(
                    Refusal::because(Reason::QuotaExceeded).detail("there are 10,000 callers; delete some first")
                );
            }
            let (created_by, changed_by) = (held.actor().to_owned(), held.actor().to_owned());
            let (created_at, changed_at, deleted_at) = (now, now, None);
            let (tokens, disabled, hands) = ([None, None], false, vec![created_by.clone()]);
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
                hands,
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
            let (held, before) = core.to_change(&mut *tx, by, &id).await?;
            held.gives(&before.grants)?;
            let slot = before.free_slot(now).ok_or_else(|| Refusal::because(Reason::CallerTokensInUse))?;
            // Before a token takes an expired one's place: who issued that had a hand in it.
            let mut caller = held.changes(before, now);
            let random: Zeroizing<[u8; TOKEN_BYTES]> = Zeroizing::new(random(&*core.entropy));
            let token = Zeroizing::new(format!("byokd_{}", *Zeroizing::new(hex::encode(*random))));
            let (sha256, issued_by, issued_at) = (token_hash(&token), held.actor().to_owned(), now);
            caller.tokens[slot.index()] = Some(StoredToken { sha256, issued_by, issued_at, expires });
            let changes = vec![(CallerChange::TokenIssued(slot, expires), Vec::new())];
            let caller = core.write_caller(tx, caller, changes, &[]).await?;
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
            // Before the token goes: who issued it had a hand in it.
            let mut caller = held.changes(before.clone(), now);
            if caller.tokens[slot.index()].take().is_none() {
                return Err(Refusal::because(Reason::RequestInvalid).detail("the caller has no token in this slot"));
            }
            core.one_is_left(&mut *tx, &before, &caller, now).await?;
            let changes = vec![(CallerChange::TokenRemoved(slot), Vec::new())];
            core.write_caller(tx, caller, changes, &[]).await
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
        let callers =
            configured.chain(stored.into_iter().map(|caller| ListedCaller::Stored(Box::new(caller)))).collect();
        Ok(CallerPage { callers, next })
    }
}
