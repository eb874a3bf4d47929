//! Which roles there are, and what each may do: the table that people read.

use std::fmt;
use std::str::FromStr;

use super::action::{Verb, Verbs};

/// A set of actions with a name that people give to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// The platform's own services: they use keys and administer nothing.
    PlatformService,
    /// Who runs this service: looks after it, and reads no customer's data.
    PlatformOperator,
    /// Who answers for a workspace's key.
    WorkspaceOwner,
    /// Who looks after a workspace's key from day to day.
    WorkspaceAdmin,
    /// Who looks and changes nothing.
    Auditor,
}

/// A text that names no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARole;

/// What each role may do. The reasons stand beside what may surprise.
pub const ROLES: &[(Role, &[Verb])] = &[
    (
        Role::PlatformService,
        &[
            Verb::Encrypt,
            Verb::Decrypt,
            Verb::ReEncrypt,
            // A service that follows which apps are under the customer's key learns nothing else about the key by it.
            Verb::ReadSelection,
        ],
    ),
    (
        Role::PlatformOperator,
        &[
            Verb::CreateWorkspace,
            Verb::ReadWorkspaces,
            Verb::DeleteWorkspace,
            Verb::ChangeApps,
            Verb::ReadApps,
            // It stores a credential of its own making and gives back whether that worked, never an app's data.
            Verb::ValidateApp,
            Verb::ReadOperations,
            Verb::CancelOperation,
            Verb::ReadKey,
            Verb::ReadSelection,
            // Whoever is on duty may switch a key off in an emergency: that only takes away. Switching on again is the
            // customer's, or an operator could undo what the customer decided.
            Verb::RevokeKey,
            // Both renew what is there, under the key that the customer chose.
            Verb::RotateKey,
            Verb::RotateDataKeys,
            Verb::ReadUsage,
            Verb::ReadAudit,
            Verb::MakeCheckpoint,
            Verb::ReadCredentials,
            Verb::ReadCallers,
            // Nobody gives more than they hold: an operator makes operators and auditors, and neither a service, which uses
            // data, nor a workspace's owner, who decides whose key it is. Taking away knows no such bound: whoever is on duty
            // may shut anybody out.
            Verb::ChangeCallers,
            Verb::ReadConnection,
            // Absent on purpose: credentials.change and tenant.connect, because as whom a customer's directory is asked, and which
            // one that is, is the customer's to say; data.*, because no
            // customer's data is read by who runs the service; key.export, because it
            // takes every wrapped key away; key.configure, key.schedule, key.select_apps, key.replace, key.leave and
            // key.destroy_data_key, because they decide whose key it is; operations.decide, because an operator who approves
            // for a customer is the insider that approval is there for; key.test, because it uses the customer's vault.
        ],
    ),
    (
        Role::WorkspaceOwner,
        &[
            Verb::ReadWorkspaces,
            Verb::ReadApps,
            Verb::ValidateApp,
            Verb::ConfigureKey,
            Verb::ReadKey,
            Verb::ScheduleEnforcement,
            Verb::SelectApps,
            Verb::ReadSelection,
            Verb::RevokeKey,
            Verb::RestoreKey,
            Verb::TestKey,
            Verb::ExportWrappedKeys,
            Verb::RotateKey,
            Verb::RotateDataKeys,
            Verb::ReadOperations,
            Verb::CancelOperation,
            Verb::ReadUsage,
            Verb::ReadAudit,
            Verb::MakeCheckpoint,
            Verb::DecideOperation,
            Verb::ReplaceKey,
            Verb::LeaveCustomerKey,
            Verb::DestroyDataKey,
            Verb::ReadCredentials,
            Verb::ChangeCredentials,
            Verb::ReadConnection,
            Verb::ConnectTenant,
            Verb::DisconnectTenants,
            // Absent on purpose: data.*, because who holds the key's fate does not thereby read data; workspaces.create,
            // workspaces.delete and apps.change, because they are the platform's records of what it sells; callers.change,
            // because an owner who makes callers could be the second person for what it asks itself.
        ],
    ),
    (
        Role::WorkspaceAdmin,
        &[
            Verb::ReadWorkspaces,
            Verb::ReadApps,
            Verb::ValidateApp,
            Verb::ConfigureKey,
            Verb::ReadKey,
            Verb::ScheduleEnforcement,
            Verb::SelectApps,
            Verb::ReadSelection,
            Verb::RevokeKey,
            Verb::RestoreKey,
            Verb::TestKey,
            Verb::RotateKey,
            Verb::RotateDataKeys,
            Verb::ReadOperations,
            // Stopping what was asked for only takes away, and a stolen owner's session is stopped by whoever sees it first.
            Verb::CancelOperation,
            Verb::ReadUsage,
            Verb::ReadAudit,
            Verb::MakeCheckpoint,
            Verb::ReadCredentials,
            // A new secret every year is daily work. Nothing goes to another directory by it.
            Verb::ChangeCredentials,
            Verb::ReadConnection,
            Verb::ConnectTenant,
            // Absent on purpose, beside what the owner lacks: tenant.disconnect, after which everything has to be proven anew (an
            // admin who has to stop the key at once revokes it); key.export, key.replace, key.leave and key.destroy_data_key,
            // which cannot be taken back, and operations.decide, by which two admins together could do them.
        ],
    ),
    (
        Role::Auditor,
        &[
            Verb::ReadWorkspaces,
            Verb::ReadApps,
            Verb::ReadKey,
            Verb::ReadSelection,
            Verb::ReadOperations,
            Verb::ReadUsage,
            Verb::ReadAudit,
            // It writes one line that says how far the chain has come: what an auditor keeps to find out about changes.
            Verb::MakeCheckpoint,
            Verb::ReadCallers,
            Verb::ReadConnection,
            Verb::ReadCredentials,
            // Absent on purpose: key.test and apps.validate, which read as checks, but ask the customer's vault and write rows.
        ],
    ),
];

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] =
        &[Self::PlatformService, Self::PlatformOperator, Self::WorkspaceOwner, Self::WorkspaceAdmin, Self::Auditor];

    /// The stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PlatformService => "platform-service",
            Self::PlatformOperator => "platform-operator",
            Self::WorkspaceOwner => "workspace-owner",
            Self::WorkspaceAdmin => "workspace-admin",
            Self::Auditor => "auditor",
        }
    }

    /// What it may do.
    pub fn verbs(self) -> Verbs {
        let of = ROLES.iter().find(|(role, _)| *role == self);
        of.map_or(Verbs::of(&[]), |(_, verbs)| Verbs::of(verbs))
    }

    /// Whether a grant must say for which workspaces: forgetting to would make an owner of everybody's.
    pub const fn names_its_workspaces(self) -> bool {
        matches!(self, Self::WorkspaceOwner | Self::WorkspaceAdmin)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = NotARole;
    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.iter().copied().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each role stands in the table once, and no role's name is an action's.
    #[test]
    fn every_role_stands_in_the_table_once() {
        assert_eq!(ROLES.iter().map(|(role, _)| *role).collect::<Vec<_>>(), Role::ALL);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
            assert!(role.as_str().parse::<Verb>().is_err());
        }
    }

    /// Only the platform's services use data keys: nobody administers and reads.
    #[test]
    fn who_administers_reads_no_data() {
        for (role, verbs) in ROLES {
            let data = verbs.iter().filter(|verb| verb.is_data()).count();
            assert_eq!(data, if *role == Role::PlatformService { 3 } else { 0 }, "{role}");
        }
    }
}
