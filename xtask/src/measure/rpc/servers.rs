//! The two servers: the daemon's gRPC part over a whole service, and an echo of the same messages.

use std::future::{Ready, ready};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use api::byok::v1 as pb;
use byokd::clock::SystemClock;
use byokd::entropy::SystemEntropy;
use byokd::grpc::Grpc;
use byokd::serve::{Answer, Incoming, Limits, Listener, Outgoing, Server, Workers};
use domain::key_life::{Enforcement, KeyLife};
use domain::permission::{self, Caller, Target};
use domain::{AppKind, KeyLocation, TenantId, WorkspaceId};
use identity::{TokenCallers, token_hash};
use prost::Message;
use service::{ConfigureKey, Options, Parts, Service};
use store::Store;
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};
use vault::KeyRef;
use vault::memory::MemoryKeys;
use vault::platform::PlatformRoot;

use super::cpu_time;

/// The caller's token, in this process only.
pub(super) const TOKEN: &str = "measured-in-this-process-only-0123456789";

const APP: &str = "workspaces/acme/apps/support-bot";

/// Which server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Encrypt,
    Echo,
}

/// A server on its own threads, on a Unix socket.
pub(super) struct RunningServer {
    socket: PathBuf,
    threads: Vec<u32>,
    stop: Option<oneshot::Sender<()>>,
}

impl RunningServer {
    pub(super) async fn start(kind: Kind, directory: &Path) -> Result<Self> {
        let socket = directory.join(format!("{kind:?}.sock"));
        let listener = Listener::unix(&socket, 0o600)?;
        let limits = Limits::default();
        let before = cpu_time::threads()?;
        let cores = std::thread::available_parallelism()?.get();
        let server = Server::new(limits.clone(), Workers::threads(cores)?, Arc::new(SystemEntropy));
        let threads = cpu_time::threads()?.into_iter().filter(|thread| !before.contains(thread)).collect();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        match kind {
            Kind::Encrypt => {
                let callers = Arc::new(TokenCallers::new([("bench", token_hash(TOKEN))])?);
                let service = customer_service(&directory.join("service")).await?;
                let (grpc, _health) =
                    Grpc::new(service, callers, Arc::new(SystemClock), Arc::new(SystemEntropy), &limits).await;
                tokio::spawn(server.run(vec![listener], grpc, stopped));
            }
            Kind::Echo => {
                tokio::spawn(server.run(vec![listener], Echo, stopped));
            }
        }
        Ok(Self { socket, threads, stop: Some(stop) })
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// An EncryptRequest of `size` bytes for the measured app.
    pub(super) fn request(&self, size: usize) -> Vec<u8> {
        let request = pb::EncryptRequest { app: APP.into(), plaintext: vec![0x5a; size].into(), ..Default::default() };
        request.encode_to_vec()
    }

    /// What its threads have had.
    pub(super) fn cpu_time(&self) -> Result<Duration> {
        cpu_time::of(&self.threads)
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

/// A whole service over SQLite with one app under a customer key; only the customer's vault is in memory.
async fn customer_service(directory: &Path) -> Result<Arc<Service>> {
    std::fs::create_dir_all(directory)?;
    let entropy = Arc::new(SystemEntropy);
    let platform = Arc::new(PlatformRoot::init_file(&directory.join("platform.key"), &*entropy)?);
    let store = Arc::new(SqliteStore::create_or_open(SqliteOptions {
        path: directory.join("byokd.db"),
        row_seal: platform.row_seal(),
        root_check: platform.check_value(),
        cluster: platform.cluster_id(),
        durability: Durability::Full,
    })?);
    let keys = MemoryKeys::new(Arc::new(SystemClock));
    let tenant: TenantId = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse()?;
    let at = KeyRef::of_platform(tenant.clone(), KeyLocation::from_vault_uri("https://acme.vault.azure.net", "byok")?);
    keys.create_key(&at);
    let service = Service::start(Parts {
        store: store.clone(),
        customer_keys: keys,
        platform,
        clock: Arc::new(SystemClock),
        entropy,
        options: Options::default(),
    })?;
    let caller = Caller::platform("bench");
    let (workspace, app) = domain::name::parse_app(APP)?;
    let of = || Target::Workspace(workspace.clone());
    let refused = |refusal: service::Refusal| anyhow::anyhow!("{refusal}");
    service.create_workspace(&permission::permit(&caller, of())?, "Acme").await.map_err(refused)?;
    let target = Target::App(workspace.clone(), app.clone());
    service.upsert_app(&permission::permit(&caller, target)?, AppKind::Bot, "Support").await.map_err(refused)?;
    let request = ConfigureKey {
        key_identifier: at.location.to_string(),
        tenant_id: tenant.to_string(),
        ..ConfigureKey::default()
    };
    service.configure_key(&permission::permit(&caller, of())?, request).await.map_err(refused).context("configure")?;
    put_in_force(&*store, &workspace).await.context("put in force")?;
    Ok(service)
}

/// Without a date: what is measured is a key that is in force.
async fn put_in_force(store: &dyn Store, workspace: &WorkspaceId) -> Result<()> {
    let mut tx = store.begin("put_in_force").await?;
    let life = tx.key_life(workspace).await?.context("the key has no life")?;
    let enforcement = Enforcement::InForce { since: life.changed_at };
    tx.put_key_life(&KeyLife { change: life.change + 1, enforcement, ..life }).await?;
    tx.commit().await?;
    Ok(())
}

/// Answers an Encrypt with the plaintext it was given.
#[derive(Clone)]
struct Echo;

impl Answer for Echo {
    async fn answer(self: Arc<Self>, request: Incoming) -> Outgoing {
        let codec = tonic_prost::ProstCodec::default();
        let mut grpc = tonic::server::Grpc::new(codec)
            .apply_max_message_size_config(Some(Limits::MESSAGE_BYTES), Some(Limits::MESSAGE_BYTES));
        grpc.unary(EchoUnary, request).await
    }

    fn too_many_calls(&self) -> Outgoing {
        Status::resource_exhausted("too many calls").into_http()
    }
}

struct EchoUnary;

impl tonic::server::UnaryService<pb::EncryptRequest> for EchoUnary {
    type Response = pb::EncryptResponse;
    type Future = Ready<Result<Response<pb::EncryptResponse>, Status>>;

    fn call(&mut self, request: Request<pb::EncryptRequest>) -> Self::Future {
        let ciphertext = request.into_inner().plaintext;
        ready(Ok(Response::new(pb::EncryptResponse { ciphertext, ..Default::default() })))
    }
}
