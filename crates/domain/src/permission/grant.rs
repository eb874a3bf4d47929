//! What a caller is given: actions, in workspaces, for apps.

use std::fmt;
use std::str::FromStr;

use super::Target;
use super::action::{Reach, Verb, Verbs};
use super::pattern::{InvalidPattern, Pattern};
use super::role::{ROLES, Role};
use crate::{AppId, InvalidId, WorkspaceId};

/// Actions × workspaces × apps, as it is written: `platform-service@*/support-*`, `workspace-owner@acme`, `data.encrypt@acme/bot`,
/// `*`. What is not said is any, but for roles of a workspace, which must say which.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Grant {
    what: What,
    workspaces: Pattern,
    apps: Pattern,
}

/// Which actions a grant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// All of them, those to come included.
    Everything,
    /// A role's.
    Role(Role),
    /// One.
    Verb(Verb),
}

/// Why a text is no grant. Says the rule and what to write instead; never repeats the text (it may hold control characters).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidGrant {
    /// Neither a role nor an action.
    #[error("a grant begins with *, a role ({}) or an action such as data.encrypt", roles())]
    What,
    /// The workspaces are no pattern.
    #[error("workspaces: {0}")]
    Workspaces(InvalidPattern),
    /// The apps are no pattern.
    #[error("apps: {0}")]
    Apps(InvalidPattern),
    /// A role of workspaces that does not say of which.
    #[error("{0} must say for which workspaces: {0}@WORKSPACE, or {0}@* for all of them")]
    WorkspacesMissing(Role),
    /// A grant that could never permit anything.
    #[error("{0} is about whole workspaces: leave the app out")]
    NoApps(What),
}

fn roles() -> String {
    Role::ALL.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", ")
}

impl Grant {
    /// The longest text of a grant, in bytes.
    pub const LONGEST: usize = 200;

    /// Everything everywhere.
    pub const EVERYTHING: Self = Self { what: What::Everything, workspaces: Pattern::Any, apps: Pattern::Any };

    /// A role everywhere.
    pub const fn everywhere(role: Role) -> Self {
        Self { what: What::Role(role), workspaces: Pattern::Any, apps: Pattern::Any }
    }

    /// Which actions it is for.
    pub fn what(&self) -> What {
        self.what
    }

    /// The one workspace it names, if it is for one only.
    pub fn workspace(&self) -> Option<WorkspaceId> {
        match &self.workspaces {
            Pattern::Exactly(id) => id.parse().ok(),
            Pattern::Any | Pattern::Beginning(_) => None,
        }
    }

    /// The form in which it decides.
    pub(super) fn compile(&self) -> Compiled {
        let verbs = match self.what {
            What::Everything => Verbs::EVERY,
            What::Role(role) => role.verbs(),
            What::Verb(verb) => Verbs::of(&[verb]),
        };
        let service = self.what == What::Role(Role::PlatformService);
        let everything = self.what == What::Everything;
        Compiled { verbs, service, everything, workspaces: self.workspaces.clone(), apps: self.apps.clone() }
    }
}

impl What {
    fn has_an_action_about_apps(self) -> bool {
        let about_apps = |verb: &Verb| verb.reach() == Reach::App;
        match self {
            Self::Everything => true,
            Self::Verb(verb) => about_apps(&verb),
            Self::Role(role) => ROLES.iter().any(|(of, verbs)| *of == role && verbs.iter().any(about_apps)),
        }
    }
}

/// A grant as it is asked on every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Compiled {
    verbs: Verbs,
    /// Given as the role of the platform's services.
    service: bool,
    /// Given as everything, actions to come included.
    everything: bool,
    workspaces: Pattern,
    apps: Pattern,
}

impl Compiled {
    /// Whether this very target is one the grant is for, whatever the action. A grant for some apps is not for the workspace
    /// they are in, and one for some workspaces is not for the platform.
    pub(super) fn covers(&self, target: &Target) -> bool {
        match target {
            Target::Platform => self.workspaces.is_any() && self.apps.is_any(),
            Target::Workspace(workspace) => self.apps.is_any() && self.workspaces.covers(workspace.as_str()),
            Target::App(workspace, app) => self.workspaces.covers(workspace.as_str()) && self.apps.covers(app.as_str()),
        }
    }

    /// Whether this grant opens, for one action, every target that `wanted` opens, and in the same capacity: what a service does
    /// with data is not recorded one by one, so only who was given that role hands it on.
    pub(super) fn covers_grant(&self, wanted: &Self, verb: Verb) -> bool {
        self.has(verb)
            && self.workspaces.includes(&wanted.workspaces)
            && self.apps.includes(&wanted.apps)
            && (self.service || !wanted.service || !verb.is_data())
            && (self.everything || !wanted.everything)
    }

