//! `byokctl caller …`

use client::pb;
use domain::permission::Grant;
use domain::{CallerId, Timestamp, name};
use serde::Serialize;

use crate::args::{CallerVerb, Global};
use crate::connect::connect;
use crate::failure::Failure;
use crate::{output, view};

/// A token that was made.
#[derive(Serialize)]
struct Issued {
    token: String,
    slot: String,
    caller: view::Caller,
}

pub(crate) async fn run(global: &Global, verb: CallerVerb) -> Result<(), Failure> {
    match verb {
        CallerVerb::Create { caller, grants, certificate_name, expires } => {
            let request = pb::CreateCallerRequest {
                caller_id: caller.to_string(),
                grants: texts(&grants),
                certificate: certificate_name.as_ref().map(ToString::to_string).unwrap_or_default(),
                expire_time: expires.map(stamp),
            };
            show(global, connect(global).await?.create_caller(request).await?.into())
        }
        CallerVerb::List => {
            let found = connect(global).await?.callers().await?;
            let callers: Vec<view::Caller> = found.into_iter().map(Into::into).collect();
            let row = |caller: &view::Caller| {
                [caller.name.clone(), caller.state(), caller.known_by(), caller.grants.join(" "), caller.ends()]
            };
            let rows: Vec<_> = callers.iter().map(row).collect();
            output::many(global, ["NAME", "STATE", "KNOWN BY", "GRANTS", "EXPIRES"], &rows, &view::Callers { callers })
        }
        CallerVerb::Show { caller } => {
            let name = name::caller(caller.strip_prefix("callers/").unwrap_or(&caller));
            show(global, connect(global).await?.caller(pb::GetCallerRequest { name }).await?.into())
        }
        CallerVerb::Grant { caller, grants } => {
            let add_grants = texts(&grants);
            update(global, &caller, pb::UpdateCallerRequest { add_grants, ..Default::default() }).await
        }
        CallerVerb::RevokeGrant { caller, grants } => {
            let remove_grants = texts(&grants);
            update(global, &caller, pb::UpdateCallerRequest { remove_grants, ..Default::default() }).await
        }
        CallerVerb::Disable { caller } => switch(global, &caller, true).await,
        CallerVerb::Enable { caller } => switch(global, &caller, false).await,
        CallerVerb::Set { caller, expires, certificate_name } => {
            let mut paths = Vec::new();
            let mut request = pb::UpdateCallerRequest::default();
            if let Some(expires) = expires {
                paths.push("expire_time");
                request.expire_time = expires.0.map(stamp);
            }
            if let Some(certificate) = certificate_name {
                paths.push("certificate");
                request.certificate = certificate.0.map_or_else(String::new, |name| name.to_string());
            }
            request.update_mask = Some(client::mask(&paths));
            update(global, &caller, request).await
        }
        CallerVerb::IssueToken { caller, expires } => {
            let request = pb::IssueTokenRequest { name: full(&caller), expire_time: expires.map(stamp) };
            let made = connect(global).await?.issue_token(request).await?;
            let caller: view::Caller = made.caller.unwrap_or_default().into();
            let fields = [
                ("token", made.token.clone()),
                ("slot", made.slot.clone()),
                ("caller", caller.name.clone()),
                ("note", "this is shown once: keep it now".to_owned()),
            ];
            output::one(global, &fields, &Issued { token: made.token, slot: made.slot, caller })
        }
        CallerVerb::RemoveToken { caller, slot } => {
            let request = pb::RemoveTokenRequest { name: full(&caller), slot };
            show(global, connect(global).await?.remove_token(request).await?.into())
        }
        CallerVerb::Delete { caller, yes } => {
            let name = full(&caller);
            if !yes {
                return Err(Failure::caller(format!("deleting {name} cannot be undone, and its id stays taken"))
                    .hint("add --yes if that is what you want; caller disable can be undone"));
            }
            connect(global).await?.delete_caller(pb::DeleteCallerRequest { name: name.clone() }).await?;
            output::one(global, &[("deleted", name.clone())], &view::Deleted { deleted: name })
        }
        CallerVerb::Roles => {
            let found = connect(global).await?.roles(pb::ListRolesRequest {}).await?;
            let roles: Vec<view::Role> = found.roles.into_iter().map(Into::into).collect();
            let rows: Vec<_> = roles.iter().map(|role| [role.name.clone(), role.actions.join(" ")]).collect();
            output::many(global, ["ROLE", "ACTIONS"], &rows, &view::Roles { roles })
        }
    }
}

async fn switch(global: &Global, caller: &CallerId, disabled: bool) -> Result<(), Failure> {
    let update_mask = Some(client::mask(&["disabled"]));
    update(global, caller, pb::UpdateCallerRequest { disabled, update_mask, ..Default::default() }).await
}

async fn update(global: &Global, caller: &CallerId, request: pb::UpdateCallerRequest) -> Result<(), Failure> {
    let request = pb::UpdateCallerRequest { name: full(caller), ..request };
    show(global, connect(global).await?.update_caller(request).await?.into())
}

fn full(caller: &CallerId) -> String {
    name::caller(caller.as_str())
}

fn texts(grants: &[Grant]) -> Vec<String> {
    grants.iter().map(ToString::to_string).collect()
}

fn stamp(at: Timestamp) -> client::Time {
    client::time(at.micros())
}

fn show(global: &Global, caller: view::Caller) -> Result<(), Failure> {
    let mut fields = vec![
        ("name", caller.name.clone()),
        ("state", caller.state()),
        ("grants", caller.grants.join(" ")),
        ("certificate", caller.certificate.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    for token in &caller.tokens {
        fields.push(("token", token.told()));
    }
    fields.push(("expires", caller.ends()));
    let by = |who: &Option<String>, at: &Option<String>| {
        who.iter().chain(at).map(String::as_str).collect::<Vec<_>>().join(" at ")
    };
    if !caller.configured {
        fields.push(("created by", by(&caller.creator, &caller.create_time)));
        fields.push(("changed by", by(&caller.updater, &caller.update_time)));
    }
    output::one(global, &fields, &caller)
}
