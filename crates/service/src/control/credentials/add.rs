//! Adding a credential: a secret that somebody pasted, or a certificate whose key is made here.

use domain::credential::{
    CERTIFICATE_LASTS, Credential, CredentialEvent, CredentialRefused, Integration, InvalidPaste, Proof, Registration,
    SLOTS, check_secret, client_id,
};
use domain::entropy::random;
use domain::permission::{self, Permit};
use domain::{Cloud, CredentialId, Reason, Timestamp, WorkspaceId};
use vault::azure::MadeCertificate;
use zeroize::Zeroizing;

use super::{refused, to_the_end, workspace_of};
use crate::core::Core;
use crate::{Refusal, Service};

/// How many characters of a secret are told.
const TOLD: usize = 4;

/// A secret of an app registration, as somebody pasted it. Not printed: it holds the secret.
pub struct AddSecret {
    /// The Application (client) ID.
    pub client_id: String,
    /// The directory, as a person types it; absent for that of the configured key.
    pub tenant: Option<String>,
    /// The secret's Value.
    pub value: Zeroizing<String>,
    /// When the directory says that it expires.
    pub expires_at: Timestamp,
}

/// A certificate to be made for an app registration.
#[derive(Debug, Clone)]
pub struct MakeCertificate {
    /// The Application (client) ID.
    pub client_id: String,
    /// The directory, as a person types it; absent for that of the configured key.
    pub tenant: Option<String>,
}

/// A certificate that was made here.
#[derive(Debug, Clone)]
pub struct MadeHere {
    /// The workspace's credentials with it.
    pub integration: Integration,
    /// Which it is.
    pub credential: CredentialId,
}

impl Service {
    /// Adds a client secret to a free slot. It is sealed before it is stored, and no answer ever holds it.
    pub async fn add_secret(
        &self,
        permit: &Permit<permission::ChangeCredentials>,
        request: AddSecret,
    ) -> Result<(Integration, CredentialId), Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        // Before anything is asked of the database: what was pasted may be what nobody may keep.
        let value = check_secret(&request.value).map_err(paste)?;
        let last_four = value[value.len() - TOLD..].to_owned();
        let value = Zeroizing::new(value.to_owned());
        to_the_end(async move {
            let registration = core.registration(&workspace, &request.client_id, request.tenant.as_deref()).await?;
            let proof = Proof::Secret { last_four };
            core.add_credential(&workspace, &actor, registration, proof, request.expires_at, value.as_bytes()).await
        })
        .await
    }

    /// Makes a key and a certificate for the registration, valid for twelve months. The private key never leaves: it is sealed,
    /// and the certificate's public part is what the customer uploads.
    pub async fn make_certificate(
        &self,
        permit: &Permit<permission::ChangeCredentials>,
        request: MakeCertificate,
    ) -> Result<MadeHere, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move {
            let registration = core.registration(&workspace, &request.client_id, request.tenant.as_deref()).await?;
            // Making a key is work: it is not begun for who has no slot.
            let present = core.integration_to_read(&workspace).await?;
            if present.live().count() >= SLOTS {
                return Err(refused(CredentialRefused::SlotsFull));
            }
            let (name, now) = (workspace.to_string(), core.clock.now().wall);
            let make = move || MadeCertificate::make(&name, now, CERTIFICATE_LASTS);
            let made = tokio::task::spawn_blocking(make).await;
            let not_made = || Refusal::because(Reason::Internal).detail("the certificate could not be made");
            let made = made.map_err(|_| not_made())?.map_err(|why| not_made().caused_by(why))?;
            let proof = Proof::Certificate { der: made.der.clone(), thumbprint: made.thumbprint };
            // Sealed at once: the key stands in the open here and nowhere after.
            let credential = core.new_credential(registration, proof, made.expires_at, &actor);
            let credential = made.expose_key(|key| core.sealed(&workspace, credential, key));
            drop(made);
            let (integration, credential) = core.put_added(&workspace, &actor, credential).await?;
            Ok(MadeHere { integration, credential })
        })
        .await
    }
}

fn paste(invalid: InvalidPaste) -> Refusal {
    Refusal::because(invalid.reason()).detail(invalid.to_string())
}

impl Core {
    /// The registration that is meant, in the configured key's directory and cloud if nothing else is said.
    async fn registration(
        &self,
        workspace: &WorkspaceId,
        client: &str,
        directory: Option<&str>,
    ) -> Result<Registration, Refusal> {
        let client_id = client_id(client).map_err(paste)?;
        let config = self.store.key_config(workspace).await?;
        let cloud = config.as_ref().map_or(Cloud::Public, |config| config.location.cloud());
        let missing = || {
            Refusal::because(Reason::TenantInvalid)
                .detail("no key is configured whose directory could be meant: name the tenant")
        };
        let named = match directory {
            Some(typed) => Some(self.named_tenant(cloud, typed).await?),
            None => None,
        };
        let tenant = named.or_else(|| config.map(|config| config.tenant)).ok_or_else(missing)?;
        Ok(Registration { cloud, tenant, client_id })
    }

    async fn add_credential(
        &self,
        workspace: &WorkspaceId,
        actor: &str,
        registration: Registration,
        proof: Proof,
        expires_at: Timestamp,
        secret: &[u8],
    ) -> Result<(Integration, CredentialId), Refusal> {
        let credential = self.new_credential(registration, proof, expires_at, actor);
        let credential = self.sealed(workspace, credential, secret);
        self.put_added(workspace, actor, credential).await
    }

    fn new_credential(
        &self,
        registration: Registration,
        proof: Proof,
        expires_at: Timestamp,
        actor: &str,
    ) -> Credential {
        Credential {
            id: CredentialId::from_bytes(random(&*self.entropy)),
            registration,
            proof,
            created_at: self.clock.now().wall,
            expires_at,
            added_by: actor.to_owned(),
            tested_at: None,
            removed_at: None,
            noticed: None,
            sealed: Vec::new(),
        }
    }

    /// With its secret part, bound to this workspace's row.
    fn sealed(&self, workspace: &WorkspaceId, credential: Credential, secret: &[u8]) -> Credential {
        let sealed = self.platform.seal_secret(secret, &credential.identity(workspace), &*self.entropy);
        Credential { sealed, ..credential }
    }

    async fn put_added(
        &self,
        workspace: &WorkspaceId,
        actor: &str,
        credential: Credential,
    ) -> Result<(Integration, CredentialId), Refusal> {
        let id = credential.id;
        let told = Credential { sealed: Vec::new(), ..credential.clone() };
        let what = CredentialEvent::Added(Box::new(told));
        let added = self.change_integration(workspace, actor, what, |found, now| found.add(credential, now)).await?;
        Ok((added, id))
    }
}
