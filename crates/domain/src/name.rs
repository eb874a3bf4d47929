//! Resource names as they stand in requests and answers (AIP-122), and back.

use crate::{AppId, CallerId, DataKeyId, InvalidId, KeyTestId, KeyVersionId, OperationId, WorkspaceId};

/// Why a text is not the resource name that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// The segments do not follow the pattern.
    #[error("a name must look like {pattern}")]
    Pattern {
        /// The pattern, e.g. `workspaces/{workspace}/apps/{app}`.
        pattern: &'static str,
    },
    /// A segment is not a well-formed id.
    #[error(transparent)]
    Id(#[from] InvalidId),
}

const WORKSPACE: &str = "workspaces/{workspace}";
const APP: &str = "workspaces/{workspace}/apps/{app}";
const KEY: &str = "workspaces/{workspace}/key";
const DATA_KEY: &str = "workspaces/{workspace}/apps/{app}/dataKeys/{data key}";
const CREDENTIAL: &str = "workspaces/{workspace}/credentials/{credential}";
const CONNECTION: &str = "workspaces/{workspace}/connection";
const OPERATION: &str = "operations/{operation}";
const CALLER: &str = "callers/{caller}";

/// `workspaces/{workspace}`.
pub fn parse_workspace(name: &str) -> Result<WorkspaceId, InvalidName> {
    let id = name.strip_prefix("workspaces/").ok_or(InvalidName::Pattern { pattern: WORKSPACE })?;
    if id.contains('/') {
        return Err(InvalidName::Pattern { pattern: WORKSPACE });
    }
    Ok(id.parse()?)
}

/// `workspaces/{workspace}/apps/{app}`.
pub fn parse_app(name: &str) -> Result<(WorkspaceId, AppId), InvalidName> {
    let pattern = InvalidName::Pattern { pattern: APP };
    let rest = name.strip_prefix("workspaces/").ok_or(pattern)?;
    let (workspace, rest) = rest.split_once('/').ok_or(pattern)?;
    let app = rest.strip_prefix("apps/").ok_or(pattern)?;
    if app.contains('/') {
        return Err(pattern);
    }
    Ok((workspace.parse()?, app.parse()?))
}

/// `workspaces/{workspace}/key`: a workspace has one key configuration.
pub fn parse_key(name: &str) -> Result<WorkspaceId, InvalidName> {
    let workspace = name
        .strip_prefix("workspaces/")
        .and_then(|rest| rest.strip_suffix("/key"))
        .filter(|id| !id.contains('/'))
        .ok_or(InvalidName::Pattern { pattern: KEY })?;
    Ok(workspace.parse()?)
}

/// `workspaces/{workspace}/connection`: a workspace has one.
pub fn parse_connection(name: &str) -> Result<WorkspaceId, InvalidName> {
    let workspace = name
        .strip_prefix("workspaces/")
        .and_then(|rest| rest.strip_suffix("/connection"))
        .filter(|id| !id.contains('/'))
        .ok_or(InvalidName::Pattern { pattern: CONNECTION })?;
    Ok(workspace.parse()?)
}

/// The name of a workspace's connection.
pub fn connection(workspace: &WorkspaceId) -> String {
    format!("workspaces/{workspace}/connection")
}

/// `operations/{operation}`.
pub fn parse_operation(name: &str) -> Result<OperationId, InvalidName> {
    Ok(name.strip_prefix("operations/").ok_or(InvalidName::Pattern { pattern: OPERATION })?.parse()?)
}

/// `callers/{caller}`.
pub fn parse_caller(name: &str) -> Result<CallerId, InvalidName> {
    let id = name.strip_prefix("callers/").ok_or(InvalidName::Pattern { pattern: CALLER })?;
    if id.contains('/') {
        return Err(InvalidName::Pattern { pattern: CALLER });
    }
    Ok(id.parse()?)
}

/// Prints `callers/{caller}`: of one in the database by its id, of one in the configuration by its name there.
pub fn caller(caller: &str) -> String {
    format!("callers/{caller}")
}

