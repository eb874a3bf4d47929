//! A daemon whose customer has a key in an emulated vault: each kind of call, and each way in which a key is let go.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use azure_emulator::{Disturbance, Fault, GivenOut, Scope};
use bytes::Bytes;
use client::{Client, Endpoint, Options, pb};

use super::super::checker::Checker;
use super::super::daemon::{Daemon, Ground};
use super::super::run::{Customer, WORKSPACES, set_up};
use super::kind::Kind;
use super::watch::Watch;
use super::{derived, files, planted};
use crate::stopwatch::Stopwatch;

/// The longest a key is held after the vault is gone, and a little.
const LEASE: Duration = Duration::from_secs(340);
const PATIENCE: Duration = Duration::from_secs(60);

/// Each plaintext and context value begins with this and is like no other.
fn canary(what: &str, number: usize) -> String {
    format!("canary-{what}-{number:04}-6f1d93e07b52c8a4")
}

/// What has to be among what was searched for at the end.
const MADE: [Kind; 12] = [
    Kind::DataKey,
    Kind::Subkey,
    Kind::MessageKey,
    Kind::PlatformKey,
    Kind::ClientSecret,
    Kind::RegistrationSecret,
    Kind::RegistrationKey,
    Kind::AccessToken,
    Kind::BearerToken,
    Kind::IssuedToken,
    Kind::Context,
    Kind::Plaintext,
];

pub(super) struct Site {
    daemon: Daemon,
    second: Client,
    pub(super) customer: Customer,
    checker: Checker,
    pub(super) watch: Watch,
    /// The daemon's own.
    pub(super) files: PathBuf,
    canaries: usize,
    pub(super) messages: Vec<Bytes>,
    /// Client secrets of the customer's own registration.
    pub(super) registered: HashSet<String>,
    /// What was answered where nothing secret belongs.
    shown: files::Shown,
    /// Only the last look through an image: making one has the kernel fill in everything that was reserved, which every later
    /// look then reads.
    reduced: bool,
}

pub(super) async fn run(
    program: &Path,
    scratch: &Path,
    cores: Option<PathBuf>,
    reduced: bool,
    seed: u64,
) -> Result<Watch> {
    let directory = scratch.join("customers");
    std::fs::create_dir_all(&directory)?;
    let customer = Customer::start(&directory).await?;
    customer.emulator.record_given_out();
    let emulator_ca = directory.join("emulator-ca.pem");
    std::fs::write(&emulator_ca, customer.emulator.ca_pem())?;
    let ground = Ground {
        program: program.to_owned(),
        files: directory.join("files"),
        emulator: customer.emulator.addr(),
        emulator_ca,
        synchronous_off: false,
        shim: None,
    };
    std::fs::create_dir_all(&ground.files)?;
    let daemon = ground.start(false).await?;
    // It listens before it is ready; whoever is answered finds all its files.
    daemon.client.workspaces().await?;
    let token = |name: &str| std::fs::read_to_string(ground.files.join(name));
    let options = Options { token: Some(token("second-token")?), ..Options::default() };
    let second = Client::connect(&Endpoint::Loopback(daemon.at), options).await?;
    let checker =
        Checker::open(&ground.files.join("byokd.db"), &ground.files.join("platform.key"), customer.keys.clone())?;
    let mut watch = Watch::new("under a customer's key", daemon.pid(), cores);
    for (name, kind) in
        [("token", Kind::BearerToken), ("second-token", Kind::BearerToken), ("webhook-secret", Kind::WebhookSecret)]
    {
        watch.wanted.value(kind, name, token(name)?.trim().as_bytes());
    }
    for (label, key) in derived::of_platform_root(&std::fs::read(ground.files.join("platform.key"))?)? {
        watch.wanted.key(Kind::PlatformKey, &label, &key);
    }
    let mut site = Site {
        daemon,
        second,
        customer,
        checker,
        watch,
        files: ground.files.clone(),
        canaries: 0,
        messages: Vec::new(),
        registered: HashSet::new(),
        shown: Vec::new(),
        reduced,
    };
    site.look("the start", false).await?;
    set_up(&site.daemon.client, &site.customer).await?;
    site.look("ConfigureKey, TestConfiguration, ScheduleEnforcement", false).await?;
    site.data().await?;
    site.keys().await?;
    site.wrong().await?;
    site.registrations().await?;
    site.tokens().await?;
    site.evictions().await?;
    site.watch.at_rest(&MADE).await?;
    let written = [ground.files.as_path(), &ground.files.with_extension("log")];
    let searched = files::check(site.daemon.pid(), &site.watch.wanted, &written, &site.shown)?;
    files::no_core_file(site.daemon.pid())?;
    println!(
        "  nothing in the command line, the environment, the log, the database, errors, the ledger: {searched} files and answers"
    );
    planted::into_the_daemon(seed, &site.watch).await?;
    Ok(site.watch)
}

