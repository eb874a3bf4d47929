//! The main job against the emulator: a token, a key, wrap, unwrap, and no more once the key is disabled.

mod common;

use azure_emulator::Operation;
use common::World;
use serde_json::Value;

#[tokio::test]
async fn a_disabled_key_stops_unwrapping_and_an_enabled_one_works_again() {
    let world = World::start().await;
    let wrapped = world.wrap("", "c2VjcmV0").await;
    assert_eq!(wrapped.status, 200, "{wrapped:?}");
    assert_eq!(wrapped.body["kid"], world.key.kid.as_str());
    let blob = wrapped.body["value"].as_str().unwrap().to_owned();
    let opened = world.unwrap(&world.key.version, &blob).await;
    assert_eq!(opened.body["value"], "c2VjcmV0");

    world.vault.disable_key_version("k1", "").unwrap();
    let refused = world.unwrap(&world.key.version, &blob).await;
    assert_eq!(refused.codes(), (403, "Forbidden", Some("KeyDisabled")));
    world.vault.enable_key_version("k1", "").unwrap();
    assert_eq!(world.unwrap(&world.key.version, &blob).await.body["value"], "c2VjcmV0");

    assert_eq!(world.emulator.count(Operation::UnwrapKey), 3);
    let calls = world.emulator.calls();
    let refused = calls.iter().find(|c| c.status == 403).unwrap();
    assert_eq!(refused.principal.as_deref(), Some(world.us.object_id.as_str()));
    assert_eq!(refused.version.as_deref(), Some(world.key.version.as_str()));
    assert!(!refused.request_id.is_empty());
}

#[tokio::test]
async fn without_a_token_the_vault_names_its_tenant_and_resource() {
    let world = World::start().await;
    let reply = world.send(world.client.get(world.url("/keys/k1/"))).await.unwrap();
    assert_eq!(reply.codes(), (401, "Unauthorized", None));
    let expected = format!(
        "Bearer authorization=\"https://login.microsoftonline.com/{}\", resource=\"https://vault.azure.net\"",
        world.contoso.id()
    );
    assert_eq!(reply.header("www-authenticate"), Some(expected.as_str()));
    assert!(reply.header("x-ms-request-id").is_some());
    assert_eq!(world.emulator.count(Operation::Challenge), 1);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_refused_at_the_handshake() {
    let world = World::start().await;
    let url = format!("https://unknown-keys.vault.azure.net:{}/keys", world.emulator.addr().port());
    assert!(world.client.get(url).send().await.unwrap_err().is_connect());
    assert!(!world.emulator.resolves("unknown-keys.vault.azure.net"));
    assert!(world.emulator.resolves("contoso-keys.vault.azure.net"));
    assert_eq!(world.emulator.count(Operation::Connect), 1);
    assert_eq!(world.admin("GET", "/resolves/unknown-keys.vault.azure.net", Value::Null).await.body["resolves"], false);
}
