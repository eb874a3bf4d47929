//! `byokctl workspace …`

use client::pb;
use domain::name;

use crate::args::{Global, WorkspaceVerb};
use crate::connect::connect;
use crate::failure::Failure;
use crate::{output, view};

pub(crate) async fn run(global: &Global, verb: WorkspaceVerb) -> Result<(), Failure> {
    match verb {
        WorkspaceVerb::Create { workspace, display_name } => {
            let workspace_id = workspace.to_string();
            let display_name = display_name.unwrap_or_else(|| workspace_id.clone());
            let client = connect(global).await?;
            show(
                global,
                client.create_workspace(pb::CreateWorkspaceRequest { workspace_id, display_name }).await?.into(),
            )
        }
        WorkspaceVerb::Get { workspace } => {
            let client = connect(global).await?;
            show(global, client.workspace(pb::GetWorkspaceRequest { name: name::workspace(&workspace) }).await?.into())
        }
        WorkspaceVerb::List => {
            let found = connect(global).await?.workspaces().await?;
            let workspaces: Vec<view::Workspace> = found.into_iter().map(Into::into).collect();
            let row = |w: &view::Workspace| {
                [w.name.clone(), w.display_name.clone(), w.create_time.clone().unwrap_or_default()]
            };
            let rows: Vec<_> = workspaces.iter().map(row).collect();
            output::many(global, ["NAME", "DISPLAY NAME", "CREATED"], &rows, &view::Workspaces { workspaces })
        }
        WorkspaceVerb::Delete { workspace, yes } => {
            let name = name::workspace(&workspace);
            confirmed(yes, &name)?;
            connect(global).await?.delete_workspace(pb::DeleteWorkspaceRequest { name: name.clone() }).await?;
            output::one(global, &[("deleted", name.clone())], &view::Deleted { deleted: name })
        }
    }
}

/// Deleting cannot be undone here, so it is typed and not slipped into.
pub(crate) fn confirmed(yes: bool, name: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    Err(Failure::caller(format!("deleting {name} makes its data unreadable and cannot be undone here"))
        .hint("add --yes if that is what you want"))
}

fn show(global: &Global, workspace: view::Workspace) -> Result<(), Failure> {
    let fields = [
        ("name", workspace.name.clone()),
        ("display name", workspace.display_name.clone()),
        ("created", workspace.create_time.clone().unwrap_or_default()),
    ];
    output::one(global, &fields, &workspace)
}
