//! Answers `byok.v1.Workspaces`.

use api::byok::v1 as pb;
use api::byok::v1::workspaces_server::Workspaces;
use domain::permission::{self, Target};
use domain::{App, AppKind, Workspace};
use service::Refusal;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::streams::Answers;
use super::{life, refuse, text};

#[tonic::async_trait]
impl Workspaces for Call {
    async fn create_workspace(
        &self,
        request: Request<pb::CreateWorkspaceRequest>,
    ) -> Result<Response<pb::Workspace>, Status> {
        let pb::CreateWorkspaceRequest { workspace_id, display_name } = request.into_inner();
        self.answer("Workspaces/CreateWorkspace", async {
            let id = workspace_id.parse().map_err(refuse::id)?;
            let permit = self.permit::<permission::CreateWorkspace>(Target::Workspace(id))?;
            Ok(workspace(self.service().create_workspace(&permit, &display_name).await?))
        })
        .await
    }

    async fn get_workspace(
        &self,
        request: Request<pb::GetWorkspaceRequest>,
    ) -> Result<Response<pb::Workspace>, Status> {
        let pb::GetWorkspaceRequest { name } = request.into_inner();
        self.answer("Workspaces/GetWorkspace", async {
            let permit = self.permit_workspace::<permission::ReadWorkspaces>(&name)?;
            Ok(workspace(self.service().read_workspace(&permit).await?))
        })
        .await
    }

    async fn list_workspaces(
        &self,
        request: Request<pb::ListWorkspacesRequest>,
    ) -> Result<Response<pb::ListWorkspacesResponse>, Status> {
        let pb::ListWorkspacesRequest { page_size, page_token } = request.into_inner();
        self.answer("Workspaces/ListWorkspaces", async {
            let permit = self.permit::<permission::ReadWorkspaces>(Target::Platform)?;
            let after = token(&page_token)?;
            let page = self.service().list_workspaces(&permit, after.as_ref(), size(page_size)?).await?;
            Ok(pb::ListWorkspacesResponse {
                workspaces: page.workspaces.into_iter().map(workspace).collect(),
                next_page_token: page.next.map_or_else(String::new, |next| next.to_string()),
            })
        })
        .await
    }

    async fn delete_workspace(
        &self,
        request: Request<pb::DeleteWorkspaceRequest>,
    ) -> Result<Response<pb::DeleteWorkspaceResponse>, Status> {
        let pb::DeleteWorkspaceRequest { name } = request.into_inner();
        self.answer("Workspaces/DeleteWorkspace", async {
            let permit = self.permit_workspace::<permission::DeleteWorkspace>(&name)?;
            self.service().delete_workspace(&permit).await?;
            Ok(pb::DeleteWorkspaceResponse {})
        })
        .await
    }

    async fn upsert_app(&self, request: Request<pb::UpsertAppRequest>) -> Result<Response<pb::App>, Status> {
        let pb::UpsertAppRequest { name, kind, display_name } = request.into_inner();
        self.answer("Workspaces/UpsertApp", async {
            let permit = self.permit_app::<permission::ChangeApps>(&name)?;
            let kind = match pb::AppKind::try_from(kind) {
                Ok(pb::AppKind::App) => AppKind::App,
                Ok(pb::AppKind::Bot) => AppKind::Bot,
                Ok(pb::AppKind::Unspecified) | Err(_) => return Err(refuse::field("kind must be APP or BOT")),
            };
            Ok(app(self.service().upsert_app(&permit, kind, &display_name).await?))
        })
        .await
    }

    async fn list_apps(&self, request: Request<pb::ListAppsRequest>) -> Result<Response<pb::ListAppsResponse>, Status> {
        let pb::ListAppsRequest { parent, page_size, page_token } = request.into_inner();
        self.answer("Workspaces/ListApps", async {
            let permit = self.permit_workspace::<permission::ReadApps>(&parent)?;
            let after = token(&page_token)?;
            let page = self.service().list_apps(&permit, after.as_ref(), size(page_size)?).await?;
            Ok(pb::ListAppsResponse {
                apps: page.apps.into_iter().map(app).collect(),
                next_page_token: page.next.map_or_else(String::new, |next| next.to_string()),
            })
        })
        .await
    }

    async fn delete_app(
        &self,
        request: Request<pb::DeleteAppRequest>,
    ) -> Result<Response<pb::DeleteAppResponse>, Status> {
        let pb::DeleteAppRequest { name } = request.into_inner();
        self.answer("Workspaces/DeleteApp", async {
            let permit = self.permit_app::<permission::ChangeApps>(&name)?;
            self.service().delete_app(&permit).await?;
            Ok(pb::DeleteAppResponse {})
        })
        .await
    }

    type WatchSelectionStream = Answers<pb::Selection>;

    async fn watch_selection(
        &self,
        request: Request<pb::WatchSelectionRequest>,
    ) -> Result<Response<Self::WatchSelectionStream>, Status> {
        life::watch_selection(self, request.into_inner()).await
    }
}

fn workspace(workspace: Workspace) -> pb::Workspace {
    pb::Workspace {
        name: domain::name::workspace(&workspace.id),
        create_time: text::stamp(workspace.created_at),
        display_name: workspace.display_name,
    }
}

fn app(app: App) -> pb::App {
    let kind = match app.kind {
        AppKind::App => pb::AppKind::App,
        AppKind::Bot => pb::AppKind::Bot,
    };
    pb::App {
        name: domain::name::app(&app.workspace, &app.id),
        kind: kind.into(),
        create_time: text::stamp(app.created_at),
        display_name: app.display_name,
    }
}

/// Where the last page ended: the id of its last entry.
pub(super) fn token<T: std::str::FromStr>(token: &str) -> Result<Option<T>, Refusal> {
    let refused = |_| refuse::field("page_token is not one that an earlier page gave");
    if token.is_empty() { Ok(None) } else { token.parse().map(Some).map_err(refused) }
}

/// 0 is "not given", as the contract's defaults have it.
pub(super) fn size(asked: i32) -> Result<Option<usize>, Refusal> {
    match usize::try_from(asked) {
        Ok(0) => Ok(None),
        Ok(size @ 1..=service::options::MOST_PAGE) => Ok(Some(size)),
        Ok(_) | Err(_) => Err(refuse::field("page_size must be from 1 to 1,000")),
    }
}
