//! Another process can do over the admin API what the library can.

mod common;

use azure_emulator::Options;
use common::World;
use serde_json::{Value, json};

#[tokio::test]
async fn a_whole_set_up_can_be_made_over_the_admin_api() {
    let world = World::start().await;
    let ok = |reply: common::Reply| {
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body
    };
    let tenant = ok(world.admin("POST", "/tenants", json!({"name": "fabrikam", "domains": ["fab.example"]})).await);
    let app = ok(world.admin("POST", "/apps", json!({"name": "theirs"})).await);
    let secret = ok(world.admin("POST", "/apps/theirs/secrets", json!({})).await);
    let principal = ok(world.admin("PUT", "/tenants/fabrikam/principals/theirs", Value::Null).await);
    let vault = ok(world.admin("PUT", "/tenants/fab.example/vaults/fabrikam-keys", Value::Null).await);
    assert_eq!(vault["host"], "fabrikam-keys.vault.azure.net");
    let path = "/vaults/fabrikam-keys.vault.azure.net";
    let key = ok(world.admin("POST", &format!("{path}/keys"), json!({"name": "k9", "bits": 2048})).await);
    let role = json!({"principal": principal["object_id"], "role": "crypto_officer"});
    ok(world.admin("POST", &format!("{path}/roles"), role.clone()).await);

    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", app["client_id"].as_str().unwrap()),
        ("client_secret", secret["value"].as_str().unwrap()),
        ("scope", "https://vault.azure.net/.default"),
    ];
    let token = world.token_reply(tenant["id"].as_str().unwrap(), &form).await;
    let token = token.body["access_token"].as_str().unwrap().to_owned();
    let url = format!("https://fabrikam-keys.vault.azure.net:{}/keys/k9?api-version=7.6", world.emulator.addr().port());
    let get = || world.send(world.client.get(&url).bearer_auth(&token));
    assert_eq!(get().await.unwrap().body["key"]["kid"], key["kid"]);

    ok(world.admin("DELETE", &format!("{path}/roles"), role.clone()).await);
    assert_eq!(get().await.unwrap().status, 403);
    ok(world.admin("POST", &format!("{path}/roles"), role).await);
    let closed =
        json!({"network": {"public_access": false}, "deletion": {"retention_days": 7, "purge_protection": true}});
    ok(world.admin("PATCH", path, closed).await);
    assert_eq!(get().await.unwrap().codes(), (403, "Forbidden", Some("ForbiddenByConnection")));
    ok(world.admin("PATCH", path, json!({"network": {}})).await);
    let change = json!({"enabled": false, "tags": {"t": "1"}, "managed": true});
    ok(world.admin("PATCH", &format!("{path}/keys/k9"), change).await);
    let shown = get().await.unwrap();
    assert_eq!((&shown.body["managed"], &shown.body["attributes"]["enabled"]), (&json!(true), &json!(false)));
    assert_eq!(shown.body["attributes"]["recoveryLevel"], "CustomizedRecoverable");
    ok(world.admin("PATCH", &format!("{path}/keys/k9"), json!({"managed": false})).await);
    ok(world.admin("POST", &format!("{path}/keys/k9/rotate"), Value::Null).await);
    let versions = ok(world.admin("GET", &format!("{path}/keys/k9"), Value::Null).await);
    assert_eq!(versions["versions"].as_array().unwrap().len(), 2);
    ok(world.admin("DELETE", &format!("{path}/keys/k9"), Value::Null).await);
    assert_eq!(world.admin("POST", &format!("{path}/keys/k9/purge"), Value::Null).await.status, 409);
    ok(world.admin("POST", &format!("{path}/keys/k9/recover"), Value::Null).await);

    let issued = ok(world.admin("POST", "/apps/theirs/certificates/issue", json!({})).await);
    assert!(issued["key_pem"].as_str().unwrap().starts_with("-----BEGIN PRIVATE KEY-----"));
    ok(world.admin("PUT", "/token-life", json!({"shortest": 10, "longest": 10})).await);
    ok(world.admin("PUT", "/seen-as", json!({"address": "192.0.2.1"})).await);
    ok(world.admin("DELETE", "/seen-as", Value::Null).await);
    let summary = ok(world.admin("GET", "/", Value::Null).await);
    assert_eq!(summary["tenants"].as_array().unwrap().len(), 2);
    let calls = ok(world.admin("GET", "/calls?operation=get_key", Value::Null).await);
    assert_eq!(calls["count"], 4);
    ok(world.admin("DELETE", "/calls", Value::Null).await);
    assert!(world.emulator.calls().is_empty());
}

#[tokio::test]
async fn what_is_not_there_or_not_well_formed_is_said() {
    let world = World::start().await;
    for (method, path, body, status) in [
        ("GET", "/vaults/none.vault.azure.net", Value::Null, 404),
        ("PATCH", "/vaults/contoso-keys.vault.azure.net/keys/none", json!({}), 404),
        ("PUT", "/tenants/none/principals/byokd", Value::Null, 404),
        ("PUT", "/tenants/contoso/vaults/a--b", Value::Null, 400),
        ("POST", "/vaults/contoso-keys.vault.azure.net/keys", json!({"name": "x", "bits": 1024}), 400),
        ("PUT", "/token-life", json!({"shortest": 2, "longest": 1}), 400),
        ("POST", "/apps", json!({"nome": "x"}), 422),
        ("DELETE", "/faults/99", Value::Null, 404),
    ] {
        assert_eq!(world.admin(method, path, body).await.status, status, "{method} {path}");
    }
}

#[tokio::test]
async fn without_the_option_there_is_no_admin_api() {
    let world = World::with(Options { admin: false, ..Options::default() }).await;
    assert_eq!(world.admin("GET", "/", Value::Null).await.status, 404);
}
