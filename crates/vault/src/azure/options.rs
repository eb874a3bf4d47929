//! How vaults are reached, and as whom: what the daemon says once, at its start.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use domain::{Clock, Entropy, TenantId, WorkspaceId};
use outbound::{ConnectorRefused, Ranges, Rules, Sender};
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
    #[cfg(feature = "development-connector")]
    answers: Option<outbound::Answers>,
    rules: Rules,
    approved: Approved,
}

/// Which private addresses may be reached, and by whom. Nobody may reach any but those.
#[derive(Debug, Clone, Default)]
pub struct Approved {
    /// By calls of a workspace.
    pub workspaces: HashMap<WorkspaceId, Ranges>,
    /// By calls to the platform's own vault.
    pub platform: Ranges,
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
            #[cfg(feature = "development-connector")]
            answers: None,
            rules: Rules::default(),
            approved: Approved::default(),
        })
    }

    /// By an operator's rules of the way out, and with what they approved.
    #[must_use]
    pub fn by_rules(mut self, rules: Rules, approved: Approved) -> Self {
        (self.rules, self.approved) = (rules, approved);
        self
    }

    /// The private addresses that calls of this workspace may reach, or those to the platform's own vault.
    pub(super) fn approved(&self, workspace: Option<&WorkspaceId>) -> &Ranges {
        static NONE: LazyLock<Ranges> = LazyLock::new(Ranges::default);
        let Some(workspace) = workspace else { return &self.approved.platform };
        self.approved.workspaces.get(workspace).unwrap_or(&NONE)
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

    /// Names lead to these addresses as far as the rules of the way out see, and to the emulator in truth.
    #[cfg(feature = "development-connector")]
    #[must_use]
    pub fn development_answers(mut self, answers: outbound::Answers) -> Self {
        self.answers = Some(answers);
        self
    }

    pub(super) fn sender(&self) -> Result<Sender, ConnectorRefused> {
        #[cfg(feature = "development-connector")]
        if let Some(connector) = &self.connector {
            return Sender::development_by(connector, self.known.clone(), self.answers.clone(), self.rules.clone());
        }
        Sender::production_by(self.rules.clone())
    }
}
