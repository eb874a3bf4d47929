//! A customer's own registration: its credential goes to its own directory and into nobody else's calls.

mod support;

use std::time::Duration;

use azure_emulator::{AppHandle, Operation, Principal, Role, RoleScope};
use domain::{
    Clock, CredentialId, Timestamp, WorkspaceId,
    credential::{Credential, Proof, Registration},
};
use support::{DEADLINE, RealEntropy, RealTime, World, payload};
use vault::{
    Application, Class, CustomerKeys, KeyRef, KeyUnavailable, RegisteredApp,
    azure::MadeCertificate,
    platform::{NotOpened, PlatformRoot},
};

struct Site {
    world: World,
    root: PlatformRoot,
    own: AppHandle,
    us: Principal,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let world = World::start().await;
        let dir = tempfile::tempdir().unwrap();
        let root = PlatformRoot::init_file(&dir.path().join("root"), &RealEntropy).unwrap();
        let own = world.emulator.app("contoso-own");
        let us = world.contoso.consent(&own);
        world.vault.assign_role(&us, Role::CryptoServiceEncryptionUser, RoleScope::Vault);
        Self { world, root, own, us, _dir: dir }
    }

    fn credential(&self, n: u8, proof: Proof) -> Credential {
        Credential {
            id: CredentialId::from_bytes([n; 16]),
            registration: Registration {
                cloud: domain::Cloud::Public,
                tenant: self.world.contoso.id().parse().unwrap(),
                client_id: self.own.client_id().parse().unwrap(),
            },
            proof,
            created_at: Timestamp::from_micros(0),
            expires_at: Timestamp::from_micros(i64::MAX),
            added_by: "ada".into(),
            tested_at: None,
            removed_at: None,
            noticed: None,
            sealed: Vec::new(),
        }
    }

    fn sealed(&self, workspace: &WorkspaceId, credential: Credential, secret: &[u8]) -> Credential {
        let sealed = self.root.seal_secret(secret, &credential.identity(workspace), &RealEntropy);
        Credential { sealed, ..credential }
    }

    fn by_secret(&self, workspace: &WorkspaceId, n: u8, value: &str) -> RegisteredApp {
        let credential = self.credential(n, Proof::Secret { last_four: String::new() });
        let credential = self.sealed(workspace, credential, value.as_bytes());
        RegisteredApp::open(&self.root, workspace, &credential).unwrap()
    }

    fn as_registered(&self, at: &KeyRef, app: &RegisteredApp) -> KeyRef {
        KeyRef { as_whom: Application::Registered(app.clone()), ..at.clone() }
    }
}

fn acme() -> WorkspaceId {
    "acme".parse().unwrap()
}

/// A secret and a certificate made here both open the way, and the platform's app is not asked with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_is_opened_as_the_customers_own_app() {
    let site = Site::start().await;
    let (at, version) = site.world.key("byok").await;
    // The platform's app is gone from this directory.
    site.world.contoso.remove(&site.world.app);
    let keys = site.world.keys();
    let denied = keys.wrap(&at, version, &payload(7), DEADLINE).await.unwrap_err();
    assert!(matches!(denied, KeyUnavailable::AppNotInDirectory(_)));
    let secret = site.own.add_secret();
    let app = site.by_secret(&acme(), 1, &secret);
    keys.wrap(&site.as_registered(&at, &app), version, &payload(7), DEADLINE).await.unwrap();

    let made = MadeCertificate::make("acme", RealTime.now().wall, Duration::from_secs(86_400 * 365)).unwrap();
    let credential = site.credential(2, Proof::Certificate { der: made.der.clone(), thumbprint: made.thumbprint });
    let credential = made.expose_key(|key| site.sealed(&acme(), credential, key));
    let app = RegisteredApp::open(&site.root, &acme(), &credential).unwrap();
    // Not uploaded yet: told as what it is, and as the customer's to mend.
    let refused = keys.approach().show(&app, DEADLINE).await.unwrap_err();
    assert_eq!(refused.reason(), domain::Reason::RegistrationCertificateRefused);
    assert_eq!((refused.owner(), refused.class()), (domain::Owner::Customer, Class::Denied));
    site.own.add_certificate(&made.der).unwrap();
    keys.approach().show(&app, DEADLINE).await.unwrap();
    keys.wrap(&site.as_registered(&at, &app), version, &payload(7), DEADLINE).await.unwrap();
    let _ = &site.us;
}

/// Each (workspace, credential) has tokens of its own, kept as long as its opening is held and not asked for again meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_not_shared_between_workspaces() {
    let site = Site::start().await;
    let (at, version) = site.world.key("byok").await;
    let keys = site.world.keys();
    let secret = site.own.add_secret();
    let tokens = || site.world.emulator.count(Operation::Token);
    let wrap = async |at: &KeyRef| keys.wrap(at, version, &payload(7), DEADLINE).await.map(drop);
    wrap(&at).await.unwrap();
    assert_eq!(tokens(), 1);
    let acme_app = site.by_secret(&acme(), 1, &secret);
    let other_app = site.by_secret(&"other".parse().unwrap(), 1, &secret);
    for (app, expected) in [(&acme_app, 2), (&acme_app, 2), (&other_app, 3), (&acme_app, 3)] {
        wrap(&site.as_registered(&at, app)).await.unwrap();
        assert_eq!(tokens(), expected);
    }
    wrap(&at).await.unwrap();
    assert_eq!(tokens(), 3, "and the platform's is its own");
    // Opened anew, it shows itself anew: what the opening before was given does not count.
    drop(acme_app);
    site.own.remove_secrets();
    let again = site.by_secret(&acme(), 1, &secret);
    let refused = wrap(&site.as_registered(&at, &again)).await.unwrap_err();
    assert_eq!(refused.reason(), domain::Reason::RegistrationSecretRefused);
    wrap(&site.as_registered(&at, &other_app)).await.unwrap();
}

