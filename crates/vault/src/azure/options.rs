//! How vaults are reached, and as whom: what the daemon says once, at its start.

use std::sync::Arc;

use domain::{Clock, Entropy, TenantId};
use outbound::{ConnectorRefused, Sender};
#[cfg(feature = "development-connector")]
use outbound::{DevelopmentConnector, KnownNames};

use super::credential::PlatformCredential;

/// How vaults are reached, and as whom.
pub struct AzureOptions {
    pub(super) client_id: TenantLikeGuid,
    pub(super) credential: PlatformCredential,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    #[cfg(feature = "development-connector")]
    connector: Option<DevelopmentConnector>,
    #[cfg(feature = "development-connector")]
    known: KnownNames,
}

/// A client id has the same form as a tenant's.
type TenantLikeGuid = TenantId;

/// The options were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AzureRefused {
    /// Not a GUID.
    #[error("the client id is not a GUID; copy the Application (client) ID from the app registration")]
    ClientId,
    /// The connection cannot be set up.
    #[error(transparent)]
    Connector(#[from] ConnectorRefused),
}

impl AzureOptions {
    /// As the platform's application `client_id`, which shows `credential`.
    ///
    /// # Errors
    /// [`AzureRefused::ClientId`].
    pub fn new(
        client_id: &str,
        credential: PlatformCredential,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, AzureRefused> {
        Ok(Self {
            client_id: client_id.parse().map_err(|_| AzureRefused::ClientId)?,
            credential,
            clock,
            entropy,
            #[cfg(feature = "development-connector")]
            connector: None,
            #[cfg(feature = "development-connector")]
            known: None,
        })
    }

    /// Reaches an emulator instead of Azure.
    #[cfg(feature = "development-connector")]
    #[must_use]
    pub fn development(mut self, connector: DevelopmentConnector) -> Self {
        self.connector = Some(connector);
        self
    }

    /// Of the names the emulator is reached under, only those `known` knows resolve.
    #[cfg(feature = "development-connector")]
    #[must_use]
    pub fn development_names(mut self, known: Arc<dyn Fn(&str) -> bool + Send + Sync>) -> Self {
        self.known = Some(known);
        self
    }

    pub(super) fn sender(&self) -> Result<Sender, ConnectorRefused> {
        #[cfg(feature = "development-connector")]
        if let Some(connector) = &self.connector {
            return Sender::development(connector, self.known.clone());
        }
        Sender::production()
    }
}
