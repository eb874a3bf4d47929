//! A customer's workspace and its apps, as a test speaks of them.

use std::sync::Arc;
use std::time::Duration;

use domain::key_life::{Enforcement, KeyLife};
use domain::permission::{
    CancelOperation, ChangeApps, ConfigureKey as ConfigureAction, ConnectTenant, CreateWorkspace, DecideOperation,
    Decrypt, DeleteWorkspace, DestroyDataKey, DisconnectTenants, Encrypt, ExportWrappedKeys, LeaveCustomerKey, Permit,
    ReEncrypt, ReadApps, ReadConnection, ReadKey, ReadOperations, ReadSelection, ReadUsage, ReadWorkspaces,
    ReplaceKey as ReplaceAction, RestoreKey, RevokeKey, RotateDataKeys, RotateKey as RotateAction, ScheduleEnforcement,
    SelectApps, Target, TestKey, ValidateApp,
};
use domain::{AppId, AppKind, Cloud, KeyLocation, KeyTest, KeyVersionId, WorkspaceId};
use envelope::Context;
use service::{ConfigureKey, Configured, Refusal, Service, TestConfiguration, TestEvent};
use store::Store;
use vault::KeyRef;
use vault::memory::MemoryKeys;

use crate::World;
use crate::world::{allow, allow_as};

/// The directory of every test customer.
const TENANT: &str = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";

/// Permission to create a workspace.
///
/// # Panics
/// When the id is not well formed.
pub fn permit_create_workspace(id: &str) -> Permit<CreateWorkspace> {
    allow(Target::Workspace(id.parse().expect("a well-formed id")))
}

/// A workspace, and the service through which it is used.
#[derive(Clone)]
pub struct TestWorkspace {
    /// Its id.
    pub id: WorkspaceId,
    service: Arc<Service>,
    vault: Arc<MemoryKeys>,
    store: Arc<dyn Store>,
}

/// An app, and the service through which it is used.
#[derive(Clone)]
pub struct TestApp {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its id.
    pub id: AppId,
    service: Arc<Service>,
}

/// Puts a connected key in force without a date, as if its date had come long ago: dates have tests of their own.
///
/// # Panics
/// When the workspace has no key.
pub async fn put_in_force(store: &dyn Store, workspace: &WorkspaceId) {
    let mut tx = store.begin("put_in_force").await.expect("a transaction");
    let life = tx.key_life(workspace).await.expect("a reading").expect("a key's life");
    let enforcement = Enforcement::InForce { since: life.changed_at };
    let life = KeyLife { change: life.change + 1, enforcement, ..life };
    tx.put_key_life(&life).await.expect("its next state");
    tx.commit().await.expect("a commit");
}

impl TestWorkspace {
    pub(crate) async fn create(world: &World, id: &str) -> Self {
        let id: WorkspaceId = id.parse().expect("a well-formed id");
        let workspace = Self::of(world, id);
        let permit = allow::<CreateWorkspace>(workspace.target());
        workspace.service.create_workspace(&permit, "A customer").await.expect("a new workspace");
        workspace
    }

    pub(crate) fn of(world: &World, id: WorkspaceId) -> Self {
        Self { id, service: world.service.clone(), vault: world.vault.clone(), store: world.store.inner() }
    }

    fn target(&self) -> Target {
        Target::Workspace(self.id.clone())
    }

    /// Permission to read the workspace.
    pub fn may_read(&self) -> Permit<ReadWorkspaces> {
        allow(self.target())
    }

    /// Permission to list its apps.
    pub fn may_read_apps(&self) -> Permit<ReadApps> {
        allow(self.target())
    }

    /// Permission to read its key.
    pub fn may_read_key(&self) -> Permit<ReadKey> {
        allow(self.target())
    }

    /// Permission to configure its key.
    pub fn may_configure(&self) -> Permit<ConfigureAction> {
        allow(self.target())
    }

    /// Permission to test its key.
    pub fn may_test(&self) -> Permit<TestKey> {
        allow(self.target())
    }

