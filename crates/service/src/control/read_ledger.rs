//! Reading a chain: pages of it, all of it with a signed end, and its checkpoints.

use std::sync::Arc;

use domain::Reason;
use domain::WorkspaceId;
use domain::ledger::{ChainName, START, SignedCheckpoint};
use domain::permission::{self, Action, Permit, Target};
use store::RecordedEvent;

use super::{cut, not_found, page_size, wrong_target};
use crate::core::Core;
use crate::options::EXPORT_PAGE;
use crate::{Refusal, Service};

/// Bytes of events in one answer.
const MOST_BYTES: usize = 2 << 20;

/// Some events of a chain, oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<RecordedEvent>,
    /// The number after which the next page begins; absent on the last.
    pub next: Option<u64>,
}

/// An export under way: everything up to where the chain ended when it was begun.
pub struct LedgerPages {
    core: Arc<Core>,
    chain: Option<WorkspaceId>,
    after: u64,
    end: (u64, [u8; 32]),
    behind: bool,
    closed: bool,
}

/// A piece of an export.
pub enum LedgerPage {
    /// Events, oldest first.
    Events(Vec<RecordedEvent>),
    /// The last.
    End {
        /// Where the chain ended.
        signed: SignedCheckpoint,
        /// Whether this replica's own latest events could not be written before, and are not in it.
        behind: bool,
    },
}

impl Service {
    /// Events with a number above `after`.
    pub async fn list_events(
        &self,
        permit: &Permit<permission::ReadAudit>,
        after: u64,
        page: Option<usize>,
    ) -> Result<EventPage, Refusal> {
        let chain = self.0.chain(permit).await?;
        self.0.write_journal_for_reading(chain.as_ref()).await;
        let page = page_size(page);
        let (mut events, more) = cut(self.0.store.audit(chain.as_ref(), after, page + 1).await?, page);
        let more = fit(&mut events) || more;
        let next = events.last().filter(|_| more).map(|last| last.seq);
        Ok(EventPage { events, next })
    }

    /// Begins an export of the events with a number above `after`.
    pub async fn export_events(
        &self,
        permit: &Permit<permission::ReadAudit>,
        after: u64,
    ) -> Result<LedgerPages, Refusal> {
        let chain = self.0.chain(permit).await?;
        let behind = !self.0.write_journal_for_reading(chain.as_ref()).await;
        let end = self.0.store.newest_event(chain.as_ref(), None).await?;
        let end = end.map_or((0, START), |end| (end.seq, end.hash));
        if after > end.0 {
            return Err(Refusal::because(Reason::RequestInvalid).detail("the chain has no event of this number yet"));
        }
        Ok(LedgerPages { core: self.0.clone(), chain, after, end, behind, closed: false })
    }

    /// A chain's newest checkpoint.
    pub async fn newest_checkpoint(&self, permit: &Permit<permission::ReadAudit>) -> Result<SignedCheckpoint, Refusal> {
        let chain = self.0.chain(permit).await?;
        let none = || not_found().detail("this chain has no checkpoint yet");
        self.0.newest_checkpoint_of(chain.as_ref()).await?.ok_or_else(none)
    }

    /// Has it signed how far a chain has come now.
    pub async fn make_checkpoint(
        &self,
        permit: &Permit<permission::MakeCheckpoint>,
    ) -> Result<SignedCheckpoint, Refusal> {
        let chain = self.0.chain(permit).await?;
        self.0.write_journal_for_reading(chain.as_ref()).await;
        // One that says so already is not said again: whoever asks all the time writes nothing.
        let end = self.0.store.newest_event(chain.as_ref(), None).await?;
        if end.is_some_and(|end| end.name == SignedCheckpoint::EVENT)
            && let Some(signed) = self.0.newest_checkpoint_of(chain.as_ref()).await?
        {
            return Ok(signed);
        }
        Ok(self.0.checkpoint(chain.as_ref(), permit.actor()).await?)
    }
}

impl LedgerPages {
    /// The chain's name.
    pub fn chain(&self) -> ChainName {
        ChainName::of(self.chain.clone())
    }

    /// The installation.
    pub fn cluster(&self) -> [u8; 16] {
        self.core.store.cluster().0
    }

    /// The key that the end will be signed by.
    pub fn public_key(&self) -> [u8; 32] {
        self.core.platform.checkpoint_key()
    }

    /// The next piece; `None` after the end.
    pub async fn next(&mut self) -> Result<Option<LedgerPage>, Refusal> {
        if self.closed {
            return Ok(None);
        }
        if self.after < self.end.0 {
            let mut events = self.core.store.audit(self.chain.as_ref(), self.after, EXPORT_PAGE).await?;
            events.retain(|event| event.seq <= self.end.0);
            fit(&mut events);
            if let Some(last) = events.last() {
                self.after = last.seq;
                return Ok(Some(LedgerPage::Events(events)));
            }
            return Err(store::StoreError::ChainBroken { workspace: self.chain.clone(), seq: self.after + 1 }.into());
        }
        self.closed = true;
        let signed = self.core.sign(self.chain.as_ref(), self.end);
        Ok(Some(LedgerPage::End { signed, behind: self.behind }))
    }
}

/// Cuts a page down to what one answer holds, and says whether something was cut off. One event always stays.
fn fit(events: &mut Vec<RecordedEvent>) -> bool {
    let size = |event: &RecordedEvent| {
        let details: usize = event.details.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
        details + event.actor.len() + event.name.len() + 128
    };
    let mut room = MOST_BYTES;
    let holds = |event: &&RecordedEvent| {
        let fits = size(event) <= room;
        room = room.saturating_sub(size(event));
        fits
    };
    let count = events.iter().take_while(holds).count().max(1);
    let cut = count < events.len();
    events.truncate(count);
    cut
}

impl Core {
    async fn newest_checkpoint_of(
        &self,
        chain: Option<&WorkspaceId>,
    ) -> Result<Option<SignedCheckpoint>, store::StoreError> {
        let event = self.store.newest_event(chain, Some(SignedCheckpoint::EVENT)).await?;
        let (cluster, name) = (self.store.cluster().0, ChainName::of(chain.cloned()));
        Ok(event.and_then(|event| SignedCheckpoint::from_details(cluster, name, &event.details)))
    }

    /// The chain that a permission is for. A deleted workspace's is there for ever; one that never was, is not.
    async fn chain<A: Action>(&self, permit: &Permit<A>) -> Result<Option<WorkspaceId>, Refusal> {
        match permit.target() {
            Target::Platform => Ok(None),
            Target::Workspace(workspace) => {
                self.store.workspace(workspace).await?.ok_or_else(not_found)?;
                Ok(Some(workspace.clone()))
            }
            Target::App(..) => Err(wrong_target("the permission is not for a chain")),
        }
    }
}
