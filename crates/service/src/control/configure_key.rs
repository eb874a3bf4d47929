//! Connecting a customer's key, or another one before its date: read, checked, proven by a wrap and an unwrap. It is a draft
//! then, and encrypts nothing before its date.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::AuditKind;
use domain::key_config::{LONGEST_LEASE, VersionChoices};
use domain::key_identifier::KeyIdentifier;
use domain::key_life::KeyLife;
use domain::permission::{self, Permit};
use domain::{
    Cloud, InvalidKeyIdentifier, KeyConfig, KeyLocation, KeyVersion, KeyVersionId, Reason, Timestamp, VaultLimit,
    WorkspaceId,
};
use secmem::Secret;
use store::{StoreError, Transaction};
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use vault::{KeyDescription, KeyRef};

use super::check_key::{KeyWarning, check, warnings};
use super::credentials::within_reach;
use super::life::config_hash;
use super::{event, live_workspace, not_found, ownership, to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::Failure;
use crate::keys::standing::WorkspaceState;
use crate::keys::table::Change;
use crate::keys::vault_call::{At, Budget};
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// What a customer's admin types.
#[derive(Debug, Clone, Default)]
pub struct ConfigureKey {
    /// A Key Identifier, with or without a version, or a vault's URI together with `key_name`.
    pub key_identifier: String,
    /// With a vault's URI.
    pub key_name: Option<String>,
    /// The Entra tenant, as a person types it: its id, with braces or not, an address that names it, or one of its domains.
    pub tenant_id: String,
    /// The workspace's bound on leases, 1 s to 300 s; absent: 300 s, or unchanged.
    pub lease: Option<Duration>,
    /// Whether new versions are rotated to by themselves; absent: yes, or unchanged.
    pub follow_new_versions: Option<bool>,
    /// Whether a newest version that is switched off takes the key back; absent: yes, or unchanged.
    pub newest_version_counts: Option<bool>,
}

/// A key that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configured {
    /// The configuration as it is stored.
    pub config: KeyConfig,
    /// What deserves attention; empty where the vault was not asked.
    pub warnings: Vec<KeyWarning>,
}

impl Service {
    /// Connects a customer's key. It is a draft: to be tested, and given a date. Before the freeze it may be changed for any
    /// other key, tenant or version, and is a draft again then, with the date it had (I-22). From the freeze on that is refused
    /// (I-21): going over to another version is a rotation then, and another key a replacement. Its lease may be lowered at any
    /// time, and its newest version may count again, as that only ever makes the service let go sooner; the other way round until
    /// the freeze. Whether new versions are followed may change at any time, as rotation may.
    pub async fn configure_key(
        &self,
        permit: &Permit<permission::ConfigureKey>,
        request: ConfigureKey,
    ) -> Result<Configured, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        let wanted = self.0.watching(Wanted::parse(&self.0, &workspace, &request).await)?;
        self.0.watching(to_the_end(async move { core.configure(workspace, wanted, &actor).await }).await)
    }
}

/// A request whose parts are well formed and supported.
pub(super) struct Wanted {
    pub(super) key: KeyRef,
    pub(super) version: Option<KeyVersionId>,
    terms: Terms,
}

/// What a workspace sets beside its key. None of it is what a test proves.
#[derive(Default)]
struct Terms {
    lease: Option<Duration>,
    follow_new_versions: Option<bool>,
    newest_version_counts: Option<bool>,
}

impl Terms {
    /// The choices, where some may have been made before.
    fn choices(&self, present: Option<&KeyConfig>) -> VersionChoices {
        let before = present.map(|present| present.choices).unwrap_or_default();
        VersionChoices {
            follow_new_versions: self.follow_new_versions.unwrap_or(before.follow_new_versions),
            newest_version_counts: self.newest_version_counts.unwrap_or(before.newest_version_counts),
        }
    }

    fn lease(&self, present: Option<&KeyConfig>) -> Duration {
        self.lease.or(present.map(|present| present.lease)).unwrap_or(LONGEST_LEASE)
    }
}

