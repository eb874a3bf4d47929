//! The vault behaves as Key Vault is documented to, from natural causes alone.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use azure_emulator::{
    AccessModel, Deletion, KeyChange, KeyOperation, Limits, Network, NotDone, Options, Role, RoleScope, SeenAs, Sku,
    TokenLife,
};
use common::{Reply, World};
use serde_json::{Value, json};

#[tokio::test]
async fn a_version_by_itself_or_as_the_latest_is_the_same_bundle() {
    let world = World::start().await;
    let latest = world.ask("GET", "/keys/k1/", Value::Null).await;
    let version = world.ask("GET", &format!("/keys/K1/{}", world.key.version), Value::Null).await;
    assert_eq!(latest.body, version.body);
    // Real key identifiers carry no port, however the vault was reached.
    assert_eq!(
        latest.body["key"]["kid"],
        format!("https://contoso-keys.vault.azure.net/keys/k1/{}", world.key.version)
    );
    assert_eq!(latest.body["key"]["kty"], "RSA");
    assert_eq!(latest.body["attributes"]["recoveryLevel"], "Recoverable+Purgeable");
    assert_eq!(latest.body["attributes"]["recoverableDays"], 90);
    assert_eq!(world.ask("GET", "/keys/none/", Value::Null).await.codes(), (404, "KeyNotFound", None));
    assert_eq!(world.ask("GET", "/keys/k1/00000000000000000000000000000000", Value::Null).await.status, 404);
}

#[tokio::test]
async fn three_api_versions_are_answered_and_no_other() {
    let world = World::start().await;
    let token = world.token().await;
    let at = |version: &str| {
        let url = world.url("/keys/k1/").replace("api-version=7.5", version);
        world.send(world.client.get(url).bearer_auth(&token))
    };
    for known in ["7.5", "7.6", "2025-07-01"] {
        assert_eq!(at(&format!("api-version={known}")).await.unwrap().status, 200, "{known}");
    }
    for unknown in ["api-version=7.4-preview.9", "api-version=", "other=7.5"] {
        assert_eq!(at(unknown).await.unwrap().codes(), (400, "BadParameter", None), "{unknown}");
    }
}

#[tokio::test]
async fn versions_are_listed_in_pages_that_link_to_the_next() {
    let world = World::start().await;
    for _ in 0..4 {
        world.vault.rotate_key("k1").await.unwrap();
    }
    let token = world.token().await;
    let mut seen = Vec::new();
    let mut next = Some(world.url("/keys/k1/versions?maxresults=2"));
    let mut pages = 0;
    while let Some(url) = next {
        let page = world.send(world.client.get(url).bearer_auth(&token)).await.unwrap();
        for item in page.body["value"].as_array().unwrap() {
            assert!(item["key"].is_null(), "a list shows no public key");
            seen.push(item["kid"].as_str().unwrap().to_owned());
        }
        next = page.body["nextLink"].as_str().map(str::to_owned);
        pages += 1;
    }
    seen.sort();
    let mut all: Vec<String> = world.vault.versions("k1").unwrap().into_iter().map(|v| v.kid).collect();
    all.sort();
    assert_eq!((pages, seen), (3, all));
    for wrong in ["0", "26", "x"] {
        let reply = world.ask("GET", &format!("/keys?maxresults={wrong}"), Value::Null).await;
        assert_eq!(reply.codes(), (400, "BadParameter", None), "{wrong}");
    }
    let keys = world.ask("GET", "/keys?maxresults=25", Value::Null).await;
    assert_eq!(keys.body["value"][0]["kid"], "https://contoso-keys.vault.azure.net/keys/k1");
    assert!(keys.body["nextLink"].is_null());
}

