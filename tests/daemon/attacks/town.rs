//! A daemon with its pages, an emulated Azure, two customers, and the browsers that go to and fro between them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use api::byok::v1 as pb;
use api::byok::v1::enterprise_keys_client::EnterpriseKeysClient;
use api::byok::v1::tenants_client::TenantsClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use azure_emulator::{
    Emulator, EmulatorClock as _, KeyOperation, RealClock, Role, RoleScope, TenantHandle, VaultHandle,
};
use byokd::clock::SystemClock;
use byokd::entropy::SystemEntropy;
use byokd::serve::{Listener, Workers};
use byokd::wire::Assembly;
use byokd::{entra_application, serve::Address};
use domain::Cloud;
use hyper_util::rt::TokioIo;
use identity::{TokenCallers, token_hash};
use service::Service;
use store::Store;
use store::sqlite::{Durability, SqliteOptions, SqliteStore};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Endpoint;
use tonic_types::StatusExt;
use vault::azure::{AzureKeys, AzureOptions, ClientSecret, DevelopmentConnector, PlatformCredential};
use vault::platform::PlatformRoot;
use zeroize::Zeroizing;

use super::names::Names;
use crate::site::{Bearer, Client, OTHER_TOKEN, TOKEN};

/// How browsers reach our pages.
pub(super) const PUBLIC: &str = "https://keys.example.com";

pub(super) struct Town {
    pub(super) emulator: Emulator,
    pub(super) contoso: TenantHandle,
    pub(super) mallory: TenantHandle,
    pub(super) store: Arc<dyn Store>,
    /// By how many microseconds Azure's clock is ahead of ours.
    pub(super) ahead: Arc<AtomicI64>,
    /// Where names lead.
    pub(super) names: Arc<Names>,
    pub(super) service: Arc<Service>,
    /// How far each chain was, the platform's with no name, when it was last asked what is new.
    pub(super) asked: tokio::sync::Mutex<BTreeMap<Option<String>, u64>>,
    pages: SocketAddr,
    /// What everybody calls by: the owner, and who has stolen their session.
    pub(super) client: Client,
    /// What a second person calls by.
    pub(super) second: Client,
    app: azure_emulator::AppHandle,
    _stop: oneshot::Sender<()>,
    _dir: TempDir,
}

/// Where a browser is after an address was opened in it.
pub(super) enum Seen {
    /// Sent on.
    Redirect(String),
    /// A page, with its status.
    Page(u16, String),
}

