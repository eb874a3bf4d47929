//! Starting and stopping the emulator, and the handle everything is reached by.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::admin;
use crate::calls::Call;
use crate::cloud::Cloud;
use crate::environment::{EmulatorClock, Randomness, RealClock};
use crate::faults::{Disturbance, Faults};
use crate::handles::{AppHandle, TenantHandle, VaultHandle};
use crate::jwt::Signer;
use crate::operation::Operation;
use crate::serve;
use crate::state_dir::{NotKept, StateDir};
use crate::tls::{self, Authority, TlsFailed};
use crate::world::{SeenAs, State, TokenLife, World};

/// How to start.
pub struct Options {
    /// Where to listen. One listener serves all vaults and login hosts, told apart by name.
    pub listen: SocketAddr,
    /// Serve the admin API at `https://admin.emulator.internal/`.
    pub admin: bool,
    /// The emulator's clock; the machine's when left out.
    pub clock: Option<Arc<dyn EmulatorClock>>,
    /// Keep everything in this directory, so that it survives a restart.
    pub state_dir: Option<PathBuf>,
    /// Makes identifiers and secrets repeatable. RSA keys are always fresh.
    pub seed: Option<u64>,
}

impl Default for Options {
    /// A free port on loopback, the admin API on, nothing kept.
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { listen, admin: true, clock: None, state_dir: None, seed: None }
    }
}

/// The emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}: {cause}; name another address or stop what listens there")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The state directory cannot be used.
    #[error("the state directory cannot be used")]
    State(#[from] NotKept),
    /// Certificates could not be made.
    #[error("TLS could not be set up")]
    Tls(#[from] TlsFailed),
    /// The key for tokens could not be generated.
    #[error("the key that signs tokens could not be generated")]
    Signer,
}

struct Running {
    world: Arc<World>,
    addr: SocketAddr,
    ca_pem: String,
    listener: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// A running emulator. Clones are the same one; it stops, connections included, when the last is dropped.
#[derive(Clone)]
pub struct Emulator {
    running: Arc<Running>,
}

impl Emulator {
    /// Starts on the current runtime.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let dir = options.state_dir.as_deref().map(StateDir::open).transpose()?;
        let (state, authority, signer) = match &dir {
            Some(dir) => (dir.load()?, dir.authority()?, dir.signer()?),
            None => (State::default(), Authority::create()?, Signer::create().map_err(|_| StartError::Signer)?),
        };
        let clock = options.clock.unwrap_or_else(|| Arc::new(RealClock));
        let random = Randomness::new(options.seed, state.drawn);
        let world = Arc::new(World::new(state, dir, signer, clock, random));
        let welcoming = world.clone();
        let config = tls::server_config(&authority, move |name| serve::welcome(&welcoming, name))?;

        let refused = |cause| StartError::Listen { addr: options.listen, cause };
        let listener = TcpListener::bind(options.listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        let router = options.admin.then(|| admin::router(world.clone()));
        let task = tokio::spawn(serve::run(world.clone(), listener, config, router));
        let running = Running { world, addr, ca_pem: authority.pem(), listener: task.abort_handle() };
        Ok(Self { running: Arc::new(running) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.running.addr
    }

    /// The private authority's certificate: what clients have to trust.
    pub fn ca_pem(&self) -> &str {
        &self.running.ca_pem
    }

    /// The tenant of this name in the public cloud; made when there is none, with a random id and the domains
    /// `{name}.onmicrosoft.com` and `{name}.example`.
    pub fn tenant(&self, name: &str) -> TenantHandle {
        self.tenant_in(Cloud::Public, name)
    }

    /// As [`Emulator::tenant`], in another cloud.
    pub fn tenant_in(&self, cloud: Cloud, name: &str) -> TenantHandle {
        TenantHandle::find_or_create(self.world().clone(), cloud, name)
    }

    /// The app registration of this name; made when there is none, with a random client id and no credentials.
    pub fn app(&self, name: &str) -> AppHandle {
        AppHandle::find_or_create(self.world().clone(), name)
    }

    /// The vault of this host name (`contoso.vault.azure.net`), if there is one. [`TenantHandle::vault`] makes one.
    pub fn vault(&self, host: &str) -> Option<VaultHandle> {
        VaultHandle::find(self.world().clone(), host)
    }

    /// The fault switches.
    pub fn faults(&self) -> &Faults {
        &self.world().faults
    }

    /// The call log, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.all()
    }

    /// How often this was asked since the start or the last [`Emulator::clear_calls`].
    pub fn count(&self, operation: Operation) -> usize {
        self.world().calls.count(operation)
    }

    /// Empties the call log.
    pub fn clear_calls(&self) {
        self.world().calls.clear();
    }

    /// How long new access tokens live.
    pub fn set_token_life(&self, life: TokenLife) {
        self.world().change(|s| s.token_life = life);
    }

    /// Where vaults believe callers to be: the address that firewalls judge. `None`: the real one (loopback).
    pub fn see_callers_as(&self, seen: Option<SeenAs>) {
        self.world().change(|s| s.seen_as = seen);
    }

    /// Whether a public resolver would know `host`: a connector for tests asks this instead of DNS, so that unknown
    /// and purged vaults fail as they do in Azure.
    pub fn resolves(&self, host: &str) -> bool {
        let world = self.world();
        serve::exists(world, host) && !world.faults.stands(Disturbance::NameUnknown, host)
    }

    /// From now on tokens are signed by a fresh key; what the older ones signed stays good. Takes some 100 ms.
    pub fn rotate_signing_key(&self) -> Result<(), StartError> {
        self.world().signer.rotate().map_err(|_| StartError::Signer)
    }

    /// The signing keys before the newest are listed no more.
    pub fn retire_signing_keys(&self) {
        self.world().signer.retire();
    }

    fn world(&self) -> &Arc<World> {
        &self.running.world
    }
}
