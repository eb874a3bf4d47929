//! What a customer's admin can paste to mend a step: a command of the Azure CLI with their own names in it.
//!
//! Every name that goes in was parsed before: a vault's and a key's name are letters, digits and hyphens, versions and nonces
//! hexadecimal, ids GUIDs, addresses addresses. Nothing a vault or a stranger wrote stands in a command.

use std::net::IpAddr;

use domain::{KeyVersionId, Reason};
use vault::KeyRef;

use super::ownership::TAG;

/// The names a command needs.
pub(super) struct Names<'a> {
    pub(super) key: &'a KeyRef,
    /// The version in question, where one is known.
    pub(super) version: Option<KeyVersionId>,
    /// Our application's id in their directory.
    pub(super) application: &'a str,
    /// The address their vault sees us under.
    pub(super) seen_as: Option<IpAddr>,
    /// This workspace's nonce for this key.
    pub(super) nonce: String,
}

impl Names<'_> {
    /// The command that mends what this reason tells of, where one does.
    pub(super) fn mend(&self, reason: Reason) -> Option<String> {
        let (vault, key, application) = (self.key.location.vault(), self.key.location.key(), self.application);
        match reason {
            Reason::VaultRoleMissing => Some(self.assign_role()),
            Reason::OwnershipNonceExpired | Reason::OwnershipNonceUsed => Some(self.set_tag()),
            Reason::OwnershipNotProven => Some(format!("{} && {}", self.assign_role(), self.set_tag())),
            Reason::VaultAccessPolicyMissing => Some(format!(
                "az keyvault set-policy --name {vault} --spn {application} --key-permissions get wrapKey unwrapKey"
            )),
            Reason::VaultFirewall => self
                .seen_as
                .map(|address| format!("az keyvault network-rule add --name {vault} --ip-address {address}")),
            Reason::VaultPublicAccessOff => Some(format!(
                "az keyvault private-endpoint-connection approve --id \"$(az keyvault show --name {vault} --query \
                 \"properties.privateEndpointConnections[?privateLinkServiceConnectionState.status=='Pending'].id | [0]\" \
                 --output tsv)\""
            )),
            Reason::KeyOperationForbidden => Some(self.set_attributes("--ops wrapKey unwrapKey")),
            Reason::KeyDisabled => Some(self.set_attributes("--enabled true")),
            Reason::KeyNotYetValid => Some(self.set_attributes("--not-before \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"")),
            Reason::KeyExpired | Reason::KeyExpires => {
                Some(format!("az keyvault key rotate --vault-name {vault} --name {key}"))
            }
            Reason::KeyNotFound => Some(format!(
                "az keyvault key show --vault-name {vault} --name {key} || az keyvault key recover --vault-name {vault} --name \
                 {key}"
            )),
            Reason::KeySoftDeleted => Some(format!("az keyvault key recover --vault-name {vault} --name {key}")),
            Reason::KeyUnsuitable | Reason::KeyManaged | Reason::KeyExportable => Some(format!(
                "az keyvault key create --vault-name {vault} --name {key}-byok --kty RSA --size 3072 --ops wrapKey unwrapKey"
            )),
            Reason::KeyPurgeable => Some(format!("az keyvault update --name {vault} --enable-purge-protection true")),
            Reason::VaultTenantMismatch => {
                Some(format!("az keyvault show --name {vault} --query properties.tenantId --output tsv"))
            }
            Reason::VaultNameUnknown => {
                Some(format!("az keyvault show --name {vault} --query properties.vaultUri --output tsv"))
            }
            Reason::EntraTenantUnknown => Some("az account show --query tenantId --output tsv".to_owned()),
            Reason::EntraAppNotInTenant | Reason::EntraConsentMissing => {
                Some(format!("az ad sp create --id {application}"))
            }
            Reason::EntraAppDisabled => Some(format!("az ad sp update --id {application} --set accountEnabled=true")),
            Reason::VaultDenied => Some(format!("az keyvault show --name {vault} --query properties")),
            // What passes by itself, what is set in the portal only, what is not the customer's to mend, and what no test ends
            // with. A reason without a command still has its remedy.
            _ => None,
        }
    }

    fn assign_role(&self) -> String {
        let (vault, key) = (self.key.location.vault(), self.key.location.key());
        format!(
            "az role assignment create --role \"Key Vault Crypto Service Encryption User\" --assignee {} --scope \"$(az \
             keyvault show --name {vault} --query id --output tsv)/keys/{key}\"",
            self.application
        )
    }

    fn set_tag(&self) -> String {
        self.set_attributes(&format!("--tags {TAG}={}", self.nonce))
    }

    fn set_attributes(&self, what: &str) -> String {
        let (vault, key) = (self.key.location.vault(), self.key.location.key());
        let version = self.version.map(|version| format!(" --version {version}")).unwrap_or_default();
        format!("az keyvault key set-attributes --vault-name {vault} --name {key}{version} {what}")
    }
}