#[tokio::test]
async fn every_size_wraps_and_unwraps_by_version_and_refuses_what_it_should() {
    let world = World::start().await;
    for (bits, largest) in [(2048, 190), (3072, 318), (4096, 446)] {
        let name = format!("k{bits}");
        let reply = world.ask("POST", &format!("/keys/{name}/create"), json!({"kty": "RSA", "key_size": bits})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let kid = reply.body["key"]["kid"].as_str().unwrap();
        let version = kid.rsplit('/').next().unwrap();
        let (fits, too_long) =
            ("A".repeat((largest * 4usize).div_ceil(3)), "A".repeat(((largest + 1) * 4usize).div_ceil(3)));
        let wrap = |value: String| {
            let body = json!({"alg": "RSA-OAEP-256", "value": value});
            let path = format!("/keys/{name}/{version}/wrapkey");
            let world = &world;
            async move { world.ask("POST", &path, body).await }
        };
        let wrapped = wrap(fits.clone()).await;
        assert_eq!(wrapped.status, 200, "{bits}");
        assert_eq!(wrap(too_long).await.codes(), (400, "BadParameter", None), "{bits}");
        let body = json!({"alg": "RSA-OAEP-256", "value": wrapped.body["value"]});
        let opened = world.ask("POST", &format!("/keys/{name}/{version}/unwrapkey"), body).await;
        assert_eq!(opened.body["value"].as_str().unwrap().len(), fits.len());
        let other = json!({"alg": "RSA-OAEP", "value": wrapped.body["value"]});
        let refused = world.ask("POST", &format!("/keys/{name}/{version}/unwrapkey"), other).await;
        assert_eq!(refused.codes(), (400, "BadParameter", None));
    }
    for (asked, why) in [
        (json!({"kty": "RSA", "key_size": 1024}), "size"),
        (json!({"kty": "EC"}), "type"),
        (json!({"kty": "RSA-HSM"}), "SKU"),
        (json!({"kty": "RSA", "attributes": {"nbf": 10, "exp": 5}}), "dates"),
    ] {
        assert_eq!(world.ask("POST", "/keys/bad/create", asked).await.codes(), (400, "BadParameter", None), "{why}");
    }
    for (body, why) in [
        (json!({"alg": "A256KW", "value": "AA"}), "algorithm"),
        (json!({"value": "AA"}), "no algorithm"),
        (json!({"alg": "RSA-OAEP-256"}), "no value"),
        (json!({"alg": "RSA-OAEP-256", "value": "*"}), "not base64url"),
        (json!({"alg": "RSA-OAEP-256", "value": "AAAA"}), "does not open"),
    ] {
        assert_eq!(world.ask("POST", "/keys/k1//unwrapkey", body).await.codes(), (400, "BadParameter", None), "{why}");
    }
    world.vault.set_sku(Sku::Premium);
    let hsm = world.ask("POST", "/keys/h1/create", json!({"kty": "RSA-HSM"})).await;
    assert_eq!((hsm.status, &hsm.body["key"]["kty"]), (200, &json!("RSA-HSM")));
}

#[tokio::test]
async fn an_expired_or_not_yet_valid_key_unwraps_and_does_not_wrap() {
    let world = World::start().await;
    let blob = world.wrap("", "c2VjcmV0").await.body["value"].as_str().unwrap().to_owned();
    for (nbf, exp) in [(None, Some(1_000)), (Some(4_000_000_000), None)] {
        world.vault.change_key("k1", KeyChange { clear_dates: true, nbf, exp, ..KeyChange::default() }).unwrap();
        for verb in ["wrapkey", "encrypt"] {
            let refused = world.crypto(verb, "", "AAAA").await;
            // No inner code is published for this: a client has to look at the key's attributes.
            assert_eq!(refused.codes(), (403, "Forbidden", None), "{verb}");
        }
        assert_eq!(world.unwrap("", &blob).await.body["value"], "c2VjcmV0");
        assert_eq!(world.crypto("decrypt", "", &blob).await.body["value"], "c2VjcmV0");
    }
}

#[tokio::test]
async fn key_ops_forbid_exactly_what_they_do_not_list() {
    let world = World::start().await;
    let blob = world.wrap("", "AAAA").await.body["value"].as_str().unwrap().to_owned();
    let reply = world.ask("PATCH", "/keys/k1/", json!({"key_ops": ["unwrapKey", "verify"], "tags": {"a": "b"}})).await;
    assert_eq!(
        (&reply.body["key"]["key_ops"], &reply.body["tags"]["a"]),
        (&json!(["unwrapKey", "verify"]), &json!("b"))
    );
    for verb in ["wrapkey", "encrypt", "decrypt"] {
        assert_eq!(
            world.crypto(verb, "", &blob).await.codes(),
            (403, "Forbidden", Some("KeyOperationForbidden")),
            "{verb}"
        );
    }
    assert_eq!(world.unwrap("", &blob).await.status, 200);
}

#[tokio::test]
async fn a_disabled_old_version_refuses_while_the_new_one_serves() {
    let world = World::start().await;
    let old = world.key.version.clone();
    let blob = world.wrap("", "AAAA").await.body["value"].as_str().unwrap().to_owned();
    let new = world.vault.rotate_key("k1").await.unwrap();
    assert_ne!(new.version, old);
    assert_eq!(world.wrap("", "AAAA").await.body["kid"], new.kid.as_str());
    assert_eq!(world.unwrap(&new.version, &blob).await.codes(), (400, "BadParameter", None));
    assert_eq!(world.unwrap(&old, &blob).await.status, 200);
    let reply = world.ask("PATCH", &format!("/keys/k1/{old}"), json!({"attributes": {"enabled": false}})).await;
    assert_eq!(reply.body["attributes"]["enabled"], false);
    assert_eq!(world.unwrap(&old, &blob).await.codes(), (403, "Forbidden", Some("KeyDisabled")));
    assert_eq!(world.wrap(&old, "AAAA").await.codes(), (403, "Forbidden", Some("KeyDisabled")));
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
    // Reported once and never confirmed: with this on, wrapping goes on.
    world.vault.set_disabled_still_wraps(true);
    assert_eq!(world.wrap(&old, "AAAA").await.status, 200);
    assert_eq!(world.unwrap(&old, &blob).await.status, 403);
}

#[tokio::test]
async fn a_deleted_key_can_be_recovered_until_it_is_purged() {
    let world = World::start().await;
    let blob = world.wrap("", "AAAA").await.body["value"].as_str().unwrap().to_owned();
    let deleted = world.ask("DELETE", "/keys/k1", Value::Null).await;
    assert_eq!(deleted.body["recoveryId"], "https://contoso-keys.vault.azure.net/deletedkeys/k1");
    assert_eq!(world.unwrap("", &blob).await.codes(), (404, "KeyNotFound", None));
    let again = world.ask("POST", "/keys/k1/create", json!({"kty": "RSA"})).await;
    assert_eq!(again.codes(), (409, "Conflict", Some("ObjectIsDeletedButRecoverable")));
    assert_eq!(world.vault.create_key("k1", 2048, &[]).await.unwrap_err(), NotDone::NameIsDeleted);
    assert_eq!(world.ask("GET", "/deletedkeys/k1", Value::Null).await.status, 200);
    let list = world.ask("GET", "/deletedkeys", Value::Null).await;
    assert_eq!(list.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(world.ask("POST", "/deletedkeys/k1/recover", Value::Null).await.status, 200);
    assert_eq!(world.unwrap("", &blob).await.status, 200);

    world.vault.set_deletion(Deletion { retention_days: 90, purge_protection: true });
    world.ask("DELETE", "/keys/k1", Value::Null).await;
    assert_eq!(world.ask("DELETE", "/deletedkeys/k1", Value::Null).await.codes(), (403, "Forbidden", None));
    world.vault.set_deletion(Deletion::default());
    assert_eq!(world.ask("DELETE", "/deletedkeys/k1", Value::Null).await.status, 204);
    assert_eq!(world.ask("GET", "/deletedkeys/k1", Value::Null).await.status, 404);
    assert_eq!(world.ask("POST", "/keys/k1/create", json!({"kty": "RSA"})).await.status, 200);
}

#[tokio::test]
async fn an_imported_key_opens_what_its_owner_wrapped() {
    use aws_lc_rs::encoding::AsDer as _;
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let world = World::start().await;
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let info =
        world.vault.import_key("ours", &azure_emulator::ImportedKey { pkcs8: der.as_ref(), hsm: false }).unwrap();
    let shown = world.ask("GET", "/keys/ours/", Value::Null).await;
    assert_eq!(shown.body["key"]["kid"], info.kid.as_str());
    let refused = world.ask("PUT", "/keys/theirs", json!({"key": {"kty": "RSA", "n": "AQ", "e": "AQAB"}})).await;
    assert_eq!(refused.codes(), (400, "BadParameter", None));
}

#[tokio::test]
async fn roles_decide_by_vault_or_key_and_a_removed_role_denies() {
    let world = World::start().await;
    world.vault.create_key("k2", 2048, &KeyOperation::WRAP).await.unwrap();
    world.vault.remove_role(&world.us, Role::CryptoOfficer, RoleScope::Vault);
    let refused = world.wrap("", "AAAA").await;
    assert_eq!(refused.codes(), (403, "Forbidden", Some("ForbiddenByRbac")));
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("\r\nAction: 'Microsoft.KeyVault/vaults/keys/wrap/action'\r\n"), "{message}");
    assert!(message.contains(&format!("oid={}", world.us.object_id)) && message.contains("/keys/k1'"), "{message}");

    world.vault.assign_role(&world.us, Role::CryptoServiceEncryptionUser, RoleScope::Key("k1".into()));
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
    assert_eq!(world.ask("GET", "/keys/k2/", Value::Null).await.status, 403);
    assert_eq!(world.ask("GET", "/keys", Value::Null).await.status, 403);
    assert_eq!(world.ask("PATCH", "/keys/k1/", json!({})).await.status, 403);
}

#[tokio::test]
async fn in_the_policy_model_roles_have_no_effect_and_policies_decide() {
    let world = World::start().await;
    world.vault.set_access_model(AccessModel::Policies);
    assert_eq!(world.wrap("", "AAAA").await.codes(), (403, "Forbidden", Some("AccessDenied")));
    world.vault.set_access_policy(&world.us, &["get", "wrapKey"]);
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
    assert_eq!(world.unwrap("", "AAAA").await.codes(), (403, "Forbidden", Some("AccessDenied")));
    world.vault.set_access_model(AccessModel::Rbac);
    world.vault.remove_roles(&world.us);
    assert_eq!(world.wrap("", "AAAA").await.codes(), (403, "Forbidden", Some("ForbiddenByRbac")));
}

#[tokio::test]
async fn the_network_admits_by_address_or_private_endpoint_and_says_how_it_sees_the_caller() {
    let world = World::start().await;
    let seen = SeenAs { address: "203.0.113.7".parse().unwrap(), private: false };
    world.emulator.see_callers_as(Some(seen));
    world.vault.set_network(Network { firewall: true, ..Network::default() });
    let refused = world.wrap("", "AAAA").await;
    assert_eq!(refused.codes(), (403, "Forbidden", Some("ForbiddenByFirewall")));
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("Client address: 203.0.113.7\r\n"));
    let allowed = vec!["203.0.113.0/24".to_owned()];
    world.vault.set_network(Network { firewall: true, allowed: allowed.clone(), ..Network::default() });
    assert_eq!(world.wrap("", "AAAA").await.status, 200);

    world.vault.set_network(Network { public_access: false, allowed, private_endpoint: true, ..Network::default() });
    assert_eq!(world.wrap("", "AAAA").await.codes(), (403, "Forbidden", Some("ForbiddenByConnection")));
    world.emulator.see_callers_as(Some(SeenAs { address: "10.1.0.5".parse().unwrap(), private: true }));
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
    let health = world.send(world.client.get(world.url("/healthstatus"))).await.unwrap();
    let info = health.header("x-ms-keyvault-network-info").unwrap();
    assert_eq!((health.status, info), (200, "conn_type=PrivateLink;addr=10.1.0.5;act_addr_fam=InterNetwork;"));
}

