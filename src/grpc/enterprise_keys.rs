//! Answers `byok.v1.EnterpriseKeys`.

use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::enterprise_keys_server::EnterpriseKeys;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{KeyConfig, KeyVersion, permission};
use service::{ConfigureKey, Refusal, WrappedKey};
use tonic::{Request, Response, Status};

use super::call::Call;
use super::streams::{self, Answers};
use super::{life, refuse, text};

#[tonic::async_trait]
impl EnterpriseKeys for Call {
    async fn configure_key(&self, request: Request<pb::ConfigureKeyRequest>) -> Result<Response<pb::Key>, Status> {
        let pb::ConfigureKeyRequest { name, key_identifier, key_name, tenant_id, lease } = request.into_inner();
        self.answer("EnterpriseKeys/ConfigureKey", async {
            let permit = self.permit_key::<permission::ConfigureKey>(&name)?;
            let key_name = Some(key_name).filter(|name| !name.is_empty());
            let lease = lease.map(duration).transpose()?;
            let wanted = ConfigureKey { key_identifier, key_name, tenant_id, lease };
            let configured = self.service().configure_key(&permit, wanted).await?;
            let warnings = configured.warnings.iter().map(ToString::to_string).collect();
            let status = self.service().key_status(&self.permit_key::<permission::ReadKey>(&name)?).await?;
            Ok(life::key(self, &status, warnings))
        })
        .await
    }

    async fn get_key(&self, request: Request<pb::GetKeyRequest>) -> Result<Response<pb::Key>, Status> {
        let pb::GetKeyRequest { name } = request.into_inner();
        self.answer("EnterpriseKeys/GetKey", async {
            let permit = self.permit_key::<permission::ReadKey>(&name)?;
            Ok(life::key(self, &self.service().key_status(&permit).await?, Vec::new()))
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
            Ok(life::key(self, &self.service().revoke_key(&permit).await?, Vec::new()))
        })
        .await
    }

    async fn restore_key(&self, request: Request<pb::RestoreKeyRequest>) -> Result<Response<pb::Key>, Status> {
        let pb::RestoreKeyRequest { name } = request.into_inner();
        self.answer("EnterpriseKeys/RestoreKey", async {
            let permit = self.permit_key::<permission::RestoreKey>(&name)?;
            Ok(life::key(self, &self.service().restore_key(&permit).await?, Vec::new()))
        })
        .await
    }
}

/// The part of a key that its configuration says.
pub(super) fn key(config: &KeyConfig, warnings: Vec<String>) -> pb::Key {
    pb::Key {
        name: domain::name::key(&config.workspace),
        key_identifier: config.location.to_string(),
        tenant_id: config.tenant.to_string(),
        current_version: domain::name::key_version(&config.workspace, config.current_version),
        lease: prost_types::Duration::try_from(config.lease).ok(),
        configure_time: text::stamp(config.configured_at),
        warnings,
        ..Default::default()
    }
}

fn key_version(version: KeyVersion) -> pb::KeyVersion {
    pb::KeyVersion {
        name: domain::name::key_version(&version.workspace, version.id),
        kid: version.location.to_string(),
        bits: i32::try_from(version.bits()).unwrap_or(0),
        hsm: version.hsm,
        thumbprint: URL_SAFE_NO_PAD.encode(version.thumbprint),
        record_time: text::stamp(version.recorded_at),
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
