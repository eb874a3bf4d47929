//! What can be permitted, by name.

use std::fmt;
use std::str::FromStr;

/// What an action is about at its finest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reach {
    /// One app: a grant may name apps.
    App,
    /// A whole workspace, or the platform.
    Workspace,
}

/// Something that can be permitted. Implemented by the marker types below and nothing else.
pub trait Action: sealed::Sealed + Send + Sync + 'static {
    /// Which of the verbs it is.
    const VERB: Verb;
    /// The action's stable name.
    const NAME: &'static str = Self::VERB.as_str();
}

mod sealed {
    pub trait Sealed {}
}

/// A text that names no action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAVerb;

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $name:literal about $reach:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub enum $action {}
            impl sealed::Sealed for $action {}
            impl Action for $action {
                const VERB: Verb = Verb::$action;
            }
        )*

        /// An action as a value: what grants, tables and refusals name. Configurations hold the names, so they never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Verb {
            $($(#[$doc])* $action,)*
        }

        impl Verb {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$action,)*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$action => $name,)* }
            }

            /// What it is about at its finest.
            pub const fn reach(self) -> Reach {
                match self { $(Self::$action => Reach::$reach,)* }
            }
        }
    };
}

actions! {
    /// Encrypt an app's data.
    Encrypt = "data.encrypt" about App;
    /// Decrypt an app's data.
    Decrypt = "data.decrypt" about App;
    /// Open and seal again in one step.
    ReEncrypt = "data.reencrypt" about App;
    /// Create a workspace.
    CreateWorkspace = "workspaces.create" about Workspace;
    /// Read one workspace or list them.
    ReadWorkspaces = "workspaces.read" about Workspace;
    /// Delete a workspace.
    DeleteWorkspace = "workspaces.delete" about Workspace;
    /// Create, change or delete apps and bots.
    ChangeApps = "apps.change" about App;
    /// List apps and bots.
    ReadApps = "apps.read" about Workspace;
    /// Connect a customer key.
    ConfigureKey = "key.configure" about Workspace;
    /// Read a key's configuration and versions.
    ReadKey = "key.read" about Workspace;
    /// Set or move the date from which the customer's key is used.
    ScheduleEnforcement = "key.schedule" about Workspace;
    /// Choose which apps and bots are under the customer's key.
    SelectApps = "key.select_apps" about Workspace;
    /// Read and watch which apps and bots are under the customer's key.
    ReadSelection = "key.read_selection" about Workspace;
    /// Switch the customer's key off here.
    RevokeKey = "key.revoke" about Workspace;
    /// Switch it on again.
    RestoreKey = "key.restore" about Workspace;
    /// Test a key's configuration: asks the customer's vault.
    TestKey = "key.test" about Workspace;
    /// Export wrapped keys.
    ExportWrappedKeys = "key.export" about Workspace;
    /// Go over to another version of the customer's key.
    RotateKey = "key.rotate" about Workspace;
    /// Give apps new data keys.
    RotateDataKeys = "key.rotate_data_keys" about Workspace;
    /// Read and watch operations.
    ReadOperations = "operations.read" about Workspace;
    /// End an operation.
    CancelOperation = "operations.cancel" about Workspace;
    /// Store and fetch a credential of an app, to show under whose key its data is.
    ValidateApp = "apps.validate" about App;
    /// Read what was sealed and opened, by app, key and hour.
    ReadUsage = "usage.read" about Workspace;
    /// Approve or reject what somebody else asked for.
    DecideOperation = "operations.decide" about Workspace;
    /// Go over to another key.
    ReplaceKey = "key.replace" about Workspace;
    /// Go back to the platform's key for new data.
    LeaveCustomerKey = "key.leave" about Workspace;
    /// Destroy a data key.
    DestroyDataKey = "key.destroy_data_key" about App;
    /// Read, export and verify a ledger.
    ReadAudit = "audit.read" about Workspace;
    /// Have it signed how far a ledger has come.
    MakeCheckpoint = "audit.checkpoint" about Workspace;
    /// Read who may call, by what they are known and what they were given.
    ReadCallers = "callers.read" about Workspace;
    /// Create, change and delete callers, and give them tokens and grants.
    ChangeCallers = "callers.change" about Workspace;
    /// Read which credentials the customer's app registration has, without their secrets.
    ReadCredentials = "credentials.read" about Workspace;
    /// Add, test, activate and remove them, or go back to the platform's app.
    ChangeCredentials = "credentials.change" about Workspace;
    /// Read to which directories a workspace is connected.
    ReadConnection = "tenant.read" about Workspace;
    /// Name a directory as the workspace's, and have consent given in it.
    ConnectTenant = "tenant.connect" about Workspace;
    /// Let go of a workspace's directories: its key is held from then on.
    DisconnectTenants = "tenant.disconnect" about Workspace;
}

impl Verb {
    /// Whether it uses data keys: what a person does of this is looked at one by one.
    pub const fn is_data(self) -> bool {
        matches!(self, Self::Encrypt | Self::Decrypt | Self::ReEncrypt)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = NotAVerb;
    fn from_str(text: &str) -> Result<Self, NotAVerb> {
        Self::ALL.iter().copied().find(|verb| verb.as_str() == text).ok_or(NotAVerb)
    }
}

/// A set of actions: one bit each, so that deciding is one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verbs(u64);

impl Verbs {
    /// Every action there is.
    pub const EVERY: Self = Self::of(Verb::ALL);

    /// These actions.
    pub const fn of(verbs: &[Verb]) -> Self {
        // A set must have room for every action: this does not compile when there are more than 64.
        const { assert!(Verb::ALL.len() <= 64) };
        let (mut bits, mut at) = (0, 0);
        while at < verbs.len() {
            bits |= 1 << verbs[at] as u64;
            at += 1;
        }
        Self(bits)
    }

    /// Whether the action is among them.
    pub const fn contains(self, verb: Verb) -> bool {
        self.0 & (1 << verb as u64) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name means one action, and no two share one.
    #[test]
    fn every_action_has_one_name() {
        for verb in Verb::ALL {
            assert_eq!(verb.as_str().parse(), Ok(*verb));
        }
        for not in ["", "*", "data", "data.*", "DATA.ENCRYPT", "data.encrypt "] {
            assert_eq!(not.parse::<Verb>(), Err(NotAVerb), "{not:?}");
        }
        assert_eq!(DestroyDataKey::NAME, "key.destroy_data_key");
    }

    /// A set holds what was put in and nothing else.
    #[test]
    fn a_set_holds_what_was_put_in() {
        for one in Verb::ALL {
            let set = Verbs::of(&[*one]);
            for other in Verb::ALL {
                assert_eq!(set.contains(*other), one == other);
                assert!(Verbs::EVERY.contains(*other));
            }
        }
    }
}
