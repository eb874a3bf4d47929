//! The life of a customer's key and the selection of its apps, as the contract says them.

use std::collections::BTreeSet;

use api::byok::v1 as pb;
use domain::key_life::{Cause, Enforcement, Hold, Phase, Policy, Wish};
use domain::{AppId, Reason, WorkspaceId, permission};
use pb::select_apps_request::Selection as Asked;
use service::{KeyHealth, KeyStatus, Refusal, ScheduleEnforcement, SelectionState};
use tonic::{Response, Status};

use super::call::Call;
use super::streams::{self, Answers};
use super::{enterprise_keys, refuse, text};

/// The most apps that one request names.
const MOST_APPS: usize = 10_000;

/// A key with where it stands.
pub(super) fn key(call: &Call, status: &KeyStatus, warnings: Vec<String>, health: KeyHealth) -> pb::Key {
    let phase = match status.phase(call.service().now()) {
        Phase::Draft => pb::KeyPhase::Draft,
        Phase::Tested => pb::KeyPhase::Tested,
        Phase::Scheduled => pb::KeyPhase::Scheduled,
        Phase::Enforced => pb::KeyPhase::Enforced,
    };
    let mut warnings = warnings;
    warnings.extend(
        status
            .trouble()
            .map(|why| format!("as things are, the enforcement date will not be kept: {why} ({})", why.remedy())),
    );
    pb::Key {
        phase: phase.into(),
        hold: Some(hold(status.life.hold(), health)),
        every_app: status.life.every_app,
        enforcement: enforcement(call, status),
        ownership_nonce: status.ownership.nonce.clone(),
        ownership_nonce_expire_time: status.ownership.expires_at.and_then(text::stamp),
        ownership_prove_time: status.ownership.proven_at.and_then(text::stamp),
        ..enterprise_keys::key(call, &status.config, warnings, health)
    }
}

/// What holds the key back: the switch here, then its owner's no in the vault, then a date that was not kept.
fn hold(hold: Hold, health: KeyHealth) -> pb::KeyHold {
    use pb::key_hold::State;
    match (hold, health.denied) {
        (Hold::None | Hold::Held { .. }, Some((since, why))) => pb::KeyHold {
            state: State::Revoked.into(),
            cause: why.as_str().to_owned(),
            since: text::stamp(since),
            remedy: why.remedy().to_owned(),
        },
        (Hold::None, None) => pb::KeyHold { state: State::None.into(), ..Default::default() },
        (Hold::Held { why }, None) => pb::KeyHold {
            state: State::Held.into(),
            cause: why.as_str().to_owned(),
            since: None,
            remedy: why.remedy().to_owned(),
        },
        (Hold::Revoked { cause, since }, _) => pb::KeyHold {
            state: State::Revoked.into(),
            cause: cause.as_str().to_owned(),
            since: text::stamp(since),
            remedy: match cause {
                Cause::KillSwitch => Reason::KeyRevoked.remedy().to_owned(),
                Cause::Disconnected => Reason::ReconnectFirst.remedy().to_owned(),
            },
        },
        (Hold::Disconnected { since }, _) => pb::KeyHold {
            state: State::Disconnected.into(),
            cause: Cause::Disconnected.as_str().to_owned(),
            since: text::stamp(since),
            remedy: Reason::ReconnectFirst.remedy().to_owned(),
        },
    }
}

/// The date, and until when it may move.
fn enforcement(call: &Call, status: &KeyStatus) -> Option<pb::Enforcement> {
    use pb::enforcement::Otherwise;
    let plan = status.life.plan()?;
    let otherwise = match plan.policy {
        Policy::Stay => Otherwise::Stay,
        Policy::Refuse | Policy::RefuseStill => Otherwise::Refuse,
    };
    Some(pb::Enforcement {
        local_time: plan.at.local(),
        time_zone: plan.at.zone().to_owned(),
        time: text::stamp(plan.at.instant()),
        otherwise: otherwise.into(),
        freeze_time: text::stamp(call.service().timing().freeze(plan.at.instant())),
        armed: matches!(status.life.enforcement, Enforcement::Armed(_)),
    })
}

