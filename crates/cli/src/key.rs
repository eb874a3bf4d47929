//! `byokctl key …`

use client::pb;
use client::pb::select_apps_request::Selection;
use domain::{AppId, name};

use crate::args::{Global, KeyVerb, Otherwise, Output};
use crate::connect::connect;
use crate::data::destination::Destination;
use crate::failure::Failure;
use crate::{guarded, key_test, operation, output, view, watch};

pub(crate) async fn run(global: &Global, verb: KeyVerb) -> Result<(), Failure> {
    match verb {
        KeyVerb::Configure {
            workspace,
            key_identifier,
            key_name,
            tenant,
            lease,
            follow_new_versions,
            newest_version_counts,
        } => {
            let request = pb::ConfigureKeyRequest {
                name: name::key(&workspace),
                key_identifier,
                key_name: key_name.unwrap_or_default(),
                tenant_id: tenant,
                lease: lease.map(client::whole_seconds),
                follow_new_versions,
                newest_version_counts,
            };
            show(global, connect(global).await?.configure_key(request).await?.into())
        }
        KeyVerb::Status { workspace } => {
            let request = pb::GetKeyRequest { name: name::key(&workspace) };
            show(global, connect(global).await?.key(request).await?.into())
        }
        KeyVerb::Test { workspace, candidate } => key_test::run(global, &workspace, candidate).await,
        KeyVerb::Tests { workspace } => key_test::list(global, &workspace).await,
        KeyVerb::Schedule { workspace, at, zone, otherwise } => {
            let request = pb::ScheduleEnforcementRequest {
                name: name::key(&workspace),
                local_time: at,
                time_zone: zone,
                otherwise: match otherwise {
                    Otherwise::Stay => pb::enforcement::Otherwise::Stay,
                    Otherwise::Refuse => pb::enforcement::Otherwise::Refuse,
                }
                .into(),
            };
            show(global, connect(global).await?.schedule_enforcement(request).await?.into())
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
                let or = |safe: bool, why: &Option<String>| match (safe, why) {
                    (true, _) => "yes".to_owned(),
                    (false, why) => format!("no: {}", why.clone().unwrap_or_default()),
                };
                let [disable, delete] =
                    [or(v.safe_to_disable, &v.not_safe_to_disable), or(v.safe_to_delete, &v.not_safe_to_delete)];
                let version = v.name.rsplit('/').next().unwrap_or_default().to_owned();
                let recorded = v.record_time.clone().unwrap_or_default();
                [version, format!("{kind} {}", v.bits), recorded, v.data_keys.to_string(), disable, delete]
            };
            let rows: Vec<_> = versions.iter().map(row).collect();
            output::many(
                global,
                ["VERSION", "TYPE", "RECORDED", "DATA KEYS", "MAY BE DISABLED", "MAY BE DELETED"],
                &rows,
                &view::KeyVersions { versions },
            )
        }
        KeyVerb::Rotate { workspace, to, dry_run, no_wait } => {
            let version = to.map_or_else(String::new, |version| version.to_string());
            let request = pb::RotateKeyRequest { name: name::key(&workspace), version, validate_only: dry_run };
            let client = connect(global).await?;
            let answer = client.rotate_key(request).await?;
            let plan = view::Plan::from(answer.plan.unwrap_or_default());
            let Some(begun) = answer.operation else { return operation::show_plan(global, &plan) };
            let data_keys = plan.data_keys;
            operation::say(global, &format!("{}: {data_keys} data keys, about {:.1} s", begun.name, plan.eta_seconds));
            follow(global, &client, begun, no_wait).await
        }
        KeyVerb::RotateDataKeys { workspace, app, older_than, no_wait } => {
            let request = pb::RotateDataKeysRequest {
                name: name::key(&workspace),
                app: app.map_or_else(String::new, |app| app.full()),
                older_than: older_than.map(client::whole_seconds),
            };
            let client = connect(global).await?;
            let begun = client.rotate_data_keys(request).await?;
            operation::say(global, &format!("{}: {} data keys", begun.name, begun.total));
            follow(global, &client, begun, no_wait).await
        }
        KeyVerb::Replace { workspace, key_identifier, key_name, tenant, dry_run, no_wait } => {
            let request = pb::ReplaceKeyRequest {
                name: name::key(&workspace),
                key_identifier,
                key_name: key_name.unwrap_or_default(),
                tenant_id: tenant,
                validate_only: dry_run,
            };
            guarded::replace(global, request, no_wait).await
        }
        KeyVerb::Leave { workspace, dry_run } => {
            let request = pb::LeaveCustomerKeyRequest { name: name::key(&workspace), validate_only: dry_run };
            guarded::leave(global, request).await
        }
        KeyVerb::DestroyDataKey { data_key, yes } => guarded::destroy_data_key(global, data_key.0, yes).await,
        KeyVerb::Watch { workspace } => watch::run(global, &workspace).await,
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

pub(crate) async fn follow(
    global: &Global,
    client: &client::Client,
    begun: pb::Operation,
    no_wait: bool,
) -> Result<(), Failure> {
    if no_wait { operation::show(global, begun.into()) } else { operation::watch(global, client, &begun.name).await }
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
        ("new versions", (if key.follow_new_versions { "followed" } else { "rotated to by hand" }).to_owned()),
        ("newest version", (if key.newest_version_counts { "counts" } else { "does not count" }).to_owned()),
        ("ownership tag", format!("{}={}", key.ownership_tag, key.ownership_nonce)),
        ("configured", key.configure_time.clone().unwrap_or_default()),
    ];
    fields.extend(key.ownership_nonce_expire_time.clone().map(|at| ("tag counts until", at)));
    fields.extend(key.ownership_prove_time.clone().map(|at| ("ownership proven", at)));
    fields.extend(key.leave_time.clone().map(|at| ("left", at)));
    fields.extend(key.last_probe_time.clone().map(|at| ("last probe", at)));
    if let Some(denied) = &key.denied {
        let since = denied.since.clone().unwrap_or_default();
        fields.push(("denied", format!("{} since {since}; for the {} to mend", denied.reason, denied.owner)));
        fields.push(("remedy", denied.remedy.clone()));
    }
    fields.push(("phase", key.phase.clone()));
    match (&key.hold, &key.hold_since) {
        (None, _) => {}
        (Some(hold), None) => fields.push(("hold", hold.clone())),
        (Some(hold), Some(since)) => fields.push(("hold", format!("{hold} since {since}"))),
    }
    if let Some(date) = &key.enforcement {
        fields.push((
            "date",
            format!("{} {} ({})", date.local_time, date.time_zone, date.time.clone().unwrap_or_default()),
        ));
        let otherwise = if date.otherwise == "REFUSE" { "apps are refused" } else { "apps stay on the platform's key" };
        let decided =
            if date.armed { "armed: it is kept".to_owned() } else { format!("if it cannot be kept, {otherwise}") };
        fields.push(("", decided));
    }
    fields.push(("apps", if key.every_app { "every one, future ones too" } else { "those selected" }.to_owned()));
    fields.extend(key.warnings.iter().map(|warning| ("warning", warning.clone())));
    output::one(global, &fields, &key)
}
