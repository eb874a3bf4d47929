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
                let news = answers.within(async {
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
    let (kind, from_version, to_version, app) = match &from.kind {
        OperationKind::RotateKey { from, to } => {
            (pb::OperationKind::RotateKey, version(*from), version(*to), String::new())
        }
        OperationKind::RotateDataKeys { app, .. } => {
            let app = app.as_ref().map_or_else(String::new, |app| domain::name::app(&from.workspace, app));
            (pb::OperationKind::RotateDataKeys, String::new(), String::new(), app)
        }
    };
    let state = match from.state {
        OperationState::Planned => pb::OperationState::Planned,
        OperationState::Running => pb::OperationState::Running,
        OperationState::Done => pb::OperationState::Done,
        OperationState::Cancelled => pb::OperationState::Cancelled,
        OperationState::Failed => pb::OperationState::Failed,
    };
    pb::Operation {
        name: domain::name::operation(from.id),
        workspace: domain::name::workspace(&from.workspace),
        kind: kind.into(),
        state: state.into(),
        actor: from.actor.clone(),
        from_version,
        to_version,
        app,
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
    }
}
