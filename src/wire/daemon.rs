//! What a daemon does while it serves, in which order it begins, and how it ends.

use std::sync::Arc;
use std::time::Duration;

use domain::Entropy;
use futures::future::{Either, select};
use identity::jwks::KeySet;
use metrics_exporter_prometheus::PrometheusHandle;
use service::{PlatformCertificate, Service};
use store::Store;

use super::again::{Rolled, keep_reading, rolled_back, wipe_lapsed_keys};
use crate::clock::SystemClock;
use crate::entra_pages;
use crate::figures::{self, Sources};
use crate::grpc::{Grpc, Health};
use crate::serve::{BindRefused, Drained, Http, HttpLimits, Limits, Listener, Server, Workers};
use crate::webhook::{self, WebhookSecrets};

/// How long the end of the process waits for the last counts of usage to be written, and as long again for the ledger.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// A daemon that runs and is not listening yet.
pub struct Daemon {
    pub(super) service: Arc<Service>,
    pub(super) store: Arc<dyn Store>,
    pub(super) grpc: Grpc,
    pub(super) health: Health,
    pub(super) limits: Limits,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) webhook: Option<(Listener, WebhookSecrets)>,
    /// What the platform's own app shows to customers' directories, if that expires.
    pub(super) certificate: Option<PlatformCertificate>,
    pub(super) entra_pages: Option<Listener>,
    pub(super) metrics: Option<(Listener, PrometheusHandle)>,
    pub(super) issuers_keys: Vec<Arc<KeySet>>,
}

impl Daemon {
    /// The use cases, for who shares the process.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Hears Event Grid here as well, who shows one of these secrets.
    pub fn with_webhook(self, listener: Listener, secrets: WebhookSecrets) -> Self {
        Self { webhook: Some((listener, secrets)), ..self }
    }

    /// Shows customers' admins the pages here by which they connect their directory.
    pub fn with_entra_pages(self, listener: Listener) -> Self {
        Self { entra_pages: Some(listener), ..self }
    }

    /// Tells figures here as well: what this process has counted, and what stands in it.
    pub fn with_metrics(self, listener: Listener, counted: PrometheusHandle) -> Self {
        Self { metrics: Some((listener, counted)), ..self }
    }

    /// Serves until `stop` completes, then says `NOT_SERVING`, takes no more and lets the calls under way finish.
    pub async fn serve(
        self,
        listeners: Vec<Listener>,
        workers: Workers,
        stop: impl Future<Output = ()>,
    ) -> Result<Drained, BindRefused> {
        let Self {
            service,
            store,
            grpc,
            health,
            limits,
            entropy,
            webhook,
            entra_pages,
            metrics,
            issuers_keys,
            certificate,
        } = self;
        let mut tasks = tokio::task::JoinSet::new();
        for keys in issuers_keys {
            tasks.spawn(async move { keys.keep_fresh().await });
        }
        let beside = webhook.as_ref().map(|(listener, _)| listener).into_iter().chain(&entra_pages);
        let certificates: Vec<_> = listeners.iter().chain(beside).filter_map(Listener::certificates).collect();
        for certificates in certificates.iter().cloned() {
            tasks.spawn(keep_reading(certificates));
        }
        if let Some((listener, counted)) = metrics {
            let service = Arc::downgrade(&service);
            let router = figures::router(Sources { counted, service, certificates, clock: Arc::new(SystemClock) });
            let http = Http::new(listener, router, HttpLimits::default())?;
            tasks.spawn(async { match http.run().await {} });
        }
        if let Some((listener, secrets)) = webhook {
            let http = Http::new(listener, webhook::router(secrets, service.clone()), HttpLimits::default())?;
            tasks.spawn(async { match http.run().await {} });
        }
        if let Some(listener) = entra_pages {
            let http = Http::new(listener, entra_pages::router(service.clone()), HttpLimits::default())?;
            tasks.spawn(async { match http.run().await {} });
        }
        tasks.spawn(wipe_lapsed_keys(service.clone()));
        {
            let service = service.clone();
            tasks.spawn(async { match service.run_tasks().await {} });
        }
        tasks.spawn(service.clone().work_on_operations());
        tasks.spawn(service.clone().keep_enforcement_dates());
        tasks.spawn(service.clone().keep_following_new_versions());
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_verifying().await {} });
        }
        tasks.spawn(service.clone().keep_noticing_expiry(certificate));
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_counting_refusals().await {} });
        }
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_usage().await {} });
        }
        {
            let service = service.clone();
            tasks.spawn(async { match service.keep_ledger().await {} });
        }
        let stop = async {
            let stop = std::pin::pin!(stop);
            let rolled_back = std::pin::pin!(rolled_back(store));
            if let Either::Right((Rolled, stop)) = select(stop, rolled_back).await {
                // Nothing is served from it any more. The process stays, so that the alarm does; whoever balances load is told.
                health.not_serving().await;
                stop.await;
            }
            health.not_serving().await;
            health.end_watches().await;
        };
        let drained = Server::new(limits, workers, entropy).run(listeners, grpc, stop).await;
        tasks.shutdown().await;
        // What was counted since the last flush: whoever stops in good order loses nothing of it
        // but what the database does not take.
        match tokio::time::timeout(LAST_FLUSH, service.end_usage()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%why, "the last counts of usage could not be written"),
            Err(_) => tracing::warn!("the last counts of usage could not be written in time"),
        }
        match tokio::time::timeout(LAST_FLUSH, service.end_ledger()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => tracing::warn!(%why, "the last events of the ledger could not be written"),
            Err(_) => tracing::warn!("the last events of the ledger could not be written in time"),
        }
        drained
    }
}
