//! The calls about credentials of a customer's app registration: what comes in, and what goes out without the secrets.

use api::byok::v1 as pb;
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::credential::{Credential, CredentialState, Integration, IntegrationModel, Proof};
use domain::permission::{self, Action, Permit, Target};
use domain::{CredentialId, Reason, Timestamp, WorkspaceId};
use service::{AddSecret, CredentialTest, MadeHere, MakeCertificate, Refusal};
use zeroize::Zeroizing;

use super::call::Call;
use super::{refuse, text};

impl Call {
    /// The permission for an action on a workspace, by the name of one of its credentials.
    fn permit_credential<A: Action>(&self, name: &str) -> Result<(Permit<A>, CredentialId), Refusal> {
        let (workspace, credential) = domain::name::parse_credential(name).map_err(refuse::name)?;
        Ok((self.permit(Target::Workspace(workspace))?, credential))
    }

    pub(super) async fn add_credential_secret(&self, request: pb::AddSecretRequest) -> Result<pb::Credential, Refusal> {
        let pb::AddSecretRequest { parent, client_id, tenant_id, value, expire_time } = request;
        // Wiped whatever happens next.
        let value = Zeroizing::new(value);
        let permit = self.permit_workspace::<permission::ChangeCredentials>(&parent)?;
        let expires_at = expire_time.as_ref().and_then(time).ok_or_else(|| refuse::field("expire_time is missing"))?;
        let request = AddSecret { client_id, tenant: named(tenant_id), value, expires_at };
        let (integration, added) = self.service().add_secret(&permit, request).await?;
        self.one(&integration, added)
    }

    pub(super) async fn make_credential_certificate(
        &self,
        request: pb::MakeCertificateRequest,
    ) -> Result<pb::Credential, Refusal> {
        let pb::MakeCertificateRequest { parent, client_id, tenant_id } = request;
        let permit = self.permit_workspace::<permission::ChangeCredentials>(&parent)?;
        let request = MakeCertificate { client_id, tenant: named(tenant_id) };
        let MadeHere { integration, credential } = self.service().make_certificate(&permit, request).await?;
        self.one(&integration, credential)
    }

    pub(super) async fn credentials(&self, request: pb::ListCredentialsRequest) -> Result<pb::Integration, Refusal> {
        let permit = self.permit_workspace::<permission::ReadCredentials>(&request.parent)?;
        Ok(self.whole(&self.service().list_credentials(&permit).await?))
    }

    pub(super) async fn tested_credential(
        &self,
        request: pb::TestCredentialRequest,
    ) -> Result<pb::TestCredentialResponse, Refusal> {
        let (permit, id) = self.permit_credential::<permission::ChangeCredentials>(&request.name)?;
        let CredentialTest { integration, refused } = self.service().test_credential(&permit, id).await?;
        let credential = self.one(&integration, id)?;
        Ok(match refused {
            None => pb::TestCredentialResponse { passed: true, credential: Some(credential), ..Default::default() },
            Some(why) => pb::TestCredentialResponse {
                passed: false,
                credential: Some(credential),
                reason: why.reason().as_str().to_owned(),
                owner: why.owner().as_str().to_owned(),
                finding: why.message().into_owned(),
                remedy: why.remedy().to_owned(),
                correlation_id: why.correlation_id().unwrap_or_default().to_owned(),
            },
        })
    }

    pub(super) async fn activated_credential(
        &self,
        request: pb::ActivateCredentialRequest,
    ) -> Result<pb::Integration, Refusal> {
        let (permit, id) = self.permit_credential::<permission::ChangeCredentials>(&request.name)?;
        Ok(self.whole(&self.service().activate_credential(&permit, id).await?))
    }

    pub(super) async fn removed_credential(
        &self,
        request: pb::RemoveCredentialRequest,
    ) -> Result<pb::Integration, Refusal> {
        let (permit, id) = self.permit_credential::<permission::ChangeCredentials>(&request.name)?;
        Ok(self.whole(&self.service().remove_credential(&permit, id).await?))
    }

    pub(super) async fn platform_app(&self, request: pb::UsePlatformAppRequest) -> Result<pb::Integration, Refusal> {
        let permit = self.permit_workspace::<permission::ChangeCredentials>(&request.parent)?;
        Ok(self.whole(&self.service().use_platform_app(&permit).await?))
    }

    fn one(&self, integration: &Integration, id: CredentialId) -> Result<pb::Credential, Refusal> {
        let found = integration.credential(id).map_err(|_| Refusal::because(Reason::NotFound))?;
        Ok(credential(&integration.workspace, integration, found, self.service().now()))
    }

    fn whole(&self, integration: &Integration) -> pb::Integration {
        let now = self.service().now();
        let model = match integration.model() {
            Some(IntegrationModel::CustomerRegistration(_)) => pb::IntegrationModel::CustomerRegistration,
            Some(IntegrationModel::Platform) | None => pb::IntegrationModel::Platform,
        };
        let credentials = integration.live().map(|found| credential(&integration.workspace, integration, found, now));
        pb::Integration {
            model: model.into(),
            credentials: credentials.collect(),
            revision: i64::try_from(integration.change).unwrap_or(i64::MAX),
        }
    }
}

fn credential(
    workspace: &WorkspaceId,
    integration: &Integration,
    found: &Credential,
    now: Timestamp,
) -> pb::Credential {
    let state = match integration.state_of(found) {
        CredentialState::Added => pb::CredentialState::Added,
        CredentialState::Tested { .. } => pb::CredentialState::Tested,
        CredentialState::Active => pb::CredentialState::Active,
        CredentialState::Removed => pb::CredentialState::Unspecified,
    };
    let told = match &found.proof {
        Proof::Secret { last_four } => pb::Credential {
            kind: pb::CredentialKind::Secret.into(),
            last_four: last_four.clone(),
            ..Default::default()
        },
        Proof::Certificate { der, thumbprint } => pb::Credential {
            kind: pb::CredentialKind::Certificate.into(),
            thumbprint_sha256: thumbprint.iter().map(|byte| format!("{byte:02x}")).collect(),
            certificate_pem: pem(der),
            ..Default::default()
        },
    };
    pb::Credential {
        name: domain::name::credential(workspace, found.id),
        state: state.into(),
        client_id: found.registration.client_id.to_string(),
        tenant_id: found.registration.tenant.to_string(),
        create_time: text::stamp(found.created_at),
        expire_time: text::stamp(found.expires_at),
        added_by: found.added_by.clone(),
        test_time: found.tested_at.and_then(text::stamp),
        expires_within_days: found.notice(now).map_or(0, i32::from),
        expired: found.has_expired(now),
        ..told
    }
}

/// RFC 7468: lines of 64 characters.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn named(tenant: String) -> Option<String> {
    Some(tenant).filter(|tenant| !tenant.trim().is_empty())
}

fn time(stamp: &prost_types::Timestamp) -> Option<Timestamp> {
    let micros = stamp.seconds.checked_mul(1_000_000)?.checked_add(i64::from(stamp.nanos) / 1_000)?;
    (0..1_000_000_000).contains(&stamp.nanos).then_some(Timestamp::from_micros(micros))
}
