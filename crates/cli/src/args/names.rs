//! How names, times and durations are typed: what is not one is refused before anything is sent.

use std::time::Duration;

use domain::{AppId, OperationId, Timestamp, WorkspaceId, name};

/// A workspace, or one app of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) workspace: WorkspaceId,
    pub(crate) app: Option<AppId>,
}

impl Scope {
    /// `workspaces/{workspace}`
    pub(crate) fn parent(&self) -> String {
        name::workspace(&self.workspace)
    }

    /// `workspaces/{workspace}/apps/{app}`; empty for all.
    pub(crate) fn app(&self) -> String {
        self.app.as_ref().map_or_else(String::new, |app| name::app(&self.workspace, app))
    }
}

/// An app or bot by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppName {
    pub(crate) workspace: WorkspaceId,
    pub(crate) app: AppId,
}

impl AppName {
    /// `workspaces/{workspace}/apps/{app}`
    pub(crate) fn full(&self) -> String {
        name::app(&self.workspace, &self.app)
    }
}

pub(super) fn workspace(text: &str) -> Result<WorkspaceId, String> {
    let parsed = if text.contains('/') { name::parse_workspace(text) } else { text.parse().map_err(Into::into) };
    parsed.map_err(|error| error.to_string())
}

pub(super) fn app(text: &str) -> Result<AppName, String> {
    let full = match text.split_once('/') {
        Some((workspace, app)) if workspace != "workspaces" && !app.contains('/') => {
            format!("workspaces/{workspace}/apps/{app}")
        }
        Some(_) | None => text.to_owned(),
    };
    let (workspace, app) = name::parse_app(&full).map_err(|error| error.to_string())?;
    Ok(AppName { workspace, app })
}

pub(super) fn scope(text: &str) -> Result<Scope, String> {
    match workspace(text) {
        Ok(workspace) => Ok(Scope { workspace, app: None }),
        Err(_) if text.contains('/') => app(text).map(|AppName { workspace, app }| Scope { workspace, app: Some(app) }),
        Err(error) => Err(error),
    }
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    domain::usage::parse_time(text).ok_or_else(|| "a time looks like 2026-11-01T00:00:00Z".to_owned())
}

pub(super) fn entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some(("", _)) => Err("the key before = is empty".into()),
        Some((key, value)) => Ok((key.into(), value.into())),
        None => Err("an entry looks like key=value".into()),
    }
}

pub(super) fn operation(text: &str) -> Result<OperationId, String> {
    let parsed = if text.contains('/') { name::parse_operation(text) } else { text.parse().map_err(Into::into) };
    parsed.map_err(|error| error.to_string())
}

/// A data key by its full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataKeyName(pub(crate) String);

pub(super) fn data_key(text: &str) -> Result<DataKeyName, String> {
    let (workspace, app, id) = name::parse_data_key(text).map_err(|error| error.to_string())?;
    Ok(DataKeyName(name::data_key(&workspace, &app, id)))
}

/// A number with `s`, `m`, `h` or `d`.
pub(super) fn age(text: &str) -> Result<Duration, String> {
    let bad = || "an age looks like 90d, 12h, 30m or 45s".to_owned();
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    count.checked_mul(seconds).filter(|all| *all <= 100 * 365 * 86_400).map(Duration::from_secs).ok_or_else(bad)
}

/// Seconds, with or without the `s`.
pub(super) fn lease(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse::<u64>();
    match seconds {
        Ok(seconds @ 1..=300) => Ok(Duration::from_secs(seconds)),
        Ok(_) | Err(_) => Err("a lease is 1s to 300s".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short and full names mean the same thing; other forms are refused before anything is sent.
    #[test]
    fn names_are_taken_short_or_full() {
        assert_eq!(app("acme/support-bot"), app("workspaces/acme/apps/support-bot"));
        assert_eq!(workspace("acme"), workspace("workspaces/acme"));
        for bad in ["acme", "", "acme/", "/bot", "acme/b", "acme/x/y", "workspaces/acme", "ACME/bot", "acme/b\not"] {
            assert!(app(bad).is_err(), "{bad:?} was accepted");
        }
    }

    /// A context entry splits at its first `=`; an empty key and a missing `=` are refused.
    #[test]
    fn context_entries_are_key_and_value() {
        assert_eq!(entry("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(entry("a="), Ok(("a".into(), String::new())));
        assert!(entry("a").is_err() && entry("=a").is_err());
    }

    /// A lease outside the contract is refused here, with the bounds.
    #[test]
    fn a_lease_has_bounds() {
        assert_eq!(lease("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(lease("300"), Ok(Duration::from_secs(300)));
        for bad in ["0", "301", "5m", "", "-1", "1.5"] {
            assert!(lease(bad).is_err(), "{bad:?} was accepted");
        }
    }

    /// An age has a unit, and an operation's id one spelling.
    #[test]
    fn ages_and_operations_are_checked_here() {
        assert_eq!(age("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!((age("12h"), age("0s")), (Ok(Duration::from_secs(43_200)), Ok(Duration::ZERO)));
        for bad in ["", "d", "90", "-1d", "1w", "1.5h", "99999999999999999999d", "400000d", "1é"] {
            assert!(age(bad).is_err(), "{bad:?} was accepted");
        }
        let id = "01JABCDEFGHJKMNPQRSTVWXYZ0";
        assert_eq!(operation(id), operation(&format!("operations/{id}")));
        assert!(operation(id).is_ok() && operation(&id.to_lowercase()).is_err() && operation("x/y").is_err());
    }
}
