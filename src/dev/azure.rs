//! The customer's side: a directory, a vault with an RSA key, and our application's role on it. Emulated.

use std::borrow::Cow;
use std::net::SocketAddr;

use azure_emulator::Emulator;
use http::Method;
use serde_json::json;

use super::admin::{Admin, text};
use super::home::Home;
use crate::trouble::Trouble;

/// The customer.
pub(super) const CUSTOMER: &str = "acme";
/// Their key.
pub(super) const ACME: Place = Place { customer: CUSTOMER, vault: "acme-keys", key: Cow::Borrowed(KEY) };
/// The name of the customer's key, and how others' begin.
pub(super) const KEY: &str = "byok";
/// Our application's name in the directory.
const APP: &str = "byokd-dev";
/// What the guide tells a customer's admin to assign: read, wrap and unwrap, nothing else.
const ROLE: &str = "crypto_service_encryption_user";

/// Where a customer's key is: whose directory, which of their vaults, and its name.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) customer: &'static str,
    pub(super) vault: &'static str,
    pub(super) key: Cow<'static, str>,
}

impl Place {
    /// The admin API's path of the key.
    fn path(&self) -> String {
        format!("/vaults/{}.vault.azure.net/keys/{}", self.vault, self.key)
    }
}

/// An emulated Azure: in this process, or one that runs already.
pub(super) struct Azure {
    admin: Admin,
    ca_pem: Vec<u8>,
    /// Stops when dropped.
    _own: Option<Emulator>,
}

/// The customer's key in the customer's vault.
#[derive(Debug, Clone)]
pub(super) struct CustomerKey {
    /// The vault's host name.
    pub(super) host: String,
    /// `https://{vault}.vault.azure.net/keys/{key}`
    pub(super) identifier: String,
    /// Its newest version.
    pub(super) version: String,
    /// Whether it was made just now.
    pub(super) made: bool,
}

impl Azure {
    /// An emulator in this process that keeps its state in `home`.
    pub(super) async fn start(home: &Home) -> Result<Self, Trouble> {
        let options = azure_emulator::Options { state_dir: Some(home.file("emulator")), ..Default::default() };
        let emulator = Emulator::start(options).await.map_err(|refused| {
            let cause = std::error::Error::source(&refused).map_or_else(String::new, |cause| format!(": {cause}"));
            let hint =
                "use another directory with --data DIR, or remove its folder `emulator` and the database with it";
            Trouble::new(format_args!("the emulator does not start: {refused}{cause}"), hint)
        })?;
        let ca_pem = emulator.ca_pem().as_bytes().to_vec();
        home.write(&home.file("emulator-ca.pem"), &ca_pem)?;
        Ok(Self { admin: Admin::new(emulator.addr(), &ca_pem)?, ca_pem, _own: Some(emulator) })
    }

    /// One that runs already, and goes on running when this process is gone.
    pub(super) fn running(addr: SocketAddr, ca_pem: Vec<u8>) -> Result<Self, Trouble> {
        if !addr.ip().is_loopback() {
            return Err(Trouble::new(format_args!("{addr} is not on this machine"), "run the emulator on 127.0.0.1"));
        }
        Ok(Self { admin: Admin::new(addr, &ca_pem)?, ca_pem, _own: None })
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.admin.addr()
    }

    /// Its authority.
    pub(super) fn ca_pem(&self) -> &[u8] {
        &self.ca_pem
    }

    /// Our application with a fresh client secret: client id and secret.
    pub(super) async fn application(&self) -> Result<(String, String), Trouble> {
        let app = self.admin.ask(Method::POST, "/apps", json!({ "name": APP })).await?;
        let secret = self.admin.ask(Method::POST, &format!("/apps/{APP}/secrets"), json!({})).await?;
        Ok((text(&app, "client_id")?, text(&secret, "value")?))
    }

    /// Registers our application as it is shipped: where browsers come back to, and which claims tokens have.
    pub(super) async fn register(&self) -> Result<(), Trouble> {
        let manifest = include_str!("../../docs/entra/app-manifest.json");
        let manifest = serde_json::from_str(manifest).map_err(|cause| {
            Trouble::new(format_args!("the manifest is no JSON: {cause}"), "this is a fault of byokd")
        })?;
        self.admin.ask(Method::PUT, &format!("/apps/{APP}/manifest"), manifest).await.map(drop)
    }

