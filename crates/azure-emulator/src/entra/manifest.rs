//! What an app registration says about sign-in: where users may be sent back to, and which optional claims its tokens carry.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Microsoft Graph, whose delegated permissions the OpenID scopes are.
const GRAPH: &str = "00000003-0000-0000-c000-000000000000";
/// The permissions known here, by id, with the name the consent page shows and the scope they stand for.
const KNOWN: [(&str, &str); 5] = [
    ("37f7f235-527c-4136-accd-4a02d197296e", "openid"),
    ("14dad69e-099b-42c9-810b-d002981feec1", "profile"),
    ("64a6cdd6-aab1-4aaf-94b8-3cc8405e90d0", "email"),
    ("7427e0e9-2fba-42fe-b0c0-848c9e6a8182", "offline_access"),
    ("e1fe6dd8-ba31-4d61-89e7-88639da4683d", "User.Read"),
];

/// The parts of a manifest that count here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Registration {
    /// Compared exactly.
    pub(crate) redirect_uris: Vec<String>,
    /// Users of this directory only; absent: of every directory.
    pub(crate) single_tenant: bool,
    /// Optional claims of id_tokens, by name.
    pub(crate) claims: BTreeSet<String>,
    /// Directory roles as `wids`.
    pub(crate) directory_roles: bool,
    /// Groups as `groups`.
    pub(crate) groups: bool,
    /// What an administrator is asked to consent to, by name.
    pub(crate) permissions: Vec<String>,
}

/// Why a manifest was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestRefused {
    /// A member is not what it must be.
    #[error("the manifest's {0} is not what an app manifest has there")]
    Member(&'static str),
    /// A redirect address that the directory takes for no web app.
    #[error("a redirect URI begins with https:// (or http://localhost) and has no fragment")]
    RedirectUri,
    /// A permission of an API that is not there, or an unknown one.
    #[error("the permission {0} is not one of Microsoft Graph's sign-in permissions")]
    Permission(String),
}

impl Registration {
    /// From a manifest in the format of Microsoft Graph's `application`.
    pub(crate) fn read(manifest: &Value) -> Result<Self, ManifestRefused> {
        use ManifestRefused::Member;
        let single_tenant = match manifest["signInAudience"].as_str() {
            Some("AzureADMyOrg") => true,
            Some("AzureADMultipleOrgs" | "AzureADandPersonalMicrosoftAccount") => false,
            _ => return Err(Member("signInAudience")),
        };
        let list = |value: &Value, name: &'static str| match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => Ok(items.clone()),
            _ => Err(Member(name)),
        };
        let text = |value: &Value, name: &'static str| value.as_str().map(str::to_owned).ok_or(Member(name));
        let mut redirect_uris = Vec::new();
        for uri in list(&manifest["web"]["redirectUris"], "web.redirectUris")? {
            let uri = text(&uri, "web.redirectUris")?;
            let allowed = uri.starts_with("https://") || uri.starts_with("http://localhost");
            if !allowed || uri.contains('#') || uri.contains('*') {
                return Err(ManifestRefused::RedirectUri);
            }
            redirect_uris.push(uri);
        }
        let mut claims = BTreeSet::new();
        for claim in list(&manifest["optionalClaims"]["idToken"], "optionalClaims.idToken")? {
            claims.insert(text(&claim["name"], "optionalClaims.idToken")?);
        }
        let memberships = match &manifest["groupMembershipClaims"] {
            Value::Null => String::new(),
            value => text(value, "groupMembershipClaims")?,
        };
        let names = |wanted: &[&str]| memberships.split(',').any(|one| wanted.contains(&one.trim()));
        let mut permissions = Vec::new();
        for resource in list(&manifest["requiredResourceAccess"], "requiredResourceAccess")? {
            let of_graph = resource["resourceAppId"] == GRAPH;
            for access in list(&resource["resourceAccess"], "requiredResourceAccess")? {
                let id = text(&access["id"], "requiredResourceAccess")?;
                let known = KNOWN.iter().find(|(known, _)| of_graph && *known == id);
                let (_, name) = known.ok_or(ManifestRefused::Permission(id))?;
                permissions.push((*name).to_owned());
            }
        }
        Ok(Self {
            redirect_uris,
            single_tenant,
            claims,
            directory_roles: names(&["All", "DirectoryRole"]),
            groups: names(&["All", "SecurityGroup"]),
            permissions,
        })
    }
}
