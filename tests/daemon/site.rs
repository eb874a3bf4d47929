//! A daemon with a database of its own and vaults in memory, listening on a Unix socket.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::byok::v1 as pb;
use api::byok::v1::encryption_client::EncryptionClient;
use api::byok::v1::enterprise_keys_client::EnterpriseKeysClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use byokd::entropy::SystemEntropy;
use byokd::serve::{Drained, Limits, Listener, Workers};
use byokd::webhook::WebhookSecrets;
use byokd::wire::{Assembly, Daemon};
use domain::KeyVersionId;
use hyper_util::rt::TokioIo;
use identity::{TokenCallers, token_hash};
use service::Service;
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use tempfile::TempDir;
use testkit::{FaultyStore, HandClock};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use vault::memory::MemoryKeys;
use vault::platform::PlatformRoot;
use vault::{CustomerKeys, KeyRef};

/// The token every client of a site shows.
pub(crate) const TOKEN: &str = "token-5f1d6b0c9a7e";
/// The token of somebody else, who approves what the first asks for.
pub(crate) const OTHER_TOKEN: &str = "token-0b7c2e9d4f18";
/// The vault's tenant.
pub(crate) const TENANT: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
/// The customer's key.
pub(crate) const KEY: &str = "https://contoso-kv.vault.azure.net/keys/byok";
/// The app most tests encrypt for.
pub(crate) const APP: &str = "workspaces/acme/apps/support-bot";

/// A running daemon.
pub(crate) struct Site {
    pub(crate) vault: Arc<MemoryKeys>,
    pub(crate) store: Arc<FaultyStore>,
    #[allow(dead_code, reason = "not every test moves it")]
    pub(crate) clock: Arc<HandClock>,
    pub(crate) service: Arc<Service>,
    socket: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<Drained>,
    dir: TempDir,
}

fn fresh() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A daemon that was not started, on a directory's files, with vaults in memory.
pub(crate) struct Unstarted {
    pub(crate) vault: Arc<MemoryKeys>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) assembly: Assembly,
}

impl Unstarted {
    pub(crate) fn on(dir: &TempDir) -> Self {
        let key = dir.path().join("platform.key");
        let root =
            if key.exists() { PlatformRoot::open_file(&key) } else { PlatformRoot::init_file(&key, &SystemEntropy) };
        let platform = Arc::new(root.unwrap());
        let database = SqliteStore::create_or_open(SqliteOptions {
            path: database(dir),
            row_seal: platform.row_seal(),
            root_check: platform.check_value(),
            cluster: platform.cluster_id(),
            durability: Durability::Full,
        });
        let store = FaultyStore::new(Arc::new(database.unwrap()));
        let clock = HandClock::new();
        let vault = MemoryKeys::new(clock.clone());
        let callers =
            Arc::new(TokenCallers::new([("tester", token_hash(TOKEN)), ("second", token_hash(OTHER_TOKEN))]).unwrap());
        let mut assembly = Assembly::new(store.clone(), vault.clone(), platform, callers);
        assembly.clock = clock.clone();
        Self { vault, store, clock, assembly }
    }
}

/// Where a directory's database is.
pub(crate) fn database(dir: &TempDir) -> PathBuf {
    dir.path().join("byokd.db")
}

pub(crate) type Client = InterceptedService<Channel, Bearer>;

