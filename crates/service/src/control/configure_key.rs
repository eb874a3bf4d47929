//! Connecting a customer's key: read, checked, proven by a wrap and an unwrap, and then in force at once for all apps.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::AuditKind;
use domain::key_config::LONGEST_LEASE;
use domain::key_identifier::KeyIdentifier;
use domain::permission::{self, Permit};
use domain::{
    Cloud, InvalidKeyIdentifier, KeyConfig, KeyLocation, KeyVersionId, Reason, TenantId, VaultLimit, WorkspaceId,
};
use secmem::Secret;
use store::StoreError;
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use vault::{KeyDescription, KeyRef};

use super::check_key::{KeyWarning, check, warnings};
use super::{event, live_workspace, not_found, to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::Failure;
use crate::keys::standing::WorkspaceState;
use crate::keys::table::Change;
use crate::keys::vault_call::{At, Budget};
use crate::{Refusal, Service};

/// What a customer's admin types.
#[derive(Debug, Clone)]
pub struct ConfigureKey {
    /// A Key Identifier, with or without a version, or a vault's URI together with `key_name`.
    pub key_identifier: String,
    /// With a vault's URI.
    pub key_name: Option<String>,
    /// The Entra tenant's GUID.
    pub tenant_id: String,
    /// The workspace's bound on leases, 1 s to 300 s; absent: 300 s, or unchanged.
    pub lease: Option<Duration>,
}

/// A key that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The configuration as it is stored.
    pub config: KeyConfig,
    /// What deserves attention; empty where the vault was not asked.
    pub warnings: Vec<KeyWarning>,
}

impl Service {
    /// Puts a customer's key in force for all apps of the workspace at once: new data is encrypted under new data keys that it
    /// wraps, and what is under the platform's key stays readable under that (I-18).
    ///
    /// The same key again changes its lease and nothing else, and asks the vault for no proof. A version that is named then
    /// must be the one in force: going over to another one is a rotation, and another key a replacement; both are refused
    /// with [`Reason::KeyAlreadyInForce`].
    pub async fn configure_key(
        &self,
        permit: &Permit<permission::ConfigureKey>,
        request: ConfigureKey,
    ) -> Result<Configured, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        let wanted = Wanted::parse(&request)?;
        to_the_end(async move { core.configure(workspace, wanted, &actor).await }).await
    }
}

/// A request whose parts are well formed and supported.
pub(super) struct Wanted {
    pub(super) key: KeyRef,
    pub(super) version: Option<KeyVersionId>,
    lease: Option<Duration>,
}

impl Wanted {
    /// Exactly this version of this key.
    pub(super) fn of(key: KeyRef, version: KeyVersionId) -> Self {
        Self { key, version: Some(version), lease: None }
    }

    pub(super) fn parse(request: &ConfigureKey) -> Result<Self, Refusal> {
        let identifier = match &request.key_name {
            None => KeyIdentifier::parse(&request.key_identifier),
            Some(name) => KeyLocation::from_vault_uri(&request.key_identifier, name)
                .map(|location| KeyIdentifier { location, version: None }),
        };
        let identifier = identifier.map_err(|invalid| {
            let reason = match invalid {
                InvalidKeyIdentifier::ManagedHsm => Reason::ProviderUnsupported,
                InvalidKeyIdentifier::Characters
                | InvalidKeyIdentifier::Scheme
                | InvalidKeyIdentifier::Extras
                | InvalidKeyIdentifier::Host
                | InvalidKeyIdentifier::VaultName
                | InvalidKeyIdentifier::Path
                | InvalidKeyIdentifier::KeyName
                | InvalidKeyIdentifier::Version => Reason::KeyIdentifierInvalid,
            };
            Refusal::because(reason).detail(invalid.to_string())
        })?;
        match identifier.location.cloud() {
            Cloud::Public => {}
            Cloud::China | Cloud::UsGovernment => return Err(Refusal::because(Reason::ProviderUnsupported)),
        }
        let tenant: TenantId =
            request.tenant_id.parse().map_err(|_: domain::InvalidId| Refusal::because(Reason::TenantInvalid))?;
        if request.lease.is_some_and(|lease| !(Duration::from_secs(1)..=LONGEST_LEASE).contains(&lease)) {
            return Err(Refusal::because(Reason::RequestInvalid).detail("a lease lasts 1 s to 300 s"));
        }
        Ok(Self {
            key: KeyRef { tenant, location: identifier.location },
            version: identifier.version,
            lease: request.lease,
        })
    }

    /// What the configuration becomes where one is in force: the same with another lease, or nothing else.
    fn applied_to(&self, present: &KeyConfig) -> Result<KeyConfig, Refusal> {
        let same_key = present.location == self.key.location && present.tenant == self.key.tenant;
        if !same_key || self.version.is_some_and(|version| version != present.current_version) {
            return Err(Refusal::because(Reason::KeyAlreadyInForce));
        }
        Ok(KeyConfig { lease: self.lease.unwrap_or(present.lease), ..present.clone() })
    }
}

