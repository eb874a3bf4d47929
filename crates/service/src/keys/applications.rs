//! As whom each workspace's directory and vault are asked: the platform's app, or its own registration with the opened credential.
//!
//! What decides is the workspace's authenticated row, read once for each change of it. Where it cannot be read or its secret cannot
//! be opened, nobody is asked at all: a workspace that chose its own registration is never quietly asked for as the platform.

use std::collections::HashMap;
use std::sync::Mutex;

use domain::WorkspaceId;
use domain::credential::{Credential, Integration, IntegrationModel};
use vault::{Application, RegisteredApp};

use super::vault_call::Budget;
use super::{Failure, lock};
use crate::core::Core;
use crate::seeded_bug::SeededBug;

/// What was read of workspaces' integrations.
#[derive(Default)]
pub(crate) struct Applications(Mutex<HashMap<WorkspaceId, Known>>);

#[derive(Default)]
struct Known {
    /// What was read last.
    application: Option<Application>,
    /// Whether nothing changed since.
    current: bool,
    /// Counts the changes: what was begun to be read before one is not kept after it.
    changes: u64,
}

impl Applications {
    /// Something about the workspace's credentials changed: it is read anew.
    pub(crate) fn changed(&self, workspace: &WorkspaceId) {
        let mut known = lock(&self.0);
        let known = known.entry(workspace.clone()).or_default();
        known.current = false;
        known.changes += 1;
    }

    /// What is kept of a workspace that is no more: its opened credential is wiped. That it changed stays known: what was begun to
    /// be read before is not kept.
    pub(crate) fn forget(&self, workspace: &WorkspaceId) {
        if let Some(known) = lock(&self.0).get_mut(workspace) {
            *known = Known { application: None, current: false, changes: known.changes + 1 };
        }
    }

    /// What is known, if it is current; else how many changes there were, and what was known before.
    pub(super) fn known(&self, workspace: &WorkspaceId) -> Result<Application, (u64, Option<Application>)> {
        let mut known = lock(&self.0);
        let known = known.entry(workspace.clone()).or_default();
        match &known.application {
            Some(application) if known.current => Ok(application.clone()),
            before => Err((known.changes, before.clone())),
        }
    }

    fn learn(&self, workspace: &WorkspaceId, application: &Application, changes: u64) {
        let mut known = lock(&self.0);
        let known = known.entry(workspace.clone()).or_default();
        if known.changes == changes {
            known.application = Some(application.clone());
            known.current = true;
        }
    }
}

impl Core {
    /// As whom this workspace's directory and vault are asked now.
    pub(crate) async fn as_whom(&self, workspace: &WorkspaceId, budget: &Budget<'_>) -> Result<Application, Failure> {
        let (changes, before) = match self.applications.known(workspace) {
            Ok(application) => return Ok(application),
            Err(unknown) => unknown,
        };
        let integration = self.stored(budget, self.store.integration(workspace)).await?;
        let application = match self.application_of(integration.as_ref(), before) {
            Err(_) if self.bugs.has(SeededBug::PlatformAppInstead) => Application::Platform,
            read => read.inspect_err(|failure| {
                tracing::error!(%workspace, %failure, "the workspace's own registration cannot be used, and nobody is asked instead");
            })?,
        };
        self.applications.learn(workspace, &application, changes);
        Ok(application)
    }

    fn application_of(
        &self,
        integration: Option<&Integration>,
        before: Option<Application>,
    ) -> Result<Application, Failure> {
        let Some(integration) = integration else { return Ok(Application::Platform) };
        match integration.model() {
            None => Err(Failure::Corrupt("the credential in use is not among the workspace's")),
            Some(IntegrationModel::Platform) => Ok(Application::Platform),
            Some(IntegrationModel::CustomerRegistration(credential)) => match before {
                // The same opening: its tokens stay good.
                Some(Application::Registered(app)) if app.credential() == credential.id => {
                    Ok(Application::Registered(app))
                }
                _ => self.open_credential(&integration.workspace, credential).map(Application::Registered),
            },
        }
    }

    /// Opens a credential's secret part: for this workspace's row and no other's.
    pub(crate) fn open_credential(
        &self,
        workspace: &WorkspaceId,
        credential: &Credential,
    ) -> Result<RegisteredApp, Failure> {
        Ok(RegisteredApp::open(&self.platform, workspace, credential)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reading that a change or a deletion overtook is not kept: a credential that was opened for it is wiped with it.
    #[test]
    fn what_was_begun_to_be_read_before_a_change_is_not_kept() {
        let acme: WorkspaceId = "acme".parse().unwrap();
        for overtakes in [Applications::changed, Applications::forget] {
            let applications = Applications::default();
            for _ in 0..2 {
                let Err((begun, _)) = applications.known(&acme) else { panic!("nothing was read yet") };
                overtakes(&applications, &acme);
                applications.learn(&acme, &Application::Platform, begun);
                assert!(matches!(applications.known(&acme), Err((_, None))));
            }
            let Err((begun, _)) = applications.known(&acme) else { panic!("nothing was kept yet") };
            applications.learn(&acme, &Application::Platform, begun);
            assert!(applications.known(&acme).is_ok());
            overtakes(&applications, &acme);
            assert!(applications.known(&acme).is_err());
        }
    }
}
