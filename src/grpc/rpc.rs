//! Every call of the contract with the action it needs: what `docs/permissions.md` and the golden file are made from.

use domain::permission::Verb;

/// What a call asks its permission for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The platform as a whole.
    Platform,
    /// A workspace, by its own name, its key's or its operation's.
    Workspace,
    /// An app, by its own name or its data key's.
    App,
}

/// A call of the contract.
#[derive(Debug, Clone, Copy)]
pub struct Rpc {
    /// Its path in HTTP/2.
    pub path: &'static str,
    /// The action a caller needs.
    pub verb: Verb,
    /// On what.
    pub about: About,
}

impl Rpc {
    /// Service and method, without the package.
    pub const fn name(&self) -> &'static str {
        self.path.split_at("/byok.v1.".len()).1
    }

    /// The call with this path.
    pub fn at(path: &str) -> Option<&'static Self> {
        RPCS.iter().find(|rpc| rpc.path == path)
    }
}

macro_rules! rpcs {
    ($($path:literal $verb:ident $about:ident;)*) => {
        &[$(Rpc { path: concat!("/byok.v1.", $path), verb: Verb::$verb, about: About::$about },)*]
    };
}

/// Every call. Tests hold this complete against the contract, and the handlers to it.
pub const RPCS: &[Rpc] = rpcs! {
    "Encryption/Encrypt" Encrypt App;
    "Encryption/Decrypt" Decrypt App;
    "Encryption/BatchEncrypt" Encrypt App;
    "Encryption/BatchDecrypt" Decrypt App;
    "Encryption/EncryptStream" Encrypt App;
    "Encryption/DecryptStream" Decrypt App;
    "Encryption/ReEncrypt" ReEncrypt App;
    "Workspaces/CreateWorkspace" CreateWorkspace Workspace;
    "Workspaces/GetWorkspace" ReadWorkspaces Workspace;
    "Workspaces/ListWorkspaces" ReadWorkspaces Platform;
    "Workspaces/DeleteWorkspace" DeleteWorkspace Workspace;
    "Workspaces/UpsertApp" ChangeApps App;
    "Workspaces/ListApps" ReadApps Workspace;
    "Workspaces/DeleteApp" ChangeApps App;
    "Workspaces/WatchSelection" ReadSelection Workspace;
    "EnterpriseKeys/ConfigureKey" ConfigureKey Workspace;
    "EnterpriseKeys/GetKey" ReadKey Workspace;
    "EnterpriseKeys/ListKeyVersions" ReadKey Workspace;
    "EnterpriseKeys/ExportWrappedKeys" ExportWrappedKeys Workspace;
    "EnterpriseKeys/TestConfiguration" TestKey Workspace;
    "EnterpriseKeys/ListKeyTests" ReadKey Workspace;
    "EnterpriseKeys/ScheduleEnforcement" ScheduleEnforcement Workspace;
    "EnterpriseKeys/SelectApps" SelectApps Workspace;
    "EnterpriseKeys/RevokeKey" RevokeKey Workspace;
    "EnterpriseKeys/RestoreKey" RestoreKey Workspace;
    "EnterpriseKeys/RotateKey" RotateKey Workspace;
    "EnterpriseKeys/RotateDataKeys" RotateDataKeys Workspace;
    "EnterpriseKeys/ValidateApp" ValidateApp App;
    "EnterpriseKeys/GetUsage" ReadUsage Workspace;
    "EnterpriseKeys/GetCoverage" ReadUsage Workspace;
    "EnterpriseKeys/ReplaceKey" ReplaceKey Workspace;
    "EnterpriseKeys/LeaveCustomerKey" LeaveCustomerKey Workspace;
    "EnterpriseKeys/DestroyDataKey" DestroyDataKey App;
    "Operations/GetOperation" ReadOperations Workspace;
    "Operations/ListOperations" ReadOperations Workspace;
    "Operations/CancelOperation" CancelOperation Workspace;
    "Operations/WatchOperation" ReadOperations Workspace;
    "Operations/Approve" DecideOperation Workspace;
    "Operations/Reject" DecideOperation Workspace;
    "Audit/ListEvents" ReadAudit Workspace;
    "Audit/ExportEvents" ReadAudit Workspace;
    "Audit/GetCheckpoint" ReadAudit Workspace;
    "Audit/CreateCheckpoint" MakeCheckpoint Workspace;
    "Callers/CreateCaller" ChangeCallers Platform;
    "Callers/GetCaller" ReadCallers Platform;
    "Callers/ListCallers" ReadCallers Platform;
    "Callers/UpdateCaller" ChangeCallers Platform;
    "Callers/IssueToken" ChangeCallers Platform;
    "Callers/RemoveToken" ChangeCallers Platform;
    "Callers/DeleteCaller" ChangeCallers Platform;
    "Callers/ListRoles" ReadCallers Platform;
    "Tenants/AddSecret" ChangeCredentials Workspace;
    "Tenants/MakeCertificate" ChangeCredentials Workspace;
    "Tenants/ListCredentials" ReadCredentials Workspace;
    "Tenants/TestCredential" ChangeCredentials Workspace;
    "Tenants/ActivateCredential" ChangeCredentials Workspace;
    "Tenants/RemoveCredential" ChangeCredentials Workspace;
    "Tenants/UsePlatformApp" ChangeCredentials Workspace;
    "Tenants/LookUpDomains" ConnectTenant Workspace;
    "Tenants/StartConsent" ConnectTenant Workspace;
    "Tenants/CompleteConsent" ConnectTenant Workspace;
    "Tenants/GetConnection" ReadConnection Workspace;
    "Tenants/Disconnect" DisconnectTenants Workspace;
};

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    /// The table holds exactly the contract's calls, each once.
    #[test]
    fn the_table_holds_every_call_of_the_contract() {
        let set = FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap();
        let mut contract: Vec<String> = set
            .file
            .iter()
            .filter(|file| file.package() == "byok.v1")
            .flat_map(|file| &file.service)
            .flat_map(|service| {
                service.method.iter().map(|method| format!("/byok.v1.{}/{}", service.name(), method.name()))
            })
            .collect();
        let mut table: Vec<String> = RPCS.iter().map(|rpc| rpc.path.to_owned()).collect();
        contract.sort_unstable();
        table.sort_unstable();
        assert_eq!(table, contract);
    }

    /// Every action is asked for by a call: one that none asks for would be granted in vain.
    #[test]
    fn every_action_is_asked_for() {
        for verb in Verb::ALL {
            assert!(RPCS.iter().any(|rpc| rpc.verb == *verb), "{verb}");
        }
    }
}
