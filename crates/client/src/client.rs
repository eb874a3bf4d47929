//! Which calls there are, each with its deadline and a typed refusal.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Transport, Identity};
use tonic::{Request, Response, Status};

use crate::cut_off::ResetWhenCutOff;
use crate::refused::innermost;
use crate::{Endpoint, Error, MESSAGE_MAX, Selections, pb};

use pb::audit_client::AuditClient;
use pb::callers_client::CallersClient;
use pb::encryption_client::EncryptionClient;
use pb::enterprise_keys_client::EnterpriseKeysClient;
use pb::operations_client::OperationsClient;
use pb::tenants_client::TenantsClient;
use pb::workspaces_client::WorkspacesClient;

/// How to connect, and how long to wait.
#[derive(Clone)]
pub struct Options {
    /// The authorities (PEM, one or more) that may vouch for an `https://` service. Required there: a key service is reached
    /// under a named authority and not under whatever the machine happens to trust.
    pub ca_pem: Option<Vec<u8>>,
    /// Our own certificate, for services that ask for one.
    pub identity: Option<TlsIdentity>,
    /// Sent as `authorization: Bearer …`.
    pub token: Option<String>,
    /// The deadline of a unary call. 30 s by default: longer than the service waits for a customer's vault.
    pub timeout: Duration,
    /// The deadline for making the connection. 10 s by default.
    pub connect_timeout: Duration,
}

/// A client certificate with its private key, both PEM.
#[derive(Clone)]
pub struct TlsIdentity {
    /// The certificate chain, leaf first.
    pub certificate_pem: Vec<u8>,
    /// The private key.
    pub key_pem: Vec<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca_pem: None,
            identity: None,
            token: None,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// Adds the bearer token, marked sensitive so that it is neither indexed by HPACK nor printed.
#[derive(Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

pub(crate) type Authorized = InterceptedService<ResetWhenCutOff<Channel>, Bearer>;

/// A connection to byokd. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct Client {
    pub(crate) encryption: EncryptionClient<Authorized>,
    workspaces: WorkspacesClient<Authorized>,
    keys: EnterpriseKeysClient<Authorized>,
    operations: OperationsClient<Authorized>,
    audit: AuditClient<Authorized>,
    callers: CallersClient<Authorized>,
    tenants: TenantsClient<Authorized>,
    pub(crate) server: String,
    timeout: Duration,
}

/// Room for one message's payload with its names and context.
const GRPC_MESSAGE_MAX: usize = MESSAGE_MAX + 64 * 1024;
/// Room for the events of one answer, each of which may hold a hundred calls.
const EXPORT_MESSAGE_MAX: usize = 32 * 1024 * 1024;