    pub(super) fn has(&self, verb: Verb) -> bool {
        self.verbs.contains(verb)
    }

    /// Whether it is the role of the platform's services.
    pub(super) fn is_a_services(&self) -> bool {
        self.service
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Role(role) => role.fmt(f),
            Self::Verb(verb) => verb.fmt(f),
        }
    }
}

/// The shortest text that means the same, so that equal grants have equal texts.
impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.what.fmt(f)?;
        let must_say = matches!(self.what, What::Role(role) if role.names_its_workspaces());
        if must_say || !self.workspaces.is_any() || !self.apps.is_any() {
            write!(f, "@{}", self.workspaces)?;
        }
        if !self.apps.is_any() {
            write!(f, "/{}", self.apps)?;
        }
        Ok(())
    }
}

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let (what, place) = match text.split_once('@') {
            Some((what, place)) => (what, Some(place)),
            None => (text, None),
        };
        let what = match (what, what.parse::<Role>(), what.parse::<Verb>()) {
            ("*", _, _) => What::Everything,
            (_, Ok(role), _) => What::Role(role),
            (_, _, Ok(verb)) => What::Verb(verb),
            _ => return Err(InvalidGrant::What),
        };
        let (workspaces, apps) = match place {
            None => {
                if let What::Role(role) = what
                    && role.names_its_workspaces()
                {
                    return Err(InvalidGrant::WorkspacesMissing(role));
                }
                (Pattern::Any, Pattern::Any)
            }
            Some(place) => {
                let (workspaces, apps) = place.split_once('/').unwrap_or((place, "*"));
                let workspace = |text: &str| text.parse::<WorkspaceId>().map(drop);
                let app = |text: &str| -> Result<(), InvalidId> { text.parse::<AppId>().map(drop) };
                (
                    Pattern::parse(workspaces, workspace).map_err(InvalidGrant::Workspaces)?,
                    Pattern::parse(apps, app).map_err(InvalidGrant::Apps)?,
                )
            }
        };
        if !apps.is_any() && !what.has_an_action_about_apps() {
            return Err(InvalidGrant::NoApps(what));
        }
        Ok(Self { what, workspaces, apps })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grant is read as it is written, and written in one way.
    #[test]
    fn a_grant_has_one_text() {
        for (text, shortest) in [
            ("*", "*"),
            ("*@*", "*"),
            ("*@*/*", "*"),
            ("*@acme", "*@acme"),
            ("*@*/support-*", "*@*/support-*"),
            ("platform-service@*/support-*", "platform-service@*/support-*"),
            ("platform-operator", "platform-operator"),
            ("workspace-owner@acme", "workspace-owner@acme"),
            ("workspace-owner@*", "workspace-owner@*"),
            ("auditor@acme-*", "auditor@acme-*"),
            ("data.encrypt@acme/bot", "data.encrypt@acme/bot"),
            ("key.revoke@acme/*", "key.revoke@acme"),
        ] {
            let grant: Grant = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(grant.to_string(), shortest);
            assert_eq!(shortest.parse(), Ok(grant));
        }
    }

    /// What is no grant is refused with a sentence of its own that repeats nothing of it.
    #[test]
    fn what_is_no_grant_is_refused() {
        for (text, sentence) in [
            ("", "begins with"),
            ("root", "begins with"),
            ("@acme", "begins with"),
            ("data.*", "begins with"),
            ("Auditor", "begins with"),
            (" *", "begins with"),
            ("auditor@", "workspaces: a workspace id must have 3"),
            ("auditor@Acme", "workspaces: a workspace id must be lower-case"),
            ("auditor@acme*", "workspaces: the beginning before *"),
            ("auditor@*acme", "workspaces: a workspace id must be lower-case"),
            ("auditor@-*", "workspaces: the beginning before *"),
            ("auditor@a-**", "workspaces: the beginning before *"),
            ("*@acme/", "apps: an app id must have 3"),
            ("*@acme/bot/x", "apps: an app id must be lower-case"),
            ("*@acme@corp", "workspaces: a workspace id must be lower-case"),
            ("workspace-owner", "workspace-owner@WORKSPACE"),
            ("workspace-admin", "workspace-admin@WORKSPACE"),
            ("key.revoke@acme/bot", "key.revoke is about whole workspaces"),
            ("auditor@acme/bot", "auditor is about whole workspaces"),
        ] {
            let refused = text.parse::<Grant>().expect_err(text).to_string();
            assert!(refused.contains(sentence), "{text:?}: {refused}");
        }
    }
}
