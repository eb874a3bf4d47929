//! Answers `byok.v1.Operations`.

use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::operations_server::Operations;
use domain::operation::{Operation, OperationId, OperationKind, OperationState};
use domain::permission::{self, Action, Permit, Target};
use service::Refusal;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::streams::{self, Answers};
use super::{refuse, text};

/// How often a watched operation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often one that stands still is told again, so that whoever watches knows that somebody is there.
const LOOKS_BETWEEN: u32 = 50;

impl Call {
    /// An operation by its name, and the permission for it. One of a workspace the caller may not see is not there.
    async fn permit_operation<A: Action>(&self, name: &str) -> Result<(Permit<A>, OperationId), Refusal> {
        let id = domain::name::parse_operation(name).map_err(refuse::name)?;
        let workspace = self.service().workspace_of_operation(id).await?;
        Ok((self.permit(Target::Workspace(workspace))?, id))
    }
}

#[tonic::async_trait]
impl Operations for Call {
    async fn get_operation(
        &self,
        request: Request<pb::GetOperationRequest>,
    ) -> Result<Response<pb::Operation>, Status> {
        let pb::GetOperationRequest { name } = request.into_inner();
        self.answer("Operations/GetOperation", async {
            let (permit, id) = self.permit_operation::<permission::ReadOperations>(&name).await?;
            Ok(operation(&self.service().read_operation(&permit, id).await?))
        })
        .await
    }

    async fn list_operations(
        &self,
        request: Request<pb::ListOperationsRequest>,
    ) -> Result<Response<pb::ListOperationsResponse>, Status> {
        let pb::ListOperationsRequest { parent, page_size, page_token } = request.into_inner();
        self.answer("Operations/ListOperations", async {
            let permit = self.permit_workspace::<permission::ReadOperations>(&parent)?;
            let before = match page_token.as_str() {
                "" => None,
                token => Some(token.parse().map_err(refuse::id)?),
            };
            let page_size = usize::try_from(page_size).map_err(|_| refuse::field("page_size must not be negative"))?;
            let page = self.service().list_operations(&permit, before, Some(page_size)).await?;
            Ok(pb::ListOperationsResponse {
                operations: page.operations.iter().map(operation).collect(),
                next_page_token: page.next.map_or_else(String::new, |next| next.to_string()),
            })
        })
        .await
    }

    async fn cancel_operation(
        &self,
        request: Request<pb::CancelOperationRequest>,
    ) -> Result<Response<pb::Operation>, Status> {
        let pb::CancelOperationRequest { name } = request.into_inner();
        self.answer("Operations/CancelOperation", async {
            let (permit, id) = self.permit_operation::<permission::CancelOperation>(&name).await?;
            Ok(operation(&self.service().cancel_operation(&permit, id).await?))
        })
        .await
    }

    async fn approve(&self, request: Request<pb::ApproveRequest>) -> Result<Response<pb::Operation>, Status> {
        let pb::ApproveRequest { name } = request.into_inner();
        self.answer("Operations/Approve", async {
            let (permit, id) = self.permit_operation::<permission::DecideOperation>(&name).await?;
            Ok(operation(&self.service().approve_operation(&permit, id).await?))
        })
        .await
    }

    async fn reject(&self, request: Request<pb::RejectRequest>) -> Result<Response<pb::Operation>, Status> {
        let pb::RejectRequest { name } = request.into_inner();
        self.answer("Operations/Reject", async {
            let (permit, id) = self.permit_operation::<permission::DecideOperation>(&name).await?;
            Ok(operation(&self.service().reject_operation(&permit, id).await?))
        })
        .await
    }

    type WatchOperationStream = Answers<pb::Operation>;

