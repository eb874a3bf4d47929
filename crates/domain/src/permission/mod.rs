//! Who may do what: the one function that decides, and the proof it hands out.

mod action;
mod caller;
mod giving;
mod grant;
mod pattern;
mod role;

use std::marker::PhantomData;
use std::sync::Arc;

use crate::{AppId, WorkspaceId};

pub use action::*;
pub use caller::Caller;
pub use giving::{Giver, covers, permit_to_give};
pub use grant::{Grant, InvalidGrant, What};
pub use pattern::{InvalidPattern, Pattern};
pub use role::{NotARole, ROLES, Role};

/// What an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The platform as a whole.
    Platform,
    /// One workspace.
    Workspace(WorkspaceId),
    /// One app of one workspace.
    App(WorkspaceId, AppId),
}

/// The proof that a caller may do `A` to a target. Only [`permit`] makes one; every use case asks for one.
#[derive(Debug)]
pub struct Permit<A: Action> {
    actor: Arc<str>,
    target: Target,
    personal: bool,
    action: PhantomData<fn() -> A>,
}

/// The caller may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPermitted {
    /// None of the caller's grants is for this target. Told to the outside exactly like "there is no such thing" (I-14).
    #[error("not found")]
    NotThere,
    /// The target is one the caller was given something for, but not this.
    #[error("{0} is not granted")]
    NotGranted(Verb),
}

/// Decides whether `caller` may do `A` to `target`.
///
/// It looks at the grants alone. Whether the target exists plays no part, so that the answer says nothing about that. Only who
/// was given something for this very target is told what is missing; the platform as a whole is no secret.
pub fn permit<A: Action>(caller: &Caller, target: Target) -> Result<Permit<A>, NotPermitted> {
    let (mut covered, mut granted, mut service) = (target == Target::Platform, false, false);
    for grant in &caller.grants {
        // The bit is looked at first: it is cheaper than the names, and only a refusal needs to know what else is covered.
        if grant.has(A::VERB) && grant.covers(&target) {
            granted = true;
            service = grant.is_a_services();
            if service || !A::VERB.is_data() {
                break;
            }
        }
    }
    if granted {
        let personal = A::VERB.is_data() && !service;
        return Ok(Permit { actor: caller.name.clone(), target, personal, action: PhantomData });
    }
    covered |= caller.grants.iter().any(|grant| grant.covers(&target));
    Err(if covered { NotPermitted::NotGranted(A::VERB) } else { NotPermitted::NotThere })
}

impl<A: Action> Permit<A> {
    /// Who acts, for the audit record.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// The workspace it was given for, if it is about one.
    pub fn workspace(&self) -> Option<&WorkspaceId> {
        match &self.target {
            Target::Platform => None,
            Target::Workspace(workspace) | Target::App(workspace, _) => Some(workspace),
        }
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether data is used by somebody who was given that as a person (`data.decrypt@acme`, `*`) and not as one of the
    /// platform's services: such use is to be accounted for one by one.
    pub fn is_personal(&self) -> bool {
        self.personal
    }
}

impl Permit<ConfigureKey> {
    /// Whoever may change a key's configuration is shown it in the answer.
    pub fn and_read(&self) -> Permit<ReadKey> {
        Permit { actor: self.actor.clone(), target: self.target.clone(), personal: self.personal, action: PhantomData }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(grants: &[&str]) -> Caller {
        let grants: Vec<Grant> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
        Caller::new("somebody", &grants)
    }

    fn workspace(id: &str) -> Target {
        Target::Workspace(id.parse().unwrap())
    }

    fn app(id: &str, app: &str) -> Target {
        Target::App(id.parse().unwrap(), app.parse().unwrap())
    }

    /// A grant for some apps opens those apps, and neither others nor the workspace they are in.
    #[test]
    fn a_grant_for_an_app_is_not_for_its_workspace() {
        let caller = caller(&["platform-service@acme/support-*"]);
        assert!(permit::<Decrypt>(&caller, app("acme", "support-bot")).is_ok());
        for target in [app("acme", "support"), app("acme", "sales"), app("other", "support-bot"), workspace("acme")] {
            assert_eq!(permit::<Decrypt>(&caller, target.clone()).unwrap_err(), NotPermitted::NotThere, "{target:?}");
        }
        assert_eq!(permit::<ReadSelection>(&caller, workspace("acme")).unwrap_err(), NotPermitted::NotThere);
    }

    /// What is missing is told only to who was given something for this very target (I-14).
    #[test]
    fn what_is_missing_is_told_only_where_something_was_given() {
        let caller = caller(&["workspace-admin@acme", "data.decrypt@other/bot"]);
        let refused = |target| permit::<LeaveCustomerKey>(&caller, target).unwrap_err();
        assert_eq!(refused(workspace("acme")), NotPermitted::NotGranted(Verb::LeaveCustomerKey));
        assert_eq!(refused(app("acme", "bot")), NotPermitted::NotGranted(Verb::LeaveCustomerKey));
        assert_eq!(refused(app("other", "bot")), NotPermitted::NotGranted(Verb::LeaveCustomerKey));
        assert_eq!(refused(workspace("other")), NotPermitted::NotThere);
        assert_eq!(refused(app("other", "sales")), NotPermitted::NotThere);
        assert_eq!(refused(Target::Platform), NotPermitted::NotGranted(Verb::LeaveCustomerKey));
    }

    /// The platform as a whole is only for who was given all of it.
    #[test]
    fn the_platform_is_for_who_was_given_all_of_it() {
        assert!(permit::<ReadWorkspaces>(&caller(&["platform-operator"]), Target::Platform).is_ok());
        for less in ["platform-operator@acme", "workspaces.read@acme-*", "*@*/support-*", "platform-service"] {
            assert!(permit::<ReadWorkspaces>(&caller(&[less]), Target::Platform).is_err(), "{less}");
        }
    }

    /// Use of data by anything but the role of the platform's services is somebody's own, and a service's stays a service's.
    #[test]
    fn use_of_data_by_a_person_is_told_apart() {
        let of = |grants: &[&str]| permit::<Decrypt>(&caller(grants), app("acme", "bot")).unwrap().is_personal();
        assert!(of(&["data.decrypt@acme"]));
        assert!(of(&["*"]));
        assert!(!of(&["platform-service"]));
        assert!(!of(&["*", "platform-service@acme"]), "in whatever order");
        assert!(of(&["*", "platform-service@other"]), "a service elsewhere is a person here");
        assert!(!permit::<ReadKey>(&caller(&["*"]), workspace("acme")).unwrap().is_personal(), "not data");
    }

    /// Nobody without grants may do anything.
    #[test]
    fn nothing_is_permitted_without_a_grant() {
        assert_eq!(permit::<Encrypt>(&caller(&[]), app("acme", "bot")).unwrap_err(), NotPermitted::NotThere);
        assert!(permit::<ReadWorkspaces>(&caller(&[]), Target::Platform).is_err());
    }
}
