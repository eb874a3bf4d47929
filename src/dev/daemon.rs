//! The daemon of `dev`: the same parts as in production, but for the connector that leads vaults' names to the emulator.

use std::sync::Arc;
use std::time::Duration;

use identity::{TokenCallers, token_hash};
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vault::azure::{AzureKeys, AzureOptions, ClientSecret, DevelopmentConnector, PlatformCredential};
use vault::platform::PlatformRoot;
use zeroize::Zeroizing;

use super::azure::Azure;
use super::browser::PUBLIC;
use super::home::{CALLERS, Home, Tokens};
use crate::clock::SystemClock;
use crate::entra_application;
use crate::entropy::SystemEntropy;
use crate::serve::{BindRefused, Drained, Listener, Workers};
use crate::trouble::Trouble;
use crate::webhook::WebhookSecrets;
use crate::wire::{self, Assembly};

/// A daemon that serves on a task of its own.
pub(super) struct Running {
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<Drained, BindRefused>>,
}

const CONTROL_LEASE: Duration = Duration::from_secs(2);
const FREEZE_MARGIN: Duration = Duration::from_secs(3);
const COMMIT_SLACK: Duration = Duration::from_secs(1);
/// How long what somebody else approved waits, so that whoever watches sees it wait: a day, or seven, elsewhere.
pub(super) const SECOND_THOUGHTS: Duration = Duration::from_secs(2);
/// How far ahead an enforcement date has to be: time for its freeze, and to type it.
pub(super) const SOONEST_DATE: Duration = Duration::from_secs(6);

/// Starts it on what `home` holds.
pub(super) async fn start(
    home: &Home,
    azure: &Azure,
    tokens: &Tokens,
    durability: Durability,
    (listener, http, pages): (Listener, Listener, Listener),
) -> Result<Running, Trouble> {
    let platform = Arc::new(platform_root(home)?);
    let options = SqliteOptions {
        path: home.file("byokd.db"),
        row_seal: platform.row_seal(),
        root_check: platform.check_value(),
        cluster: platform.cluster_id(),
        durability,
    };
    let outside = wire::outside(&home.file("byokd.db.head"), &platform);
    let store = SqliteStore::create_or_open_anchored(options, &outside)?;
    let (client_id, secret) = azure.application().await?;
    let credential = PlatformCredential::Secret(ClientSecret::new(Zeroizing::new(secret)));
    let connector = DevelopmentConnector { addr: azure.addr(), ca_pem: azure.ca_pem().to_vec() };
    let options = AzureOptions::new(&client_id, credential, Arc::new(SystemClock), Arc::new(SystemEntropy));
    let keys = options.and_then(|options| AzureKeys::new(options.development(connector)));
    let keys = keys.map_err(|refused| Trouble::new(refused, "check --emulator and --emulator-ca"))?;
    let hashes = [token_hash(&tokens.dev), token_hash(&tokens.second)];
    let callers = TokenCallers::new(CALLERS.into_iter().zip(hashes));
    let hint = "remove the files `token` and `second-token` in the data directory";
    let callers = callers.map_err(|refused| Trouble::new(refused, hint))?;

    azure.register().await?;
    let keys = Arc::new(keys);
    let directory = entra_application::directory(&keys, PUBLIC)?;
    let mut assembly = Assembly::new(Arc::new(store), keys, platform, Arc::new(callers));
    assembly.directory = Some((directory, PUBLIC.to_owned()));
    // One replica, and somebody who watches: what is agreed on by waiting is agreed on in seconds.
    assembly.options.control_lease = CONTROL_LEASE;
    assembly.options.freeze_margin = FREEZE_MARGIN;
    assembly.options.commit_slack = COMMIT_SLACK;
    assembly.options.before_replacing = SECOND_THOUGHTS;
    assembly.options.before_destroying = SECOND_THOUGHTS;
    let secrets = WebhookSecrets::read(&home.webhook_secret()?)
        .map_err(|refused| Trouble::new(refused, "remove the file `webhook-secret` in the data directory"))?;
    let daemon = assembly.start().await?.with_webhook(http, secrets).with_entra_pages(pages);
    let count = std::thread::available_parallelism().map_or(1, Into::into);
    let workers = Workers::threads(count)
        .map_err(|cause| Trouble::new(format_args!("no threads: {cause}"), "check the system's limits"))?;
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        // Dropped is told as well.
        let _ = stopped.await;
    };
    Ok(Running { stop, served: tokio::spawn(daemon.serve(vec![listener], workers, stopped)) })
}

/// `serve` never makes a root; `dev` is the one place that does so unasked.
fn platform_root(home: &Home) -> Result<PlatformRoot, Trouble> {
    let path = home.file("platform.key");
    if !path.exists() {
        return wire::init_platform_file(&path);
    }
    PlatformRoot::open_file(&path)
        .map_err(|refused| Trouble::new(format_args!("{}: {refused}", path.display()), refused.remedy()))
}

impl Running {
    /// Takes no more calls and waits for those under way.
    pub(super) async fn stop(self) -> Result<(), Trouble> {
        // The receiver is gone only if serving ended by itself, which the join tells.
        let _ = self.stop.send(());
        match self.served.await {
            Ok(served) => served.map(drop).map_err(Trouble::from),
            Err(cause) => Err(Trouble::new(format_args!("the daemon ended: {cause}"), "look at the log above")),
        }
    }
}