    /// Sets the tag by which its owner proves the key theirs.
    ///
    /// # Panics
    /// When no key is connected.
    pub async fn prove_ownership(&self) {
        let config = self.service.read_key(&self.may_read_key()).await.expect("a connected key");
        let nonce = self.service.ownership_nonce(&config).await.expect("a nonce");
        self.vault.change(&self.key(), config.current_version, |attributes| {
            attributes.tags.insert(service::OWNERSHIP_TAG.to_owned(), nonce);
        });
    }

    /// Tests its configuration to the end.
    pub async fn test_key(&self) -> Result<KeyTest, Refusal> {
        let mut run = self.service.test_configuration(&self.may_test(), TestConfiguration::default()).await?;
        loop {
            match run.next().await? {
                Some(TestEvent::Finished(test)) => return Ok(test),
                Some(TestEvent::Started(_) | TestEvent::Ended(_)) => {}
                None => panic!("a test ends with its result"),
            }
        }
    }

    /// Permission to export.
    pub fn may_export(&self) -> Permit<ExportWrappedKeys> {
        allow(self.target())
    }

    /// Permission to rotate its key.
    pub fn may_rotate(&self) -> Permit<RotateAction> {
        allow(self.target())
    }

    /// Permission to give its apps new data keys.
    pub fn may_rotate_data_keys(&self) -> Permit<RotateDataKeys> {
        allow(self.target())
    }

    /// Permission to read its operations.
    pub fn may_read_operations(&self) -> Permit<ReadOperations> {
        allow(self.target())
    }

    /// Permission to read what was sealed and opened.
    pub fn may_read_usage(&self) -> Permit<ReadUsage> {
        allow(self.target())
    }

    /// Permission to cancel them.
    pub fn may_cancel(&self) -> Permit<CancelOperation> {
        allow(self.target())
    }

    /// Permission of somebody else to decide about its operations.
    pub fn may_decide(&self, who: &str) -> Permit<DecideOperation> {
        allow_as(who, self.target())
    }

    /// Permission to replace its key.
    pub fn may_replace(&self) -> Permit<ReplaceAction> {
        allow(self.target())
    }

    /// Permission to leave its key.
    pub fn may_leave(&self) -> Permit<LeaveCustomerKey> {
        allow(self.target())
    }

    /// Begins a rotation to the newest version.
    pub async fn rotate(&self) -> Result<service::RotationStarted, Refusal> {
        self.service.rotate_key(&self.may_rotate(), service::RotateKey::default()).await
    }

    /// Permission to choose which apps are under its key.
    pub fn may_select(&self) -> Permit<SelectApps> {
        allow(self.target())
    }

    /// Permission to watch which apps are.
    pub fn may_watch(&self) -> Permit<ReadSelection> {
        allow(self.target())
    }

    /// Permission to switch its key off.
    pub fn may_revoke(&self) -> Permit<RevokeKey> {
        allow(self.target())
    }

    /// Permission to switch it on again.
    pub fn may_restore(&self) -> Permit<RestoreKey> {
        allow(self.target())
    }

    /// Permission to connect it to a directory.
    pub fn may_connect(&self) -> Permit<ConnectTenant> {
        allow(self.target())
    }

    /// Permission to read to which it is connected.
    pub fn may_read_connection(&self) -> Permit<ReadConnection> {
        allow(self.target())
    }

    /// Permission to disconnect it.
    pub fn may_disconnect(&self) -> Permit<DisconnectTenants> {
        allow(self.target())
    }

    /// Permission to delete it.
    pub fn may_delete(&self) -> Permit<DeleteWorkspace> {
        allow(self.target())
    }