#[tokio::test]
async fn past_the_limit_of_ten_seconds_requests_are_throttled_with_or_without_advice() {
    let micros = Arc::new(AtomicI64::new(1_800_000_000_000_000));
    let reading = micros.clone();
    let clock = Arc::new(move || reading.load(Ordering::SeqCst));
    let world = World::with(Options { clock: Some(clock), ..Options::default() }).await;
    world.vault.set_limits(Limits { key_units: Some(2), ..Limits::default() });
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
    let throttled = world.wrap("", "AAAA").await;
    assert_eq!((throttled.codes(), throttled.header("retry-after")), ((429, "Throttled", None), Some("10")));
    world.vault.set_limits(Limits { key_units: Some(2), retry_after: false, ..Limits::default() });
    assert_eq!(world.wrap("", "AAAA").await.header("retry-after"), None);
    // Other requests have their own limit.
    assert_eq!(world.ask("GET", "/keys/k1/", Value::Null).await.status, 200);
    micros.fetch_add(10_000_000, Ordering::SeqCst);
    assert_eq!(world.wrap("", "AAAA").await.status, 200);
}

#[tokio::test]
async fn a_token_counts_only_in_its_time_for_its_audience_and_in_its_tenant() {
    let micros = Arc::new(AtomicI64::new(1_800_000_000_000_000));
    let reading = micros.clone();
    let clock = Arc::new(move || reading.load(Ordering::SeqCst));
    let world = World::with(Options { clock: Some(clock), ..Options::default() }).await;
    world.emulator.set_token_life(TokenLife { shortest: 60, longest: 60 });
    let get = |token: String| {
        let world = &world;
        async move { world.call("GET", "/keys/k1/", &token, Value::Null).await.unwrap() }
    };
    let message = |r: &Reply| r.body["error"]["message"].as_str().unwrap_or_default().to_owned();

    let token = world.token().await;
    assert_eq!(get(token.clone()).await.status, 200);
    micros.fetch_add(60_000_000, Ordering::SeqCst);
    let expired = get(token).await;
    assert_eq!(expired.codes(), (401, "Unauthorized", None));
    assert!(message(&expired).contains("expired"), "{expired:?}");

    let mut form = world.by_secret(&world.secret);
    form[3] = ("scope", "https://graph.microsoft.com/.default");
    let foreign = world.token_reply(world.contoso.id(), &form).await;
    let wrong_audience = get(foreign.body["access_token"].as_str().unwrap().to_owned()).await;
    assert!(wrong_audience.status == 401 && message(&wrong_audience).starts_with("AKV10022"), "{wrong_audience:?}");

    let fabrikam = world.emulator.tenant("fabrikam");
    fabrikam.consent(&world.app);
    let theirs = world.token_reply(fabrikam.id(), &world.by_secret(&world.secret)).await;
    let wrong_tenant = get(theirs.body["access_token"].as_str().unwrap().to_owned()).await;
    assert!(wrong_tenant.status == 401 && message(&wrong_tenant).starts_with("AKV10032"), "{wrong_tenant:?}");
    assert!(wrong_tenant.header("www-authenticate").unwrap().contains(world.contoso.id()));

    // The other way about: the vault is moved to another tenant, and our good token is refused.
    let ours = world.token().await;
    world.vault.move_to_tenant(fabrikam.id());
    assert!(message(&get(ours).await).starts_with("AKV10032"));
    assert_eq!(get("not.a.token".into()).await.status, 401);
}

