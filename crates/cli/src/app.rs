//! `byokctl app …`

use client::pb;
use domain::name;

use crate::args::{AppVerb, Global, Kind};
use crate::connect::connect;
use crate::failure::Failure;
use crate::{output, usage, view, workspace};

pub(crate) async fn run(global: &Global, verb: AppVerb) -> Result<(), Failure> {
    match verb {
        AppVerb::Upsert { app, kind, display_name } => {
            let kind = match kind {
                Kind::App => pb::AppKind::App,
                Kind::Bot => pb::AppKind::Bot,
            };
            let request = pb::UpsertAppRequest {
                name: app.full(),
                kind: kind.into(),
                display_name: display_name.unwrap_or_else(|| app.app.to_string()),
            };
            let app = view::App::from(connect(global).await?.upsert_app(request).await?);
            let fields = [
                ("name", app.name.clone()),
                ("kind", app.kind.clone()),
                ("display name", app.display_name.clone()),
                ("created", app.create_time.clone().unwrap_or_default()),
            ];
            output::one(global, &fields, &app)
        }
        AppVerb::List { workspace } => {
            let found = connect(global).await?.apps(&name::workspace(&workspace)).await?;
            let apps: Vec<view::App> = found.into_iter().map(Into::into).collect();
            let row = |a: &view::App| {
                [a.name.clone(), a.kind.clone(), a.display_name.clone(), a.create_time.clone().unwrap_or_default()]
            };
            let rows: Vec<_> = apps.iter().map(row).collect();
            output::many(global, ["NAME", "KIND", "DISPLAY NAME", "CREATED"], &rows, &view::Apps { apps })
        }
        AppVerb::Delete { app, yes } => {
            let name = app.full();
            workspace::confirmed(yes, &name)?;
            connect(global).await?.delete_app(pb::DeleteAppRequest { name: name.clone() }).await?;
            output::one(global, &[("deleted", name.clone())], &view::Deleted { deleted: name })
        }
        AppVerb::Validate { app } => usage::validate(global, &app).await,
        AppVerb::Usage { scope, last, from, until } => usage::usage(global, &scope, last, from, until).await,
        AppVerb::Coverage { scope } => usage::coverage(global, &scope).await,
    }
}
