//! Which configuration is tested: the workspace's own, or one that is only thought of, so that it can be mended before it is
//! configured.

use domain::{ConfigHash, KeyVersionId, Reason, WorkspaceId};
use vault::KeyRef;

use super::TestConfiguration;
use crate::Refusal;
use crate::control::configure_key::{ConfigureKey, Wanted};
use crate::control::not_found;
use crate::core::Core;

/// A configuration whose parts are well formed.
pub(super) struct Target {
    pub(super) workspace: WorkspaceId,
    pub(super) key: KeyRef,
    /// The version that wraps; absent: the newest, whichever that is.
    pub(super) version: Option<KeyVersionId>,
    /// What the result is bound to (I-22).
    pub(super) hash: ConfigHash,
}

impl Target {
    fn new(workspace: &WorkspaceId, key: KeyRef, version: Option<KeyVersionId>) -> Self {
        let hash = ConfigHash::of(workspace, &key.location, &key.tenant, version);
        Self { workspace: workspace.clone(), key, version, hash }
    }
}

impl Core {
    pub(super) async fn target_of(
        &self,
        workspace: &WorkspaceId,
        request: &TestConfiguration,
    ) -> Result<Target, Refusal> {
        let found = self.store.workspace(workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let present = self.store.key_config(workspace).await?;
        let as_whom = self.as_whom(workspace, &self.budget()).await?;
        let TestConfiguration { key_identifier, key_name, tenant_id } = request;
        let Some(key_identifier) = key_identifier else {
            if key_name.is_some() || tenant_id.is_some() {
                return Err(
                    Refusal::because(Reason::RequestInvalid).detail("a key name or tenant needs a key identifier")
                );
            }
            let config = present.ok_or_else(|| Refusal::because(Reason::KeyNotConfigured))?;
            let key = KeyRef::new(config.tenant, config.location, as_whom).of(workspace);
            return Ok(Target::new(workspace, key, Some(config.current_version)));
        };
        let asked = ConfigureKey {
            key_identifier: key_identifier.clone(),
            key_name: key_name.clone(),
            tenant_id: tenant_id.clone().unwrap_or_default(),
            ..ConfigureKey::default()
        };
        let mut wanted = Wanted::parse(self, workspace, &asked).await?;
        wanted.key.as_whom = as_whom;
        let (cloud, tenant) = (wanted.key.location.cloud(), &wanted.key.tenant);
        let own_tenant = present.as_ref().is_some_and(|own| own.tenant == *tenant && own.location.cloud() == cloud);
        if !own_tenant {
            self.admits(&self.connection(workspace).await?, cloud, tenant)?;
        }
        // Said in other words, the workspace's own configuration is still the same one.
        let same = present.filter(|own| own.location == wanted.key.location && own.tenant == wanted.key.tenant);
        let version = wanted.version.or(same.map(|own| own.current_version));
        Ok(Target::new(workspace, wanted.key, version))
    }
}
