//! Testing a key's configuration: every step from the vault's name to a decrypted payload, told as it happens, and kept.
//!
//! | file | question |
//! |---|---|
//! | `target` | which configuration is tested |
//! | `run` | in which order, how long, and what is kept of it |
//! | `verdict` | how a step ends |
//! | `command` | what can be pasted to mend it |
//! | `way` | is the vault there, is it the right directory's, and does it let us in |
//! | `ownership` | is the vault this workspace's, and what may be told before that is known |
//! | `key` | is the key fit |
//! | `wrapping` | does it wrap, unwrap and refuse what was tampered with |
//! | `data_path` | does a payload come back |

mod command;
mod data_path;
mod key;
mod ownership;
mod run;
mod target;
mod verdict;
mod way;
mod wrapping;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use domain::key_test::{Step, StepResult};
use domain::permission::{self, Permit};
use domain::{KeyTest, Reason, WorkspaceId};
use tokio::sync::mpsc;

pub use ownership::TAG as OWNERSHIP_TAG;

use super::{not_found, workspace_of};
use crate::core::Core;
use crate::keys::lock;
use crate::keys::vault_call::SERVICE;
use crate::options::{MOST_PAGE, USUAL_PAGE};
use crate::{Refusal, Service};

/// Every event of a test fits: nobody who reads slowly, or no more, holds it up.
const EVENTS: usize = 2 * Step::ALL.len() + 2;

/// Which configuration to test: the workspace's own, or one that is only thought of.
#[derive(Debug, Clone, Default)]
pub struct TestConfiguration {
    /// A Key Identifier, or a vault's URI together with `key_name`. Absent: the workspace's own configuration.
    pub key_identifier: Option<String>,
    /// With a vault's URI.
    pub key_name: Option<String>,
    /// The Entra tenant, in the words of [`ConfigureKey`](crate::ConfigureKey); with `key_identifier`.
    pub tenant_id: Option<String>,
}

/// What happens in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TestEvent {
    /// A step begins.
    Started(Step),
    /// A step ended, or is not run because one before it did not pass.
    Ended(StepResult),
    /// All is over and in the history.
    Finished(KeyTest),
}

/// A test under way. It runs to its end and into the history whether anybody reads or not.
pub struct TestRun {
    events: mpsc::Receiver<Result<TestEvent, Refusal>>,
    over: bool,
}

impl TestRun {
    /// The next event; `None` after [`TestEvent::Finished`] or a refusal.
    pub async fn next(&mut self) -> Result<Option<TestEvent>, Refusal> {
        if self.over {
            return Ok(None);
        }
        let event = self.events.recv().await;
        self.over = !matches!(event, Some(Ok(TestEvent::Started(_) | TestEvent::Ended(_))));
        match event {
            Some(event) => event.map(Some),
            // The test panicked: nothing of it is in the history.
            None => Err(Refusal::because(Reason::Internal).detail("the test broke off")),
        }
    }
}

impl Service {
    /// Begins a test. One workspace has one under way at a time: each costs its vault a dozen calls.
    pub async fn test_configuration(
        &self,
        permit: &Permit<permission::TestKey>,
        request: TestConfiguration,
    ) -> Result<TestRun, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        let target = core.watching(core.target_of(&workspace, &request).await)?;
        let turn = core.tests.begin(&workspace).ok_or_else(|| {
            Refusal::because(Reason::QuotaExceeded).detail("a test of this workspace's key is under way")
        })?;
        let history = core.store.key_tests(&workspace, MOST_PAGE).await?;
        let (sender, events) = mpsc::channel(EVENTS);
        tokio::spawn(async move {
            let outcome = core.run_test(target, &history, &actor, &sender).await;
            // Whoever hears the end may begin the next at once.
            drop(turn);
            let _ = sender.try_send(outcome);
        });
        Ok(TestRun { events, over: false })
    }

    /// The tests of a workspace's configurations, newest first. `page`: 1 to 1,000, 100 if absent.
    pub async fn list_key_tests(
        &self,
        permit: &Permit<permission::ReadKey>,
        page: Option<usize>,
    ) -> Result<Vec<KeyTest>, Refusal> {
        let workspace = workspace_of(permit)?;
        let found = self.0.store.workspace(&workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let limit = page.filter(|size| *size > 0).unwrap_or(USUAL_PAGE).min(MOST_PAGE);
        Ok(self.0.store.key_tests(&workspace, limit).await?)
    }
}

impl Core {
    /// Tests the workspace's own configuration for the service itself. `None`: one is under way here, whose result will do.
    pub(crate) async fn test_own_configuration(
        self: &Arc<Self>,
        workspace: &WorkspaceId,
    ) -> Result<Option<KeyTest>, Refusal> {
        let target = self.target_of(workspace, &TestConfiguration::default()).await?;
        let Some(_turn) = self.tests.begin(workspace) else { return Ok(None) };
        let history = self.store.key_tests(workspace, MOST_PAGE).await?;
        let (sender, _events) = mpsc::channel(EVENTS);
        match self.run_test(target, &history, SERVICE, &sender).await? {
            TestEvent::Finished(test) => Ok(Some(test)),
            TestEvent::Started(_) | TestEvent::Ended(_) => Ok(None),
        }
    }
}

/// Which workspaces have a test under way in this process.
#[derive(Default, Clone)]
pub(crate) struct Tests(Arc<Mutex<HashSet<WorkspaceId>>>);

/// A workspace's turn; it ends when this is dropped, in a panic too.
struct Turn {
    tests: Tests,
    workspace: WorkspaceId,
}

impl Tests {
    fn begin(&self, workspace: &WorkspaceId) -> Option<Turn> {
        let mine = lock(&self.0).insert(workspace.clone());
        mine.then(|| Turn { tests: self.clone(), workspace: workspace.clone() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        lock(&self.tests.0).remove(&self.workspace);
    }
}
