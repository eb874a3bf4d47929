//! Disturbances of the wire and falsified answers, as a client sees them.

mod common;

use std::time::Duration;

use azure_emulator::{Disturbance, Falsified, Fault, Operation, Scope};
use common::World;
use serde_json::{Value, json};

fn on_wrap() -> Scope {
    Scope::everywhere().operation(Operation::WrapKey).times(1)
}

/// Long enough for a local answer many times over, short enough for a test.
const A_WHILE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn cut_connections_are_errors_and_only_late_cuts_have_taken_effect() {
    let world = World::start().await;
    let token = world.token().await;
    let create = |name: &str| {
        let (path, token, world) = (format!("/keys/{name}/create"), token.clone(), &world);
        async move { world.call("POST", &path, &token, json!({"kty": "RSA"})).await }
    };
    let scope = || Scope::everywhere().operation(Operation::Create).times(1);
    for (cut, took_effect) in [
        (Disturbance::DropBefore, false),
        (Disturbance::Reset, false),
        (Disturbance::DropAfter, true),
        (Disturbance::DropMidAnswer, true),
    ] {
        world.emulator.faults().switch_on(Fault::Wire(cut), scope());
        let name = format!("{cut:?}");
        assert!(create(&name).await.is_err(), "{cut:?}");
        assert_eq!(world.vault.latest(&name).is_ok(), took_effect, "{cut:?}");
        let call = world.emulator.calls().into_iter().rfind(|c| c.operation == Operation::Create).unwrap();
        assert_eq!(call.status == 0, cut != Disturbance::DropMidAnswer, "{cut:?}");
    }
    assert_eq!(create("fine").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_held_call_goes_on_when_the_hold_is_cleared_and_a_silent_one_never_answers() {
    let world = World::start().await;
    let id = world.emulator.faults().switch_on(Fault::Wire(Disturbance::Hold), on_wrap());
    let mut call = Box::pin(world.wrap("", "AAAA"));
    assert!(tokio::time::timeout(A_WHILE, &mut call).await.is_err());
    assert!(world.emulator.faults().clear(id));
    assert_eq!(call.await.status, 200);

    let token = world.token().await;
    let body = json!({"alg": "RSA-OAEP-256", "value": "AAAA"});
    let id = world.emulator.faults().switch_on(Fault::Wire(Disturbance::Timeout), on_wrap());
    let mut call = Box::pin(world.call("POST", "/keys/k1//wrapkey", &token, body.clone()));
    assert!(tokio::time::timeout(A_WHILE, &mut call).await.is_err());
    world.emulator.faults().clear(id);
    assert!(call.await.is_err());

    for slow in [Disturbance::Delay { millis: 60_000 }, Disturbance::SlowDrip { millis: 1_000 }] {
        world.emulator.faults().switch_on(Fault::Wire(slow), on_wrap());
        let call = world.call("POST", "/keys/k1//wrapkey", &token, body.clone());
        assert!(tokio::time::timeout(A_WHILE, call).await.is_err(), "{slow:?}");
    }
    for bearable in [Disturbance::Delay { millis: 1 }, Disturbance::SlowDrip { millis: 0 }] {
        world.emulator.faults().switch_on(Fault::Wire(bearable), on_wrap());
        assert_eq!(world.wrap("", "AAAA").await.status, 200, "{bearable:?}");
    }
}

#[tokio::test]
async fn an_untrusted_certificate_or_unknown_name_ends_the_handshake() {
    let world = World::start().await;
    for fault in [Disturbance::UntrustedCertificate, Disturbance::NameUnknown] {
        let scope = Scope::everywhere().host(world.vault.host());
        let id = world.emulator.faults().switch_on(Fault::Wire(fault), scope);
        let fresh = common::client(&world.emulator);
        assert!(fresh.get(world.url("/healthstatus")).send().await.unwrap_err().is_connect(), "{fault:?}");
        assert_eq!(world.emulator.resolves(world.vault.host()), fault != Disturbance::NameUnknown);
        world.emulator.faults().clear(id);
        assert_eq!(fresh.get(world.url("/healthstatus")).send().await.unwrap().status(), 200, "{fault:?}");
    }
}

#[tokio::test]
async fn falsified_answers_look_like_successes() {
    let world = World::start().await;
    let blob = world.wrap("", "c2VjcmV0").await.body["value"].as_str().unwrap().to_owned();
    let switch = |falsified, operation| {
        world.emulator.faults().switch_on(Fault::Answer(falsified), Scope::everywhere().operation(operation).times(1))
    };
    switch(Falsified::WrongPlaintext, Operation::UnwrapKey);
    let wrong = world.unwrap("", &blob).await;
    assert_eq!((wrong.status, &wrong.body["value"]), (200, &json!("c2VjcmV1")));
    switch(Falsified::WrongKid, Operation::WrapKey);
    let wrong = world.wrap("", "AAAA").await;
    assert_eq!(wrong.status, 200);
    assert_ne!(wrong.body["kid"], world.key.kid.as_str());
    assert!(wrong.body["kid"].as_str().unwrap().starts_with("https://contoso-keys.vault.azure.net/keys/k1/"));
    switch(Falsified::BadJson, Operation::WrapKey);
    let wrong = world.wrap("", "AAAA").await;
    assert_eq!((wrong.status, wrong.body), (200, Value::Null));
    let truth = world.ask("GET", "/keys/k1/", Value::Null).await;
    switch(Falsified::WrongPublicKey, Operation::GetKey);
    let wrong = world.ask("GET", "/keys/k1/", Value::Null).await;
    assert_eq!(wrong.body["key"]["kid"], truth.body["key"]["kid"]);
    assert_ne!(wrong.body["key"]["n"], truth.body["key"]["n"]);
    switch(Falsified::ForeignNextLink, Operation::ListVersions);
    let wrong = world.ask("GET", "/keys/k1/versions", Value::Null).await;
    assert!(wrong.body["nextLink"].as_str().unwrap().starts_with("https://collector.foreign.example/"));
    switch(Falsified::Redirect, Operation::GetKey);
    let elsewhere = world.ask("GET", "/keys/k1/", Value::Null).await;
    assert_eq!((elsewhere.status, elsewhere.body), (307, Value::Null));
    let logged = world.emulator.calls().last().map(|call| call.status);
    assert_eq!(logged, Some(307), "the log has what was told");

    for (falsified, part) in [
        (Falsified::ChallengeTenant, world.contoso.id().to_owned()),
        (Falsified::ChallengeResource, "https://vault.azure.net".to_owned()),
    ] {
        world.emulator.faults().switch_on(Fault::Answer(falsified), Scope::everywhere().times(1));
        let reply = world.send(world.client.get(world.url("/keys/k1/"))).await.unwrap();
        let challenge = reply.header("www-authenticate").unwrap();
        assert!(reply.status == 401 && !challenge.contains(&part), "{falsified:?}: {challenge}");
    }
}
