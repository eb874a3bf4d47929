//! Where an operator's Prometheus reads: `GET /metrics` on a loopback port or a Unix socket, and nothing else.
//!
//! The figures name workspaces and nothing else of customers; who may read them is whom the operator lets onto this machine.

use std::sync::{Arc, Weak};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::Clock;
use http::header::CONTENT_TYPE;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use service::{Service, figures};

use crate::serve::ServerTls;

/// Seconds of a vault's answer: it takes some 55 ms, and nobody waits longer than 10 s.
const VAULT_SECONDS: [f64; 9] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0];

/// What counts from now on in this process, once it is [installed](install).
pub fn recorder() -> PrometheusRecorder {
    let vault = Matcher::Full("byokd_vault_call_seconds".to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(vault, &VAULT_SECONDS);
    builder.expect("there are buckets").build_recorder()
}

/// Has everything in this process counted. `None`: it is already.
pub fn install() -> Option<PrometheusHandle> {
    let recorder = recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).ok().map(|()| handle)
}

/// What the figures are read from.
pub struct Sources {
    /// The counters.
    pub counted: PrometheusHandle,
    /// What stands in memory and in the database.
    pub service: Weak<Service>,
    /// The places we listen on with certificates.
    pub certificates: Vec<Arc<ServerTls>>,
    /// When now is.
    pub clock: Arc<dyn Clock>,
}

/// Answers `GET /metrics`.
pub fn router(sources: Sources) -> Router {
    Router::new().route("/metrics", get(tell)).with_state(Arc::new(sources))
}

async fn tell(State(sources): State<Arc<Sources>>) -> Response {
    if let Some(service) = sources.service.upgrade() {
        service.tell_figures().await;
    }
    let now = sources.clock.now().wall;
    for certificate in &sources.certificates {
        figures::certificate_ends(&certificate.certificate().display().to_string(), certificate.ends(), now);
    }
    sources.counted.run_upkeep();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], sources.counted.render()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use http::{Method, Request, StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::clock::SystemClock;

    /// Figures are told to who asks for them, and nothing else is there to be asked for.
    #[tokio::test]
    async fn only_figures_are_told() {
        let recorder = recorder();
        let counted = recorder.handle();
        let _counting = metrics::set_default_local_recorder(&recorder);
        figures::refused(domain::Reason::NotFound);
        let router =
            router(Sources { counted, service: Weak::new(), certificates: Vec::new(), clock: Arc::new(SystemClock) });
        let ask = async |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let answer = router.clone().oneshot(request).await.unwrap();
            let status = answer.status();
            let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        let (status, body) = ask(Method::GET, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("byokd_requests_refused_total{reason=\"NOT_FOUND\"} 1"), "{body}");
        assert_eq!(ask(Method::POST, "/metrics").await.0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(ask(Method::GET, "/").await.0, StatusCode::NOT_FOUND);
    }
}
