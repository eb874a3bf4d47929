//! Every documented row of refusals can be switched on and gives exactly its status, code, inner code or number.
//!
//! The tables here are written from Microsoft's documentation, not from the emulator's own tables.

mod common;

use azure_emulator::{EntraRefusal, Fault, Operation, Scope, VaultRefusal};
use common::World;
use serde_json::{Value, json};

#[tokio::test]
async fn every_row_of_vault_refusals_is_answered_as_documented() {
    use VaultRefusal as R;
    let rows = [
        (R::WrongAudience, 401, "Unauthorized", None, "AKV10022"),
        (R::WrongTenant, 401, "Unauthorized", None, "AKV10032"),
        (R::NoRole, 403, "Forbidden", Some("ForbiddenByRbac"), "Caller is not authorized"),
        (R::NoAccessPolicy, 403, "Forbidden", Some("AccessDenied"), "permission on key vault"),
        (R::NoAccessPolicyOtherCode, 403, "Forbidden", Some("ForbiddenByPolicy"), "permission on key vault"),
        (R::Firewall, 403, "Forbidden", Some("ForbiddenByFirewall"), "Client address"),
        (R::PublicAccessOff, 403, "Forbidden", Some("ForbiddenByConnection"), "Public network access"),
        (R::KeyOperationForbidden, 403, "Forbidden", Some("KeyOperationForbidden"), "not permitted"),
        (R::KeyDisabled, 403, "Forbidden", Some("KeyDisabled"), "disabled"),
        (R::KeyExpired, 403, "Forbidden", None, "expired"),
        (R::KeyNotYetValid, 403, "Forbidden", None, "not yet valid"),
        (R::KeyNotFound, 404, "KeyNotFound", None, "was not found in this key vault"),
        (R::NameIsDeleted, 409, "Conflict", Some("ObjectIsDeletedButRecoverable"), "recovered or purged"),
        (R::BadParameter, 400, "BadParameter", None, "parameter"),
        (R::Throttled, 429, "Throttled", None, "too many requests"),
        (R::ThrottledWithoutRetryAfter, 429, "Throttled", None, "too many requests"),
        (R::InternalError, 500, "InternalServerError", None, ""),
        (R::BadGateway, 502, "BadGateway", None, ""),
        (R::Unavailable, 503, "ServiceUnavailable", None, ""),
        (R::GatewayTimeout, 504, "GatewayTimeout", None, ""),
    ];
    let world = World::start().await;
    let token = world.token().await;
    for (refusal, status, code, inner, says) in rows {
        let id = world.emulator.faults().switch_on(Fault::Vault(refusal), Scope::everywhere().times(1));
        let body = json!({"alg": "RSA-OAEP-256", "value": "AAAA"});
        let reply = world.call("POST", "/keys/k1//wrapkey", &token, body.clone()).await.unwrap();
        assert_eq!(reply.codes(), (status, code, inner), "{refusal:?}");
        let message = reply.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(says), "{refusal:?}: {message}");
        assert!(reply.header("x-ms-request-id").is_some(), "{refusal:?}");
        assert_eq!(reply.header("retry-after").is_some(), refusal == R::Throttled, "{refusal:?}");
        assert_eq!(reply.header("www-authenticate").is_some(), status == 401, "{refusal:?}");
        assert_eq!(world.emulator.faults().hits(id), Some(1));
        // The next call is answered truthfully again.
        assert_eq!(world.call("POST", "/keys/k1//wrapkey", &token, body).await.unwrap().status, 200, "{refusal:?}");
    }
}

