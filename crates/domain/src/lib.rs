//! The rules and nouns of the service, with no input or output: ids, protections, key configuration,
//! data keys, leases, permissions, audit events and the seam that authenticates rows.
//!
//! Nothing here knows tokio, gRPC, SQL, HTTP or Azure. Time and randomness come in as arguments.

pub mod approval;
pub mod audit;
pub mod caller;
pub mod certificate_name;
pub mod credential;
pub mod data_key;
pub mod domain_name;
pub mod entropy;
pub mod id;
pub mod key_config;
pub mod key_identifier;
pub mod key_life;
pub mod key_test;
pub mod key_version;
pub mod lease;
pub mod ledger;
pub mod name;
pub mod operation;
pub mod permission;
pub mod protection;
pub mod reason;
pub mod rotation;
pub mod row_seal;
pub mod tenancy;
pub mod tenant_input;
pub mod time;
pub mod usage;
pub mod validation;
pub mod vault_limit;
pub mod workspace;

pub use approval::Approval;
pub use caller::StoredCaller;
pub use certificate_name::{CertificateName, InvalidCertificateName};
pub use data_key::{DataKey, DataKeyState, WrapScheme, Wrapping, WrappingKey};
pub use domain_name::{DomainName, InvalidDomain};
pub use entropy::Entropy;
pub use id::{
    AppId, CallerId, CredentialId, DataKeyId, InvalidId, KeyVersionId, PlatformKeyId, RequestId, TenantId, WorkspaceId,
};
pub use key_config::KeyConfig;
pub use key_identifier::{Cloud, InvalidKeyIdentifier, KeyLocation, KeyVersionLocation};
pub use key_test::{ConfigHash, KeyTest, KeyTestId};
pub use key_version::KeyVersion;
pub use operation::{Operation, OperationId, OperationKind, OperationState};
pub use protection::Protection;
pub use reason::{Owner, Reason};
pub use tenant_input::{InvalidTenantInput, TenantInput};
pub use time::{Clock, Moment, Timestamp};
pub use usage::{BootId, Hour, HourOfApp, KeyUsage, Tally, Traffic};
pub use validation::StoredCredential;
pub use vault_limit::{VaultLimit, VaultShare};
pub use workspace::{App, AppKind, Workspace};