impl Site {
    /// Learns every key there is by now, and looks for all of them.
    pub(super) async fn look(&mut self, step: &str, image: bool) -> Result<()> {
        self.checker.open_all().await?;
        let wanted = &mut self.watch.wanted;
        for given in self.customer.emulator.given_out() {
            match given {
                // The signature: the rest is the same in every token, or public.
                GivenOut::AccessToken(token) => {
                    let signature = token.rsplit('.').next().unwrap_or_default();
                    wanted.value(Kind::AccessToken, "signature", signature.get(..64).unwrap_or(signature).as_bytes());
                }
                GivenOut::ClientSecret(secret) if self.registered.contains(&secret) => {
                    wanted.value(Kind::RegistrationSecret, "secret", secret.as_bytes());
                }
                GivenOut::ClientSecret(secret) => wanted.value(Kind::ClientSecret, "secret", secret.as_bytes()),
                // A data key's payload; what probes send is random and used once.
                GivenOut::Unwrapped(payload) if payload.len() == 65 => {
                    wanted.key(Kind::DataKey, "as the vault saw it", payload[1..33].try_into()?);
                }
                GivenOut::Unwrapped(_) => {}
            }
        }
        let messages = &self.messages;
        self.checker.each_key(|id, key| {
            wanted.key(Kind::DataKey, &hex::encode(id), key);
            wanted.value(Kind::Subkey, &hex::encode(id), &derived::of_data_key(key));
            for message in messages.iter().filter(|message| message.get(8..24) == Some(id)) {
                if let Some(key) = derived::of_message(key, message) {
                    wanted.key(Kind::MessageKey, &hex::encode(id), &key);
                }
            }
        });
        self.watch.after(step, image && !self.reduced).await
    }

    pub(super) fn plaintext(&mut self, what: &str) -> Bytes {
        self.canaries += 1;
        let text = canary(what, self.canaries);
        self.watch.wanted.value(Kind::Plaintext, what, text.as_bytes());
        text.into_bytes().into()
    }

    pub(super) fn context(&mut self, what: &str) -> HashMap<String, String> {
        self.canaries += 1;
        let text = canary(what, self.canaries);
        self.watch.wanted.value(Kind::Context, what, text.as_bytes());
        [("for".to_owned(), text)].into()
    }

    pub(super) fn client(&self) -> Client {
        self.daemon.client.clone()
    }

    /// A connection of its own, as the caller whose token stands in this file.
    pub(super) async fn connected(&self, token: &str) -> Result<Client> {
        let token = Some(std::fs::read_to_string(self.files.join(token))?);
        let options = Options { token, ..Options::default() };
        Ok(Client::connect(&Endpoint::Loopback(self.daemon.at), options).await?)
    }

    /// What apps call.
    async fn data(&mut self) -> Result<()> {
        let client = self.client();
        for (workspace, kind) in [(WORKSPACES[0], "customer"), (WORKSPACES[1], "platform")] {
            let app = format!("{workspace}/apps/letters");
            let request =
                pb::UpsertAppRequest { name: app.clone(), kind: pb::AppKind::App.into(), display_name: "drill".into() };
            client.upsert_app(request).await?;
            let (plaintext, context) = (self.plaintext("message"), self.context("context"));
            let sealed = client.encrypt(&app, context.clone(), plaintext.clone()).await?;
            self.messages.push(sealed.ciphertext.clone());
            self.look(&format!("Encrypt, cold ({kind})"), false).await?;
            for _ in 0..20 {
                let sealed = client.encrypt(&app, context.clone(), plaintext.clone()).await?;
                self.messages.push(sealed.ciphertext.clone());
            }
            self.look(&format!("Encrypt, warm, 20 times ({kind})"), false).await?;
            let opened = client.decrypt(&app, context.clone(), sealed.ciphertext.clone()).await?;
            ensure!(opened.plaintext == plaintext, "another plaintext came back");
            self.look(&format!("Decrypt ({kind})"), false).await?;
            self.batch(&app).await?;
            self.look(&format!("BatchEncrypt, BatchDecrypt ({kind})"), false).await?;
            self.stream(&app).await?;
            self.look(&format!("EncryptStream, DecryptStream ({kind})"), true).await?;
            let request = pb::ReEncryptRequest { app, ciphertext: sealed.ciphertext, context, ..Default::default() };
            self.messages.push(client.re_encrypt(request).await?.ciphertext);
            self.look(&format!("ReEncrypt ({kind})"), false).await?;
        }
        Ok(())
    }

