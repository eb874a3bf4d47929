//! Answers `byok.v1.EnterpriseKeys`.

use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::enterprise_keys_server::EnterpriseKeys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::rotation::{Plan, Safety};
use domain::{KeyConfig, Reason, WorkspaceId, permission};
use service::{
    ConfigureKey, KeyHealth, Refusal, RotateDataKeys, RotateKey, TestConfiguration, VersionInUse, WrappedKey,
};
use tonic::{Request, Response, Status};

use super::call::Call;
use super::streams::{self, Answers};
use super::{guarded, key_tests, life, operations, refuse, text, usage};

#[tonic::async_trait]
impl EnterpriseKeys for Call {
    async fn configure_key(&self, request: Request<pb::ConfigureKeyRequest>) -> Result<Response<pb::Key>, Status> {
        let pb::ConfigureKeyRequest {
            name,
            key_identifier,
            key_name,
            tenant_id,
            lease,
            follow_new_versions,
            newest_version_counts,
        } = request.into_inner();
        self.answer("EnterpriseKeys/ConfigureKey", async {
            let permit = self.permit_key::<permission::ConfigureKey>(&name)?;
            let key_name = Some(key_name).filter(|name| !name.is_empty());
            let lease = lease.map(duration).transpose()?;
            let wanted =
                ConfigureKey { key_identifier, key_name, tenant_id, lease, follow_new_versions, newest_version_counts };
            let configured = self.service().configure_key(&permit, wanted).await?;
            let warnings = configured.warnings.iter().map(ToString::to_string).collect();
            let status = self.service().key_status(&permit.and_read()).await?;
            Ok(life::key(self, &status, warnings, KeyHealth::default()))
        })
        .await
    }

    async fn get_key(&self, request: Request<pb::GetKeyRequest>) -> Result<Response<pb::Key>, Status> {
        let pb::GetKeyRequest { name } = request.into_inner();
        self.answer("EnterpriseKeys/GetKey", async {
            let permit = self.permit_key::<permission::ReadKey>(&name)?;
            let health = self.service().key_health(&permit).await?;
            let status = self.service().key_status(&permit).await?;
            let notice = self.service().credential_notice(&permit).await?;
            Ok(life::key(self, &status, notice.iter().map(ToString::to_string).collect(), health))
        })
        .await
    }

    async fn list_key_versions(
        &self,
        request: Request<pb::ListKeyVersionsRequest>,
    ) -> Result<Response<pb::ListKeyVersionsResponse>, Status> {
        let pb::ListKeyVersionsRequest { parent } = request.into_inner();
        self.answer("EnterpriseKeys/ListKeyVersions", async {
            let permit = self.permit_key::<permission::ReadKey>(&parent)?;
            let versions = self.service().list_key_versions(&permit).await?;
            Ok(pb::ListKeyVersionsResponse { versions: versions.into_iter().map(key_version).collect() })
        })
        .await
    }

    type ExportWrappedKeysStream = Answers<pb::ExportWrappedKeysResponse>;

    async fn export_wrapped_keys(
        &self,
        request: Request<pb::ExportWrappedKeysRequest>,
    ) -> Result<Response<Self::ExportWrappedKeysStream>, Status> {
        const METHOD: &str = "EnterpriseKeys/ExportWrappedKeys";
        let pb::ExportWrappedKeysRequest { name } = request.into_inner();
        let begin = async {
            let permit = self.permit_key::<permission::ExportWrappedKeys>(&name)?;
            self.service().export_wrapped_keys(&permit).await
        };
        let mut pages = self.attend(METHOD, begin).await?;
        let answers = streams::spawn(self, METHOD, |answers| async move {
            while let Some(page) = answers.within(pages.next()).await? {
                let wrapped_keys = page.into_iter().map(wrapped_key).collect();
                answers.send(pb::ExportWrappedKeysResponse { wrapped_keys }).await?;
            }
            Ok(())
        });
        Ok(Response::new(answers))
    }

    type TestConfigurationStream = Answers<pb::TestConfigurationResponse>;

    async fn test_configuration(
        &self,
        request: Request<pb::TestConfigurationRequest>,
    ) -> Result<Response<Self::TestConfigurationStream>, Status> {
        const METHOD: &str = "EnterpriseKeys/TestConfiguration";
        let pb::TestConfigurationRequest { name, key_identifier, key_name, tenant_id } = request.into_inner();
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let wanted = TestConfiguration {
            key_identifier: said(key_identifier),
            key_name: said(key_name),
            tenant_id: said(tenant_id),
        };
        let begin = async {
            let permit = self.permit_key::<permission::TestKey>(&name)?;
            self.service().test_configuration(&permit, wanted).await
        };
        let mut run = self.attend(METHOD, begin).await?;
        let answers = streams::spawn(self, METHOD, |answers| async move {
            while let Some(event) = answers.within(run.next()).await? {
                answers.send(key_tests::event(event)).await?;
            }
            Ok(())
        });
        Ok(Response::new(answers))
    }