#[tokio::test]
async fn every_row_of_aadsts_numbers_is_answered_as_documented() {
    let rows: [(u64, u16, &str); 30] = [
        (90002, 400, "invalid_request"),
        (700016, 400, "unauthorized_client"),
        (700011, 400, "unauthorized_client"),
        (7000229, 401, "unauthorized_client"),
        (65001, 400, "invalid_grant"),
        (90094, 400, "invalid_grant"),
        (650056, 400, "unauthorized_client"),
        (7000112, 400, "unauthorized_client"),
        (70001, 400, "unauthorized_client"),
        (7000215, 401, "invalid_client"),
        (7000222, 401, "invalid_client"),
        (700027, 401, "invalid_client"),
        (700024, 401, "invalid_client"),
        (7000214, 401, "invalid_client"),
        (1000502, 401, "invalid_client"),
        (7000274, 401, "invalid_client"),
        (700213, 401, "invalid_client"),
        (700229, 401, "invalid_client"),
        (53003, 400, "invalid_grant"),
        (530032, 400, "invalid_grant"),
        (90055, 429, "temporarily_unavailable"),
        (50196, 400, "invalid_grant"),
        (90024, 503, "temporarily_unavailable"),
        (90033, 503, "temporarily_unavailable"),
        (50033, 503, "temporarily_unavailable"),
        (50105, 400, "invalid_grant"),
        (50020, 400, "invalid_grant"),
        (50034, 400, "invalid_grant"),
        (16000, 400, "interaction_required"),
        (50011, 400, "invalid_request"),
    ];
    let world = World::start().await;
    for (number, status, error) in rows {
        let refusal = EntraRefusal::try_from(u32::try_from(number).unwrap()).unwrap();
        world.emulator.faults().switch_on(Fault::Entra(refusal), Scope::everywhere().times(1));
        let reply = world.token_reply(world.contoso.id(), &world.by_secret(&world.secret)).await;
        assert_eq!(reply.aadsts(), (status, error, Some(number)));
        let description = reply.body["error_description"].as_str().unwrap();
        assert!(description.starts_with(&format!("AADSTS{number}: ")), "{description}");
        for member in ["trace_id", "correlation_id", "timestamp", "error_uri"] {
            assert!(reply.body[member].is_string(), "{number}: {member}");
        }
        world.token().await;
    }
    for (status, retry_after) in [(429, true), (503, false)] {
        let refusal = EntraRefusal::try_from(status).unwrap();
        world.emulator.faults().switch_on(Fault::Entra(refusal), Scope::everywhere().times(1));
        let reply = world.token_reply(world.contoso.id(), &world.by_secret(&world.secret)).await;
        assert_eq!((u32::from(reply.status), reply.body["error_codes"].as_array().unwrap().len()), (status, 0));
        assert_eq!(reply.header("retry-after").is_some(), retry_after);
    }
}

#[tokio::test]
async fn a_fault_meets_only_its_host_operation_and_key() {
    let world = World::start().await;
    let other = world.contoso.vault("fabrikam-keys");
    let scope = Scope::everywhere().host(world.vault.host()).operation(Operation::UnwrapKey).key("k1");
    let id = world.emulator.faults().switch_on(Fault::Vault(VaultRefusal::Unavailable), scope);
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
    assert_eq!(world.unwrap("", "AAAA").await.status, 503);
    assert_eq!(world.ask("POST", "/keys/k2//unwrapkey", json!({})).await.status, 404);
    assert!(world.emulator.faults().clear(id));
    assert_eq!(world.unwrap("", "AAAA").await.codes(), (400, "BadParameter", None));
    assert_eq!(other.host(), "fabrikam-keys.vault.azure.net");
}

/// Known by name: what the admin API lists is what it takes.
#[tokio::test]
async fn the_admin_api_lists_every_fault_and_switches_each_on() {
    let world = World::start().await;
    let known = world.admin("GET", "/faults/known", Value::Null).await.body;
    let known = known.as_array().unwrap();
    assert_eq!(known.len(), Fault::all().len());
    for one in known {
        let scope = json!({"host": "nowhere.vault.azure.net", "times": 1});
        let reply = world.admin("POST", "/faults", json!({"fault": one["fault"], "scope": scope})).await;
        assert_eq!(reply.status, 200, "{one}");
    }
    let listed = world.admin("GET", "/faults", Value::Null).await.body;
    assert_eq!(listed.as_array().unwrap().len(), known.len());
    assert_eq!(world.admin("DELETE", "/faults", Value::Null).await.status, 200);
    assert!(world.emulator.faults().list().is_empty());
    let unknown = world.admin("POST", "/faults", json!({"fault": {"vault": "no_such_row"}})).await;
    assert_eq!(unknown.status, 422);
}