    async fn batch(&mut self, app: &str) -> Result<()> {
        let client = self.client();
        let context = self.context("batch-context");
        let mut items = Vec::new();
        for _ in 0..20 {
            items.push(pb::BatchEncryptItem { plaintext: self.plaintext("batch"), context: context.clone() });
        }
        let sealed = client.batch_encrypt(pb::BatchEncryptRequest { app: app.to_owned(), items }).await?;
        let mut items = Vec::new();
        for result in sealed.results {
            let Some(pb::batch_encrypt_result::Outcome::Ciphertext(ciphertext)) = result.outcome else {
                bail!("an item was not sealed")
            };
            self.messages.push(ciphertext.clone());
            items.push(pb::BatchDecryptItem { ciphertext, context: context.clone() });
        }
        let opened = client.batch_decrypt(pb::BatchDecryptRequest { app: app.to_owned(), items }).await?;
        let good = |result: &pb::BatchDecryptResult| {
            matches!(result.outcome, Some(pb::batch_decrypt_result::Outcome::Plaintext(_)))
        };
        ensure!(opened.results.iter().all(good), "an item was not opened");
        Ok(())
    }

    async fn stream(&mut self, app: &str) -> Result<()> {
        let client = self.client();
        let (marker, context) = (self.plaintext("stream"), self.context("stream-context"));
        let payload = marker.repeat(4_000);
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        client.encrypt_stream(app, context.clone(), &payload[..], &mut sealed, |_| ()).await?;
        client.decrypt_stream(app, context, &sealed[..], &mut opened, |_| ()).await?;
        ensure!(opened == payload, "another payload came back");
        sealed.truncate(80);
        self.messages.push(sealed.into());
        Ok(())
    }

    /// What a customer's admin and the platform's operators call.
    async fn keys(&mut self) -> Result<()> {
        let client = self.client();
        let key = format!("{}/key", WORKSPACES[0]);
        let app = format!("{}/apps/letters", WORKSPACES[0]);
        let test = pb::TestConfigurationRequest { name: key.clone(), ..Default::default() };
        ensure!(client.test_configuration(test, |_| ()).await?.passed, "the key does not pass its test");
        self.look("TestConfiguration", false).await?;
        ensure!(client.validate_app(pb::ValidateAppRequest { app: app.clone() }).await?.successful, "not validated");
        self.look("ValidateApp", false).await?;
        client.export_wrapped_keys(&key).await?;
        client.coverage(WORKSPACES[0], "").await?;
        client.create_checkpoint(pb::CreateCheckpointRequest { parent: WORKSPACES[0].into() }).await?;
        let mut events = client.export_events(WORKSPACES[0], 0).await?;
        while let Some(page) = events.next().await? {
            self.shown.push(("the ledger".to_owned(), format!("{page:?}").into_bytes()));
        }
        self.look("ExportWrappedKeys, GetCoverage, CreateCheckpoint, ExportEvents", false).await?;
        let sealed = client.encrypt(&app, HashMap::new(), self.plaintext("destroyed")).await?;
        let request = pb::RotateDataKeysRequest { name: key.clone(), app: app.clone(), ..Default::default() };
        self.done(client.rotate_data_keys(request).await?).await?;
        client.encrypt(&app, HashMap::new(), self.plaintext("after")).await?;
        self.look("RotateDataKeys", false).await?;
        self.customer.vault().rotate_key("byok").await?;
        let request = pb::RotateKeyRequest { name: key.clone(), ..Default::default() };
        self.done(client.rotate_key(request).await?.operation.context("no operation")?).await?;
        client.encrypt(&app, HashMap::new(), self.plaintext("rotated")).await?;
        self.look("RotateKey", false).await?;
        client.decrypt(&app, HashMap::new(), sealed.ciphertext).await?;
        let asked = client.destroy_data_key(pb::DestroyDataKeyRequest { name: sealed.data_key }).await?;
        self.second.approve_operation(pb::ApproveRequest { name: asked.name.clone() }).await?;
        self.done(asked).await?;
        self.look("DestroyDataKey, approved", true).await
    }

