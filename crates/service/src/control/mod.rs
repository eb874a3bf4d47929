//! Administration: workspaces, apps and bots, the customer's key, and the way out.
//!
//! Every change is decided inside one transaction, with its audit record (I-24), and runs to its end even if whoever asked for
//! it is gone. Memory changes after the database has, never before.

mod approvals;
mod apps;
mod callers;
mod change_caller;
mod check_key;
mod configure_key;
mod credentials;
mod destroy_data_key;
mod export_wrapped_keys;
mod key_health;
mod leave_customer_key;
pub(crate) mod life;
mod operations;
mod ownership;
mod read_coverage;
mod read_key;
mod read_ledger;
mod read_usage;
mod refusals;
mod replace_key;
mod rotate_data_keys;
pub(crate) mod rotate_key;
mod schedule_enforcement;
mod select_apps;
mod switch_key;
mod tenants;
mod test_configuration;
mod validate_app;
mod watch_selection;
mod workspaces;

pub use apps::AppPage;
pub use callers::{CallerPage, CreateCaller, IssuedToken, ListedCaller, UpdateCaller};
pub use check_key::KeyWarning;
pub use configure_key::{ConfigureKey, Configured};
pub use credentials::{AddSecret, CredentialTest, CredentialWarning, MadeHere, MakeCertificate};
pub use export_wrapped_keys::{ExportPages, WrappedKey};
pub use key_health::KeyHealth;
pub use leave_customer_key::{Leaving, StillNeeded};
pub use operations::OperationPage;
pub use ownership::Ownership;
pub use read_coverage::{AppCoverage, CoveragePage, DataKeyCoverage};
pub use read_key::VersionInUse;
pub use read_ledger::{EventPage, LedgerPage, LedgerPages};
pub use read_usage::{ReadUsage, UsagePage};
pub(crate) use refusals::Refusals;
pub use replace_key::{ReplaceKey, ReplacementStarted};
pub use rotate_data_keys::RotateDataKeys;
pub use rotate_key::{RotateKey, RotationStarted};
pub use schedule_enforcement::ScheduleEnforcement;
pub use select_apps::Selected;
pub use switch_key::KeyStatus;
pub use tenants::{
    Beginning, ConnectionStatus, ConsentAnswer, ConsentStarted, LookedUp, Proven, SignInAnswer, Started, TenantStatus,
    WhatNext, consent_of,
};
pub(crate) use tenants::{Consents, Entra};
pub(crate) use test_configuration::Tests;
pub use test_configuration::{OWNERSHIP_TAG, TestConfiguration, TestEvent, TestRun};
pub(crate) use validate_app::Validations;
pub use validate_app::{Obstacle, Stage, Validation};
pub use watch_selection::{SelectedApp, SelectionState, SelectionWatch};
pub use workspaces::WorkspacePage;

use domain::audit::{AuditEvent, AuditKind};
use domain::permission::{Action, Permit, Target};
use domain::{AppId, Reason, Timestamp, WorkspaceId};
use store::Transaction;

use crate::Refusal;
use crate::options::{MOST_PAGE, USUAL_PAGE};

/// Runs a change to its end, whatever becomes of the caller: a change that committed must reach the memory as well.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Refusal>> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::spawn(change).await {
        Ok(outcome) => outcome,
        // Not the error itself: it quotes the panic's words, and with them what was being worked on.
        Err(ended) if ended.is_panic() => Err(Refusal::because(Reason::Internal).detail("the change panicked")),
        Err(_) => Err(Refusal::because(Reason::Internal).detail("the change was cut off by the end of the process")),
    }
}

fn workspace_of<A: Action>(permit: &Permit<A>) -> Result<WorkspaceId, Refusal> {
    match permit.target() {
        Target::Workspace(workspace) => Ok(workspace.clone()),
        Target::App(..) | Target::Platform => Err(wrong_target("the permission is not for a workspace")),
    }
}

fn app_of<A: Action>(permit: &Permit<A>) -> Result<(WorkspaceId, AppId), Refusal> {
    match permit.target() {
        Target::App(workspace, app) => Ok((workspace.clone(), app.clone())),
        Target::Workspace(_) | Target::Platform => Err(wrong_target("the permission is not for an app")),
    }
}

fn wrong_target(detail: &'static str) -> Refusal {
    Refusal::because(Reason::Internal).detail(detail)
}

fn not_found() -> Refusal {
    Refusal::because(Reason::NotFound)
}

fn display_name(text: &str) -> Result<String, Refusal> {
    domain::workspace::display_name(text)
        .map_err(|invalid| Refusal::because(Reason::RequestInvalid).detail(invalid.to_string()))
}

/// How many entries a page has: what was asked for, at most 1,000; 100 when nothing was.
fn page_size(asked: Option<usize>) -> usize {
    asked.filter(|size| *size > 0).unwrap_or(USUAL_PAGE).min(MOST_PAGE)
}

/// Cuts a list that was read one longer than the page, and says whether more follows.
fn cut<T>(mut entries: Vec<T>, page: usize) -> (Vec<T>, bool) {
    let more = entries.len() > page;
    entries.truncate(page);
    (entries, more)
}

/// The workspace must be there and live.
async fn live_workspace(tx: &mut dyn Transaction, workspace: &WorkspaceId) -> Result<domain::Workspace, Refusal> {
    tx.workspace(workspace).await?.filter(|found| found.deleted_at.is_none()).ok_or_else(not_found)
}

pub(crate) fn event(workspace: &WorkspaceId, at: Timestamp, actor: &str, what: AuditKind) -> AuditEvent {
    AuditEvent { workspace: Some(workspace.clone()), at, actor: actor.to_owned(), what }
}