    /// What somebody does on one of the directory's pages: where it sends the browser.
    pub(super) async fn at_directory(&self, url: &str, fields: &str) -> Result<String, Trouble> {
        self.admin.submit(url, fields).await
    }

    /// A customer's directory: its tenant id.
    pub(super) async fn tenant(&self, customer: &str) -> Result<String, Trouble> {
        let tenant = self.admin.ask(Method::POST, "/tenants", json!({ "name": customer })).await?;
        text(&tenant, "id")
    }

    /// A customer's vault and key, made if they are not there, and enabled.
    pub(super) async fn key(&self, place: Place) -> Result<CustomerKey, Trouble> {
        let vault = format!("/tenants/{}/vaults/{}", place.customer, place.vault);
        let vault = self.admin.ask(Method::PUT, &vault, json!({})).await?;
        let (host, url) = (text(&vault, "host")?, text(&vault, "url")?);
        let path = place.path();
        let made = self.admin.find(&path).await?.is_none();
        if made {
            let new = json!({ "name": place.key, "bits": 3072, "key_ops": ["wrapKey", "unwrapKey"] });
            self.admin.ask(Method::POST, &format!("/vaults/{host}/keys"), new).await?;
        }
        self.admin.ask(Method::PATCH, &path, json!({ "enabled": true })).await?;
        let shown = self.admin.find(&path).await?.unwrap_or_default();
        let newest = shown["versions"].as_array().and_then(|versions| versions.last()).cloned().unwrap_or_default();
        if newest["enabled"] != json!(true) {
            return Err(Trouble::new("the vault does not show the key as enabled", "this is a fault of the emulator"));
        }
        Ok(CustomerKey { identifier: format!("{url}/keys/{}", place.key), version: text(&newest, "id")?, host, made })
    }

    /// Admin consent, and the role on this one key.
    pub(super) async fn assign_role(&self, place: Place, key: &CustomerKey) -> Result<(), Trouble> {
        let path = format!("/tenants/{}/principals/{APP}", place.customer);
        let principal = text(&self.admin.ask(Method::PUT, &path, json!({})).await?, "object_id")?;
        let role = json!({ "principal": principal, "role": ROLE, "key": place.key });
        let path = format!("/vaults/{}/roles", key.host);
        // Removed first: assigned twice it would stand there twice.
        self.admin.ask(Method::DELETE, &path, role.clone()).await?;
        self.admin.ask(Method::POST, &path, role).await?;
        Ok(())
    }

    /// Admin consent alone: the application is in the directory and may do nothing yet.
    pub(super) async fn consent(&self) -> Result<(), Trouble> {
        self.admin.ask(Method::PUT, &format!("/tenants/{CUSTOMER}/principals/{APP}"), json!({})).await.map(drop)
    }

    /// What the customer's admin does in the portal with one click.
    pub(super) async fn enable_key(&self, enabled: bool) -> Result<(), Trouble> {
        self.admin.ask(Method::PATCH, &Self::key_path(), json!({ "enabled": enabled })).await.map(drop)
    }

    /// What the customer's admin does to prove the key theirs.
    pub(super) async fn set_tag(&self, place: Place, tag: &str, value: &str) -> Result<(), Trouble> {
        self.admin.ask(Method::PATCH, &place.path(), json!({ "tags": { tag: value } })).await.map(drop)
    }

    /// A new version of the key, with key material of its own: what the customer's admin or their rotation policy does.
    pub(super) async fn new_version(&self) -> Result<String, Trouble> {
        let path = format!("{}/rotate", Self::key_path());
        text(&self.admin.ask(Method::POST, &path, json!({})).await?, "version")
    }

    /// The admin API's path of the customer's key.
    pub(super) fn key_path() -> String {
        ACME.path()
    }

    /// The vault's and the key's name.
    pub(super) fn key_names() -> (&'static str, &'static str) {
        (ACME.vault, KEY)
    }

    /// How often the vault's own log says that this version was used so, with success.
    pub(super) async fn uses(&self, key: &CustomerKey, operation: &str) -> Result<usize, Trouble> {
        let answer =
            self.admin.ask(Method::GET, &format!("/calls?operation={operation}"), serde_json::Value::Null).await?;
        let ours = |call: &&serde_json::Value| {
            call["host"] == key.host.as_str() && call["version"] == key.version.as_str() && call["status"] == 200
        };
        Ok(answer["calls"].as_array().map_or(0, |calls| calls.iter().filter(ours).count()))
    }
}
