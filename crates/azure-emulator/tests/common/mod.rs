//! A client of the emulator as tests need one: real names, private authority, no SDK.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use azure_emulator::{
    ADMIN_HOST, AppHandle, Cloud, Emulator, KeyInfo, KeyOperation, Options, Principal, Role, RoleScope, TenantHandle,
    VaultHandle,
};
use serde_json::{Value, json};

/// An emulator with one tenant, app, vault and key, and a client that reaches them by their names.
pub(crate) struct World {
    pub(crate) emulator: Emulator,
    pub(crate) contoso: TenantHandle,
    pub(crate) app: AppHandle,
    pub(crate) secret: String,
    pub(crate) us: Principal,
    pub(crate) vault: VaultHandle,
    pub(crate) key: KeyInfo,
    pub(crate) client: reqwest::Client,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// `error.code` and `error.innererror.code`.
    pub(crate) fn codes(&self) -> (u16, &str, Option<&str>) {
        let error = &self.body["error"];
        (self.status, error["code"].as_str().unwrap_or_default(), error["innererror"]["code"].as_str())
    }

    /// The AADSTS number and the OAuth error.
    pub(crate) fn aadsts(&self) -> (u16, &str, Option<u64>) {
        (self.status, self.body["error"].as_str().unwrap_or_default(), self.body["error_codes"][0].as_u64())
    }
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

pub(crate) fn client(emulator: &Emulator) -> reqwest::Client {
    let authority = reqwest::Certificate::from_pem(emulator.ca_pem().as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder()
        .tls_certs_only([authority])
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(20));
    let mut hosts = vec![ADMIN_HOST.to_owned()];
    for cloud in Cloud::ALL {
        hosts.push(cloud.login_host().to_owned());
        for name in ["contoso-keys", "fabrikam-keys", "unknown-keys"] {
            hosts.push(format!("{name}.{}", cloud.vault_domain()));
        }
    }
    for host in hosts {
        builder = builder.resolve(&host, emulator.addr());
    }
    builder.build().unwrap()
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        // The process-wide provider: several are compiled in.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let emulator = Emulator::start(options).await.unwrap();
        let contoso = emulator.tenant("contoso");
        let app = emulator.app("byokd");
        let secret = app.add_secret();
        let us = contoso.consent(&app);
        let vault = contoso.vault("contoso-keys");
        let key = match vault.latest("k1") {
            Ok(there) => there,
            Err(_) => vault.create_key("k1", 2048, &KeyOperation::DEFAULT).await.unwrap(),
        };
        vault.assign_role(&us, Role::CryptoOfficer, RoleScope::Vault);
        let client = client(&emulator);
        Self { emulator, contoso, app, secret, us, vault, key, client }
    }

    /// A URL with the emulator's port; `api-version` is added.
    pub(crate) fn url(&self, path: &str) -> String {
        let mark = if path.contains('?') { '&' } else { '?' };
        format!("{}:{}{path}{mark}api-version=7.5", self.vault.url(), self.emulator.addr().port())
    }

    pub(crate) fn login(&self, path: &str) -> String {
        format!("https://login.microsoftonline.com:{}{path}", self.emulator.addr().port())
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Result<Reply, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await?;
        Ok(Reply { status, headers, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    pub(crate) async fn token_reply(&self, tenant: &str, form: &[(&str, &str)]) -> Reply {
        let url = self.login(&format!("/{tenant}/oauth2/v2.0/token"));
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let request = self.client.post(url).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(body.join("&"))).await.unwrap()
    }

    /// The form of a request by secret.
    pub(crate) fn by_secret<'a>(&'a self, secret: &'a str) -> [(&'a str, &'a str); 4] {
        [
            ("grant_type", "client_credentials"),
            ("client_id", self.app.client_id()),
            ("client_secret", secret),
            ("scope", "https://vault.azure.net/.default"),
        ]
    }

    pub(crate) async fn token(&self) -> String {
        let reply = self.token_reply(self.contoso.id(), &self.by_secret(&self.secret)).await;
        assert_eq!(reply.status, 200, "{:?}", reply.body);
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: &str,
        body: Value,
    ) -> Result<Reply, reqwest::Error> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, self.url(path)).bearer_auth(token);
        if !body.is_null() {
            request = request.json(&body);
        }
        self.send(request).await
    }

    /// One call that must be answered.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Reply {
        let token = self.token().await;
        self.call(method, path, &token, body).await.unwrap()
    }

    pub(crate) async fn wrap(&self, version: &str, value: &str) -> Reply {
        self.crypto("wrapkey", version, value).await
    }

    pub(crate) async fn unwrap(&self, version: &str, value: &str) -> Reply {
        self.crypto("unwrapkey", version, value).await
    }

    pub(crate) async fn crypto(&self, verb: &str, version: &str, value: &str) -> Reply {
        let body = json!({"alg": "RSA-OAEP-256", "value": value});
        self.ask("POST", &format!("/keys/k1/{version}/{verb}"), body).await
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Reply {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("https://{ADMIN_HOST}:{}{path}", self.emulator.addr().port());
        let mut request = self.client.request(method, url);
        if !body.is_null() {
            request = request.json(&body);
        }
        self.send(request).await.unwrap()
    }
}
