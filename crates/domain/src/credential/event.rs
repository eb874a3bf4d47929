//! What is recorded of credentials: who did what with which, never a secret.

use super::{Credential, Proof};
use crate::{CredentialId, Reason, Timestamp};

/// Something that happened to a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialEvent {
    /// It was added, or made here.
    Added(Box<Credential>),
    /// It was shown to its directory.
    Tested {
        /// Which.
        credential: CredentialId,
        /// What the directory said against it.
        refused: Option<Reason>,
    },
    /// Directories are asked with it from now on.
    Activated {
        /// Which.
        credential: CredentialId,
        /// The one before; absent where it was the platform's app.
        before: Option<CredentialId>,
    },
    /// The workspace went back to the platform's app.
    PlatformAppUsed {
        /// The credential that was in use.
        before: CredentialId,
    },
    /// It was removed, with its secret part.
    Removed {
        /// Which.
        credential: CredentialId,
    },
    /// It will expire.
    Expires {
        /// Which.
        credential: CredentialId,
        /// Within how many days.
        days: u16,
        /// When.
        at: Timestamp,
    },
    /// The platform's own certificate will expire: an event of the platform's chain.
    PlatformCertificateExpires {
        /// SHA-256 over its DER.
        thumbprint: [u8; 32],
        /// Within how many days.
        days: u16,
        /// When.
        at: Timestamp,
    },
}

/// The name of the notices about the platform's own certificate.
pub(crate) const PLATFORM_CERTIFICATE_EXPIRES: &str = "platform.certificate_expires";

impl CredentialEvent {
    /// The name under which the platform chain keeps notices about its own certificate.
    pub const PLATFORM_NOTICE: &'static str = PLATFORM_CERTIFICATE_EXPIRES;

    /// How a thumbprint is written in an event.
    pub fn spell(thumbprint: &[u8; 32]) -> String {
        hex::encode(thumbprint)
    }

    /// The event's stable name and its details, in a fixed order.
    pub fn record(&self) -> (&'static str, Vec<(&'static str, String)>) {
        let id = |credential: &CredentialId| ("credential", credential.to_string());
        match self {
            Self::Added(credential) => {
                let told = match &credential.proof {
                    Proof::Secret { last_four } => ("last_four", last_four.clone()),
                    Proof::Certificate { thumbprint, .. } => ("thumbprint", hex::encode(thumbprint)),
                };
                let details = vec![
                    id(&credential.id),
                    ("kind", credential.proof.kind().to_owned()),
                    ("client_id", credential.registration.client_id.to_string()),
                    ("tenant", credential.registration.tenant.to_string()),
                    ("expires_at", credential.expires_at.to_string()),
                    told,
                ];
                ("credential.added", details)
            }
            Self::Tested { credential, refused } => {
                let outcome = refused.map_or("passed", Reason::as_str);
                ("credential.tested", vec![id(credential), ("outcome", outcome.to_owned())])
            }
            Self::Activated { credential, before } => {
                let before = before.map_or_else(|| "platform".to_owned(), |before| before.to_string());
                ("credential.activated", vec![id(credential), ("before", before)])
            }
            Self::PlatformAppUsed { before } => ("credential.platform_app_used", vec![("before", before.to_string())]),
            Self::Removed { credential } => ("credential.removed", vec![id(credential)]),
            Self::Expires { credential, days, at } => {
                ("credential.expires", vec![id(credential), ("days", days.to_string()), ("expires_at", at.to_string())])
            }
            Self::PlatformCertificateExpires { thumbprint, days, at } => {
                let details = vec![
                    ("thumbprint", hex::encode(thumbprint)),
                    ("days", days.to_string()),
                    ("expires_at", at.to_string()),
                ];
                (PLATFORM_CERTIFICATE_EXPIRES, details)
            }
        }
    }
}