/// Prints `operations/{operation}`.
pub fn operation(operation: OperationId) -> String {
    format!("operations/{operation}")
}

/// Prints `workspaces/{workspace}`.
pub fn workspace(workspace: &WorkspaceId) -> String {
    format!("workspaces/{workspace}")
}

/// Prints `workspaces/{workspace}/apps/{app}`.
pub fn app(workspace: &WorkspaceId, app: &AppId) -> String {
    format!("workspaces/{workspace}/apps/{app}")
}

/// Prints `workspaces/{workspace}/key`.
pub fn key(workspace: &WorkspaceId) -> String {
    format!("workspaces/{workspace}/key")
}

/// Prints `workspaces/{workspace}/key/versions/{version}`.
pub fn key_version(workspace: &WorkspaceId, version: KeyVersionId) -> String {
    format!("workspaces/{workspace}/key/versions/{version}")
}

/// Prints `workspaces/{workspace}/key/tests/{test}`.
pub fn key_test(workspace: &WorkspaceId, test: KeyTestId) -> String {
    format!("workspaces/{workspace}/key/tests/{test}")
}

/// Parses `workspaces/{workspace}/apps/{app}/dataKeys/{data key}`.
pub fn parse_data_key(name: &str) -> Result<(WorkspaceId, AppId, DataKeyId), InvalidName> {
    let (app, data_key) = name.rsplit_once("/dataKeys/").ok_or(InvalidName::Pattern { pattern: DATA_KEY })?;
    let (workspace, app) = parse_app(app).map_err(|invalid| match invalid {
        InvalidName::Pattern { .. } => InvalidName::Pattern { pattern: DATA_KEY },
        id @ InvalidName::Id(_) => id,
    })?;
    Ok((workspace, app, data_key.parse()?))
}

/// Prints `workspaces/{workspace}/apps/{app}/dataKeys/{data key}`.
pub fn data_key(workspace: &WorkspaceId, app: &AppId, data_key: DataKeyId) -> String {
    format!("workspaces/{workspace}/apps/{app}/dataKeys/{data_key}")
}

/// Parses `workspaces/{workspace}/credentials/{credential}`.
pub fn parse_credential(name: &str) -> Result<(WorkspaceId, crate::CredentialId), InvalidName> {
    let wrong = || InvalidName::Pattern { pattern: CREDENTIAL };
    let (workspace, credential) = name.rsplit_once("/credentials/").ok_or_else(wrong)?;
    let workspace = parse_workspace(workspace).map_err(|invalid| match invalid {
        InvalidName::Pattern { .. } => wrong(),
        id @ InvalidName::Id(_) => id,
    })?;
    Ok((workspace, credential.parse()?))
}

/// Prints `workspaces/{workspace}/credentials/{credential}`.
pub fn credential(workspace: &WorkspaceId, credential: crate::CredentialId) -> String {
    format!("workspaces/{workspace}/credentials/{credential}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed is read back as the same thing.
    #[test]
    fn names_survive_a_round_trip() {
        let (w, a): (WorkspaceId, AppId) = ("acme".parse().unwrap(), "support-bot".parse().unwrap());
        assert_eq!(parse_workspace(&workspace(&w).to_string()), Ok(w.clone()));
        assert_eq!(parse_app(&app(&w, &a).to_string()), Ok((w.clone(), a)));
        assert_eq!(parse_key(&key(&w).to_string()), Ok(w));
    }

    /// A name with a segment too many, too few or out of place never reaches another resource.
    #[test]
    fn names_that_do_not_follow_the_pattern_are_refused() {
        for bad in [
            "",
            "acme",
            "workspaces/",
            "workspaces/acme/",
            "workspaces/acme/apps",
            "workspaces/acme/apps/",
            "workspaces/acme/apps/bot/x",
            "/workspaces/acme/apps/bot",
            "workspaces/acme/apps/../key",
        ] {
            assert!(parse_app(bad).is_err(), "{bad:?}");
        }
        assert!(parse_workspace("workspaces/acme/apps/bot").is_err());
        assert!(parse_key("workspaces/acme/x/key").is_err());
    }
}
