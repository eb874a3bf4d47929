//! A service whose customers' vaults are an emulated Azure, reached by the provider that production uses.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::time::Duration;

use azure_emulator::{
    AppHandle, Deletion, Emulator, KeyOperation, Options as EmulatorOptions, Principal, Role, RoleScope, TenantHandle,
    VaultHandle,
};
use domain::key_config::LONGEST_LEASE;
use domain::key_identifier::KeyIdentifier;
use domain::permission::{Action, Caller, CreateWorkspace, Permit, Target, TestKey, permit};
use domain::{Clock, KeyConfig, KeyTest, KeyVersionId, Moment, Timestamp, WorkspaceId};
use service::{ConfigureKey, OWNERSHIP_TAG, Options, Parts, SeededBug, Service, TestConfiguration, TestEvent};
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use testkit::SeededEntropy;
use vault::azure::{AzureKeys, AzureOptions, ClientSecret, DevelopmentConnector, PlatformCredential};
use vault::platform::PlatformRoot;

/// The machine's time: the emulator goes by it too.
struct RealTime;

impl Clock for RealTime {
    #[expect(clippy::disallowed_methods, reason = "the emulator and the SDK go by the machine's clock")]
    fn now(&self) -> Moment {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Moment { wall: Timestamp::from_micros(i64::try_from(wall.as_micros()).unwrap()), boot: wall }
    }
}

/// The service, its emulated Azure and our application there.
pub(crate) struct AzureSite {
    pub(crate) emulator: Emulator,
    pub(crate) app: AppHandle,
    pub(crate) service: Arc<Service>,
    /// Over the same database, and gives a call up after a short while.
    pub(crate) impatient: Arc<Service>,
    store: Arc<SqliteStore>,
    _dir: tempfile::TempDir,
}

/// A customer with a tenant, a vault with the key `byok`, and a workspace. All is as the guide says, but for the tag.
pub(crate) struct Customer {
    pub(crate) tenant: TenantHandle,
    pub(crate) us: Principal,
    pub(crate) vault: VaultHandle,
    pub(crate) workspace: WorkspaceId,
    name: String,
    tenant_id: String,
    version: KeyVersionId,
    identifier: String,
    nonce: String,
}

fn allow<A: Action>(workspace: &WorkspaceId) -> Permit<A> {
    permit(&Caller::platform("tester"), Target::Workspace(workspace.clone())).unwrap()
}

impl AzureSite {
    pub(crate) async fn start(bug: Option<SeededBug>) -> Self {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        let app = emulator.app("byokd");
        let secret = ClientSecret::new(app.add_secret().into());
        let dir = tempfile::tempdir().unwrap();
        let (clock, entropy) = (Arc::new(RealTime), SeededEntropy::new(42));
        let platform = Arc::new(PlatformRoot::init_file(&dir.path().join("platform.key"), &*entropy).unwrap());
        let store = Arc::new(
            SqliteStore::create_or_open(SqliteOptions {
                path: dir.path().join("byokd.db"),
                row_seal: platform.row_seal(),
                root_check: platform.check_value(),
                cluster: platform.cluster_id(),
                durability: Durability::Full,
            })
            .unwrap(),
        );
        let resolving = emulator.clone();
        let credential = PlatformCredential::Secret(secret);
        let options = AzureOptions::new(app.client_id(), credential, clock.clone(), entropy.clone())
            .unwrap()
            .development(DevelopmentConnector { addr: emulator.addr(), ca_pem: emulator.ca_pem().as_bytes().to_vec() })
            .development_names(Arc::new(move |name: &str| resolving.resolves(name)));
        let customer_keys = Arc::new(AzureKeys::new(options).unwrap());
        let service = |options| {
            let parts = Parts {
                store: store.clone(),
                customer_keys: customer_keys.clone(),
                platform: platform.clone(),
                clock: clock.clone(),
                entropy: entropy.clone(),
                options,
            };
            match bug {
                None => Service::start(parts).unwrap(),
                Some(bug) => Service::start_with_bug(parts, bug).unwrap(),
            }
        };
        let impatient = service(Options { vault_deadline: Duration::from_secs(1), ..Options::default() });
        let service = service(Options::default());
        Self { emulator, app, service, impatient, store, _dir: dir }
    }