/// Shows a token with every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    pub(crate) fn of(token: &str) -> Self {
        Self(format!("Bearer {token}").parse().unwrap())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        Self::with(|assembly| change(&mut assembly.limits)).await
    }

    /// With other parts than the usual ones.
    pub(crate) async fn with(change: impl FnOnce(&mut Assembly)) -> Self {
        Self::whole(fresh(), Vec::new(), change, |daemon| daemon).await
    }

    /// With a place for Event Grid.
    pub(crate) async fn hearing(
        change: impl FnOnce(&mut Assembly),
        webhook: Option<(Listener, WebhookSecrets)>,
    ) -> Self {
        let hearing = |daemon: Daemon| match webhook {
            Some((listener, secrets)) => daemon.with_webhook(listener, secrets),
            None => daemon,
        };
        Self::whole(fresh(), Vec::new(), change, hearing).await
    }

    /// That also listens elsewhere.
    pub(crate) async fn beside(listeners: Vec<Listener>, change: impl FnOnce(&mut Assembly)) -> Self {
        Self::whole(fresh(), listeners, change, |daemon| daemon).await
    }

    /// That has more than the usual places.
    pub(crate) async fn dressed(
        listeners: Vec<Listener>,
        change: impl FnOnce(&mut Assembly),
        dress: impl FnOnce(Daemon) -> Daemon,
    ) -> Self {
        Self::whole(fresh(), listeners, change, dress).await
    }

    /// On what another one left.
    pub(crate) async fn on(dir: TempDir) -> Self {
        Self::whole(dir, Vec::new(), |_| (), |daemon| daemon).await
    }

    /// Ends it, and answers what it leaves.
    pub(crate) async fn left(mut self) -> TempDir {
        self.stop();
        let Self { store, service, served, socket, dir, .. } = self;
        served.await.unwrap();
        drop(service);
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
        drop(store);
        let _ = std::fs::remove_file(socket);
        dir
    }

    async fn whole(
        dir: TempDir,
        mut listeners: Vec<Listener>,
        change: impl FnOnce(&mut Assembly),
        dress: impl FnOnce(Daemon) -> Daemon,
    ) -> Self {
        let Unstarted { vault, store, clock, mut assembly } = Unstarted::on(&dir);
        change(&mut assembly);
        let daemon = dress(assembly.start().await.unwrap());
        let service = daemon.service().clone();
        let socket = dir.path().join("byokd.sock");
        listeners.push(Listener::unix(&socket, 0o600).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            daemon.serve(listeners, Workers::here(), stopped).await.unwrap()
        });
        Self { vault, store, clock, service, socket, stop: Some(stop), served, dir }
    }

    pub(crate) fn database(&self) -> PathBuf {
        database(&self.dir)
    }

    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Gives the order to stop; [`Site::stopped`] waits for the end.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn stopped(mut self) -> Drained {
        self.stop();
        self.served.await.unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        let socket = self.socket.clone();
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://byokd").connect_with_connector(connect).await.unwrap()
    }

    pub(crate) async fn with_token(&self, token: &str) -> Client {
        InterceptedService::new(self.channel().await, Bearer::of(token))
    }

    pub(crate) async fn client(&self) -> Client {
        self.with_token(TOKEN).await
    }

    pub(crate) async fn encryption(&self) -> EncryptionClient<Client> {
        EncryptionClient::new(self.client().await).max_decoding_message_size(8 << 20)
    }

    pub(crate) async fn keys(&self) -> EnterpriseKeysClient<Client> {
        EnterpriseKeysClient::new(self.client().await)
    }

    /// Creates the workspace acme with the apps support-bot and other-app.
    pub(crate) async fn acme(&self) -> &Self {
        let mut workspaces = WorkspacesClient::new(self.client().await);
        let create = pb::CreateWorkspaceRequest { workspace_id: "acme".into(), display_name: "Acme".into() };
        workspaces.create_workspace(create).await.unwrap();
        for (name, kind) in [(APP, pb::AppKind::Bot), ("workspaces/acme/apps/other-app", pb::AppKind::App)] {
            let upsert = pb::UpsertAppRequest { name: name.into(), kind: kind.into(), display_name: "App".into() };
            workspaces.upsert_app(upsert).await.unwrap();
        }
        self
    }

    /// Where the customer's key is.
    pub(crate) fn key() -> KeyRef {
        let location = domain::key_identifier::KeyIdentifier::parse(KEY).unwrap().location;
        KeyRef::of_platform(TENANT.parse().unwrap(), location)
    }

    /// Creates the customer's key and puts it in force.
    pub(crate) async fn under_customer_key(&self) -> KeyVersionId {
        let version = self.vault.create_key(&Self::key());
        self.keys().await.configure_key(Self::configure()).await.unwrap();
        testkit::put_in_force(&*self.store.inner(), &"acme".parse().unwrap()).await;
        version
    }

    pub(crate) fn configure() -> pb::ConfigureKeyRequest {
        pb::ConfigureKeyRequest {
            name: "workspaces/acme/key".into(),
            key_identifier: KEY.into(),
            tenant_id: TENANT.into(),
            ..Default::default()
        }
    }
}

pub(crate) fn encrypt(plaintext: impl Into<bytes::Bytes>) -> pb::EncryptRequest {
    pb::EncryptRequest { app: APP.into(), plaintext: plaintext.into(), ..Default::default() }
}

pub(crate) fn decrypt(ciphertext: impl Into<bytes::Bytes>) -> pb::DecryptRequest {
    pb::DecryptRequest { app: APP.into(), ciphertext: ciphertext.into(), ..Default::default() }
}

/// A provider that panics when it is asked to describe a key; for the rest, one in memory.
pub(crate) struct Panicking(pub(crate) Arc<MemoryKeys>, pub(crate) String);

#[async_trait::async_trait]
impl CustomerKeys for Panicking {
    fn approach(&self) -> &dyn vault::Approach {
        self.0.approach()
    }

    async fn describe(
        &self,
        _: &KeyRef,
        _: Option<KeyVersionId>,
        _: std::time::Duration,
    ) -> Result<vault::KeyDescription, vault::KeyUnavailable> {
        panic!("working on {}", self.1)
    }

    async fn prove_consent(&self, at: &KeyRef, deadline: std::time::Duration) -> Result<(), vault::KeyUnavailable> {
        self.0.prove_consent(at, deadline).await
    }

    async fn versions(
        &self,
        at: &KeyRef,
        deadline: std::time::Duration,
    ) -> Result<Vec<vault::VersionListing>, vault::KeyUnavailable> {
        self.0.versions(at, deadline).await
    }

    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &secmem::Secret<{ vault::PAYLOAD_LEN }>,
        deadline: std::time::Duration,
    ) -> Result<vault::WrappedBlob, vault::KeyUnavailable> {
        self.0.wrap(at, version, payload, deadline).await
    }

    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: std::time::Duration,
    ) -> Result<vault::Unwrapped, vault::KeyUnavailable> {
        self.0.unwrap(at, version, blob, deadline).await
    }
}