impl Client {
    /// Connects, or says why not.
    pub async fn connect(endpoint: &Endpoint, options: Options) -> Result<Self, Error> {
        let server = endpoint.to_string();
        let unreachable = |error: tonic::transport::Error| Error::Unreachable {
            server: endpoint.to_string(),
            cause: innermost(&error),
        };
        let transport = Transport::from_shared(server.clone())
            .map_err(unreachable)?
            .connect_timeout(options.connect_timeout)
            .tcp_nodelay(true)
            // Streams are bounded by the peer's window, not by round trips.
            .initial_stream_window_size(2 * 1024 * 1024)
            .initial_connection_window_size(4 * 1024 * 1024)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let transport = match endpoint {
            Endpoint::Tls { .. } => transport.tls_config(tls(&options)?).map_err(unreachable)?,
            Endpoint::Unix(_) | Endpoint::Loopback(_) => transport,
        };
        let connecting = tokio::time::timeout(options.connect_timeout, transport.connect());
        let channel = connecting
            .await
            .map_err(|_| Error::NoAnswer { server: server.clone(), waited: options.connect_timeout })?
            .map_err(unreachable)?;

        let bearer = match options.token {
            None => Bearer(None),
            Some(token) => {
                let mut value: MetadataValue<Ascii> = format!("Bearer {token}")
                    .parse()
                    .map_err(|_| Error::Options("the token holds characters that no token has"))?;
                value.set_sensitive(true);
                Bearer(Some(value))
            }
        };
        let authorized = InterceptedService::new(ResetWhenCutOff(channel), bearer);
        Ok(Self {
            encryption: EncryptionClient::new(authorized.clone())
                .max_decoding_message_size(GRPC_MESSAGE_MAX)
                .max_encoding_message_size(GRPC_MESSAGE_MAX),
            workspaces: WorkspacesClient::new(authorized.clone()),
            keys: EnterpriseKeysClient::new(authorized.clone()),
            operations: OperationsClient::new(authorized.clone()),
            audit: AuditClient::new(authorized.clone()).max_decoding_message_size(EXPORT_MESSAGE_MAX),
            callers: CallersClient::new(authorized.clone()),
            tenants: TenantsClient::new(authorized),
            server,
            timeout: options.timeout,
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    fn answer<T>(&self, outcome: Result<Response<T>, Status>) -> Result<T, Error> {
        outcome.map(Response::into_inner).map_err(|s| Error::from_status(&s, &self.server, Some(self.timeout)))
    }

    pub(crate) fn broken_stream(&self, status: &Status) -> Error {
        Error::from_status(status, &self.server, None)
    }
}

fn tls(options: &Options) -> Result<ClientTlsConfig, Error> {
    let ca =
        options.ca_pem.as_ref().ok_or(Error::Options("an https:// address needs the authority that vouches for it"))?;
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    Ok(match &options.identity {
        None => config,
        Some(own) => config.identity(Identity::from_pem(&own.certificate_pem, &own.key_pem)),
    })
}

/// One method for each unary call: the arguments become the request, the answer comes without its wrapping.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident = $service:ident . $rpc:ident ( $request:ident ) -> $answer:ident;)*) => {
        impl Client {
            $($(#[$doc])*
            pub async fn $name(&self, request: pb::$request) -> Result<pb::$answer, Error> {
                self.answer(self.$service.clone().$rpc(self.request(request)).await)
            })*
        }
    };
}

unary! {
    /// Creates a workspace.
    create_workspace = workspaces.create_workspace(CreateWorkspaceRequest) -> Workspace;
    /// Reads a workspace.
    workspace = workspaces.get_workspace(GetWorkspaceRequest) -> Workspace;
    /// One page of workspaces, by id.
    workspaces_page = workspaces.list_workspaces(ListWorkspacesRequest) -> ListWorkspacesResponse;
    /// Deletes a workspace.
    delete_workspace = workspaces.delete_workspace(DeleteWorkspaceRequest) -> DeleteWorkspaceResponse;
    /// Creates an app or bot, or changes its display name.
    upsert_app = workspaces.upsert_app(UpsertAppRequest) -> App;
    /// One page of a workspace's apps and bots, by id.
    apps_page = workspaces.list_apps(ListAppsRequest) -> ListAppsResponse;
    /// Deletes an app or bot.
    delete_app = workspaces.delete_app(DeleteAppRequest) -> DeleteAppResponse;
    /// Connects a customer's key and puts it in force.
    configure_key = keys.configure_key(ConfigureKeyRequest) -> Key;
    /// Reads a workspace's key configuration.
    key = keys.get_key(GetKeyRequest) -> Key;
    /// Sets or moves the date from which the customer's key is used.
    schedule_enforcement = keys.schedule_enforcement(ScheduleEnforcementRequest) -> Key;
    /// Chooses which apps and bots are under the customer's key, or says what that would do.
    select_apps = keys.select_apps(SelectAppsRequest) -> SelectAppsResponse;
    /// Switches the customer's key off here.
    revoke_key = keys.revoke_key(RevokeKeyRequest) -> Key;
    /// Switches it on again.
    restore_key = keys.restore_key(RestoreKeyRequest) -> Key;
    /// The recorded versions of a workspace's key, newest first.
    key_versions = keys.list_key_versions(ListKeyVersionsRequest) -> ListKeyVersionsResponse;
    /// The tests of a workspace's key configurations, newest first.
    key_tests = keys.list_key_tests(ListKeyTestsRequest) -> ListKeyTestsResponse;
    /// Begins a rotation to another version of the key in force, or says what it would take.
    rotate_key = keys.rotate_key(RotateKeyRequest) -> RotateKeyResponse;
    /// Begins to give apps new data keys.
    rotate_data_keys = keys.rotate_data_keys(RotateDataKeysRequest) -> Operation;
    /// Stores and retrieves a credential of an app, to show under whose key its data is.
    validate_app = keys.validate_app(ValidateAppRequest) -> ValidateAppResponse;
    /// One page of what apps sealed and opened, by hour, app and protection.
    usage_page = keys.get_usage(GetUsageRequest) -> GetUsageResponse;
    /// One page of apps, by id: their data keys, what was done under each, and what has to be encrypted again.
    coverage_page = keys.get_coverage(GetCoverageRequest) -> GetCoverageResponse;
    /// Reads an operation.
    operation = operations.get_operation(GetOperationRequest) -> Operation;
    /// One page of a workspace's operations, newest first.
    operations_page = operations.list_operations(ListOperationsRequest) -> ListOperationsResponse;
    /// Asks an operation to end.
    cancel_operation = operations.cancel_operation(CancelOperationRequest) -> Operation;
    /// Says yes to what another caller asked for.
    approve_operation = operations.approve(ApproveRequest) -> Operation;
    /// Says no to what another caller asked for.
    reject_operation = operations.reject(RejectRequest) -> Operation;
    /// Begins, or asks for, going over to another key, or says what it would take.
    replace_key = keys.replace_key(ReplaceKeyRequest) -> ReplaceKeyResponse;
    /// Asks for going back to the platform's key for new data, or lists what still needs the customer's.
    leave_customer_key = keys.leave_customer_key(LeaveCustomerKeyRequest) -> LeaveCustomerKeyResponse;
    /// Asks for the destruction of a retired data key.
    destroy_data_key = keys.destroy_data_key(DestroyDataKeyRequest) -> Operation;
    /// Seals a batch; each item has its own result.
    batch_encrypt = encryption.batch_encrypt(BatchEncryptRequest) -> BatchEncryptResponse;
    /// Opens a batch; each item has its own result.
    batch_decrypt = encryption.batch_decrypt(BatchDecryptRequest) -> BatchDecryptResponse;
    /// Seals an opened ciphertext again under the app's present data key; the plaintext stays in the service.
    re_encrypt = encryption.re_encrypt(ReEncryptRequest) -> ReEncryptResponse;
    /// One page of a chain's events, oldest first.
    events_page = audit.list_events(ListEventsRequest) -> ListEventsResponse;
    /// A chain's newest checkpoint.
    checkpoint = audit.get_checkpoint(GetCheckpointRequest) -> Checkpoint;
    /// Signs how far a chain has come now.
    create_checkpoint = audit.create_checkpoint(CreateCheckpointRequest) -> Checkpoint;
    /// Makes a caller, which has no token yet.
    create_caller = callers.create_caller(CreateCallerRequest) -> Caller;
    /// Reads a caller.
    caller = callers.get_caller(GetCallerRequest) -> Caller;
    /// One page of callers: those of the configuration, then the others by id.
    callers_page = callers.list_callers(ListCallersRequest) -> ListCallersResponse;
    /// Gives grants, takes grants away, and says until when, by which certificate and whether a caller is let in.
    update_caller = callers.update_caller(UpdateCallerRequest) -> Caller;
    /// Makes a token, which is in the answer and nowhere else.
    issue_token = callers.issue_token(IssueTokenRequest) -> IssueTokenResponse;
    /// Takes a token away.
    remove_token = callers.remove_token(RemoveTokenRequest) -> Caller;
    /// Deletes a caller.
    delete_caller = callers.delete_caller(DeleteCallerRequest) -> DeleteCallerResponse;
    /// The roles there are and the actions of each.
    roles = callers.list_roles(ListRolesRequest) -> ListRolesResponse;
    /// Adds a client secret of the customer's app registration.
    add_secret = tenants.add_secret(AddSecretRequest) -> Credential;
    /// Has a certificate made for it.
    make_certificate = tenants.make_certificate(MakeCertificateRequest) -> Credential;
    /// The credentials there are, and as whom the directory is asked.
    credentials = tenants.list_credentials(ListCredentialsRequest) -> Integration;
    /// Tests a credential. A test that does not pass is an answer and not an error.
    test_credential = tenants.test_credential(TestCredentialRequest) -> TestCredentialResponse;
    /// Goes over to a tested credential.
    activate_credential = tenants.activate_credential(ActivateCredentialRequest) -> Integration;
    /// Removes a credential that is not active.
    remove_credential = tenants.remove_credential(RemoveCredentialRequest) -> Integration;
    /// Goes back to the platform's own app.
    use_platform_app = tenants.use_platform_app(UsePlatformAppRequest) -> Integration;
    /// The directories that domains and ids belong to, each with its own answer.
    look_up_domains = tenants.look_up_domains(LookUpDomainsRequest) -> LookUpDomainsResponse;
    /// Names a directory as a workspace's and begins a consent in it.
    start_consent = tenants.start_consent(StartConsentRequest) -> StartConsentResponse;
    /// Reads back the code that another admin was shown.
    complete_consent = tenants.complete_consent(CompleteConsentRequest) -> TenantLink;
    /// Where a workspace's directories stand.
    connection = tenants.get_connection(GetConnectionRequest) -> Connection;
    /// Lets go of a workspace's directories: its key is held from then on.
    disconnect = tenants.disconnect(DisconnectRequest) -> Connection;
}

impl Client {
    /// Seals one payload of at most [`MESSAGE_MAX`] bytes.
    pub async fn encrypt(
        &self,
        app: &str,
        context: HashMap<String, String>,
        plaintext: Bytes,
    ) -> Result<pb::EncryptResponse, Error> {
        let request = pb::EncryptRequest { app: app.to_owned(), plaintext, context };
        self.answer(self.encryption.clone().encrypt(self.request(request)).await)
    }

    /// Opens one message for the app and context it was sealed for.
    pub async fn decrypt(
        &self,
        app: &str,
        context: HashMap<String, String>,
        ciphertext: Bytes,
    ) -> Result<pb::DecryptResponse, Error> {
        let request = pb::DecryptRequest { app: app.to_owned(), ciphertext, context };
        self.answer(self.encryption.clone().decrypt(self.request(request)).await)
    }

    /// Every live workspace, by id: all pages.
    pub async fn workspaces(&self) -> Result<Vec<pb::Workspace>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = self.workspaces_page(pb::ListWorkspacesRequest { page_size: 1_000, page_token }).await?;
            all.extend(page.workspaces);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Every caller: all pages.
    pub async fn callers(&self) -> Result<Vec<pb::Caller>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let page = self.callers_page(pb::ListCallersRequest { page_size: 1_000, page_token }).await?;
            all.extend(page.callers);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Every live app and bot of a workspace, by id: all pages.
    pub async fn apps(&self, workspace: &str) -> Result<Vec<pb::App>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let parent = workspace.to_owned();
            let page = self.apps_page(pb::ListAppsRequest { parent, page_size: 1_000, page_token }).await?;
            all.extend(page.apps);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// What apps sealed and opened, by hour, app and protection: all pages.
    pub async fn usage(&self, request: pb::GetUsageRequest) -> Result<Vec<pb::HourOfUsage>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::GetUsageRequest { page_size: 1_000, page_token, ..request.clone() };
            let page = self.usage_page(request).await?;
            all.extend(page.hours);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// The data keys of a workspace's apps, or of one (empty: all): all pages.
    pub async fn coverage(&self, workspace: &str, app: &str) -> Result<Vec<pb::AppCoverage>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let (parent, app) = (workspace.to_owned(), app.to_owned());
            let request = pb::GetCoverageRequest { parent, app, page_size: 100, page_token };
            let page = self.coverage_page(request).await?;
            all.extend(page.apps);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Tests a key's configuration, and hands each event to `heard` as it comes. Answers the whole test; what failed stands in
    /// its steps and is no error.
    pub async fn test_configuration(
        &self,
        request: pb::TestConfigurationRequest,
        mut heard: impl FnMut(&pb::test_configuration_response::Event),
    ) -> Result<pb::KeyTest, Error> {
        // No deadline of its own: the service's is for all steps together.
        let outcome = self.keys.clone().test_configuration(Request::new(request)).await;
        let mut events = outcome.map_err(|status| self.broken_stream(&status))?.into_inner();
        let mut finished = None;
        while let Some(answer) = events.message().await.map_err(|status| self.broken_stream(&status))? {
            let Some(event) = answer.event else { continue };
            heard(&event);
            if let pb::test_configuration_response::Event::Finished(test) = event {
                finished = Some(test);
            }
        }
        finished.ok_or(Error::Answer("the test ended without a result"))
    }

    /// Every operation of a workspace, newest first: all pages.
    pub async fn operations(&self, workspace: &str) -> Result<Vec<pb::Operation>, Error> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let parent = workspace.to_owned();
            let page = self.operations_page(pb::ListOperationsRequest { parent, page_size: 1_000, page_token }).await?;
            all.extend(page.operations);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// Watches an operation: as it stands, then whenever it has moved, until it has ended.
    pub async fn watch_operation(&self, name: &str) -> Result<Moves, Error> {
        // No deadline of its own: an operation takes as long as it takes.
        let request = Request::new(pb::WatchOperationRequest { name: name.to_owned() });
        let outcome = self.operations.clone().watch_operation(request).await;
        let moves = outcome.map_err(|status| self.broken_stream(&status))?.into_inner();
        Ok(Moves { moves, server: self.server.clone() })
    }

    /// Which apps and bots of a workspace are under the customer's key: now, and whenever that changes, without an end.
    pub async fn watch_selection(&self, workspace: &str) -> Result<Selections, Error> {
        let request = Request::new(pb::WatchSelectionRequest { parent: workspace.to_owned() });
        let outcome = self.workspaces.clone().watch_selection(request).await;
        let states = outcome.map_err(|status| self.broken_stream(&status))?.into_inner();
        Ok(Selections::new(states, self.server.clone()))
    }

    /// Every wrapped data key of a workspace that the customer's key wraps. Complete, or an error.
    pub async fn export_wrapped_keys(&self, key: &str) -> Result<Vec<pb::WrappedKey>, Error> {
        // No deadline of its own: an export is as long as the workspace is large.
        let request = Request::new(pb::ExportWrappedKeysRequest { name: key.to_owned() });
        let outcome = self.keys.clone().export_wrapped_keys(request).await;
        let mut pages = outcome.map_err(|status| self.broken_stream(&status))?.into_inner();
        let mut all = Vec::new();
        while let Some(page) = pages.message().await.map_err(|status| self.broken_stream(&status))? {
            all.extend(page.wrapped_keys);
        }
        Ok(all)
    }
}

impl Client {
    /// A chain's events with a number above `after`, and where it ends. No deadline of its own: it is as long as the chain.
    pub async fn export_events(&self, chain: &str, after: i64) -> Result<Exported, Error> {
        let request = Request::new(pb::ExportEventsRequest { parent: chain.to_owned(), after });
        let outcome = self.audit.clone().export_events(request).await;
        let pages = outcome.map_err(|status| self.broken_stream(&status))?.into_inner();
        Ok(Exported { pages, server: self.server.clone() })
    }
}

/// An export of a chain, as it comes.
pub struct Exported {
    pages: tonic::Streaming<pb::ExportEventsResponse>,
    server: String,
}

impl Exported {
    /// The next answer; `None` when all has come.
    pub async fn next(&mut self) -> Result<Option<pb::ExportEventsResponse>, Error> {
        self.pages.message().await.map_err(|status| Error::from_status(&status, &self.server, None))
    }
}

/// The moves of an operation, as they are told.
pub struct Moves {
    moves: tonic::Streaming<pb::Operation>,
    server: String,
}

impl Moves {
    /// The next; `None` when the operation has ended.
    pub async fn next(&mut self) -> Result<Option<pb::Operation>, Error> {
        self.moves.message().await.map_err(|status| Error::from_status(&status, &self.server, None))
    }
}
