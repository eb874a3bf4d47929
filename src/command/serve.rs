//! `byokd serve`: from a configuration to a daemon that ends when it is told to.

use std::path::Path;
use std::time::Duration;

use secmem::Backing;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::Config;
use crate::figures;
use crate::serve::Workers;
use crate::telemetry;
use crate::trouble::{Trouble, Troubles};
use crate::wire::{self, Assembly};

/// How long the end waits for a thread that still reads the database: whatever was to be written is written by then.
const LAST_READS: Duration = Duration::from_secs(5);

/// Serves until SIGTERM or SIGINT, then lets the calls under way finish. A second signal ends it at once, and so does the first
/// while nothing is served yet.
pub fn serve(path: &Path) -> Result<(), Troubles> {
    let config = Config::read(path)?;
    telemetry::start(config.log_format, config.log_level);
    let memory = secmem::harden(config.memory_lock)?;
    match memory.backing {
        Backing::MemfdSecret | Backing::Mlock => tracing::info!(backing = ?memory.backing, "key memory is locked"),
        Backing::Unlocked => tracing::warn!("key memory is not locked: keys may reach the swap"),
    }
    let threads = "raise the limit on threads or memory";
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|cause| Trouble::new(format_args!("no threads: {cause}"), threads))?;
    let served = runtime.block_on(async {
        let mut orders = Orders::take().map_err(|cause| Trouble::new(cause, "check the system's limits"))?;
        // Every row of the database is looked at before anybody is answered, which takes as long as it is large.
        let mut daemon = tokio::select! {
            started = async { Ok::<_, Troubles>(Assembly::of(&config).await?.start().await?) } => started?,
            () = orders.next() => {
                tracing::info!("stopped before anything was served");
                return Ok(());
            }
        };
        let listeners = wire::listeners(&config)?;
        if let Some(webhook) = &config.webhook {
            let (listener, secrets) = wire::webhook(webhook)?;
            tracing::info!(at = %listener.address(), "listening for Event Grid");
            daemon = daemon.with_webhook(listener, secrets);
        }
        if let Some(pages) = &config.entra.pages {
            let listener = wire::entra_pages(pages)?;
            tracing::info!(at = %listener.address(), "listening for browsers");
            daemon = daemon.with_entra_pages(listener);
        }
        if let Some(metrics) = &config.metrics {
            let listener = wire::metrics(metrics).map_err(Trouble::from)?;
            tracing::info!(at = %listener.address(), "telling figures");
            if let Some(counted) = figures::install() {
                daemon = daemon.with_metrics(listener, counted);
            }
        }
        let count = config.workers.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
        let workers = Workers::threads(count);
        let workers = workers.map_err(|cause| Trouble::new(format_args!("no threads: {cause}"), threads))?;
        for listener in &listeners {
            tracing::info!(at = %listener.address(), "listening");
        }
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            orders.next().await;
            tracing::info!("stopping: calls under way may finish");
            let _ = stop.send(());
            orders.next().await;
            tracing::warn!("stopped by a second signal");
            std::process::exit(1);
        });
        let stopped = async {
            let _ = stopped.await;
        };
        let drained = daemon.serve(listeners, workers, stopped).await?;
        tracing::info!(cut = drained.cut, turned_away = drained.turned_away, "stopped");
        Ok(())
    });
    runtime.shutdown_timeout(LAST_READS);
    served
}

/// The signals that mean stop.
struct Orders {
    terminate: Signal,
    interrupt: Signal,
}

impl Orders {
    fn take() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