impl Wanted {
    /// Exactly this version of this key.
    pub(super) fn of(key: KeyRef, version: KeyVersionId) -> Self {
        Self { key, version: Some(version), terms: Terms::default() }
    }

    /// Nobody is asked about a tenant before everything else is well formed, and only where it is named by a domain.
    pub(super) async fn parse(core: &Core, workspace: &WorkspaceId, request: &ConfigureKey) -> Result<Self, Refusal> {
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
        if request.lease.is_some_and(|lease| !(Duration::from_secs(1)..=LONGEST_LEASE).contains(&lease)) {
            return Err(Refusal::because(Reason::RequestInvalid).detail("a lease lasts 1 s to 300 s"));
        }
        let tenant = core.named_tenant(identifier.location.cloud(), &request.tenant_id).await?;
        Ok(Self {
            // Who asks follows from the workspace, which a request does not decide.
            key: KeyRef::of_platform(tenant, identifier.location).of(workspace),
            version: identifier.version,
            terms: Terms {
                lease: request.lease,
                follow_new_versions: request.follow_new_versions,
                newest_version_counts: request.newest_version_counts,
            },
        })
    }

    /// The same key on other terms, if that is all that is asked for.
    fn only_the_terms(&self, present: &KeyConfig) -> Option<KeyConfig> {
        let same_key = present.location == self.key.location && present.tenant == self.key.tenant;
        let same = same_key && self.version.is_none_or(|version| version == present.current_version);
        same.then(|| KeyConfig {
            lease: self.terms.lease(Some(present)),
            choices: self.terms.choices(Some(present)),
            ..present.clone()
        })
    }
}

impl Core {
    async fn configure(
        self: Arc<Self>,
        id: WorkspaceId,
        mut wanted: Wanted,
        actor: &str,
    ) -> Result<Configured, Refusal> {
        let found = self.store.workspace(&id).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let seen = self.store.key_config(&id).await?;
        let same_tenant = seen.as_ref().is_some_and(|present| {
            present.tenant == wanted.key.tenant && present.location.cloud() == wanted.key.location.cloud()
        });
        if !same_tenant {
            self.admits(&self.connection(&id).await?, wanted.key.location.cloud(), &wanted.key.tenant)?;
        }
        if let Some(present) = &seen {
            if let Some(decided) = self.refuses_edits(&id).await? {
                let terms = wanted.only_the_terms(present).filter(|config| !present.is_loosened_by(config));
                terms.ok_or_else(|| Refusal::because(decided))?;
            }
            if wanted.only_the_terms(present).is_some() {
                return self.connect(&id, &wanted, seen.as_ref(), None, actor).await;
            }
        }
        within_reach(self.store.integration(&id).await?.as_ref(), &wanted.key, self.bugs)?;
        let workspace = self.table.existing_workspace(&id);
        let budget = Budget::new(&*self.clock, self.options.vault_deadline);
        wanted.key.as_whom = self.as_whom(&id, &budget).await?;
        let key = self.describe(&workspace, &wanted, &budget).await?;
        self.prove(&workspace, &wanted, &key, &budget).await?;
        self.connect(&id, &wanted, seen.as_ref(), Some(&key), actor).await
    }

