//! Admin API, the emulator's own side: faults, the call log, the life of tokens, where callers seem to come from.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Refusal, Reply, Shared, done};
use crate::faults::{Disturbance, Fault, FaultId, Scope};
use crate::operation::Operation;
use crate::serve;
use crate::world::{SeenAs, TokenLife};

pub(super) async fn list(State(world): Shared) -> Json<Value> {
    Json(json!(world.faults.list()))
}

/// Every fault by name, with what a client then gets.
pub(super) async fn known() -> Json<Value> {
    let describe = |fault: Fault| match fault {
        Fault::Vault(r) => json!({
            "fault": fault, "status": r.status(), "code": r.code(), "inner_code": r.inner_code(),
        }),
        Fault::Entra(r) => json!({"fault": fault, "status": r.status(), "error": r.error()}),
        Fault::Answer(_) | Fault::Wire(_) | Fault::IdToken(_) | Fault::Keys(_) => json!({"fault": fault}),
    };
    Json(Fault::all().into_iter().map(describe).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFault {
    fault: Fault,
    #[serde(default)]
    scope: Scope,
}

pub(super) async fn switch_on(State(world): Shared, Json(new): Json<NewFault>) -> Reply {
    let id = world.faults.switch_on(new.fault, new.scope);
    Ok(Json(json!({"id": id})))
}

pub(super) async fn clear(State(world): Shared, Path(id): Path<u64>) -> Reply {
    if world.faults.clear(FaultId(id)) { done() } else { Err(Refusal::missing("fault", &id.to_string())) }
}

pub(super) async fn clear_all(State(world): Shared) -> Reply {
    world.faults.clear_all();
    done()
}

#[derive(Deserialize)]
pub(super) struct CallFilter {
    operation: Option<Operation>,
}

/// `{"count", "calls"}`, oldest first.
pub(super) async fn calls(State(world): Shared, Query(filter): Query<CallFilter>) -> Json<Value> {
    let mut calls = world.calls.all();
    calls.retain(|c| filter.operation.is_none_or(|o| o == c.operation));
    Json(json!({"count": calls.len(), "calls": calls}))
}

pub(super) async fn clear_calls(State(world): Shared) -> Reply {
    world.calls.clear();
    done()
}

pub(super) async fn set_token_life(State(world): Shared, Json(life): Json<TokenLife>) -> Reply {
    if life.shortest > life.longest {
        return Err(Refusal::wrong("the shortest life is longer than the longest"));
    }
    world.change(|s| s.token_life = life);
    done()
}

pub(super) async fn see_callers_as(State(world): Shared, Json(seen): Json<SeenAs>) -> Reply {
    world.change(|s| s.seen_as = Some(seen));
    done()
}

pub(super) async fn see_callers_as_they_are(State(world): Shared) -> Reply {
    world.change(|s| s.seen_as = None);
    done()
}

pub(super) async fn resolves(State(world): Shared, Path(host): Path<String>) -> Json<Value> {
    let resolves = serve::exists(&world, &host) && !world.faults.stands(Disturbance::NameUnknown, &host);
    Json(json!({"resolves": resolves}))
}

pub(super) async fn rotate_signing_key(State(world): Shared) -> Reply {
    let rotated = tokio::task::spawn_blocking(move || world.signer.rotate()).await.map_err(Refusal::wrong)?;
    rotated.map_err(Refusal::wrong)?;
    done()
}

pub(super) async fn retire_signing_keys(State(world): Shared) -> Reply {
    world.signer.retire();
    done()
}
