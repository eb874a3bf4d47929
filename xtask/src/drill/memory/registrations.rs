//! Secrets that a customer's admin and the platform's operators make or hand over: credentials of the customer's own app
//! registration, and callers' tokens. Each is followed until what it was for is over, and has to be gone then.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use azure_emulator::{Role, RoleScope};
use byokd::clock::SystemClock;
use client::{Client, pb};
use domain::Clock;
use rusqlite::{Connection, OpenFlags, params};
use vault::platform::PlatformRoot;

use super::super::run::WORKSPACES;
use super::customers::Site;
use super::derived;
use super::kind::Kind;
use super::watch::Watch;

/// How long after its cause a secret may stand in a buffer: an idle connection to the directory is closed after a second, and who
/// closes it looks about once a second.
const IN_PASSING: Duration = Duration::from_secs(8);
const MONTH: i64 = 30 * 24 * 60 * 60;

impl Site {
    /// A secret and a certificate of the customer's own registration, each added, tested, activated, asked with and removed.
    pub(super) async fn registrations(&mut self) -> Result<()> {
        let parent = WORKSPACES[0].to_owned();
        let own = self.customer.emulator.app("acme-own");
        let us = self.customer.emulator.tenant("acme").consent(&own);
        self.customer.vault().assign_role(&us, Role::CryptoServiceEncryptionUser, RoleScope::Vault);
        let value = own.add_secret();
        self.registered.insert(value.clone());
        let client_id = own.client_id().to_owned();

        // Over a connection of its own, whose end is the end of its buffers.
        let admin = self.connected("token").await?;
        let seconds = SystemClock.now().wall.micros() / 1_000_000 + MONTH;
        let expire_time = Some(client::Time { seconds, nanos: 0 });
        let request = pb::AddSecretRequest {
            parent: parent.clone(),
            client_id: client_id.clone(),
            value,
            expire_time,
            ..Default::default()
        };
        let secret = admin.add_secret(request).await?.name;
        self.look("AddSecret", false).await?;
        self.in_use(&admin, &secret, "secret").await?;

        let request = pb::MakeCertificateRequest { parent: parent.clone(), client_id, ..Default::default() };
        let made = admin.make_certificate(request).await?;
        for (label, number) in derived::rsa_numbers(&private_key(&self.files, &made.name)?)? {
            self.watch.wanted.number(Kind::RegistrationKey, label, &number);
        }
        self.look("MakeCertificate", false).await?;
        own.add_certificate(made.certificate_pem.as_bytes()).ok().context("the certificate cannot be uploaded")?;
        self.in_use(&admin, &made.name, "certificate").await?;

        admin.remove_credential(pb::RemoveCredentialRequest { name: secret }).await?;
        drop(admin);
        self.gone("gone: RemoveCredential (secret)", Kind::RegistrationSecret).await?;
        let client = self.client();
        client.use_platform_app(pb::UsePlatformAppRequest { parent }).await?;
        client.remove_credential(pb::RemoveCredentialRequest { name: made.name }).await?;
        self.cold("after-registration").await?;
        self.gone("gone: UsePlatformApp, RemoveCredential (certificate)", Kind::RegistrationKey).await?;
        self.look("asked as the platform's app again", false).await
    }

    /// Tests and activates it, and has the vault asked with it.
    async fn in_use(&mut self, admin: &Client, name: &str, kind: &str) -> Result<()> {
        let tested = admin.test_credential(pb::TestCredentialRequest { name: name.to_owned() }).await?;
        ensure!(tested.passed, "the {kind} does not pass its test: {}", tested.finding);
        self.look(&format!("TestCredential ({kind})"), false).await?;
        admin.activate_credential(pb::ActivateCredentialRequest { name: name.to_owned() }).await?;
        self.cold(&format!("by-{kind}")).await?;
        self.look(&format!("ActivateCredential ({kind}), Encrypt, cold"), kind == "certificate").await
    }

    /// Encrypts for an app whose key nobody has opened before: the vault is asked.
    async fn cold(&mut self, app: &str) -> Result<()> {
        let name = format!("{}/apps/{app}", WORKSPACES[0]);
        let kind = pb::AppKind::App.into();
        let request = pb::UpsertAppRequest { name: name.clone(), kind, display_name: "drill".into() };
        self.client().upsert_app(request).await?;
        let (plaintext, context) = (self.plaintext("registration"), self.context("registration"));
        let sealed = self.client().encrypt(&name, context, plaintext).await?;
        self.messages.push(sealed.ciphertext);
        Ok(())
    }

    /// A caller's token, from the call that makes it until its connection ends.
    pub(super) async fn tokens(&mut self) -> Result<()> {
        let admin = self.connected("token").await?;
        issued(&admin, &mut self.watch).await?;
        self.look("CreateCaller, IssueToken", true).await?;
        drop(admin);
        self.gone("gone: the connection of IssueToken", Kind::IssuedToken).await
    }

    async fn gone(&mut self, step: &str, kind: Kind) -> Result<()> {
        self.watch.gone(step, &[kind], IN_PASSING).await
    }
}

/// Makes a caller and a token for it, which from now on is looked for.
pub(super) async fn issued(admin: &Client, watch: &mut Watch) -> Result<()> {
    let grants = vec!["auditor@acme".to_owned()];
    let request = pb::CreateCallerRequest { caller_id: "drill-auditor".into(), grants, ..Default::default() };
    let caller = admin.create_caller(request).await?;
    let issued = admin.issue_token(pb::IssueTokenRequest { name: caller.name, expire_time: None }).await?;
    watch.wanted.value(Kind::IssuedToken, "as it was issued", issued.token.as_bytes());
    Ok(())
}

/// The private key of a certificate that was made in the daemon, by its credential's name: read from the database and opened with
/// the platform root, by the binding that `docs/credentials.md` tells of and not by the product's code for it.
fn private_key(files: &Path, name: &str) -> Result<Vec<u8>> {
    let (_, id) = name.rsplit_once('/').context("a credential has a name")?;
    let database = Connection::open_with_flags(files.join("byokd.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sql = "SELECT workspace, client_id, tenant, cloud, sealed FROM registration_credentials WHERE credential = ?1";
    let (named, sealed): ([String; 4], Vec<u8>) = database.query_row(sql, params![hex::decode(id)?], |row| {
        Ok(([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?], row.get(4)?))
    })?;
    let [workspace, client_id, tenant, cloud] = &named;
    let id = hex::decode(id)?;
    let mut bound = Vec::new();
    for part in [
        b"byokd/credential/v1".as_slice(),
        workspace.as_bytes(),
        &id,
        b"certificate",
        client_id.as_bytes(),
        tenant.as_bytes(),
        cloud.as_bytes(),
    ] {
        bound.extend_from_slice(&u32::try_from(part.len())?.to_be_bytes());
        bound.extend_from_slice(part);
    }
    let root = PlatformRoot::open_file(&files.join("platform.key"))?;
    let opened = root.open_secret(&sealed, &bound).ok().context("the certificate's key does not open")?;
    Ok(opened.to_vec())
}
