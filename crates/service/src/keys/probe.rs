//! How a key version is asked about: one unwrap of a fresh challenge, whose success renews every data key under the version.
//!
//! Reading a key proves nothing about the right to unwrap, and a stored canary could be answered from memory: the challenge is
//! drawn anew each time and sealed here with the public half that was recorded.

use std::sync::Arc;
use std::time::Duration;

use domain::ledger::Purpose;
use domain::{KeyVersion, KeyVersionId};
use futures::future::join;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use vault::challenge::{Challenge, ChallengeKey};
use vault::{AnswerFault, Class, KeyUnavailable, Trace};

use super::flight::Flight;
use super::standing::WorkspaceState;
use super::table::NotAdmitted;
use super::vault_call::{At, Budget};
use super::{Failure, Standing, lock};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// Where a version is asked about, and with which public half.
pub(crate) struct Target {
    at: At,
    key: ChallengeKey,
    /// In which epoch of its workspace it was read.
    epoch: u64,
}

impl Core {
    /// Asks about a version, or joins an asking that is under way. `done` is asked once more before beginning.
    pub(crate) async fn ask_about(
        self: &Arc<Self>,
        workspace: &Arc<WorkspaceState>,
        version: KeyVersionId,
        done: impl FnOnce() -> bool,
    ) -> Result<(), Failure> {
        let flight = Flight::Renew(workspace.id.clone(), version);
        let work = || {
            let (core, workspace) = (self.clone(), workspace.clone());
            async move { core.probe(&workspace, version).await }
        };
        self.flights.join(flight, workspace.denials(), done, work).await
    }

    /// After a denial nothing but probes goes to the vault, until two of them succeeded: a request that meets one asks about the
    /// version if nobody has for a while, and is refused with the denial's own reason.
    pub(crate) async fn past_denial(
        self: &Arc<Self>,
        workspace: &Arc<WorkspaceState>,
        version: KeyVersionId,
    ) -> Result<(), Failure> {
        let Some((_, asked_at)) = self.table.denial(workspace, version) else { return Ok(()) };
        lock(&workspace.held).lease(version).use_it();
        let again = self.clock.now().since(asked_at) >= self.options.probe_again;
        if again && !self.bugs.has(SeededBug::NeverAskedAgain) {
            // What it finds out is in the table: a failure of another kind leaves the denial as it is.
            let _ = self.ask_about(workspace, version, || false).await;
        }
        match self.table.denial(workspace, version) {
            None => Ok(()),
            Some((why, _)) => Err(Failure::Vault(why)),
        }
    }

    /// One probe. A success counts from the asking (I-7), and only if no denial came in between (I-9).
    async fn probe(&self, workspace: &WorkspaceState, version: KeyVersionId) -> Result<(), Failure> {
        let budget = self.budget();
        let target = match self.target(workspace, version, &budget).await {
            Ok(target) => target,
            Err(failure) => {
                // The version was not asked about: what is left of its lease decides.
                lock(&workspace.held).lease(version).settle();
                return Err(failure);
            }
        };
        let denied = self.table.denial(workspace, version).is_some();
        let asked = join(
            self.ask_challenge(workspace, &target, &budget),
            self.ask_around(workspace, &target.at, denied, &budget),
        );
        let (answer, around) = asked.await;
        match around.and(answer) {
            Ok(proof) => match self.table.renew(workspace, proof) {
                Ok(()) => Ok(()),
                Err(NotAdmitted::Denied(why)) => Err(Failure::Vault(why)),
                Err(NotAdmitted::Moved) => Err(Failure::TooLate),
            },
            Err(why) => {
                match why.class() {
                    // Noted already, with everything that follows from it.
                    Class::Denied | Class::Gone => {}
                    Class::Transient | Class::Ours => {
                        self.table.not_answered(workspace, version, &why, self.clock.now());
                    }
                }
                Err(Failure::Vault(why))
            }
        }
    }

    async fn ask_challenge(
        &self,
        workspace: &WorkspaceState,
        target: &Target,
        budget: &Budget<'_>,
    ) -> Result<super::table::Proof, KeyUnavailable> {
        let _place = self.probe_place(workspace, budget).await?;
        let invalid = || KeyUnavailable::AnswerInvalid { fault: AnswerFault::OtherKey, trace: Trace::default() };
        let challenge = Challenge::draw(&*self.entropy)?;
        let blob = target.key.seal(&challenge).ok_or_else(invalid)?;
        self.charge(&target.at);
        let (answer, proof) = self.unwrap_in_place(workspace, &target.at, &blob, Purpose::Probe, budget).await?;
        if challenge.is_answered_by(&answer) || self.bugs.has(SeededBug::ChallengeNotCompared) {
            return Ok(proof);
        }
        let (workspace, version) = (&workspace.id, target.at.version);
        tracing::error!(%workspace, %version, "a vault answered a challenge with something else");
        Err(invalid())
    }

    async fn probe_place<'a>(
        &'a self,
        workspace: &'a WorkspaceState,
        budget: &Budget<'_>,
    ) -> Result<SemaphorePermit<'a>, KeyUnavailable> {
        if self.bugs.has(SeededBug::ProbesQueue) {
            return self.place(workspace, budget).await;
        }
        let left: Duration = budget.left();
        match timeout(left, workspace.probe_lane.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(KeyUnavailable::TimedOut { waited: left }),
        }
    }

    /// What is recorded of a version. Read once for each change of the workspace; where the store cannot be read, what was
    /// read before is good enough to ask with.
    async fn target(
        &self,
        workspace: &WorkspaceState,
        version: KeyVersionId,
        budget: &Budget<'_>,
    ) -> Result<Arc<Target>, Failure> {
        let (epoch, known) = {
            let mut held = lock(&workspace.held);
            (workspace.epoch(), held.version(version).target.clone())
        };
        match known {
            Some(known) if known.epoch == epoch => Ok(known),
            known => match self.read_target(workspace, version, epoch, budget).await {
                Ok(read) => {
                    let read = Arc::new(read);
                    lock(&workspace.held).version(version).target = Some(read.clone());
                    Ok(read)
                }
                Err(Failure::Store(_) | Failure::StoreSlow) if known.is_some() => known.ok_or(Failure::StoreSlow),
                Err(failure) => Err(failure),
            },
        }
    }

    /// Keeps what was just read of a version: it can then be asked about while the store cannot be read.
    pub(crate) fn remember_target(&self, standing: &Standing, at: &At, recorded: &KeyVersion) {
        let mut held = lock(&standing.workspace.held);
        let version = held.version(recorded.id);
        if version.target.as_ref().is_some_and(|known| known.epoch == standing.epoch) {
            return;
        }
        let epoch = standing.epoch;
        let target = ChallengeKey::of(recorded).map(|key| Target { at: at.clone(), key, epoch });
        version.target = target.map(Arc::new);
    }

    async fn read_target(
        &self,
        workspace: &WorkspaceState,
        version: KeyVersionId,
        epoch: u64,
        budget: &Budget<'_>,
    ) -> Result<Target, Failure> {
        let config = self.stored(budget, self.store.key_config(&workspace.id)).await?.ok_or(Failure::NotFound)?;
        let recorded = self.stored(budget, self.store.key_version(&workspace.id, version)).await?;
        let recorded = recorded.ok_or(Failure::Corrupt("a key version in use was never recorded"))?;
        let key = ChallengeKey::of(&recorded).ok_or(Failure::Corrupt("a recorded public key is none"))?;
        let as_whom = self.as_whom(&workspace.id, budget).await?;
        Ok(Target { at: At::of(&config, &recorded, as_whom), key, epoch })
    }
}
