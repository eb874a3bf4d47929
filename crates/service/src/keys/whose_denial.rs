//! Whether a denial counts: what is about the key counts whoever asked, what is about who asked only if the workspace still calls so.
//!
//! A call that is under way when another credential comes into use ends with the one it began with, which its owner may take away
//! the moment after. A no to that one says nothing of the key under the other.

use std::time::Duration;

use tokio::time::timeout;
use vault::{Application, KeyUnavailable};

use super::lock;
use super::standing::WorkspaceState;
use super::table::Change;
use super::vault_call::{At, Budget};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// Who is in use is asked of the store, this long. A denial whose weight cannot be found out in this time has all of it.
const LOOK: Duration = Duration::from_secs(1);

/// How often a denial is judged, where the workspace changes meanwhile.
const ROUNDS: u32 = 4;

impl Core {
    /// Notes a denial: whether it is news. `None`, and nothing noted: it is about a credential, or the platform's app, that is not in
    /// use any more.
    pub(super) async fn deny(&self, workspace: &WorkspaceState, at: &At, why: &KeyUnavailable) -> Option<bool> {
        let mut round = 0;
        loop {
            round += 1;
            let epoch = workspace.epoch();
            if self.may_be_overtaken(why) && !self.is_in_use(workspace, &at.key.as_whom).await {
                return None;
            }
            // Judged and noted in one epoch: a switch in between has it judged once more. Not for ever: what was not yet taken for
            // another's no by then is a no.
            let judged_in = (why.is_about_who_asked() && round < ROUNDS).then_some(epoch);
            if let Some(news) = self.table.deny(workspace, at.version, why, self.clock.now(), judged_in) {
                return Some(news);
            }
        }
    }

    fn may_be_overtaken(&self, why: &KeyUnavailable) -> bool {
        match why.is_about_who_asked() {
            true => !self.bugs.has(SeededBug::DenialOfAnotherCounts),
            false => self.bugs.has(SeededBug::EveryDenialOvertaken),
        }
    }

    /// Whether the workspace calls as this application, by what is stored now: another replica may have gone over without this one
    /// having heard. A store that does not answer says yes: who is denied stays denied.
    async fn is_in_use(&self, workspace: &WorkspaceState, asked_as: &Application) -> bool {
        match timeout(LOOK, self.store.integration(&workspace.id)).await {
            Ok(Ok(integration)) => {
                let active = integration.and_then(|found| found.active);
                active
                    == match asked_as {
                        Application::Platform => None,
                        Application::Registered(app) => Some(app.credential()),
                    }
            }
            Ok(Err(_)) | Err(_) => true,
        }
    }

    /// The same version, asked for as who is in use. Nobody, where that one cannot be used.
    pub(super) async fn as_in_use(&self, workspace: &WorkspaceState, at: &At, budget: &Budget<'_>) -> Option<At> {
        if self.applications.known(&workspace.id).is_ok_and(|known| known == at.key.as_whom) {
            // Another replica went over, and this one has not heard of it.
            self.applications.changed(&workspace.id);
            self.table.changed(&workspace.id, Change::Application);
        }
        // Whether that one is let in is asked at once, whoever wants to know.
        lock(&workspace.held).version(at.version).probing.now();
        let as_whom = self.as_whom(&workspace.id, budget).await.ok()?;
        let key = vault::KeyRef { as_whom, ..at.key.clone() };
        Some(At { key, ..at.clone() })
    }
}