    async fn refuses_edits(&self, workspace: &WorkspaceId) -> Result<Option<Reason>, StoreError> {
        let life = self.store.key_life(workspace).await?.ok_or(StoreError::RowForged { table: "key_lives" })?;
        Ok(life.refuses_edits(self.clock.now().wall).filter(|_| !self.bugs.has(SeededBug::FreezeIgnored)))
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
        let lease = wanted.terms.lease(None);
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

    /// One transaction: the version, the configuration, its life and their audit record. `key` is absent where the key stays
    /// and only its terms may change.
    async fn connect(
        &self,
        id: &WorkspaceId,
        wanted: &Wanted,
        seen: Option<&KeyConfig>,
        key: Option<&KeyDescription>,
        actor: &str,
    ) -> Result<Configured, Refusal> {
        let known = self.store.key_versions(id).await?;
        let mut tx = self.store.begin("configure_key").await?;
        // After the waiting for it: a freeze may have begun.
        let now = self.clock.now().wall;
        live_workspace(&mut *tx, id).await?;
        let present = tx.key_config(id).await?;
        if present.as_ref().is_some_and(|present| present.left_at.is_some()) {
            return Err(Refusal::because(Reason::KeyLeft));
        }
        // Of two that configure at once the second is told, and does not undo the first unasked.
        if key.is_some() && present.as_ref() != seen {
            return Err(Refusal::because(Reason::ChangedMeanwhile));
        }
        let config = match (&present, key) {
            (present, Some(key)) => {
                // A registration may have come into use since this key was looked at.
                within_reach(tx.integration(id).await?.as_ref(), &wanted.key, self.bugs)?;
                // The versions so far stay in the tenant they were found in.
                if let Some(before) = present.as_ref().filter(|before| before.tenant != wanted.key.tenant) {
                    for version in known.into_iter().filter(|version| version.tenant.is_none()) {
                        let tenant = Some(before.tenant.clone());
                        tx.add_key_version(&KeyVersion { tenant, ..version }).await?;
                    }
                }
                tx.add_key_version(&key.record(id, now)).await?;
                KeyConfig {
                    workspace: id.clone(),
                    location: wanted.key.location.clone(),
                    tenant: wanted.key.tenant.clone(),
                    current_version: key.kid.version(),
                    wrap_epoch: present.as_ref().map_or(1, |present| present.wrap_epoch + 1),
                    lease: wanted.terms.lease(present.as_ref()),
                    configured_at: now,
                    choices: wanted.terms.choices(present.as_ref()),
                    left_at: None,
                }
            }
            // Somebody else configured another key since this one was looked at.
            (Some(present), None) => {
                wanted.only_the_terms(present).ok_or_else(|| Refusal::because(Reason::ChangedMeanwhile))?
            }
            (None, None) => return Err(Refusal::because(Reason::KeyNotConfigured)),
        };
        if present.as_ref() != Some(&config) {
            self.follow_with_life(&mut *tx, present.as_ref(), &config, now).await?;
            if let Some(before) = present.as_ref().filter(|before| before.location != config.location) {
                ownership::release(&mut *tx, id, &before.location, actor, now).await?;
            }
            self.imply_tenant(&mut *tx, &config, now).await?;
            tx.put_key_config(&config).await?;
            let what = AuditKind::KeyConfigured(Box::new(config.clone()));
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

    /// What a change of the configuration means for the key's life: its beginning, or that it is a draft again; or why it must
    /// not change.
    async fn follow_with_life(
        &self,
        tx: &mut dyn Transaction,
        present: Option<&KeyConfig>,
        next: &KeyConfig,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let workspace = &next.workspace;
        let Some(present) = present else {
            return Ok(tx.put_key_life(&KeyLife::draft(workspace.clone(), now)).await?);
        };
        let life = tx.key_life(workspace).await?.ok_or(StoreError::RowForged { table: "key_lives" })?;
        if config_hash(present) == config_hash(next) {
            let loosened = present.is_loosened_by(next);
            return match life.refuses_edits(now).filter(|_| loosened) {
                Some(decided) => Err(Refusal::because(decided)),
                None => Ok(()),
            };
        }
        let edited = match life.edit(now, self.options.timing()) {
            Err(_) if self.bugs.has(SeededBug::FreezeIgnored) => return Ok(()),
            edited => edited.map_err(Refusal::because)?,
        };
        // What was made ready for the other key is not what this one will use.
        if !self.bugs.has(SeededBug::StagedKeysKept) {
            tx.abandon_staged(workspace, now).await?;
        }
        tx.put_key_life(&edited).await?;
        Ok(())
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
