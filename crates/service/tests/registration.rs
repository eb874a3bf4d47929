//! The customer's own app registration against an emulated directory and vault, by the provider that production uses.

mod azure_site;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use azure_emulator::{AppHandle, Role, RoleScope};
use azure_site::{AzureSite, Customer};
use domain::credential::{CredentialState, Integration, Proof};
use domain::permission::{Action, Caller, Permit, Target, permit};
use domain::{AppKind, CredentialId, Reason, Timestamp};
use service::{AddSecret, MakeCertificate, Refusal};
use zeroize::Zeroizing;

/// In the year 2033.
const LATER: Timestamp = Timestamp::from_micros(2_000_000_000_000_000);

fn allow<A: Action>(target: Target) -> Permit<A> {
    permit(&Caller::platform("tester"), target).unwrap()
}

/// A customer whose key is in force and who has registered an app of their own, which the vault lets in.
struct Registered {
    site: AzureSite,
    customer: Customer,
    own: AppHandle,
}

impl Registered {
    async fn start() -> Self {
        let site = AzureSite::start(None).await;
        let customer = site.customer(1).await;
        site.connect(&customer).await;
        let own = site.emulator.app("contoso-own");
        let us = customer.tenant.consent(&own);
        customer.vault.assign_role(&us, Role::CryptoServiceEncryptionUser, RoleScope::Key("byok".into()));
        Self { site, customer, own }
    }

    fn on_workspace<A: Action>(&self) -> Permit<A> {
        allow(Target::Workspace(self.customer.workspace.clone()))
    }

    async fn add(&self, value: &str) -> CredentialId {
        let value = Zeroizing::new(value.to_owned());
        let request =
            AddSecret { client_id: self.own.client_id().to_uppercase(), tenant: None, value, expires_at: LATER };
        self.site.service.add_secret(&self.on_workspace(), request).await.unwrap().1
    }

    async fn test(&self, id: CredentialId) -> Result<(), Reason> {
        let test = self.site.service.test_credential(&self.on_workspace(), id).await.unwrap();
        test.refused.map_or(Ok(()), |why| Err(why.reason()))
    }

    async fn activate(&self, id: CredentialId) -> Result<Integration, Refusal> {
        self.site.service.activate_credential(&self.on_workspace(), id).await
    }

    /// Encrypts and decrypts for an app whose key nobody has opened before: the vault is asked.
    async fn cold_call(&self, app: &str) -> Result<(), Reason> {
        let (service, workspace) = (&self.site.service, &self.customer.workspace);
        let target = Target::App(workspace.clone(), app.parse().unwrap());
        service.upsert_app(&allow(target.clone()), AppKind::App, app).await.unwrap();
        let context = envelope::Context::empty();
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        let asked = service.encrypt(&allow(target.clone()), &context, b"data", &mut sealed).await;
        asked.map_err(|why| why.reason())?;
        let asked = service.decrypt(&allow(target), &context, &sealed, &mut opened).await;
        asked.map_err(|why| why.reason())?;
        assert_eq!(opened, b"data");
        Ok(())
    }
}

/// With its own registration active a workspace is served without the platform's app: that one may be gone from the directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_is_served_by_its_own_registration_alone() {
    let all = Registered::start().await;
    all.cold_call("before").await.unwrap();
    let id = all.add(&all.own.add_secret()).await;
    assert_eq!(all.activate(id).await.unwrap_err().reason(), Reason::CredentialNotTested);
    all.test(id).await.unwrap();
    all.activate(id).await.unwrap();
    all.customer.tenant.remove(&all.site.app);
    all.cold_call("after").await.unwrap();
    // Nor does the platform's app stand in when the registration's credential is taken away.
    let refused = all.site.service.use_platform_app(&all.on_workspace()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::EntraAppNotInTenant, "and going back is tried before it is done");
    all.own.remove_secrets();
    assert_eq!(all.test(id).await, Err(Reason::RegistrationSecretRefused));
}