    async fn watch_operation(
        &self,
        request: Request<pb::WatchOperationRequest>,
    ) -> Result<Response<Self::WatchOperationStream>, Status> {
        const METHOD: &str = "Operations/WatchOperation";
        let pb::WatchOperationRequest { name } = request.into_inner();
        let begin = self.permit_operation::<permission::ReadOperations>(&name);
        let (permit, id) = self.attend(METHOD, begin).await?;
        let service = self.service().clone();
        let answers = streams::spawn(self, METHOD, |answers| async move {
            let mut told: Option<Operation> = None;
            loop {
                let news = answers.while_wanted(async {
                    for _ in 0..LOOKS_BETWEEN {
                        let now = service.read_operation(&permit, id).await?;
                        if told.as_ref() != Some(&now) {
                            return Ok(now);
                        }
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                    service.read_operation(&permit, id).await
                });
                let now = news.await?;
                answers.send(operation(&now)).await?;
                if !now.state.is_open() {
                    return Ok(());
                }
                told = Some(now);
            }
        });
        Ok(Response::new(answers))
    }
}

/// An operation as answers carry it.
pub(super) fn operation(from: &Operation) -> pb::Operation {
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let version = |id| domain::name::key_version(&from.workspace, id);
    let named = |app| domain::name::app(&from.workspace, app);
    let versions = from.kind.versions();
    let mut about = pb::Operation {
        from_version: versions.map_or_else(String::new, |(from, _)| version(from)),
        to_version: versions.map_or_else(String::new, |(_, to)| version(to)),
        ..Default::default()
    };
    let kind = match &from.kind {
        OperationKind::RotateKey { .. } => pb::OperationKind::RotateKey,
        OperationKind::RotateDataKeys { app, .. } => {
            about.app = app.as_ref().map_or_else(String::new, named);
            pb::OperationKind::RotateDataKeys
        }
        OperationKind::ReplaceKey { key, tenant, .. } => {
            (about.key_identifier, about.tenant_id) = (key.to_string(), tenant.to_string());
            pb::OperationKind::ReplaceKey
        }
        OperationKind::LeaveCustomerKey => pb::OperationKind::LeaveCustomerKey,
        OperationKind::DestroyDataKey { app, data_key } => {
            about.app = named(app);
            about.data_key = domain::name::data_key(&from.workspace, app, *data_key);
            pb::OperationKind::DestroyDataKey
        }
    };
    let state = match from.state {
        OperationState::Planned => pb::OperationState::Planned,
        OperationState::Running => pb::OperationState::Running,
        OperationState::Done => pb::OperationState::Done,
        OperationState::Cancelled => pb::OperationState::Cancelled,
        OperationState::Failed => pb::OperationState::Failed,
        OperationState::AwaitingApproval => pb::OperationState::AwaitingApproval,
        OperationState::Waiting => pb::OperationState::Waiting,
        OperationState::Rejected => pb::OperationState::Rejected,
        OperationState::Expired => pb::OperationState::Expired,
    };
    pb::Operation {
        name: domain::name::operation(from.id),
        workspace: domain::name::workspace(&from.workspace),
        kind: kind.into(),
        state: state.into(),
        actor: from.actor.clone(),
        total: count(from.progress.total),
        done: count(from.progress.done),
        failing: count(from.progress.failing),
        cancelling: from.cancelling,
        reason: from.reason.map_or(pb::Reason::Unspecified, text::reason).into(),
        remedy: from.reason.map_or_else(String::new, |reason| reason.remedy().to_owned()),
        create_time: text::stamp(from.created_at),
        update_time: text::stamp(from.updated_at),
        switch_time: from.switched_at.and_then(text::stamp),
        finish_time: from.finished_at.and_then(text::stamp),
        approval: from.approval.as_ref().map(approval),
        ..about
    }
}

fn approval(from: &domain::Approval) -> pb::Approval {
    let decision = from.decision.as_ref();
    pb::Approval {
        approve_by: text::stamp(from.approve_by),
        waits: prost_types::Duration::try_from(from.waits).ok(),
        decided_by: decision.map_or_else(String::new, |decision| decision.by.clone()),
        decide_time: decision.and_then(|decision| text::stamp(decision.at)),
        approved: decision.is_some_and(|decision| decision.approved),
        not_before: from.not_before().and_then(text::stamp),
    }
}
