//! Who may do what: the one function that decides, and the proof it hands out.

use std::marker::PhantomData;

use crate::{AppId, WorkspaceId};

/// Somebody who has shown who they are.
///
/// The name is copied, not counted: a counter that every request of a caller touches would travel between the cores.
#[derive(Debug, Clone)]
pub struct Caller {
    name: Box<str>,
    authority: Authority,
}

/// What a caller may do. Grants per action, workspace and app come beside this variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Authority {
    /// Everything: the holder of the platform's one token.
    Platform,
}

impl Caller {
    /// The holder of the platform's token: may do everything.
    pub fn platform(name: &str) -> Self {
        Self { name: name.into(), authority: Authority::Platform }
    }

    /// The name that audit records carry.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Something that can be permitted. Implemented by the marker types below and nothing else.
pub trait Action: sealed::Sealed + Send + Sync + 'static {
    /// The action's stable name.
    const NAME: &'static str;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! actions {
    ($($(#[$doc:meta])* $action:ident = $name:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $action {}
        impl sealed::Sealed for $action {}
        impl Action for $action {
            const NAME: &'static str = $name;
        }
    )*};
}

actions! {
    /// Encrypt an app's data.
    Encrypt = "data.encrypt";
    /// Decrypt an app's data.
    Decrypt = "data.decrypt";
    /// Open and seal again in one step.
    ReEncrypt = "data.reencrypt";
    /// Create a workspace.
    CreateWorkspace = "workspaces.create";
    /// Read one workspace or list them.
    ReadWorkspaces = "workspaces.read";
    /// Delete a workspace.
    DeleteWorkspace = "workspaces.delete";
    /// Create, change or delete apps and bots.
    ChangeApps = "apps.change";
    /// List apps and bots.
    ReadApps = "apps.read";
    /// Connect a customer key.
    ConfigureKey = "key.configure";
    /// Read a key's configuration and versions.
    ReadKey = "key.read";
    /// Set or move the date from which the customer's key is used.
    ScheduleEnforcement = "key.schedule";
    /// Choose which apps and bots are under the customer's key.
    SelectApps = "key.select_apps";
    /// Read and watch which apps and bots are under the customer's key.
    ReadSelection = "key.read_selection";
    /// Switch the customer's key off here.
    RevokeKey = "key.revoke";
    /// Switch it on again.
    RestoreKey = "key.restore";
    /// Test a key's configuration: asks the customer's vault.
    TestKey = "key.test";
    /// Export wrapped keys.
    ExportWrappedKeys = "key.export";
    /// Go over to another version of the customer's key.
    RotateKey = "key.rotate";
    /// Give apps new data keys.
    RotateDataKeys = "key.rotate_data_keys";
    /// Read and watch operations.
    ReadOperations = "operations.read";
    /// End an operation.
    CancelOperation = "operations.cancel";
    /// Store and fetch a credential of an app, to show under whose key its data is.
    ValidateApp = "apps.validate";
    /// Read what was sealed and opened, by app, key and hour.
    ReadUsage = "usage.read";
    /// Approve or reject what somebody else asked for.
    DecideOperation = "operations.decide";
    /// Go over to another key.
    ReplaceKey = "key.replace";
    /// Go back to the platform's key for new data.
    LeaveCustomerKey = "key.leave";
    /// Destroy a data key.
    DestroyDataKey = "key.destroy_data_key";
    /// Read, export and verify a ledger.
    ReadAudit = "audit.read";
    /// Have it signed how far a ledger has come.
    MakeCheckpoint = "audit.checkpoint";
}

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
    actor: Box<str>,
    target: Target,
    action: PhantomData<fn() -> A>,
}

/// The caller may not. Told to the outside exactly like "there is no such thing".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not found")]
pub struct NotPermitted;

/// Decides whether `caller` may do `A` to `target`.
pub fn permit<A: Action>(caller: &Caller, target: Target) -> Result<Permit<A>, NotPermitted> {
    match caller.authority {
        Authority::Platform => Ok(Permit { actor: caller.name.clone(), target, action: PhantomData }),
    }
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
}