#[tokio::test]
async fn a_recovered_vault_has_lost_its_role_assignments() {
    let world = World::start().await;
    world.vault.delete();
    assert!(world.emulator.resolves(world.vault.host()), "a soft-deleted vault keeps its name");
    assert_eq!(world.wrap("", "AAAA").await.status, 404);
    world.vault.recover();
    assert_eq!(world.wrap("", "AAAA").await.codes(), (403, "Forbidden", Some("ForbiddenByRbac")));
    world.vault.purge();
    assert!(!world.emulator.resolves(world.vault.host()));
}

#[tokio::test]
async fn a_rotation_policy_is_kept_checked_and_dates_the_next_version() {
    let world = World::start().await;
    let unset = world.ask("GET", "/keys/k1/rotationpolicy", Value::Null).await;
    assert_eq!(unset.body["lifetimeActions"][0]["action"]["type"], "Notify");
    let rotate = json!({"trigger": {"timeAfterCreate": "P60D"}, "action": {"type": "rotate"}});
    let policy = json!({"lifetimeActions": [rotate], "attributes": {"expiryTime": "P90D"}});
    let put = world.ask("PUT", "/keys/k1/rotationpolicy", policy).await;
    assert_eq!((put.status, &put.body["lifetimeActions"][0]["action"]["type"]), (200, &json!("Rotate")));
    let got = world.ask("GET", "/keys/k1/rotationpolicy", Value::Null).await;
    assert_eq!(got.body, put.body);
    let rotated = world.ask("POST", "/keys/k1/rotate", Value::Null).await;
    let attributes = &rotated.body["attributes"];
    assert_eq!(attributes["exp"].as_i64().unwrap() - attributes["created"].as_i64().unwrap(), 90 * 86_400);
    assert_ne!(
        rotated.body["key"]["n"],
        world.ask("GET", &format!("/keys/k1/{}", world.key.version), Value::Null).await.body["key"]["n"]
    );
    for bad in ["P27D", "90", "P1H"] {
        let policy = json!({"attributes": {"expiryTime": bad}});
        assert_eq!(world.ask("PUT", "/keys/k1/rotationpolicy", policy).await.status, 400, "{bad}");
    }
}
