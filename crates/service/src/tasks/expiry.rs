//! Says in time that credentials will expire: those of customers' registrations, and the platform's own certificate.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::audit::{AuditEvent, AuditKind};
use domain::credential::{CredentialEvent, Integration, is_news, notice_at};
use domain::{Timestamp, WorkspaceId};
use tokio::time::{MissedTickBehavior, interval};

use crate::core::Core;
use crate::figures;
use crate::keys::lock;
use crate::keys::vault_call::SERVICE;
use crate::options::MOST_PAGE;
use crate::{Refusal, Service};

/// How often it is looked: the last notice is a day ahead.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// The certificate that the platform's own app shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformCertificate {
    /// SHA-256 over its DER.
    pub thumbprint: [u8; 32],
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Of which workspaces a figure says when their credentials end: one that is no more is not left with its last value.
#[derive(Default)]
pub(crate) struct ExpiryTold(Mutex<HashSet<WorkspaceId>>);

impl ExpiryTold {
    fn tell(&self, found: &Integration, now: Timestamp) {
        figures::credentials_end(&found.workspace, found.live().map(|credential| credential.expires_at), now);
        lock(&self.0).insert(found.workspace.clone());
    }

    fn forget_all_but(&self, live: &HashSet<WorkspaceId>, now: Timestamp) {
        lock(&self.0).retain(|workspace| {
            let stays = live.contains(workspace);
            if !stays {
                figures::credentials_end(workspace, std::iter::empty(), now);
            }
            stays
        });
    }
}

impl Service {
    /// Looks every hour for as long as the process lives. `own` is the platform's certificate, where it has one.
    pub async fn keep_noticing_expiry(self: Arc<Self>, own: Option<PlatformCertificate>) {
        let mut turns = interval(LOOK);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            if let Err(refusal) = self.notice_expiry(own).await {
                tracing::warn!(why = %refusal.for_log(), "it could not be looked which credentials expire");
            }
        }
    }

    /// One turn: each notice that is due and was not given is given, in the ledger and in the log. Which were given stands in the
    /// credential's own row, written in the same transaction, so that no replica and no restart gives one again.
    pub async fn notice_expiry(&self, own: Option<PlatformCertificate>) -> Result<(), Refusal> {
        if let Some(own) = own {
            figures::platform_certificate_ends(own.expires_at, self.0.clock.now().wall);
            self.0.notice_own(own).await?;
        }
        let mut after: Option<WorkspaceId> = None;
        let mut live = HashSet::new();
        loop {
            let page = self.0.store.workspaces(after.as_ref(), MOST_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for workspace in page {
                if let Err(refusal) = self.0.notice_of(&workspace.id).await {
                    let why = refusal.for_log();
                    tracing::warn!(workspace = %workspace.id, %why, "a workspace's credentials were not looked at");
                }
                live.insert(workspace.id);
            }
        }
        self.0.expiry_told.forget_all_but(&live, self.0.clock.now().wall);
        Ok(())
    }
}

impl Core {
    async fn notice_of(&self, workspace: &WorkspaceId) -> Result<(), Refusal> {
        let due = |found: &domain::credential::Integration, now| found.notices_due(now);
        let Some(found) = self.store.integration(workspace).await? else { return Ok(()) };
        let now = self.clock.now().wall;
        self.expiry_told.tell(&found, now);
        if due(&found, now).is_empty() {
            return Ok(());
        }
        let mut tx = self.store.begin("notice_expiry").await?;
        let now = self.clock.now().wall;
        // Another replica may have been quicker.
        let Some(found) = tx.integration(workspace).await? else { return Ok(()) };
        let notices = due(&found, now);
        if notices.is_empty() {
            return Ok(());
        }
        let event = |notice: &domain::credential::Notice| CredentialEvent::Expires {
            credential: notice.credential,
            days: notice.days,
            at: notice.expires_at,
        };
        let events = notices.iter().map(event).collect();
        let next = found.noticed(&notices, now);
        self.commit_integration(tx, next, SERVICE, events).await?;
        for notice in notices {
            let (credential, days, at) = (notice.credential, notice.days, notice.expires_at);
            tracing::warn!(%workspace, %credential, days, %at, "a credential of the customer's app registration expires");
        }
        Ok(())
    }

    /// The platform's chain says which notices were given about which certificate. Two replicas that look in the same moment may
    /// both give one.
    async fn notice_own(&self, own: PlatformCertificate) -> Result<(), Refusal> {
        let PlatformCertificate { thumbprint, expires_at } = own;
        let now = self.clock.now().wall;
        let Some(days) = notice_at(expires_at, now) else { return Ok(()) };
        tracing::warn!(days, %expires_at, "the platform's own certificate for customers' directories expires");
        let last = self.store.newest_event(None, Some(CredentialEvent::PLATFORM_NOTICE)).await?;
        let given = last.and_then(|event| {
            let detail = |name: &str| event.details.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            let same = detail("thumbprint")? == CredentialEvent::spell(&thumbprint);
            if same { detail("days")?.parse::<u16>().ok() } else { None }
        });
        if !is_news(days, given) {
            return Ok(());
        }
        let what = CredentialEvent::PlatformCertificateExpires { thumbprint, days, at: expires_at };
        let event =
            AuditEvent { workspace: None, at: now, actor: SERVICE.to_owned(), what: AuditKind::Credential(what) };
        Ok(self.store.record(event).await?)
    }
}