    async fn list_key_tests(
        &self,
        request: Request<pb::ListKeyTestsRequest>,
    ) -> Result<Response<pb::ListKeyTestsResponse>, Status> {
        let pb::ListKeyTestsRequest { parent, page_size } = request.into_inner();
        self.answer("EnterpriseKeys/ListKeyTests", async {
            let permit = self.permit_key::<permission::ReadKey>(&parent)?;
            let page = usize::try_from(page_size).map_err(|_| refuse::field("page_size must not be negative"))?;
            let tests = self.service().list_key_tests(&permit, Some(page)).await?;
            Ok(pb::ListKeyTestsResponse { tests: tests.into_iter().map(key_tests::test).collect() })
        })
        .await
    }

    async fn schedule_enforcement(
        &self,
        request: Request<pb::ScheduleEnforcementRequest>,
    ) -> Result<Response<pb::Key>, Status> {
        life::schedule(self, request.into_inner()).await
    }

    async fn select_apps(
        &self,
        request: Request<pb::SelectAppsRequest>,
    ) -> Result<Response<pb::SelectAppsResponse>, Status> {
        life::select_apps(self, request.into_inner()).await
    }

    async fn revoke_key(&self, request: Request<pb::RevokeKeyRequest>) -> Result<Response<pb::Key>, Status> {
        let pb::RevokeKeyRequest { name } = request.into_inner();
        self.answer("EnterpriseKeys/RevokeKey", async {
            let permit = self.permit_key::<permission::RevokeKey>(&name)?;
            let status = self.service().revoke_key(&permit).await?;
            Ok(life::key(self, &status, Vec::new(), KeyHealth::default()))
        })
        .await
    }

    async fn rotate_key(
        &self,
        request: Request<pb::RotateKeyRequest>,
    ) -> Result<Response<pb::RotateKeyResponse>, Status> {
        let pb::RotateKeyRequest { name, version, validate_only } = request.into_inner();
        self.answer("EnterpriseKeys/RotateKey", async {
            let permit = self.permit_key::<permission::RotateKey>(&name)?;
            let version = match version.as_str() {
                "" => None,
                version => Some(version.parse().map_err(refuse::id)?),
            };
            let started = self.service().rotate_key(&permit, RotateKey { version, validate_only }).await?;
            let workspace = domain::name::parse_key(&name).map_err(refuse::name)?;
            let operation = started.operation.as_ref().map(operations::operation);
            Ok(pb::RotateKeyResponse { plan: Some(plan(&workspace, &started.plan)), operation })
        })
        .await
    }

    async fn rotate_data_keys(
        &self,
        request: Request<pb::RotateDataKeysRequest>,
    ) -> Result<Response<pb::Operation>, Status> {
        let pb::RotateDataKeysRequest { name, app, older_than } = request.into_inner();
        self.answer("EnterpriseKeys/RotateDataKeys", async {
            let permit = self.permit_key::<permission::RotateDataKeys>(&name)?;
            let app = match app.as_str() {
                "" => None,
                app => {
                    let (workspace, app) = domain::name::parse_app(app).map_err(refuse::name)?;
                    // An app elsewhere is answered like one that is not there.
                    if Some(&workspace) != permit.workspace() {
                        return Err(Refusal::because(Reason::NotFound));
                    }
                    Some(app)
                }
            };
            let older_than = older_than.map(Duration::try_from).transpose();
            let older_than = older_than.map_err(|_| refuse::field("older_than must not be negative"))?;
            let request = RotateDataKeys { app, older_than: older_than.unwrap_or_default() };
            Ok(operations::operation(&self.service().rotate_data_keys(&permit, request).await?))
        })
        .await
    }

    async fn restore_key(&self, request: Request<pb::RestoreKeyRequest>) -> Result<Response<pb::Key>, Status> {
        let pb::RestoreKeyRequest { name } = request.into_inner();
        self.answer("EnterpriseKeys/RestoreKey", async {
            let permit = self.permit_key::<permission::RestoreKey>(&name)?;
            let status = self.service().restore_key(&permit).await?;
            Ok(life::key(self, &status, Vec::new(), KeyHealth::default()))
        })
        .await
    }

    async fn validate_app(
        &self,
        request: Request<pb::ValidateAppRequest>,
    ) -> Result<Response<pb::ValidateAppResponse>, Status> {
        self.answer("EnterpriseKeys/ValidateApp", usage::validate_app(self, request.into_inner())).await
    }

    async fn get_usage(&self, request: Request<pb::GetUsageRequest>) -> Result<Response<pb::GetUsageResponse>, Status> {
        self.answer("EnterpriseKeys/GetUsage", usage::read_usage(self, request.into_inner())).await
    }