/// A browser: what our pages gave it is all it keeps.
pub(super) struct Browser<'a> {
    town: &'a Town,
    http: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl Town {
    pub(super) async fn start() -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let clock = ahead.clone();
        let clock = Arc::new(move || RealClock.unix_micros() + clock.load(Ordering::Relaxed));
        let options = azure_emulator::Options { clock: Some(clock), ..Default::default() };
        let emulator = Emulator::start(options).await.unwrap();
        let app = emulator.app("byokd");
        let manifest = std::fs::read_to_string("docs/entra/app-manifest.json").unwrap();
        app.set_manifest(&serde_json::from_str(&manifest).unwrap()).unwrap();
        let (contoso, mallory) = (emulator.tenant("contoso"), emulator.tenant("mallory"));
        for tenant in [&contoso, &mallory] {
            tenant.consent(&app);
        }
        let secret = PlatformCredential::Secret(ClientSecret::new(Zeroizing::new(app.add_secret())));
        let connector = DevelopmentConnector { addr: emulator.addr(), ca_pem: emulator.ca_pem().as_bytes().to_vec() };
        let options =
            AzureOptions::new(app.client_id(), secret, Arc::new(SystemClock), Arc::new(SystemEntropy)).unwrap();
        let names = Arc::new(Names::default());
        let answers = names.clone();
        let options = options.development(connector).development_answers(Arc::new(move |host| answers.answer(host)));
        let keys = Arc::new(AzureKeys::new(options).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let platform = Arc::new(PlatformRoot::init_file(&dir.path().join("platform.key"), &SystemEntropy).unwrap());
        let database = SqliteStore::create_or_open(SqliteOptions {
            path: dir.path().join("byokd.db"),
            row_seal: platform.row_seal(),
            root_check: platform.check_value(),
            cluster: platform.cluster_id(),
            durability: Durability::Full,
        });
        let store: Arc<dyn Store> = Arc::new(database.unwrap());
        let callers = [("tester", token_hash(TOKEN)), ("second", token_hash(OTHER_TOKEN))];
        let callers = Arc::new(TokenCallers::new(callers).unwrap());
        let directory = entra_application::directory(&keys, PUBLIC).unwrap();
        let mut assembly = Assembly::new(store.clone(), keys, platform, callers);
        assembly.directory = Some((directory, PUBLIC.to_owned()));
        let listener = Listener::plaintext_loopback("127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(pages) = listener.address() else { panic!("a port") };
        let daemon = assembly.start().await.unwrap().with_entra_pages(listener);
        let service = daemon.service().clone();
        let socket = dir.path().join("byokd.sock");
        let listeners = vec![Listener::unix(&socket, 0o600).unwrap()];
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            daemon.serve(listeners, Workers::here(), stopped).await.unwrap()
        });
        let connect = tower::service_fn(move |_| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://byokd").connect_with_connector(connect).await.unwrap();
        let second = InterceptedService::new(channel.clone(), Bearer::of(OTHER_TOKEN));
        let client = InterceptedService::new(channel, Bearer::of(TOKEN));
        Self {
            emulator,
            contoso,
            mallory,
            store,
            ahead,
            names,
            service,
            asked: tokio::sync::Mutex::default(),
            pages,
            client,
            second,
            app,
            _stop: stop,
            _dir: dir,
        }
    }

    pub(super) fn keys(&self) -> EnterpriseKeysClient<Client> {
        EnterpriseKeysClient::new(self.client.clone())
    }

    pub(super) fn tenants(&self) -> TenantsClient<Client> {
        TenantsClient::new(self.client.clone())
    }

    pub(super) async fn workspace(&self, id: &str) {
        let request = pb::CreateWorkspaceRequest { workspace_id: id.into(), display_name: format!("The {id} company") };
        WorkspacesClient::new(self.client.clone()).create_workspace(request).await.unwrap();
    }

    /// A customer's vault with a key and our role on it; the key's identifier.
    pub(super) async fn vault(&self, tenant: &TenantHandle, name: &str) -> (VaultHandle, String) {
        let us = tenant.consent(&self.app);
        let vault = tenant.vault(name);
        vault.assign_role(&us, Role::CryptoServiceEncryptionUser, RoleScope::Key("byok".into()));
        vault.create_key("byok", 2048, &KeyOperation::WRAP).await.unwrap();
        let identifier = format!("{}/keys/byok", vault.url());
        (vault, identifier)
    }

    pub(super) async fn configure(&self, workspace: &str, key: &str, tenant: &str) -> Result<pb::Key, Status> {
        let request = pb::ConfigureKeyRequest {
            name: format!("workspaces/{workspace}/key"),
            key_identifier: key.into(),
            tenant_id: tenant.into(),
            ..Default::default()
        };
        self.keys().configure_key(request).await.map(|answer| answer.into_inner())
    }

    /// The nonce that a workspace is shown for its key.
    pub(super) async fn nonce(&self, workspace: &str) -> String {
        let request = pb::GetKeyRequest { name: format!("workspaces/{workspace}/key") };
        self.keys().get_key(request).await.unwrap().into_inner().ownership_nonce
    }

    /// Tests a workspace's own key: the reason of the step that stopped it, or nothing.
    pub(super) async fn test(&self, workspace: &str) -> String {
        self.stopped(workspace, None).await.reason
    }

    /// The same of a key that is only thought of; and the command that the step shows.
    pub(super) async fn test_of(&self, workspace: &str, key: &str, tenant: &str) -> pb::KeyTestStepResult {
        self.stopped(workspace, Some((key, tenant))).await
    }

    async fn stopped(&self, workspace: &str, of: Option<(&str, &str)>) -> pb::KeyTestStepResult {
        let (key_identifier, tenant_id) = of.unwrap_or_default();
        let request = pb::TestConfigurationRequest {
            name: format!("workspaces/{workspace}/key"),
            key_identifier: key_identifier.into(),
            tenant_id: tenant_id.into(),
            ..Default::default()
        };
        let mut events = self.keys().test_configuration(request).await.unwrap().into_inner();
        let mut stopped = pb::KeyTestStepResult::default();
        while let Some(event) = events.message().await.unwrap() {
            if let Some(pb::test_configuration_response::Event::Ended(step)) = event.event
                && stopped.reason.is_empty()
                && step.state() != pb::KeyTestStepState::Warning
            {
                stopped = step;
            }
        }
        stopped
    }

    pub(super) async fn connect(&self, workspace: &str, tenant: &str) -> Result<pb::StartConsentResponse, Status> {
        let request =
            pb::StartConsentRequest { name: format!("workspaces/{workspace}/connection"), tenant: tenant.into() };
        self.tenants().start_consent(request).await.map(|answer| answer.into_inner())
    }

    pub(super) async fn state(&self, workspace: &str) -> String {
        let request = pb::GetConnectionRequest { name: format!("workspaces/{workspace}/connection"), look: false };
        let connection = self.tenants().get_connection(request).await.unwrap().into_inner();
        let states = connection.tenants.iter().map(|tenant| tenant.state().as_str_name());
        states.collect::<Vec<_>>().join(" ")
    }

    pub(super) fn browser(&self) -> Browser<'_> {
        let roots = reqwest::Certificate::from_pem(self.emulator.ca_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([roots])
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(Cloud::Public.login_host(), self.emulator.addr())
            .build()
            .unwrap();
        Browser { town: self, http, cookies: BTreeMap::new() }
    }
}