    /// Connects the customer's key and puts it in force, as if its date had come.
    pub(crate) async fn connect(&self, customer: &Customer) {
        let request = ConfigureKey {
            key_identifier: customer.identifier.clone(),
            tenant_id: customer.tenant_id.clone(),
            ..ConfigureKey::default()
        };
        self.service.configure_key(&allow(&customer.workspace), request).await.unwrap();
        testkit::put_in_force(&*self.store, &customer.workspace).await;
    }

    pub(crate) async fn customer(&self, number: usize) -> Customer {
        let name = format!("contoso-{number}");
        let tenant = self.emulator.tenant(&name);
        let us = tenant.consent(&self.app);
        let vault = tenant.vault(&name);
        vault.set_deletion(Deletion { retention_days: 90, purge_protection: true });
        vault.assign_role(&us, Role::CryptoServiceEncryptionUser, RoleScope::Key("byok".into()));
        let key = vault.create_key("byok", 2048, &KeyOperation::WRAP).await.unwrap();
        let workspace: WorkspaceId = name.parse().unwrap();
        self.service.create_workspace(&allow::<CreateWorkspace>(&workspace), "Contoso").await.unwrap();
        let identifier = format!("{}/keys/byok", vault.url());
        let (tenant_id, version) = (tenant.id().to_owned(), key.version.parse().unwrap());
        let config = KeyConfig {
            workspace: workspace.clone(),
            location: KeyIdentifier::parse(&identifier).unwrap().location,
            tenant: tenant_id.parse().unwrap(),
            current_version: version,
            wrap_epoch: 1,
            lease: LONGEST_LEASE,
            configured_at: Timestamp::from_micros(0),
            left_at: None,
            choices: domain::key_config::VersionChoices::default(),
        };
        let nonce = self.service.ownership_nonce(&config).await.unwrap();
        Customer { tenant, us, vault, workspace, name, tenant_id, version, identifier, nonce }
    }

    pub(crate) async fn test(&self, customer: &Customer) -> KeyTest {
        self.test_through(&self.service, customer).await
    }

    /// Tests the customer's key, and checks that what is streamed is what is kept.
    pub(crate) async fn test_through(&self, service: &Service, customer: &Customer) -> KeyTest {
        let request = TestConfiguration {
            key_identifier: Some(customer.identifier.clone()),
            key_name: None,
            tenant_id: Some(customer.tenant_id.clone()),
        };
        let mut run = service.test_configuration(&allow::<TestKey>(&customer.workspace), request).await.unwrap();
        let (mut ended, mut finished) = (Vec::new(), None);
        while let Some(event) = run.next().await.unwrap() {
            match event {
                TestEvent::Started(_) => {}
                TestEvent::Ended(step) => ended.push(step),
                TestEvent::Finished(test) => finished = Some(test),
            }
        }
        let finished = finished.unwrap();
        assert_eq!(finished.steps, ended);
        let kept = service.list_key_tests(&allow(&customer.workspace), Some(1)).await.unwrap();
        assert_eq!(kept, std::slice::from_ref(&finished));
        finished
    }
}

impl Customer {
    /// What the owner does to prove the key theirs.
    pub(crate) fn set_tag(&self, _: &AzureSite) {
        self.vault.set_tag("byok", OWNERSHIP_TAG, &self.nonce).unwrap();
    }

    /// The same text whoever's it is: ids are random, and request ids as well.
    pub(crate) fn without_names(&self, site: &AzureSite, text: &str) -> String {
        let mut text = text
            .replace(site.app.client_id(), "CLIENT-ID")
            .replace(&self.tenant_id, "TENANT-ID")
            .replace(&self.version.to_string(), "VERSION")
            .replace(&self.nonce, "NONCE")
            .replace(&self.name, "contoso");
        while let Some(at) = text.find("(request ") {
            let end = text[at..].find(')').map_or(text.len(), |end| at + end + 1);
            text.replace_range(at..end, "(REQUEST)");
        }
        text
    }
}