    /// What is refused.
    async fn wrong(&mut self) -> Result<()> {
        let client = self.client();
        let app = format!("{}/apps/letters", WORKSPACES[0]);
        let (text, context) = (self.plaintext("refused"), self.context("refused"));
        let sealed = client.encrypt(&app, HashMap::new(), text.clone()).await?.ciphertext;
        let mut altered = sealed.to_vec();
        if let Some(last) = altered.last_mut() {
            *last ^= 1;
        }
        let elsewhere = format!("{}/apps/letters", WORKSPACES[1]);
        let name = String::from_utf8(text.to_vec())?;
        let refused = [
            client.decrypt(&app, context, sealed.clone()).await.err(),
            client.decrypt(&app, HashMap::new(), altered.into()).await.err(),
            client.decrypt(&elsewhere, HashMap::new(), sealed).await.err(),
            client.decrypt(&app, HashMap::new(), text.clone()).await.err(),
            client.encrypt(&name, HashMap::new(), text).await.err(),
        ];
        for (number, refused) in refused.iter().enumerate() {
            let error = refused.as_ref().with_context(|| format!("wrong request {number} was not refused"))?;
            self.shown.push((format!("error {number}"), format!("{error} {error:?}").into_bytes()));
        }
        self.look("refused: context, altered, another app, no ciphertext, no name", false).await
    }

    /// Each way in which a key is taken from the daemon.
    async fn evictions(&mut self) -> Result<()> {
        let client = self.client();
        let (key, app) = (format!("{}/key", WORKSPACES[0]), format!("{}/apps/letters", WORKSPACES[0]));
        client.revoke_key(pb::RevokeKeyRequest { name: key.clone() }).await?;
        self.refused(&app, PATIENCE).await?;
        self.look("evicted: RevokeKey", true).await?;
        client.restore_key(pb::RestoreKeyRequest { name: key.clone() }).await?;
        self.served(&app).await?;
        self.look("RestoreKey", false).await?;

        let vault = self.customer.vault();
        let version = vault.latest("byok")?.version;
        vault.disable_key_version("byok", &version)?;
        self.refused(&app, PATIENCE).await?;
        self.look("evicted: the vault says no", true).await?;
        vault.enable_key_version("byok", &version)?;
        self.served(&app).await?;
        self.look("allowed again", false).await?;
        if !self.reduced {
            // 300 s is the longest lease, and nothing else ends it sooner: the full drill waits for that.
            let gone = self.customer.emulator.faults().switch_on(Fault::Wire(Disturbance::Reset), Scope::everywhere());
            println!("  waiting for the lease to end …");
            self.refused(&app, LEASE).await?;
            tokio::time::sleep(Duration::from_secs(6)).await;
            self.watch.after("evicted: the lease ended", true).await?;
            self.customer.emulator.faults().clear(gone);
            self.served(&app).await?;
            self.look("served again", false).await?;
        }
        client.delete_app(pb::DeleteAppRequest { name: app }).await?;
        client.delete_workspace(pb::DeleteWorkspaceRequest { name: WORKSPACES[1].into() }).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.look("evicted: DeleteApp, DeleteWorkspace", false).await
    }

    async fn refused(&mut self, app: &str, patience: Duration) -> Result<()> {
        let waited = Stopwatch::start();
        while self.client().encrypt(app, HashMap::new(), Bytes::from_static(b"?")).await.is_ok() {
            ensure!(waited.elapsed() < patience, "it goes on serving");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Ok(())
    }

    async fn served(&mut self, app: &str) -> Result<()> {
        let waited = Stopwatch::start();
        let plaintext = self.plaintext("served");
        loop {
            match self.client().encrypt(app, HashMap::new(), plaintext.clone()).await {
                Ok(sealed) => {
                    self.messages.push(sealed.ciphertext);
                    return Ok(());
                }
                Err(error) => ensure!(waited.elapsed() < PATIENCE, "it does not serve again: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn done(&self, operation: pb::Operation) -> Result<()> {
        let waited = Stopwatch::start();
        loop {
            let now = self.daemon.client.operation(pb::GetOperationRequest { name: operation.name.clone() }).await?;
            match now.state() {
                pb::OperationState::Done => return Ok(()),
                state => ensure!(waited.elapsed() < PATIENCE, "the operation is {state:?}: {now:?}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
