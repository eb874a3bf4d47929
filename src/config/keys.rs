//! The platform's own key, and as whom customers' vaults are asked for theirs.

use std::path::PathBuf;

use domain::key_identifier::KeyIdentifier;

use super::document::Section;
use super::way_out::{WayOut, private};
use super::{Azure, AzureCredential, PlatformKey, VaultKey};

/// The table `[platform_key]`.
pub(super) fn platform_key(
    mut section: Section<'_, '_>,
    file: &impl Fn(&str) -> PathBuf,
    way_out: &mut WayOut,
) -> Option<PlatformKey> {
    let path = section.required("file", "write the path of the platform key; `byokd platform-key init` creates it");
    let key = section.text("vault_key").and_then(|text| {
        let parsed = KeyIdentifier::parse(text);
        match parsed {
            Ok(KeyIdentifier { location, version: None }) => Some(location),
            Ok(_) => {
                section.fault(
                    "vault_key",
                    "names a version",
                    "leave the version out: the file names the ones it needs",
                );
                None
            }
            Err(invalid) => {
                section.fault("vault_key", invalid.to_string(), "copy the Key Identifier from the Azure portal");
                None
            }
        }
    });
    let tenant = section.text("tenant").and_then(|text| {
        let tenant = text.parse().ok();
        if tenant.is_none() {
            section.fault("tenant", "is not a GUID", "copy the Tenant ID of the vault's directory");
        }
        tenant
    });
    let both = (section.has("vault_key"), section.has("tenant"));
    if both.0 != both.1 {
        section.fault(
            "",
            "`vault_key` and `tenant` belong together",
            "write both, or neither for a root kept in the file",
        );
    }
    way_out.approved.platform = private(&mut section, "private", &way_out.never);
    section.close();
    let vault_key = key.zip(tenant).map(|(location, tenant)| VaultKey { location, tenant });
    Some(PlatformKey { file: file(path?), vault_key })
}

/// The table `[azure]`.
pub(super) fn azure(mut section: Section<'_, '_>, file: &impl Fn(&str) -> PathBuf) -> Option<Azure> {
    if !section.is_present() {
        let hint = "add an [azure] table with `client_id` and one of `client_secret_file`, `certificate_file`, \
                    `federated_token_file`";
        section.fault("client_id", "is missing", hint);
        return None;
    }
    let client_id = section.required("client_id", "copy the Application (client) ID of our app registration");
    let secret = section.text("client_secret_file").map(file).map(AzureCredential::Secret);
    let certificate = section.text("certificate_file").map(file).map(AzureCredential::Certificate);
    let federated = section.text("federated_token_file").map(file).map(AzureCredential::FederatedToken);
    let mut given: Vec<_> = [secret, certificate, federated].into_iter().flatten().collect();
    if given.len() != 1 {
        let hint = "write exactly one of `client_secret_file`, `certificate_file`, `federated_token_file`";
        section.fault("", format!("{} credentials are given where one belongs", given.len()), hint);
    }
    let client_id = client_id.filter(|id| {
        let guid = id.parse::<domain::TenantId>().is_ok();
        if !guid {
            section.fault("client_id", "is not a GUID", "copy the Application (client) ID of our app registration");
        }
        guid
    });
    section.close();
    Some(Azure { client_id: client_id?.to_owned(), credential: given.pop()? })
}