/// Each wrong credential is told apart, and stays where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_apart() {
    let all = Registered::start().await;
    let id = all.add("a-secret-that-was-never-made").await;
    assert_eq!(all.test(id).await, Err(Reason::RegistrationSecretRefused));
    let expired = all.add(&all.own.add_secret_expiring(Some(1_000_000_000))).await;
    assert_eq!(all.test(expired).await, Err(Reason::RegistrationSecretExpired));
    let service = &all.site.service;
    service.remove_credential(&all.on_workspace(), id).await.unwrap();
    let request = MakeCertificate { client_id: all.own.client_id().into(), tenant: None };
    let made = service.make_certificate(&all.on_workspace(), request).await.unwrap();
    assert_eq!(all.test(made.credential).await, Err(Reason::RegistrationCertificateRefused));
    assert_eq!(all.activate(made.credential).await.unwrap_err().reason(), Reason::CredentialNotTested);
    let credential = made.integration.credential(made.credential).unwrap();
    let Proof::Certificate { der, .. } = &credential.proof else { panic!("not a certificate") };
    all.own.add_certificate(der).unwrap();
    all.test(made.credential).await.unwrap();
    // An app of the registration that the vault does not let in is not gone over to.
    let us = all.customer.tenant.principal(&all.own).unwrap();
    all.customer.vault.remove_roles(&us);
    assert_eq!(all.activate(made.credential).await.unwrap_err().reason(), Reason::VaultRoleMissing);
    // A registration of another directory is not gone over to either.
    let fabrikam = all.site.emulator.tenant("fabrikam");
    service.remove_credential(&all.on_workspace(), expired).await.unwrap();
    fabrikam.consent(&all.own);
    let value = Zeroizing::new(all.own.add_secret());
    let tenant = Some(format!("https://login.microsoftonline.com/{}/v2.0", fabrikam.id()));
    let request = AddSecret { client_id: all.own.client_id().into(), tenant, value, expires_at: LATER };
    let (_, elsewhere) = service.add_secret(&all.on_workspace(), request).await.unwrap();
    all.test(elsewhere).await.unwrap();
    assert_eq!(all.activate(elsewhere).await.unwrap_err().reason(), Reason::RegistrationElsewhere);
}

/// A rotation from a secret to a certificate with traffic under way: no request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_fails_no_request() {
    let all = Registered::start().await;
    let first = all.add(&all.own.add_secret()).await;
    all.test(first).await.unwrap();
    all.activate(first).await.unwrap();
    all.customer.tenant.remove(&all.site.app);
    let (stop, served) = (AtomicBool::new(false), AtomicU64::new(0));
    let traffic = async {
        let mut n = 0;
        while !stop.load(Ordering::Relaxed) {
            all.cold_call(&format!("app-{n}")).await.unwrap();
            served.fetch_add(1, Ordering::Relaxed);
            n += 1;
        }
    };
    let at_least = async |count: u64| {
        let before = served.load(Ordering::Relaxed);
        while served.load(Ordering::Relaxed) < before + count {
            tokio::task::yield_now().await;
        }
    };
    let rotation = async {
        at_least(3).await;
        let request = MakeCertificate { client_id: all.own.client_id().into(), tenant: None };
        let made = all.site.service.make_certificate(&all.on_workspace(), request).await.unwrap();
        let credential = made.integration.credential(made.credential).unwrap();
        let Proof::Certificate { der, .. } = &credential.proof else { panic!("not a certificate") };
        all.own.add_certificate(der).unwrap();
        all.test(made.credential).await.unwrap();
        at_least(3).await;
        all.activate(made.credential).await.unwrap();
        at_least(3).await;
        let left = all.site.service.remove_credential(&all.on_workspace(), first).await.unwrap();
        all.own.remove_secrets();
        at_least(3).await;
        stop.store(true, Ordering::Relaxed);
        left
    };
    let (left, ()) = tokio::time::timeout(Duration::from_secs(120), futures::future::join(rotation, traffic))
        .await
        .expect("traffic and rotation both end");
    let states: Vec<_> = left.credentials.iter().map(|found| left.state_of(found)).collect();
    assert_eq!(states, [CredentialState::Removed, CredentialState::Active]);
    assert!(served.load(Ordering::Relaxed) >= 12);
}
