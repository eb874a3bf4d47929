//! What an operator can set, and what each setting means.
//!
//! A configuration is read whole before anything is said: every fault is reported, with its line and key. Unknown keys are
//! faults, because a misspelt limit would otherwise be no limit. No secret stands in the file, only paths of files that hold
//! one, and hashes of tokens. Nothing in it can change where a vault is reached: only
//! which addresses its name may lead to.

mod callers;
mod document;
mod entra;
mod fault;
mod issuers;
mod keys;
mod listen;
mod metrics;
mod read;
mod service;
mod way_out;
mod webhook;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::permission::Grant;
use domain::{KeyLocation, TenantId, Timestamp};
use identity::CertificateName;
use secmem::MemoryLock;

pub use entra::{Entra, EntraPages};
pub use fault::{ConfigRefused, Fault};
pub use issuers::{ConfiguredIssuer, ConfiguredSubject};
pub use metrics::Metrics;
pub use way_out::WayOut;
pub use webhook::Webhook;

use crate::serve::{Limits, TlsFiles};
use crate::telemetry::Format;

/// A whole configuration, checked in itself. Whether the files it names can be used shows when they are opened.
#[derive(Debug)]
pub struct Config {
    /// Where callers reach the daemon: at least one place.
    pub listen: Vec<Listen>,
    /// Where Event Grid may tell of new key versions; absent: nowhere.
    pub webhook: Option<Webhook>,
    /// Pages for customers' admins, and what is asked of them.
    pub entra: Entra,
    /// What one peer may take.
    pub limits: Limits,
    /// How long keys are served unasked, how much of a vault we take, and how long things are kept.
    pub options: ::service::Options,
    /// Threads that serve connections; absent: as many as the host has processors.
    pub workers: Option<usize>,
    /// The database's file.
    pub database: PathBuf,
    /// Where the platform root comes from.
    pub platform_key: PlatformKey,
    /// Whether key memory must be locked.
    pub memory_lock: MemoryLock,
    /// Our identity in customers' directories.
    pub azure: Azure,
    /// Who may call.
    pub callers: Vec<ConfiguredCaller>,
    /// Whose signed tokens let callers in.
    pub issuers: Vec<ConfiguredIssuer>,
    /// How log lines look.
    pub log_format: Format,
    /// Down to which level lines are logged.
    pub log_level: tracing::Level,
    /// Where vaults may be reached besides the internet, where never, and through which proxy.
    pub way_out: WayOut,
    /// The directory of what stands outside of the database and belongs to it; absent: beside the database.
    pub state_dir: Option<PathBuf>,
    /// Where figures are read; absent: nowhere.
    pub metrics: Option<Metrics>,
}

/// One place to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// TLS on a TCP port.
    Tls {
        /// The address and port.
        address: SocketAddr,
        /// Its certificates.
        files: TlsFiles,
    },
    /// A Unix socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// The platform root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformKey {
    /// Its file, readable by us alone.
    pub file: PathBuf,
    /// The key of the platform's own vault that wraps it; absent: the file holds the root itself.
    pub vault_key: Option<VaultKey>,
}

/// A key of the platform's own vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKey {
    /// Vault and key name.
    pub location: KeyLocation,
    /// The directory the vault belongs to.
    pub tenant: TenantId,
}

/// Our application in customers' directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Azure {
    /// The application (client) id.
    pub client_id: String,
    /// How it proves itself.
    pub credential: AzureCredential,
}

/// How our application proves itself to a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureCredential {
    /// The file holds a client secret.
    Secret(PathBuf),
    /// The file holds a certificate and its private key, both as PEM.
    Certificate(PathBuf),
    /// The file holds a signed token that the platform renews (workload identity federation).
    FederatedToken(PathBuf),
}

/// A caller that shows a bearer token, a certificate, or one of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredCaller {
    /// The name that audit records carry.
    pub name: String,
    /// SHA-256 of the token; absent: none is accepted.
    pub sha256: Option<[u8; 32]>,
    /// The name of the certificate; absent: none is accepted. One of the two is there.
    pub certificate: Option<CertificateName>,
    /// What its holder may do: at least one grant.
    pub grants: Vec<Grant>,
    /// From when on it is refused; absent: never.
    pub expires: Option<Timestamp>,
}

impl Config {
    /// The file of the database's head: in `state_dir`, or beside the database.
    pub fn head(&self) -> PathBuf {
        match &self.state_dir {
            Some(directory) => directory.join("head"),
            None => {
                let mut name = self.database.as_os_str().to_owned();
                name.push(".head");
                name.into()
            }
        }
    }

    /// Reads a configuration file, or reports everything that is wrong with it. Relative paths are relative to the file.
    pub fn read(path: &Path) -> Result<Self, ConfigRefused> {
        let bytes = crate::files::read(path).map_err(ConfigRefused::File)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| ConfigRefused::NotText { path: path.into() })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        read::config(text, folder).map_err(|faults| ConfigRefused::Faults { path: path.into(), faults })
    }
}

/// Bounds outside of which a duration is taken for a slip.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
