//! `byokctl key …`

use client::pb;
use client::pb::select_apps_request::Selection;
use domain::{AppId, name};

use crate::args::{Global, KeyVerb, Output};
use crate::connect::connect;
use crate::data::destination::Destination;
use crate::failure::Failure;
use crate::{output, view};

pub(crate) async fn run(global: &Global, verb: KeyVerb) -> Result<(), Failure> {
    match verb {
        KeyVerb::Configure { workspace, key_identifier, key_name, tenant, lease } => {
            let request = pb::ConfigureKeyRequest {
                name: name::key(&workspace),
                key_identifier,
                key_name: key_name.unwrap_or_default(),
                tenant_id: tenant.to_string(),
                lease: lease.map(client::whole_seconds),
            };
            show(global, connect(global).await?.configure_key(request).await?.into())
        }
        KeyVerb::Status { workspace } => {
            let request = pb::GetKeyRequest { name: name::key(&workspace) };
            show(global, connect(global).await?.key(request).await?.into())
        }
        KeyVerb::Select { workspace, every: _, only, add, remove, preview } => {
            let names = |apps: Vec<AppId>| apps.iter().map(|app| name::app(&workspace, app)).collect::<Vec<_>>();
            let selection = if !only.is_empty() {
                Selection::Only(pb::AppList { apps: names(only) })
            } else if add.is_empty() && remove.is_empty() {
                Selection::EveryApp(true)
            } else {
                Selection::Change(pb::AppChange { add: names(add), remove: names(remove) })
            };
            let request = pb::SelectAppsRequest {
                name: name::key(&workspace),
                selection: Some(selection),
                validate_only: preview,
            };
            let selected = view::Selected::from(connect(global).await?.select_apps(request).await?);
            let mut fields = Vec::new();
            fields.extend(selected.to_customer_key.iter().map(|app| ("to customer key", app.clone())));
            fields.extend(selected.to_platform_key.iter().map(|app| ("to platform key", app.clone())));
            fields.push(("unchanged", selected.unchanged.to_string()));
            fields.push(("data keys to make", selected.data_keys.to_string()));
            let effective = selected.effective_time.clone();
            fields.push(("effective", effective.unwrap_or_else(|| "not changed: this was a preview".to_owned())));
            output::one(global, &fields, &selected)
        }
        KeyVerb::Revoke { workspace, yes } => {
            let name = name::key(&workspace);
            if !yes {
                return Err(Failure::caller(format!("revoking {name} stops every app under it until it is restored"))
                    .hint("add --yes if that is what you want"));
            }
            show(global, connect(global).await?.revoke_key(pb::RevokeKeyRequest { name }).await?.into())
        }
        KeyVerb::Restore { workspace } => {
            let request = pb::RestoreKeyRequest { name: name::key(&workspace) };
            show(global, connect(global).await?.restore_key(request).await?.into())
        }
        KeyVerb::Versions { workspace } => {
            let request = pb::ListKeyVersionsRequest { parent: name::key(&workspace) };
            let found = connect(global).await?.key_versions(request).await?.versions;
            let versions: Vec<view::KeyVersion> = found.into_iter().map(Into::into).collect();
            let row = |v: &view::KeyVersion| {
                let kind = if v.hsm { "RSA-HSM" } else { "RSA" };
                [v.kid.clone(), format!("{kind} {}", v.bits), v.record_time.clone().unwrap_or_default()]
            };
            let rows: Vec<_> = versions.iter().map(row).collect();
            output::many(global, ["KID", "TYPE", "RECORDED"], &rows, &view::KeyVersions { versions })
        }
        KeyVerb::Export { workspace, out, force } => {
            // A file that is in the way is said before anything is fetched.
            let mut file = match &out {
                Some(path) => Some(Destination::open(path, force, false)?),
                None => None,
            };
            let keys = connect(global).await?.export_wrapped_keys(&name::key(&workspace)).await?;
            let export = view::Export::from(keys);
            match &mut file {
                Some(file) => {
                    file.write_all(output::document(&export)?.as_bytes()).await?;
                }
                None => return list(global, &export),
            }
            if let Some(file) = file {
                file.keep().await?;
            }
            Ok(())
        }
    }
}

fn list(global: &Global, export: &view::Export) -> Result<(), Failure> {
    match global.output {
        Output::Json => output::print(&output::document(export)?),
        Output::Table => {
            let row = |w: &view::WrappedKey| [w.data_key_id.clone(), w.app_id.clone(), w.kid.clone()];
            let rows: Vec<_> = export.wrapped_keys.iter().map(row).collect();
            output::many(global, ["DATA KEY", "APP", "KID"], &rows, export)
        }
    }
}

fn show(global: &Global, key: view::Key) -> Result<(), Failure> {
    let mut fields = vec![
        ("name", key.name.clone()),
        ("key", key.key_identifier.clone()),
        ("tenant", key.tenant_id.clone()),
        ("version", key.current_version.clone()),
        ("lease", format!("{} s", key.lease_seconds)),
        ("configured", key.configure_time.clone().unwrap_or_default()),
    ];
    fields.push(("phase", key.phase.clone()));
    match (&key.hold, &key.hold_since) {
        (None, _) => {}
        (Some(hold), None) => fields.push(("hold", hold.clone())),
        (Some(hold), Some(since)) => fields.push(("hold", format!("{hold} since {since}"))),
    }
    fields.push(("apps", if key.every_app { "every one, future ones too" } else { "those selected" }.to_owned()));
    fields.extend(key.warnings.iter().map(|warning| ("warning", warning.clone())));
    output::one(global, &fields, &key)
}
