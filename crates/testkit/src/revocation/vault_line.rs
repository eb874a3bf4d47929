//! A replica's line to the vault: it takes time, it can be cut, and it delivers nothing to a process that stands still.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::KeyVersionId;
use secmem::Secret;
use tokio::sync::watch;
use tokio::time::sleep;
use vault::memory::MemoryKeys;
use vault::{Class, CustomerKeys, KeyDescription, KeyRef, KeyUnavailable, Unwrapped, VersionListing, WrappedBlob};

use super::clock::Time;
use super::plan::{Dice, Trouble};

/// One replica's line.
pub(crate) struct VaultLine {
    pub(crate) vault: Arc<MemoryKeys>,
    pub(crate) time: Time,
    pub(crate) trouble: Trouble,
    /// When the event is.
    pub(crate) event: Duration,
    pub(crate) awake: watch::Receiver<bool>,
    pub(crate) dice: Mutex<Dice>,
    /// When the first denial was delivered.
    pub(crate) denied: Mutex<Option<Duration>>,
}

/// An answer is at the vault in so much and back in so much more.
const WAY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(60));
/// Calls that begin so shortly before the event are slow on their way back, where the plan says so.
const SLOW_FOR: Duration = Duration::from_secs(9);

impl VaultLine {
    pub(crate) fn denied(&self) -> Option<Duration> {
        *self.denied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn way(&self) -> Duration {
        self.dice.lock().unwrap_or_else(PoisonError::into_inner).between(WAY.0, WAY.1)
    }

    /// Waits for ever, or fails, where the line is cut.
    async fn pass(&self) -> Result<(), KeyUnavailable> {
        let now = self.time.passed();
        match self.trouble {
            Trouble::VaultCut { from, hang: true } if now >= from => std::future::pending().await,
            Trouble::VaultCut { from, hang: false } if now >= from => Err(KeyUnavailable::Unreachable),
            Trouble::SlowThenCut { .. } if now >= self.event + SLOW_FOR => std::future::pending().await,
            _ => Ok(()),
        }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, KeyUnavailable>> + Send) -> Result<T, KeyUnavailable> {
        sleep(self.way()).await;
        self.pass().await?;
        let arrived = self.time.passed();
        if matches!(self.trouble, Trouble::SlowThenCut { .. }) && arrived >= self.event {
            return std::future::pending().await;
        }
        let answer = call.await;
        let late = arrived < self.event && arrived + SLOW_FOR >= self.event;
        let back = match self.trouble {
            Trouble::SlowThenCut { back } if late => back,
            // Only the race's own first answer; the probes' are quick.
            Trouble::Race { back } if arrived < self.event && arrived + Duration::from_secs(2) >= self.event => back,
            _ => self.way(),
        };
        sleep(back).await;
        self.pass().await?;
        let _ = self.awake.clone().wait_for(|awake| *awake).await;
        if answer.as_ref().is_err_and(|why| matches!(why.class(), Class::Denied | Class::Gone)) {
            let now = self.time.passed();
            self.denied.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(now);
        }
        answer
    }
}

#[async_trait]
impl CustomerKeys for VaultLine {
    fn approach(&self) -> &dyn vault::Approach {
        self.vault.approach()
    }

    async fn describe(
        &self,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        deadline: Duration,
    ) -> Result<KeyDescription, KeyUnavailable> {
        self.call(self.vault.describe(at, version, deadline)).await
    }

    async fn prove_consent(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.call(self.vault.prove_consent(at, deadline)).await
    }

    async fn versions(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<VersionListing>, KeyUnavailable> {
        self.call(self.vault.versions(at, deadline)).await
    }

    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &Secret<{ vault::PAYLOAD_LEN }>,
        deadline: Duration,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        self.call(self.vault.wrap(at, version, payload, deadline)).await
    }

    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: Duration,
    ) -> Result<Unwrapped, KeyUnavailable> {
        self.call(self.vault.unwrap(at, version, blob, deadline)).await
    }
}