/// A credential goes to the login host of its own cloud and directory: for a key elsewhere nobody is asked at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_goes_to_its_own_directory_only() {
    let site = Site::start().await;
    let (at, version) = site.world.key("byok").await;
    let keys = site.world.keys();
    let app = site.by_secret(&acme(), 1, &site.own.add_secret());
    let fabrikam = site.world.emulator.tenant("fabrikam").id().parse().unwrap();
    let elsewhere = KeyRef { tenant: fabrikam, ..site.as_registered(&at, &app) };
    site.world.emulator.clear_calls();
    let refused = keys.wrap(&elsewhere, version, &payload(7), DEADLINE).await.unwrap_err();
    assert_eq!(refused, KeyUnavailable::RegistrationElsewhere);
    assert_eq!(keys.prove_consent(&elsewhere, DEADLINE).await, Err(KeyUnavailable::RegistrationElsewhere));
    assert_eq!(keys.approach().sign_in(&elsewhere, DEADLINE).await, Err(KeyUnavailable::RegistrationElsewhere));
    assert!(site.world.emulator.calls().is_empty(), "nobody was asked");
}

/// What a directory says of a registration's credential is the customer's to mend; an expired one is nobody's "no".
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_secret_is_told() {
    let site = Site::start().await;
    let keys = site.world.keys();
    let expired = site.own.add_secret_expiring(Some(1_000_000_000));
    for (value, reason, class) in [
        ("not-a-secret-of-this-app", domain::Reason::RegistrationSecretRefused, Class::Denied),
        (&*expired, domain::Reason::RegistrationSecretExpired, Class::Transient),
    ] {
        let app = site.by_secret(&acme(), 1, value);
        let refused = keys.approach().show(&app, DEADLINE).await.unwrap_err();
        assert_eq!((refused.reason(), refused.class()), (reason, class));
        assert_eq!(refused.owner(), domain::Owner::Customer);
        assert!(refused.correlation_id().is_some());
        assert!(!format!("{refused:?} {refused} {app:?}").contains(value));
    }
}

/// A sealed secret opens in the row it was sealed for. A binding that left the workspace out would open in another's.
#[tokio::test]
async fn a_sealed_secret_opens_in_its_own_row_only() {
    let site = Site::start().await;
    let other: WorkspaceId = "other".parse().unwrap();
    let credential = site.credential(1, Proof::Secret { last_four: "cdef".into() });
    let opens_in_anothers = |binding: &dyn Fn(&WorkspaceId, &Credential) -> Vec<u8>| {
        let sealed = site.root.seal_secret(b"abc8Q~0123456789abcdef", &binding(&acme(), &credential), &RealEntropy);
        site.root.open_secret(&sealed, &binding(&other, &credential)).is_ok()
    };
    assert!(!opens_in_anothers(&|workspace, credential| credential.identity(workspace)));
    let nobodys: WorkspaceId = "nobody".parse().unwrap();
    assert!(opens_in_anothers(&|_, credential| credential.identity(&nobodys)), "the seeded bug was not found");

    let sealed = site.sealed(&acme(), credential, b"abc8Q~0123456789abcdef");
    assert!(RegisteredApp::open(&site.root, &acme(), &sealed).is_ok());
    let swapped = |sealed: &Credential, workspace: &WorkspaceId| {
        assert_eq!(RegisteredApp::open(&site.root, workspace, sealed).err(), Some(NotOpened::NotAuthentic));
    };
    swapped(&sealed, &other);
    swapped(&Credential { id: CredentialId::from_bytes([2; 16]), ..sealed.clone() }, &acme());
    let mut elsewhere = sealed.clone();
    elsewhere.registration.client_id = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f02".parse().unwrap();
    swapped(&elsewhere, &acme());
    // Nor is it opened as a wrapped data key, or a data key as it.
    assert!(site.root.open_blob(&sealed.sealed, &sealed.identity(&acme())).is_err());
    let blob = site.root.seal_blob(b"a wrapped data key", &sealed.identity(&acme()), &RealEntropy);
    assert!(site.root.open_secret(&blob, &sealed.identity(&acme())).is_err());
}

/// Under the primary nothing is sealed again; under a key that another root does not have nothing opens.
#[tokio::test]
async fn what_is_under_the_primary_stays_as_it_is() {
    let site = Site::start().await;
    let credential = site.credential(1, Proof::Secret { last_four: "cdef".into() });
    let credential = site.sealed(&acme(), credential, b"abc8Q~0123456789abcdef");
    let identity = credential.identity(&acme());
    assert_eq!(site.root.reseal_secret(&credential.sealed, &identity, &RealEntropy), Ok(None));
    let dir = tempfile::tempdir().unwrap();
    let other = PlatformRoot::init_file(&dir.path().join("root"), &RealEntropy).unwrap();
    let unknown = other.reseal_secret(&credential.sealed, &identity, &RealEntropy);
    assert_eq!(unknown, Err(NotOpened::KeyUnknown));
}
