//! What tests and programs hold in their hands: tenants, apps, vaults.

mod app;
mod tenant;
mod vault;

pub use app::{AppHandle, CertificateInfo, IssuedCertificate, NotIssued};
pub use tenant::{Principal, TenantHandle};
pub use vault::{ImportedKey, KeyChange, KeyInfo, NotDone, RoleScope, VaultHandle};
