//! Answers `byok.v1.Tenants`.

use api::byok::v1 as pb;
use api::byok::v1::tenants_server::Tenants;
use tonic::{Request, Response, Status};

use super::call::Call;

#[tonic::async_trait]
impl Tenants for Call {
    async fn add_secret(&self, request: Request<pb::AddSecretRequest>) -> Result<Response<pb::Credential>, Status> {
        self.answer("Tenants/AddSecret", self.add_credential_secret(request.into_inner())).await
    }

    async fn make_certificate(
        &self,
        request: Request<pb::MakeCertificateRequest>,
    ) -> Result<Response<pb::Credential>, Status> {
        self.answer("Tenants/MakeCertificate", self.make_credential_certificate(request.into_inner())).await
    }

    async fn list_credentials(
        &self,
        request: Request<pb::ListCredentialsRequest>,
    ) -> Result<Response<pb::Integration>, Status> {
        self.answer("Tenants/ListCredentials", self.credentials(request.into_inner())).await
    }

    async fn test_credential(
        &self,
        request: Request<pb::TestCredentialRequest>,
    ) -> Result<Response<pb::TestCredentialResponse>, Status> {
        self.answer("Tenants/TestCredential", self.tested_credential(request.into_inner())).await
    }

    async fn activate_credential(
        &self,
        request: Request<pb::ActivateCredentialRequest>,
    ) -> Result<Response<pb::Integration>, Status> {
        self.answer("Tenants/ActivateCredential", self.activated_credential(request.into_inner())).await
    }

    async fn remove_credential(
        &self,
        request: Request<pb::RemoveCredentialRequest>,
    ) -> Result<Response<pb::Integration>, Status> {
        self.answer("Tenants/RemoveCredential", self.removed_credential(request.into_inner())).await
    }

    async fn use_platform_app(
        &self,
        request: Request<pb::UsePlatformAppRequest>,
    ) -> Result<Response<pb::Integration>, Status> {
        self.answer("Tenants/UsePlatformApp", self.platform_app(request.into_inner())).await
    }
}
