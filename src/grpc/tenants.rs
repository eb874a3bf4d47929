//! Answers `byok.v1.Tenants`.

use api::byok::v1 as pb;
use api::byok::v1::tenants_server::Tenants;
use domain::permission::{self, Action, Permit, Target};
use domain::tenancy::{ProvenBy, ProvenKey, Standing, TenantLink};
use domain::{Cloud, Reason, WorkspaceId};
use service::{ConnectionStatus, LookedUp, Refusal, TenantStatus};
use tonic::{Request, Response, Status};

use super::call::Call;
use super::{refuse, text};

impl Call {
    /// The permission for an action on a workspace's connection, by its name.
    fn permit_connection<A: Action>(&self, name: &str) -> Result<(Permit<A>, WorkspaceId), Refusal> {
        let workspace = domain::name::parse_connection(name).map_err(refuse::name)?;
        Ok((self.permit(Target::Workspace(workspace.clone()))?, workspace))
    }
}

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

    async fn look_up_domains(
        &self,
        request: Request<pb::LookUpDomainsRequest>,
    ) -> Result<Response<pb::LookUpDomainsResponse>, Status> {
        let pb::LookUpDomainsRequest { name, domains } = request.into_inner();
        self.answer("Tenants/LookUpDomains", async {
            let (permit, _) = self.permit_connection::<permission::ConnectTenant>(&name)?;
            let found = self.service().look_up_domains(&permit, Cloud::Public, &domains).await?;
            Ok(pb::LookUpDomainsResponse { domains: found.into_iter().map(looked_up).collect() })
        })
        .await
    }

    async fn start_consent(
        &self,
        request: Request<pb::StartConsentRequest>,
    ) -> Result<Response<pb::StartConsentResponse>, Status> {
        let pb::StartConsentRequest { name, tenant } = request.into_inner();
        self.answer("Tenants/StartConsent", async {
            let (permit, _) = self.permit_connection::<permission::ConnectTenant>(&name)?;
            let started = self.service().start_consent(&permit, Cloud::Public, &tenant).await?;
            Ok(pb::StartConsentResponse {
                tenant: Some(link(&started.link, None)),
                start_url: started.start_url,
                consent_url: started.consent_url,
                expire_time: text::stamp(started.expires_at),
                command: started.command,
            })
        })
        .await
    }

    async fn complete_consent(
        &self,
        request: Request<pb::CompleteConsentRequest>,
    ) -> Result<Response<pb::TenantLink>, Status> {
        let pb::CompleteConsentRequest { name, code } = request.into_inner();
        self.answer("Tenants/CompleteConsent", async {
            let (permit, _) = self.permit_connection::<permission::ConnectTenant>(&name)?;
            Ok(link(&self.service().complete_consent(&permit, &code).await?, None))
        })
        .await
    }

    async fn get_connection(
        &self,
        request: Request<pb::GetConnectionRequest>,
    ) -> Result<Response<pb::Connection>, Status> {
        let pb::GetConnectionRequest { name, look } = request.into_inner();
        self.answer("Tenants/GetConnection", async {
            let (permit, workspace) = self.permit_connection::<permission::ReadConnection>(&name)?;
            Ok(connection(&workspace, self.service().read_connection(&permit, look).await?))
        })
        .await
    }

    async fn disconnect(&self, request: Request<pb::DisconnectRequest>) -> Result<Response<pb::Connection>, Status> {
        let pb::DisconnectRequest { name } = request.into_inner();
        self.answer("Tenants/Disconnect", async {
            let (permit, workspace) = self.permit_connection::<permission::DisconnectTenants>(&name)?;
            Ok(connection(&workspace, self.service().disconnect(&permit).await?))
        })
        .await
    }
}

fn looked_up(from: LookedUp) -> pb::LookedUpDomain {
    let typed = from.typed;
    match from.tenant {
        Ok(tenant) => pb::LookedUpDomain { typed, tenant_id: tenant.to_string(), ..Default::default() },
        Err(refusal) => pb::LookedUpDomain {
            typed,
            tenant_id: String::new(),
            reason: text::reason(refusal.reason()).into(),
            message: refusal.message().into_owned(),
            remedy: refusal.remedy().to_owned(),
        },
    }
}

fn connection(workspace: &WorkspaceId, status: ConnectionStatus) -> pb::Connection {
    pb::Connection {
        name: domain::name::connection(workspace),
        application_id: status.application,
        restricts: status.counts,
        tenants: status.tenants.iter().map(|TenantStatus { link: of, unanswered }| link(of, *unanswered)).collect(),
        keys: status.keys.iter().map(proven_key).collect(),
    }
}

fn link(from: &TenantLink, unanswered: Option<Reason>) -> pb::TenantLink {
    use pb::tenant_link::State;
    let (state, since) = match &from.standing {
        Standing::Named => (State::Named, None),
        Standing::CameBack { at } => (State::CameBack, Some(*at)),
        Standing::Proven(proof) => (State::Proven, Some(proof.at)),
        Standing::Disconnected { at } => (State::Disconnected, Some(*at)),
    };
    let by = from.proof().map(|proof| &proof.by);
    let refused = from.app.and_then(|app| app.refused);
    pb::TenantLink {
        tenant_id: from.tenant.to_string(),
        cloud: from.cloud.as_str().to_owned(),
        typed: from.typed.clone(),
        state: state.into(),
        name_time: text::stamp(from.named_at),
        state_time: since.and_then(text::stamp),
        proven_by: by.map_or_else(String::new, |by| by.as_str().to_owned()),
        object_id: match by {
            Some(ProvenBy::SignIn { object_id, .. }) => object_id.clone(),
            Some(ProvenBy::KeyTag { .. }) | None => String::new(),
        },
        application_time: from.app.and_then(|app| text::stamp(app.at)),
        application_reason: refused.map_or(pb::Reason::Unspecified, text::reason).into(),
        application_remedy: refused.map_or_else(String::new, |reason| reason.remedy().to_owned()),
        unanswered: unanswered.map_or(pb::Reason::Unspecified, text::reason).into(),
    }
}

fn proven_key(from: &ProvenKey) -> pb::ProvenKey {
    pb::ProvenKey {
        key_identifier: from.key.to_string(),
        tenant_id: from.tenant.to_string(),
        prove_time: text::stamp(from.at),
        void_time: from.void_since.and_then(text::stamp),
    }
}
