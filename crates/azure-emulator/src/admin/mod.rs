//! The admin API: everything the library can switch, as JSON over HTTPS at a reserved host name.
//!
//! The README lists the paths. No credentials are asked: whoever reaches the listener owns this emulator.

mod directory;
mod switches;
mod vaults;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::handles::NotDone;
use crate::world::World;

pub(crate) type Shared = State<Arc<World>>;
pub(crate) type Reply = Result<Json<Value>, Refusal>;

/// Why the admin API did not do it: 400, 404 or 409 with `{"error": …}`.
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    pub(crate) fn missing(what: &str, name: &str) -> Self {
        Self(StatusCode::NOT_FOUND, format!("there is no {what} {name}"))
    }

    pub(crate) fn wrong(why: impl ToString) -> Self {
        Self(StatusCode::BAD_REQUEST, why.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error": self.1}))).into_response()
    }
}

impl From<NotDone> for Refusal {
    fn from(why: NotDone) -> Self {
        let status = match why {
            NotDone::NoVault | NotDone::NoKey => StatusCode::NOT_FOUND,
            NotDone::NameIsDeleted | NotDone::PurgeProtected => StatusCode::CONFLICT,
            NotDone::Name | NotDone::Size | NotDone::Material => StatusCode::BAD_REQUEST,
        };
        Self(status, why.to_string())
    }
}

/// An answer with nothing to say.
pub(crate) fn done() -> Reply {
    Ok(Json(json!({})))
}

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new()
        .route("/", get(directory::summary))
        .route("/resolves/{host}", get(switches::resolves))
        .route("/tenants", post(directory::create_tenant))
        .route("/tenants/{tenant}/principals/{app}", {
            put(directory::consent).patch(directory::change_principal).delete(directory::remove_principal)
        })
        .route("/tenants/{tenant}/users", get(directory::users).post(directory::add_user))
        .route("/apps/{app}/manifest", put(directory::set_manifest))
        .route("/signing-keys", post(switches::rotate_signing_key).delete(switches::retire_signing_keys))
        .route("/tenants/{tenant}/vaults/{name}", put(vaults::create))
        .route("/apps", post(directory::create_app))
        .route("/apps/{app}", axum::routing::patch(directory::change_app))
        .route("/apps/{app}/secrets", post(directory::add_secret).delete(directory::remove_secrets))
        .route("/apps/{app}/certificates", post(directory::add_certificate).delete(directory::remove_certificates))
        .route("/apps/{app}/certificates/issue", post(directory::issue_certificate))
        .route("/apps/{app}/certificates/{x5t}/revoke", post(directory::revoke_certificate))
        .route("/apps/{app}/federated", post(directory::add_federated).delete(directory::remove_federated))
        .route("/vaults/{host}", get(vaults::show).patch(vaults::change).delete(vaults::purge))
        .route("/vaults/{host}/roles", post(vaults::assign_role).delete(vaults::remove_role))
        .route("/vaults/{host}/policies", put(vaults::set_policy))
        .route("/vaults/{host}/keys", post(vaults::create_key))
        .route("/vaults/{host}/keys/{key}", get(vaults::show_key).patch(vaults::change_key).delete(vaults::delete_key))
        .route("/vaults/{host}/keys/{key}/{verb}", post(vaults::act_on_key))
        .route("/faults", get(switches::list).post(switches::switch_on).delete(switches::clear_all))
        .route("/faults/known", get(switches::known))
        .route("/faults/{id}", delete(switches::clear))
        .route("/calls", get(switches::calls).delete(switches::clear_calls))
        .route("/token-life", put(switches::set_token_life))
        .route("/seen-as", put(switches::see_callers_as).delete(switches::see_callers_as_they_are))
        .with_state(world)
}
