//! The daemon says whether it serves, and what.

use tokio_stream::StreamExt;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::site::Site;

const SERVICES: [&str; 5] =
    ["byok.v1.Audit", "byok.v1.Encryption", "byok.v1.EnterpriseKeys", "byok.v1.Operations", "byok.v1.Workspaces"];

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.into() }
}

/// A load balancer, which has no token, learns the health of each service and of the whole.
#[tokio::test]
async fn each_service_has_its_health() {
    let site = Site::start().await;
    let mut health = HealthClient::new(site.channel().await);
    for service in SERVICES.into_iter().chain([""]) {
        let status = health.check(of(service)).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service:?}");
    }
    assert_eq!(health.check(of("byok.v1.Nothing")).await.unwrap_err().code(), Code::NotFound);
}

/// Whoever watches is told before the daemon goes, and does not hold it up.
#[tokio::test]
async fn who_watches_is_told_before_the_end() {
    let mut site = Site::start().await;
    let mut health = HealthClient::new(site.channel().await);
    let mut watch = health.watch(of("byok.v1.Encryption")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    site.stop();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(watch.next().await.is_none(), "the watch ends well");
    assert_eq!(site.stopped().await.cut, 0);
}

/// I-6: a database that turned out to be an older copy serves nobody: whoever balances load is told, and the process stays.
#[tokio::test]
async fn a_replaced_database_is_told_to_who_watches() {
    let site = Site::start().await;
    let mut health = HealthClient::new(site.channel().await);
    let mut watch = health.watch(of("byok.v1.Encryption")).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::Serving);
    site.store.fail_reads(Some(store::StoreError::RolledBack));
    assert_eq!(watch.next().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert_eq!(health.check(of("")).await.unwrap().into_inner().status(), ServingStatus::NotServing);
    drop((watch, health));
    site.stopped().await;
}

/// Reflection lists the contract's services, and every one listed exists.
#[tokio::test]
async fn reflection_lists_the_contract() {
    let site = Site::start().await;
    let mut reflection = ServerReflectionClient::new(site.channel().await);
    let ask = |request| ServerReflectionRequest { host: String::new(), message_request: Some(request) };
    let asked = tokio_stream::iter([
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol("byok.v1.Encryption".into())),
    ]);
    let mut answers = reflection.server_reflection_info(asked).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = answers.next().await.unwrap().unwrap().message_response
    else {
        panic!("not a list of services")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in SERVICES {
        assert!(names.contains(&service), "{service} is not in {names:?}");
    }
    let file = answers.next().await.unwrap().unwrap().message_response;
    assert!(matches!(file, Some(MessageResponse::FileDescriptorResponse(_))), "{file:?}");
}

/// A method or service that does not exist is told as such, with or without a token.
#[tokio::test]
async fn what_does_not_exist_is_unimplemented() {
    let site = Site::start().await;
    let mut raw = crate::raw::connect(&site).await;
    for path in ["/byok.v1.Encryption/Destroy", "/byok.v1.Nothing/At", "/", "/x"] {
        let status = crate::raw::call(&mut raw, crate::raw::request(path, &(), &[])).await.unwrap();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
    }
}