    /// Creates an app.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn app(&self, id: &str) -> TestApp {
        let app = self.app_of_name(id);
        self.service.upsert_app(&app.may_change(), AppKind::App, "An app").await.expect("a new app");
        app
    }

    /// An app by its name, whether it exists or not.
    ///
    /// # Panics
    /// When the id is not well formed.
    pub fn app_of_name(&self, id: &str) -> TestApp {
        let id = id.parse().expect("a well-formed id");
        TestApp { workspace: self.id.clone(), id, service: self.service.clone() }
    }

    /// Where its customer's key is.
    ///
    /// # Panics
    /// When the workspace's id is no vault's name.
    pub fn key(&self) -> KeyRef {
        let location = KeyLocation::from_parts(Cloud::Public, self.id.as_str(), "byok").expect("a vault's name");
        KeyRef::of_platform(TENANT.parse().expect("a tenant"), location)
    }

    /// What its admin types to connect that key.
    pub fn request(&self) -> ConfigureKey {
        ConfigureKey {
            key_identifier: self.key().location.to_string(),
            tenant_id: TENANT.to_owned(),
            ..ConfigureKey::default()
        }
    }

    /// Permission to set its key's date.
    pub fn may_schedule(&self) -> Permit<ScheduleEnforcement> {
        allow(self.target())
    }

    /// Makes a key in its vault and puts it in force.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_key(&self) -> KeyVersionId {
        let version = self.vault.create_key(&self.key());
        self.configure(self.request()).await.expect("a key that is connected");
        self.put_in_force().await;
        version
    }

    /// Puts the key that is connected in force now, without a date.
    ///
    /// # Panics
    /// When there is none.
    pub async fn put_in_force(&self) {
        put_in_force(&*self.store, &self.id).await;
    }

    /// As [`TestWorkspace::connect_key`], with a bound on its leases.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_key_with_lease(&self, lease: Duration) -> KeyVersionId {
        let version = self.vault.create_key(&self.key());
        self.configure(ConfigureKey { lease: Some(lease), ..self.request() }).await.expect("a key that is connected");
        self.put_in_force().await;
        version
    }

    /// Connects a key.
    pub async fn configure(&self, request: ConfigureKey) -> Result<Configured, Refusal> {
        self.service.configure_key(&self.may_configure(), request).await
    }

    /// The same workspace, used through another service.
    pub fn through(&self, service: &Arc<Service>) -> Self {
        Self { service: service.clone(), ..self.clone() }
    }
}

impl TestApp {
    fn target(&self) -> Target {
        Target::App(self.workspace.clone(), self.id.clone())
    }

    /// Permission to encrypt.
    pub fn may_encrypt(&self) -> Permit<Encrypt> {
        allow(self.target())
    }

    /// Permission to decrypt.
    pub fn may_decrypt(&self) -> Permit<Decrypt> {
        allow(self.target())
    }

    /// Permission to re-encrypt.
    pub fn may_re_encrypt(&self) -> Permit<ReEncrypt> {
        allow(self.target())
    }

    /// Permission to validate it.
    pub fn may_validate(&self) -> Permit<ValidateApp> {
        allow(self.target())
    }

    /// Permission to change or delete it.
    pub fn may_change(&self) -> Permit<ChangeApps> {
        allow(self.target())
    }

    /// Permission to destroy its data keys.
    pub fn may_destroy(&self) -> Permit<DestroyDataKey> {
        allow(self.target())
    }

    /// Encrypts without a context.
    pub async fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.encrypt_in(&Context::empty(), plaintext).await
    }

    /// Encrypts.
    pub async fn encrypt_in(&self, context: &Context, plaintext: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        self.service.encrypt(&self.may_encrypt(), context, plaintext, &mut out).await?;
        Ok(out)
    }

    /// Decrypts what was encrypted without a context.
    pub async fn decrypt(&self, ciphertext: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.decrypt_in(&Context::empty(), ciphertext).await
    }

    /// Decrypts.
    pub async fn decrypt_in(&self, context: &Context, ciphertext: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        self.service.decrypt(&self.may_decrypt(), context, ciphertext, &mut out).await?;
        Ok(out)
    }

    /// Whether its key is ready, so that an Encrypt waits for nothing.
    pub fn is_warm(&self) -> bool {
        self.service.try_encrypt(&self.may_encrypt(), &Context::empty(), b"", &mut Vec::new()).is_some()
    }

    /// The same app, used through another service.
    pub fn through(&self, service: &Arc<Service>) -> Self {
        Self { service: service.clone(), ..self.clone() }
    }
}
