//! Azure Key Vault (keys) and Entra ID on loopback: real RSA, real tokens, real refusals, and switches for faults.
//!
//! One TLS listener serves every vault and login host by its real name, with a certificate of a private authority.
//! Clients trust [`Emulator::ca_pem`] and connect those names to [`Emulator::addr`]; nothing about the clients has to
//! be turned off for that.
//!
//! ```no_run
//! use azure_emulator::{Emulator, KeyOperation, Options, Role, RoleScope};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let emulator = Emulator::start(Options::default()).await?;
//! let app = emulator.app("byokd");
//! let secret = app.add_secret();
//! let contoso = emulator.tenant("contoso");
//! let us = contoso.consent(&app);
//! let vault = contoso.vault("contoso-keys");
//! let key = vault.create_key("byok", 2048, &KeyOperation::WRAP).await?;
//! vault.assign_role(&us, Role::CryptoServiceEncryptionUser, RoleScope::Key(key.name.clone()));
//! // … a client asks https://login.microsoftonline.com/{contoso.id()} and https://contoso-keys.vault.azure.net …
//! vault.disable_key_version("byok", &key.version)?; // now unwrap is refused with KeyDisabled
//! # Ok(()) }
//! ```
//!
//! Everything that can be done here can be done by other processes over the admin API: see `README.md`.

mod admin;
mod calls;
mod cloud;
mod emulator;
mod entra;
mod environment;
mod exchange;
mod faults;
mod form;
mod handles;
mod jwt;
mod keyvault;
mod limits;
mod operation;
mod rsa_key;
mod serve;
mod state_dir;
mod tls;
mod wire;
mod world;

pub use calls::Call;
pub use cloud::{ADMIN_HOST, Cloud};
pub use emulator::{Emulator, Options, StartError};
pub use entra::directory::{CertificateRefused, FederatedCredential};
pub use entra::forged::{IdTokenFault, KeySetFault};
pub use entra::manifest::ManifestRefused;
pub use entra::refusal::EntraRefusal;
pub use entra::users::{GLOBAL_ADMINISTRATOR, PERSONAL_ACCOUNTS, PRIVILEGED_ROLE_ADMINISTRATOR, User, UserKind};
pub use environment::{EmulatorClock, RealClock};
pub use faults::{ActiveFault, Disturbance, Falsified, Fault, FaultId, Faults, Scope};
pub use handles::{
    AppHandle, CertificateInfo, ImportedKey, IssuedCertificate, KeyChange, KeyInfo, NotDone, NotIssued, Principal,
    RoleScope, TenantHandle, VaultHandle,
};
pub use keyvault::API_VERSIONS;
pub use keyvault::access::{AccessModel, Role};
pub use keyvault::key::KeyOperation;
pub use keyvault::refusal::VaultRefusal;
pub use keyvault::vault::{Deletion, Network, Sku};
pub use limits::Limits;
pub use operation::Operation;
pub use rsa_key::Bits;
pub use state_dir::NotKept;
pub use tls::TlsFailed;
pub use world::{SeenAs, TokenLife};
