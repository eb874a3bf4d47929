//! What the daemon says of itself: whether it serves (grpc.health.v1) and what (reflection).

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tonic::codegen::Service as _;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::infallible;
use crate::serve::{Incoming, Outgoing};

/// The switch of what health answers, for each service and for the whole (the empty name).
pub struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
    /// Dropped when watches are to end.
    stop: watch::Sender<()>,
}

impl Health {
    /// All services and the whole, serving.
    pub(super) async fn serving(services: &[&'static str]) -> (Self, HealthServer<HealthService>, watch::Receiver<()>) {
        let reporter = HealthReporter::new();
        let services: Vec<_> = services.iter().copied().chain([""]).collect();
        for service in &services {
            reporter.set_service_status(service, ServingStatus::Serving).await;
        }
        let server = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
        let (stop, stopping) = watch::channel(());
        (Self { reporter, services, stop }, server, stopping)
    }

    /// From now on every service is `NOT_SERVING`; whoever watches is told.
    pub async fn not_serving(&self) {
        for service in &self.services {
            self.reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
    }

    /// Ends the streams of those who watch, after they were told: they would hold a drain up to its limit.
    pub async fn end_watches(mut self) {
        for service in &self.services {
            self.reporter.clear_service_status(service).await;
        }
        drop(self.stop);
    }
}

/// Server reflection, both versions: the older is what many clients still ask for first.
pub(super) fn reflection() -> Arc<dyn Fn(Incoming) -> BoxFuture<'static, Outgoing> + Send + Sync> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The descriptors were compiled into this program; that they can be read back is checked by a test of the reflection.
    let v1 = builder().build_v1().expect("the descriptors compiled into the program are well formed");
    let v1alpha = builder().build_v1alpha().expect("the descriptors compiled into the program are well formed");
    Arc::new(move |request| {
        let (mut v1, mut v1alpha) = (v1.clone(), v1alpha.clone());
        Box::pin(async move {
            match request.uri().path().starts_with("/grpc.reflection.v1alpha.") {
                true => infallible(v1alpha.call(request).await),
                false => infallible(v1.call(request).await),
            }
        })
    })
}
