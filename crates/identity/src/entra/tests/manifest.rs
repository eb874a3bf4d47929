//! The registration that is shipped: with it the claims are there, and without any part of it nobody is let in.

use serde_json::{Value, json};

use super::*;
use crate::entra::{IdTokenRefused, Rule};

fn shipped() -> Value {
    serde_json::from_str(MANIFEST).unwrap()
}

/// The file in docs/entra, registered as it is, brings every claim that the rules ask for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_registration_brings_the_claims() {
    let world = World::start().await;
    world.app.set_manifest(&shipped()).unwrap();
    world.sign_in(owner()).await.unwrap();
    let wanted = &shipped()["requiredResourceAccess"][0]["resourceAccess"];
    assert_eq!(wanted.as_array().unwrap().len(), 2, "openid and profile, and nothing else");
}

/// Each claim that the registration does not ask for is absent, and absent means refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_part_of_the_registration_nobody_is_let_in() {
    let world = World::start().await;
    let without = |change: fn(&mut Value)| {
        let mut manifest = shipped();
        change(&mut manifest);
        world.app.set_manifest(&manifest).unwrap();
    };
    without(|m| m["optionalClaims"] = json!({}));
    assert_eq!(world.sign_in(owner()).await, Err(IdTokenRefused { rule: Rule::AccountKind }.into()));
    without(|m| m["groupMembershipClaims"] = Value::Null);
    assert_eq!(world.sign_in(owner()).await, Err(IdTokenRefused { rule: Rule::RolesSaid }.into()));
    without(|m| m["web"]["redirectUris"] = json!([]));
    assert!(world.post(&world.sign_in_url(), &[("user", owner())]).await.unwrap_err().contains("AADSTS50011"));
    without(|_| {});
    world.sign_in(owner()).await.unwrap();
}

/// What is no manifest, or asks for permissions that are not of signing in, is not registered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_registration_is_not_taken() {
    let world = World::start().await;
    for change in [
        (|m: &mut Value| m["signInAudience"] = json!("Everybody")) as fn(&mut Value),
        |m| m["web"]["redirectUris"] = json!(["http://keys.example.com/x"]),
        |m| m["web"]["redirectUris"] = json!(["https://keys.example.com/*"]),
        |m| m["requiredResourceAccess"][0]["resourceAccess"][0]["id"] = json!("9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8"),
        |m| m["optionalClaims"]["idToken"] = json!("acct"),
    ] {
        let mut manifest = shipped();
        change(&mut manifest);
        assert!(world.app.set_manifest(&manifest).is_err(), "{manifest}");
    }
}