impl Browser<'_> {
    /// Opens one of our own pages.
    pub(super) async fn open(&mut self, url: &str) -> Seen {
        let path = url.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{url} is not ours"));
        self.send(self.http.get(format!("http://{}{path}", self.town.pages))).await
    }

    /// Sends the form of our first page.
    pub(super) async fn continue_from(&mut self, page: &str) -> Seen {
        let value =
            |name: &str| page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap().split('"').next().unwrap();
        let body = format!("ticket={}&form={}", value("ticket"), value("form"));
        self.send(self.http.post(format!("http://{}/entra/start", self.town.pages)).body(body)).await
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Seen {
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", pairs.join("; "));
        }
        let answer = request.send().await.unwrap();
        for (name, value) in
            [("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff")]
        {
            assert_eq!(answer.headers()[name], value, "{}", answer.url());
        }
        let policy = answer.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            for guard in ["__Host-", "Secure", "HttpOnly", "SameSite=", "Path=/"] {
                assert!(cookie.contains(guard), "{cookie}");
            }
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match cookie.contains("Max-Age=0;") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let policy = policy.to_owned();
        let status = answer.status().as_u16();
        let seen = match answer.headers().get("location") {
            Some(to) => Seen::Redirect(to.to_str().unwrap().to_owned()),
            None => Seen::Page(status, answer.text().await.unwrap()),
        };
        // A form's answer leads on to whichever identity provider the tenant has, and Chromium looks at each address on the way.
        let forms = matches!(&seen, Seen::Page(_, page) if page.contains("<form"));
        let expected = if forms { "form-action 'self' https:;" } else { "form-action 'none';" };
        assert!(policy.contains(expected), "{policy}");
        seen
    }

    /// Posts a form of the directory's pages; where the browser is sent then.
    pub(super) async fn at_directory(&self, url: &str, fields: &[(&str, &str)]) -> String {
        let led = url.replacen(".com/", &format!(".com:{}/", self.town.emulator.addr().port()), 1);
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", value.replace('@', "%40"))).collect();
        let request = self.http.post(led).header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(body.join("&")).send().await.unwrap();
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        match to {
            Some(to) => to,
            None => panic!("{}", answer.text().await.unwrap()),
        }
    }

    /// The owner's way up to the address that the consent page sends them back to.
    pub(super) async fn consent(&mut self, start_url: &str) -> String {
        let Seen::Page(200, page) = self.open(start_url).await else { panic!("it says what is to be connected") };
        let Seen::Redirect(consent) = self.continue_from(&page).await else { panic!("the ticket counts") };
        self.at_directory(&consent, &[("user", OWNER), ("action", "accept")]).await
    }

    /// And on, up to the address that the sign-in sends them back to.
    pub(super) async fn sign_in(&mut self, start_url: &str) -> String {
        let back = self.consent(start_url).await;
        let Seen::Redirect(sign_in) = self.open(&back).await else { panic!("it goes on to the sign-in") };
        self.at_directory(&sign_in, &[("user", OWNER)]).await
    }
}

/// The admin that every emulated directory has.
pub(super) const OWNER: &str = "owner@contoso.onmicrosoft.com";

/// The reason of a refusal.
pub(super) fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("a refusal has an ErrorInfo").reason
}

/// The reason that a page of ours shows.
pub(super) fn shown(seen: &Seen) -> String {
    match seen {
        Seen::Redirect(to) => panic!("it was taken, and leads to {to}"),
        Seen::Page(status, page) => {
            assert_eq!(*status, 400, "{page}");
            assert!(!page.contains("<script"), "{page}");
            let quiet = page.split("<p class=\"quiet\">").nth(1).expect("the reason");
            quiet.split('<').next().unwrap().to_owned()
        }
    }
}
