//! Makes any call of the contract by its path: one message as bytes, and the first answer.

use std::collections::HashMap;

use api::byok::v1 as pb;
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Request, Status};
use tonic_types::StatusExt;

use crate::site::{Client, KEY, TENANT};

/// What a call is about.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) workspace: &'static str,
    pub(crate) app: &'static str,
    pub(crate) operation: String,
}

impl Place {
    /// The request of a call about this place. It is well formed, so that what refuses it is the permission or the state.
    pub(crate) fn request(&self, path: &str) -> Bytes {
        let workspace = || format!("workspaces/{}", self.workspace);
        let key = || format!("workspaces/{}/key", self.workspace);
        let app = || format!("workspaces/{}/apps/{}", self.workspace, self.app);
        let credential = || format!("workspaces/{}/credentials/{}", self.workspace, "0".repeat(32));
        let connection = || format!("workspaces/{}/connection", self.workspace);
        let operation = || format!("operations/{}", self.operation);
        let caller = || format!("callers/{}", self.app);
        let header = || pb::StreamHeader { app: app(), context: HashMap::new() };
        let bytes = match path.strip_prefix("/byok.v1.").unwrap_or(path) {
            "Encryption/Encrypt" => pb::EncryptRequest { app: app(), ..Default::default() }.encode_to_vec(),
            "Encryption/Decrypt" => pb::DecryptRequest { app: app(), ..Default::default() }.encode_to_vec(),
            "Encryption/BatchEncrypt" => {
                pb::BatchEncryptRequest { app: app(), items: vec![pb::BatchEncryptItem::default()] }.encode_to_vec()
            }
            "Encryption/BatchDecrypt" => {
                pb::BatchDecryptRequest { app: app(), items: vec![pb::BatchDecryptItem::default()] }.encode_to_vec()
            }
            "Encryption/EncryptStream" => {
                let message = Some(pb::encrypt_stream_request::Message::Header(header()));
                pb::EncryptStreamRequest { message }.encode_to_vec()
            }
            "Encryption/DecryptStream" => {
                let message = Some(pb::decrypt_stream_request::Message::Header(header()));
                pb::DecryptStreamRequest { message }.encode_to_vec()
            }
            "Encryption/ReEncrypt" => pb::ReEncryptRequest { app: app(), ..Default::default() }.encode_to_vec(),
            "Workspaces/CreateWorkspace" => {
                pb::CreateWorkspaceRequest { workspace_id: self.workspace.into(), display_name: "Acme".into() }
                    .encode_to_vec()
            }
            "Workspaces/GetWorkspace" => pb::GetWorkspaceRequest { name: workspace() }.encode_to_vec(),
            "Workspaces/ListWorkspaces" => pb::ListWorkspacesRequest::default().encode_to_vec(),
            "Workspaces/DeleteWorkspace" => pb::DeleteWorkspaceRequest { name: workspace() }.encode_to_vec(),
            "Workspaces/UpsertApp" => {
                let kind = pb::AppKind::Bot.into();
                pb::UpsertAppRequest { name: app(), kind, display_name: "Bot".into() }.encode_to_vec()
            }
            "Workspaces/ListApps" => pb::ListAppsRequest { parent: workspace(), ..Default::default() }.encode_to_vec(),
            "Workspaces/DeleteApp" => pb::DeleteAppRequest { name: app() }.encode_to_vec(),
            "Workspaces/WatchSelection" => pb::WatchSelectionRequest { parent: workspace() }.encode_to_vec(),
            "EnterpriseKeys/ConfigureKey" => {
                let (key_identifier, tenant_id) = (KEY.into(), TENANT.into());
                pb::ConfigureKeyRequest { name: key(), key_identifier, tenant_id, ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/GetKey" => pb::GetKeyRequest { name: key() }.encode_to_vec(),
            "EnterpriseKeys/ListKeyVersions" => pb::ListKeyVersionsRequest { parent: key() }.encode_to_vec(),
            "EnterpriseKeys/ExportWrappedKeys" => pb::ExportWrappedKeysRequest { name: key() }.encode_to_vec(),
            "EnterpriseKeys/TestConfiguration" => {
                pb::TestConfigurationRequest { name: key(), ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/ListKeyTests" => {
                pb::ListKeyTestsRequest { parent: key(), ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/ScheduleEnforcement" => {
                pb::ScheduleEnforcementRequest { name: key(), ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/SelectApps" => {
                let selection = Some(pb::select_apps_request::Selection::EveryApp(true));
                pb::SelectAppsRequest { name: key(), selection, ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/RevokeKey" => pb::RevokeKeyRequest { name: key() }.encode_to_vec(),
            "EnterpriseKeys/RestoreKey" => pb::RestoreKeyRequest { name: key() }.encode_to_vec(),
            "EnterpriseKeys/RotateKey" => pb::RotateKeyRequest { name: key(), ..Default::default() }.encode_to_vec(),
            "EnterpriseKeys/RotateDataKeys" => {
                pb::RotateDataKeysRequest { name: key(), ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/ValidateApp" => pb::ValidateAppRequest { app: app() }.encode_to_vec(),
            "EnterpriseKeys/GetUsage" => {
                pb::GetUsageRequest { parent: workspace(), ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/GetCoverage" => {
                pb::GetCoverageRequest { parent: workspace(), ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/ReplaceKey" => {
                let (key_identifier, tenant_id) = (KEY.into(), TENANT.into());
                pb::ReplaceKeyRequest { name: key(), key_identifier, tenant_id, ..Default::default() }.encode_to_vec()
            }
            "EnterpriseKeys/LeaveCustomerKey" => {
                pb::LeaveCustomerKeyRequest { name: key(), validate_only: true }.encode_to_vec()
            }
            "EnterpriseKeys/DestroyDataKey" => {
                let name = format!("{}/dataKeys/{}", app(), "0".repeat(32));
                pb::DestroyDataKeyRequest { name }.encode_to_vec()
            }
            "Operations/GetOperation" => pb::GetOperationRequest { name: operation() }.encode_to_vec(),
            "Operations/ListOperations" => {
                pb::ListOperationsRequest { parent: workspace(), ..Default::default() }.encode_to_vec()
            }
            "Operations/CancelOperation" => pb::CancelOperationRequest { name: operation() }.encode_to_vec(),
            "Operations/WatchOperation" => pb::WatchOperationRequest { name: operation() }.encode_to_vec(),
            "Operations/Approve" => pb::ApproveRequest { name: operation() }.encode_to_vec(),
            "Operations/Reject" => pb::RejectRequest { name: operation() }.encode_to_vec(),
            "Audit/ListEvents" => pb::ListEventsRequest { parent: workspace(), ..Default::default() }.encode_to_vec(),
            "Audit/ExportEvents" => {
                pb::ExportEventsRequest { parent: workspace(), ..Default::default() }.encode_to_vec()
            }
            "Audit/GetCheckpoint" => pb::GetCheckpointRequest { parent: workspace() }.encode_to_vec(),
            "Callers/CreateCaller" => {
                let (caller_id, grants) = (self.app.into(), vec!["auditor@acme".into()]);
                pb::CreateCallerRequest { caller_id, grants, ..Default::default() }.encode_to_vec()
            }
            "Callers/GetCaller" => pb::GetCallerRequest { name: caller() }.encode_to_vec(),
            "Callers/ListCallers" => pb::ListCallersRequest::default().encode_to_vec(),
            "Callers/UpdateCaller" => {
                let add_grants = vec!["auditor@acme".into()];
                pb::UpdateCallerRequest { name: caller(), add_grants, ..Default::default() }.encode_to_vec()
            }
            "Callers/IssueToken" => pb::IssueTokenRequest { name: caller(), ..Default::default() }.encode_to_vec(),
            "Callers/RemoveToken" => pb::RemoveTokenRequest { name: caller(), slot: "a".into() }.encode_to_vec(),
            "Callers/DeleteCaller" => pb::DeleteCallerRequest { name: caller() }.encode_to_vec(),
            "Callers/ListRoles" => pb::ListRolesRequest {}.encode_to_vec(),
            "Audit/CreateCheckpoint" => pb::CreateCheckpointRequest { parent: workspace() }.encode_to_vec(),
            "Tenants/AddSecret" => {
                let expire_time = Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 0 });
                let (client_id, value) = (TENANT.into(), "abc8Q~0123456789abcdef".into());
                let tenant_id = TENANT.into();
                pb::AddSecretRequest { parent: workspace(), client_id, tenant_id, value, expire_time }.encode_to_vec()
            }
            "Tenants/MakeCertificate" => {
                let (client_id, tenant_id) = (TENANT.into(), TENANT.into());
                pb::MakeCertificateRequest { parent: workspace(), client_id, tenant_id }.encode_to_vec()
            }
            "Tenants/ListCredentials" => pb::ListCredentialsRequest { parent: workspace() }.encode_to_vec(),
            "Tenants/TestCredential" => pb::TestCredentialRequest { name: credential() }.encode_to_vec(),
            "Tenants/ActivateCredential" => pb::ActivateCredentialRequest { name: credential() }.encode_to_vec(),
            "Tenants/RemoveCredential" => pb::RemoveCredentialRequest { name: credential() }.encode_to_vec(),
            "Tenants/UsePlatformApp" => pb::UsePlatformAppRequest { parent: workspace() }.encode_to_vec(),
            "Tenants/LookUpDomains" => {
                pb::LookUpDomainsRequest { name: connection(), domains: TENANT.into() }.encode_to_vec()
            }
            "Tenants/StartConsent" => {
                pb::StartConsentRequest { name: connection(), tenant: TENANT.into() }.encode_to_vec()
            }
            "Tenants/CompleteConsent" => {
                pb::CompleteConsentRequest { name: connection(), code: "BCDFGHJK".into() }.encode_to_vec()
            }
            "Tenants/GetConnection" => pb::GetConnectionRequest { name: connection(), look: false }.encode_to_vec(),
            "Tenants/Disconnect" => pb::DisconnectRequest { name: connection() }.encode_to_vec(),
            unknown => panic!("{unknown} has no request here: add one"),
        };
        bytes.into()
    }

    /// Makes the call; the first answer of a stream counts.
    pub(crate) async fn call(&self, client: &Client, path: &'static str) -> Result<(), Status> {
        let mut grpc = tonic::client::Grpc::new(client.clone());
        grpc.ready().await.unwrap();
        let messages = tokio_stream::once(self.request(path));
        let answered = grpc.streaming(Request::new(messages), PathAndQuery::from_static(path), Bare).await?;
        answered.into_inner().message().await.map(drop)
    }
}

/// Everything an outsider sees of a refusal but the request's id.
pub(crate) fn told(status: &Status) -> String {
    let mut details = status.get_error_details();
    let mut info = details.error_info().cloned().expect("a refusal has an ErrorInfo");
    assert!(info.metadata.remove("request_id").is_some());
    details.set_error_info(info.reason.clone(), info.domain.clone(), HashMap::new());
    let metadata = info.metadata.into_iter().collect::<std::collections::BTreeMap<_, _>>();
    format!("{:?} {} {metadata:?} {details:?} {}", status.code(), status.message(), status.details().len())
}

/// The reason of a refusal.
pub(crate) fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("a refusal has an ErrorInfo").reason
}

/// Messages as they are.
pub(crate) struct Bare;

impl Codec for Bare {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Bare {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