    async fn get_coverage(
        &self,
        request: Request<pb::GetCoverageRequest>,
    ) -> Result<Response<pb::GetCoverageResponse>, Status> {
        self.answer("EnterpriseKeys/GetCoverage", usage::read_coverage(self, request.into_inner())).await
    }

    async fn replace_key(
        &self,
        request: Request<pb::ReplaceKeyRequest>,
    ) -> Result<Response<pb::ReplaceKeyResponse>, Status> {
        self.answer("EnterpriseKeys/ReplaceKey", guarded::replace_key(self, request.into_inner())).await
    }

    async fn leave_customer_key(
        &self,
        request: Request<pb::LeaveCustomerKeyRequest>,
    ) -> Result<Response<pb::LeaveCustomerKeyResponse>, Status> {
        self.answer("EnterpriseKeys/LeaveCustomerKey", guarded::leave_customer_key(self, request.into_inner())).await
    }

    async fn destroy_data_key(
        &self,
        request: Request<pb::DestroyDataKeyRequest>,
    ) -> Result<Response<pb::Operation>, Status> {
        self.answer("EnterpriseKeys/DestroyDataKey", guarded::destroy_data_key(self, request.into_inner())).await
    }
}

pub(super) fn plan(workspace: &WorkspaceId, plan: &Plan) -> pb::RotationPlan {
    pb::RotationPlan {
        from_version: domain::name::key_version(workspace, plan.from),
        to_version: domain::name::key_version(workspace, plan.to),
        data_keys: i64::try_from(plan.data_keys).unwrap_or(i64::MAX),
        vault_calls: i64::try_from(plan.vault_calls).unwrap_or(i64::MAX),
        calls_per_second: plan.rate.calls_per_second(),
        eta: prost_types::Duration::try_from(plan.eta).ok(),
    }
}

/// The part of a key that its configuration and its vault say.
pub(super) fn key(call: &Call, config: &KeyConfig, warnings: Vec<String>, health: KeyHealth) -> pb::Key {
    let reason = health.denied.map(|(_, reason)| reason);
    pb::Key {
        name: domain::name::key(&config.workspace),
        key_identifier: config.location.to_string(),
        tenant_id: config.tenant.to_string(),
        current_version: domain::name::key_version(&config.workspace, config.current_version),
        lease: prost_types::Duration::try_from(call.service().lease_within(config.lease)).ok(),
        configure_time: text::stamp(config.configured_at),
        warnings,
        ownership_tag: service::OWNERSHIP_TAG.to_owned(),
        last_probe_time: health.last_success.and_then(text::stamp),
        denied_since: health.denied.and_then(|(since, _)| text::stamp(since)),
        denied_reason: reason.map_or(pb::Reason::Unspecified, text::reason).into(),
        denied_owner: reason.map(|reason| reason.owner().to_string()).unwrap_or_default(),
        denied_remedy: reason.map(|reason| reason.remedy().to_owned()).unwrap_or_default(),
        leave_time: config.left_at.and_then(text::stamp),
        follow_new_versions: config.choices.follow_new_versions,
        newest_version_counts: config.choices.newest_version_counts,
        ..Default::default()
    }
}

fn key_version(found: VersionInUse) -> pb::KeyVersion {
    let VersionInUse { version, in_force, data_keys, disable, delete } = found;
    let why_not = |safety: Safety| if safety.is_safe() { String::new() } else { safety.to_string() };
    pb::KeyVersion {
        name: domain::name::key_version(&version.workspace, version.id),
        kid: version.location.to_string(),
        bits: i32::try_from(version.bits()).unwrap_or(0),
        hsm: version.hsm,
        thumbprint: URL_SAFE_NO_PAD.encode(version.thumbprint),
        record_time: text::stamp(version.recorded_at),
        in_force,
        data_keys: i64::try_from(data_keys).unwrap_or(i64::MAX),
        safe_to_disable: disable.is_safe(),
        not_safe_to_disable: why_not(disable),
        safe_to_delete: delete.is_safe(),
        not_safe_to_delete: why_not(delete),
    }
}

fn wrapped_key(key: WrappedKey) -> pb::WrappedKey {
    pb::WrappedKey {
        data_key_id: key.data_key.to_string(),
        workspace_id: key.workspace.to_string(),
        app_id: key.app.to_string(),
        protection: text::protection(key.protection).into(),
        kid: key.kid.to_string(),
        algorithm: "RSA-OAEP-256".to_owned(),
        blob: key.blob.into(),
        create_time: text::stamp(key.created_at),
    }
}

fn duration(lease: prost_types::Duration) -> Result<Duration, Refusal> {
    Duration::try_from(lease).map_err(|_| refuse::field("lease must be from 1 s to 300 s"))
}
