//! A customer's workspace and its apps, as a test speaks of them.

use std::sync::Arc;
use std::time::Duration;

use domain::permission::{
    CancelOperation, ChangeApps, ConfigureKey as ConfigureAction, CreateWorkspace, DecideOperation, Decrypt,
    DeleteWorkspace, DestroyDataKey, Encrypt, ExportWrappedKeys, LeaveCustomerKey, Permit, ReEncrypt, ReadApps,
    ReadKey, ReadOperations, ReadWorkspaces, ReplaceKey as ReplaceAction, RotateDataKeys, RotateKey as RotateAction,
    Target, TestKey,
};
use domain::{AppId, AppKind, Cloud, KeyLocation, KeyTest, KeyVersionId, WorkspaceId};
use envelope::Context;
use service::{ConfigureKey, Configured, Refusal, Service, TestConfiguration, TestEvent};
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

impl TestWorkspace {
    pub(crate) async fn create(world: &World, id: &str) -> Self {
        let id: WorkspaceId = id.parse().expect("a well-formed id");
        let workspace = Self { id, service: world.service.clone(), vault: world.vault.clone() };
        let permit = allow::<CreateWorkspace>(workspace.target());
        workspace.service.create_workspace(&permit, "A customer").await.expect("a new workspace");
        workspace
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
        let nonce = self.service.ownership_nonce(&config);
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
        KeyRef { tenant: TENANT.parse().expect("a tenant"), location }
    }

    /// What its admin types to connect that key.
    pub fn request(&self) -> ConfigureKey {
        ConfigureKey {
            key_identifier: self.key().location.to_string(),
            key_name: None,
            tenant_id: TENANT.to_owned(),
            lease: None,
        }
    }

    /// Makes a key in its vault and connects it.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_key(&self) -> KeyVersionId {
        let version = self.vault.create_key(&self.key());
        self.configure(self.request()).await.expect("a key in force");
        version
    }

    /// As [`TestWorkspace::connect_key`], with a bound on its leases.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect_key_with_lease(&self, lease: Duration) -> KeyVersionId {
        let version = self.vault.create_key(&self.key());
        self.configure(ConfigureKey { lease: Some(lease), ..self.request() }).await.expect("a key in force");
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