impl Core {
    async fn configure(self: Arc<Self>, id: WorkspaceId, wanted: Wanted, actor: &str) -> Result<Configured, Refusal> {
        let found = self.store.workspace(&id).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        if let Some(present) = self.store.key_config(&id).await? {
            wanted.applied_to(&present)?;
            return self.put_in_force(&id, &wanted, None, actor).await;
        }
        let workspace = self.table.existing_workspace(&id);
        let budget = Budget::new(&*self.clock, self.options.vault_deadline);
        let key = self.describe(&workspace, &wanted, &budget).await?;
        self.prove(&workspace, &wanted, &key, &budget).await?;
        self.put_in_force(&id, &wanted, Some(&key), actor).await
    }

    pub(super) async fn describe(
        &self,
        workspace: &WorkspaceState,
        wanted: &Wanted,
        budget: &Budget<'_>,
    ) -> Result<KeyDescription, Refusal> {
        let _place = self.place(workspace, budget).await?;
        let left = budget.left();
        let answer = timeout(left, self.customer_keys.describe(&wanted.key, wanted.version, left)).await;
        let key = answer.unwrap_or(Err(vault::KeyUnavailable::TimedOut { waited: left }))?;
        check(&key, &wanted.key, wanted.version, self.clock.now().wall)?;
        Ok(key)
    }

    /// Wraps 65 random bytes and unwraps them again by the version that wrapped them. Reading a key, or wrapping alone,
    /// proves nothing: anybody who can read the public half can wrap.
    pub(super) async fn prove(
        &self,
        workspace: &WorkspaceState,
        wanted: &Wanted,
        key: &KeyDescription,
        budget: &Budget<'_>,
    ) -> Result<(), Refusal> {
        let lease = wanted.lease.unwrap_or(LONGEST_LEASE);
        let limit = VaultLimit::of(&key.record(&workspace.id, self.clock.now().wall));
        let at = At { key: wanted.key.clone(), version: key.kid.version(), lease, limit };
        let sent: Secret<65> = Secret::fill(|bytes| self.entropy.fill(bytes)).map_err(Failure::from)?;
        let wrapped = self.ask_wrap(workspace, &at, &sent, budget).await?;
        let (back, _) = self.ask_unwrap(workspace, &at, &wrapped.blob, budget).await?;
        let same = sent.expose(|sent| back.expose(|back| bool::from(sent.ct_eq(back))));
        if same {
            Ok(())
        } else {
            Err(Refusal::because(Reason::VaultAnswerInvalid).detail("it unwrapped another value"))
        }
    }

    /// One transaction: the version, the configuration and their audit record. `key` is absent where the key is in force
    /// already and only its lease may change.
    async fn put_in_force(
        &self,
        id: &WorkspaceId,
        wanted: &Wanted,
        key: Option<&KeyDescription>,
        actor: &str,
    ) -> Result<Configured, Refusal> {
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("configure_key").await?;
        live_workspace(&mut *tx, id).await?;
        let present = tx.key_config(id).await?;
        let config = match (&present, key) {
            (Some(present), _) => wanted.applied_to(present)?,
            (None, Some(key)) => {
                tx.add_key_version(&key.record(id, now)).await?;
                KeyConfig {
                    workspace: id.clone(),
                    location: wanted.key.location.clone(),
                    tenant: wanted.key.tenant.clone(),
                    current_version: key.kid.version(),
                    wrap_epoch: 1,
                    lease: wanted.lease.unwrap_or(LONGEST_LEASE),
                    configured_at: now,
                    left_at: None,
                }
            }
            (None, None) => return Err(Refusal::because(Reason::KeyNotConfigured)),
        };
        if present.as_ref() != Some(&config) {
            tx.put_key_config(&config).await?;
            let what = AuditKind::KeyConfigured { version: config.current_version };
            tx.append_audit(event(id, now, actor, what)).await?;
            match self.announcing(id, Change::Key { lease: config.lease }, tx.commit()).await {
                // I-3: nobody is told before it is known. What a later reading shows is what happened.
                Err(StoreError::OutcomeUnknown) if self.store.key_config(id).await?.as_ref() == Some(&config) => {}
                outcome => {
                    outcome?;
                }
            }
        }
        Ok(Configured { config, warnings: key.map(warnings).unwrap_or_default() })
    }

    /// Waits for a commit, and tells the memory of it: also when the commit's outcome is not known, for then it may have
    /// happened.
    pub(crate) async fn announcing(
        &self,
        workspace: &WorkspaceId,
        change: Change<'_>,
        commit: impl Future<Output = Result<u64, StoreError>>,
    ) -> Result<u64, StoreError> {
        let outcome = commit.await;
        self.table.changed(workspace, change);
        outcome
    }
}