/// Answers `ScheduleEnforcement`.
pub(super) async fn schedule(
    call: &Call,
    request: pb::ScheduleEnforcementRequest,
) -> Result<Response<pb::Key>, Status> {
    use pb::enforcement::Otherwise;
    call.answer("EnterpriseKeys/ScheduleEnforcement", async {
        let policy = match request.otherwise() {
            Otherwise::Refuse => Policy::Refuse,
            Otherwise::Stay => Policy::Stay,
            Otherwise::Unspecified if request.otherwise == 0 => Policy::Stay,
            Otherwise::Unspecified => return Err(refuse::field("otherwise must be STAY or REFUSE")),
        };
        let pb::ScheduleEnforcementRequest { name, local_time, time_zone, .. } = request;
        let permit = call.permit_key::<permission::ScheduleEnforcement>(&name)?;
        let wanted = ScheduleEnforcement { local: local_time, zone: time_zone, policy };
        let status = call.service().schedule_enforcement(&permit, wanted).await?;
        Ok(key(call, &status, Vec::new(), KeyHealth::default()))
    })
    .await
}

/// Answers `SelectApps`.
pub(super) async fn select_apps(
    call: &Call,
    request: pb::SelectAppsRequest,
) -> Result<Response<pb::SelectAppsResponse>, Status> {
    let pb::SelectAppsRequest { name, selection, validate_only } = request;
    call.answer("EnterpriseKeys/SelectApps", async {
        let permit = call.permit_key::<permission::SelectApps>(&name)?;
        let workspace = domain::name::parse_key(&name).map_err(refuse::name)?;
        let apps = |names: Vec<String>| apps_of(&workspace, names);
        let wish = match selection {
            Some(Asked::EveryApp(true)) => Wish::Every,
            Some(Asked::Only(pb::AppList { apps: only })) => Wish::Only(apps(only)?),
            Some(Asked::Change(pb::AppChange { add, remove })) => {
                Wish::Change { add: apps(add)?, remove: apps(remove)? }
            }
            Some(Asked::EveryApp(false)) | None => {
                return Err(refuse::field("selection must be every_app = true, only, or change"));
            }
        };
        let selected = call.service().select_apps(&permit, wish, validate_only).await?;
        let names = |apps: &[AppId]| apps.iter().map(|app| domain::name::app(&workspace, app)).collect();
        Ok(pb::SelectAppsResponse {
            to_customer_key: names(&selected.preview.to_customer_key),
            to_platform_key: names(&selected.preview.to_platform_key),
            unchanged: count(selected.preview.unchanged),
            data_keys: count(selected.data_keys),
            revision: selected.revision,
            effective_time: selected.effective_at.and_then(text::stamp),
        })
    })
    .await
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// The apps of these names. One of another workspace is as little there as one that does not exist.
fn apps_of(workspace: &WorkspaceId, names: Vec<String>) -> Result<BTreeSet<AppId>, Refusal> {
    if names.len() > MOST_APPS {
        return Err(refuse::field("a selection names at most 10,000 apps"));
    }
    let parse = |name: String| {
        let (of, app) = domain::name::parse_app(&name).map_err(refuse::name)?;
        if of == *workspace { Ok(app) } else { Err(Refusal::because(Reason::AppUnknown)) }
    };
    names.into_iter().map(parse).collect()
}

/// Answers `WatchSelection`: for as long as its caller stays.
pub(super) async fn watch_selection(
    call: &Call,
    request: pb::WatchSelectionRequest,
) -> Result<Response<Answers<pb::Selection>>, Status> {
    const METHOD: &str = "Workspaces/WatchSelection";
    let begin = async {
        let permit = call.permit_workspace::<permission::ReadSelection>(&request.parent)?;
        call.service().watch_selection(&permit).await
    };
    let mut watch = call.attend(METHOD, begin).await?;
    let answers = streams::spawn(call, METHOD, |answers| async move {
        loop {
            let state = answers.while_wanted(watch.next()).await?;
            answers.send(selection(&state)).await?;
        }
    });
    Ok(Response::new(answers))
}

fn selection(state: &SelectionState) -> pb::Selection {
    let app = |app: &service::SelectedApp| pb::SelectedApp {
        name: domain::name::app(&state.workspace, &app.app),
        selected: app.selected,
        protection: app.protection.map_or(pb::Protection::Unspecified, text::protection).into(),
    };
    pb::Selection {
        parent: domain::name::workspace(&state.workspace),
        revision: state.revision,
        effective_time: text::stamp(state.effective_at),
        every_app: state.every_app,
        apps: state.apps.iter().map(app).collect(),
        revoked: state.revoked.is_some(),
    }
}
