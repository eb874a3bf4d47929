//! Why something was refused: one reason for each thing a person can act on, with its owner and the next step.
//!
//! The names are part of the contract (`enum Reason` in the proto files; a test holds the two together).

use std::fmt;

/// Who can fix it. Drives the gRPC code, the exit code and whom an alert wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Whoever made the call.
    Caller,
    /// The customer: their vault, key, directory or network.
    Customer,
    /// The platform that runs this service.
    Service,
}

impl Owner {
    /// The word used in answers: `caller`, `customer` or `service`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Customer => "customer",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! reasons {
    ($($(#[$group:meta])* $reason:ident $name:literal $owner:ident $summary:literal => $remedy:literal;)*) => {
        /// A reason for refusing. Stable: clients switch on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason {
            $(#[doc = $summary] $reason,)*
        }

        impl Reason {
            /// Every reason, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$reason,)*];

            /// The reason with this name, if there is one.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
            }

            /// The name in the contract.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$reason => $name,)* }
            }

            /// Who can fix it.
            pub const fn owner(self) -> Owner {
                match self { $(Self::$reason => Owner::$owner,)* }
            }

            /// What is wrong, in one clause, fit for a stranger.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$reason => $summary,)* }
            }

            /// The next step, fit for a stranger: no host names, no causes.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$reason => $remedy,)* }
            }
        }
    };
}

reasons! {
    // The request.
    RequestInvalid "REQUEST_INVALID" Caller "the request is not well formed"
        => "correct the field the message names";
    NameInvalid "NAME_INVALID" Caller "a resource name is not well formed"
        => "use names such as workspaces/acme/apps/support-bot";
    ContextInvalid "CONTEXT_INVALID" Caller "the encryption context is too large or has an empty or repeated key"
        => "send at most 16 entries and 4 KiB in all";
    PlaintextTooLarge "PLAINTEXT_TOO_LARGE" Caller "the payload is larger than 4 MiB"
        => "use EncryptStream and DecryptStream for large payloads";
    BatchTooLarge "BATCH_TOO_LARGE" Caller "a batch holds more than 1,000 items or more than 4 MiB"
        => "send several smaller batches";
    StreamInvalid "STREAM_INVALID" Caller "the stream's messages are out of order or incomplete"
        => "send the header message first, then chunks, then close the sending side";
    Unauthenticated "UNAUTHENTICATED" Caller "the caller did not show who it is"
        => "send a valid credential";
    NotFound "NOT_FOUND" Caller "there is no such resource"
        => "check the name, and that the caller may see it";
    AlreadyExists "ALREADY_EXISTS" Caller "the id is taken, or was once and cannot be given out again"
        => "choose another id";
    DeadlineExceeded "DEADLINE_EXCEEDED" Caller "the call's deadline passed before an answer was ready"
        => "try again, with a longer deadline if it repeats";
    QuotaExceeded "QUOTA_EXCEEDED" Caller "too many requests at once"
        => "slow down and try again after the given delay";

    // Ciphertexts.
    CiphertextMalformed "CIPHERTEXT_MALFORMED" Caller "the ciphertext's header is not one of this format"
        => "check that the stored bytes are complete and unchanged";
    CiphertextVersionUnsupported "CIPHERTEXT_VERSION_UNSUPPORTED" Caller "the ciphertext's format version or suite is not known here"
        => "use a release that knows this format version";
    DecryptionFailed "DECRYPTION_FAILED" Caller "the ciphertext cannot be opened for this app and context"
        => "check the app, the context and the stored bytes";

    // The key configuration.
    KeyIdentifierInvalid "KEY_IDENTIFIER_INVALID" Caller "the key identifier does not name a key in an Azure Key Vault"
        => "copy the Key Identifier from the key's page in the Azure portal";
    ProviderUnsupported "PROVIDER_UNSUPPORTED" Caller "this kind of key store or cloud is not supported yet"
        => "use a key in an Azure Key Vault of the public cloud";
    TenantInvalid "TENANT_INVALID" Caller "what was typed names no tenant"
        => "type the Tenant ID that Microsoft Entra ID shows under Overview; to find it by a domain: byokctl tenant look-up";
    KeyNotConfigured "KEY_NOT_CONFIGURED" Caller "the workspace has no customer key"
        => "configure a key first";
    KeyAlreadyInForce "KEY_ALREADY_IN_FORCE" Caller "another customer key is in force for this workspace"
        => "keep the key that is in force; its data keys cannot be moved by editing the configuration";
    KeyUnsuitable "KEY_UNSUITABLE" Customer "the key is not an RSA key of 2048, 3072 or 4096 bits that permits wrapping and unwrapping"
        => "create an RSA key of 2048 to 4096 bits with the operations Wrap Key and Unwrap Key";
    KeyManaged "KEY_MANAGED" Customer "the key belongs to a certificate"
        => "create a key of its own; one that backs a certificate changes when the certificate does";

    // The customer's vault.
    VaultTenantMismatch "VAULT_TENANT_MISMATCH" Customer "the vault is in another directory than the connected one"
        => "check the tenant id; if the vault was moved, connect it again";
    VaultRoleMissing "VAULT_ROLE_MISSING" Customer "our application has no role on the vault or key"
        => "assign Key Vault Crypto Service Encryption User to our application on the key or vault; it takes several minutes, and is needed again after a vault was recovered";
    VaultAccessPolicyMissing "VAULT_ACCESS_POLICY_MISSING" Customer "the vault uses access policies and none admits our application"
        => "grant get, wrapKey and unwrapKey in the vault's access policies; a role has no effect there";
    VaultFirewall "VAULT_FIREWALL" Customer "the vault's firewall refuses our address"
        => "allow our addresses or approve the private endpoint; allowing trusted Microsoft services does not help";
    VaultPublicAccessOff "VAULT_PUBLIC_ACCESS_OFF" Customer "the vault's public network access is off"
        => "approve our private endpoint or allow selected networks";
    KeyOperationForbidden "KEY_OPERATION_FORBIDDEN" Customer "the key version does not permit the operation"
        => "permit Wrap Key and Unwrap Key on this version";
    KeyDisabled "KEY_DISABLED" Customer "the key version is disabled in the customer's vault"
        => "re-enable that version, an older one too while data is under it";
    KeyExpired "KEY_EXPIRED" Customer "the key version has expired and no longer wraps"
        => "rotate the key or extend its expiry; what is wrapped already still unwraps";
    KeyNotYetValid "KEY_NOT_YET_VALID" Customer "the key version is not valid yet and does not wrap"
        => "change its activation date or wait for it";
    KeyNotFound "KEY_NOT_FOUND" Customer "the vault has no such key or version"
        => "check the name; recover the key if it was deleted";
    KeySoftDeleted "KEY_SOFT_DELETED" Customer "the key was deleted and can still be recovered"
        => "recover or purge the deleted key";
    VaultDenied "VAULT_DENIED" Customer "the vault refused without a reason we know"
        => "check the vault's access control and network settings, and its log";
    VaultThrottled "VAULT_THROTTLED" Customer "the vault is throttling requests"
        => "wait; if it repeats, use a vault of its own or a smaller key";
    VaultUnavailable "VAULT_UNAVAILABLE" Customer "the vault answers with an error of its own"
        => "try again; see the Azure status page if it lasts";
    VaultTimeout "VAULT_TIMEOUT" Customer "the vault did not answer in time"
        => "try again; check the vault's network settings if it lasts";
    VaultUnreachable "VAULT_UNREACHABLE" Customer "no secure connection to the vault could be made"
        => "try again; check the vault's network settings if it lasts";
    VaultNameUnknown "VAULT_NAME_UNKNOWN" Customer "the vault's name cannot be resolved"
        => "check the vault's name and whether it was deleted or its private DNS zone is missing";
    VaultAnswerInvalid "VAULT_ANSWER_INVALID" Service "the vault's answer does not fit what was asked"
        => "keep the request id and tell the platform's operators";
    VaultAudienceWrong "VAULT_AUDIENCE_WRONG" Service "our token is for another cloud than the vault's"
        => "the platform's operators correct the cloud configuration";
    VaultBadParameter "VAULT_BAD_PARAMETER" Service "the vault calls our request malformed"
        => "keep the request id and tell the platform's operators; on unwrap, suspect damage or another version";
    VaultRefusedUnknown "VAULT_REFUSED_UNKNOWN" Service "the vault refused with an answer we do not know"
        => "keep the request id and tell the platform's operators";
    KeySubstituted "KEY_SUBSTITUTED" Service "the vault shows another public key under a known version"
        => "stop; the platform's operators and the customer compare the key's thumbprint";
    WrappedKeyCorrupt "WRAPPED_KEY_CORRUPT" Service "the vault works, but this data key's wrapping does not open to it"
        => "the platform's operators restore the wrapping from a backup; where there is none, rotate and destroy that data key, so that others can go on";

    // Entra ID.
    EntraTenantUnknown "ENTRA_TENANT_UNKNOWN" Customer "there is no such directory"
        => "fix the tenant id or the cloud";
    EntraAppNotInTenant "ENTRA_APP_NOT_IN_TENANT" Customer "our application is not in the customer's directory"
        => "give admin consent, or run: az ad sp create --id <client-id>";
    EntraConsentMissing "ENTRA_CONSENT_MISSING" Customer "an administrator has not consented to our application"
        => "give admin consent";
    EntraAppDisabled "ENTRA_APP_DISABLED" Customer "our application is disabled in the customer's directory"
        => "enable it for users to sign in, under Enterprise applications, Properties";
    EntraSecretWrong "ENTRA_SECRET_WRONG" Service "the client secret is wrong"
        => "paste the secret's Value, not its ID";
    EntraSecretExpired "ENTRA_SECRET_EXPIRED" Service "the client secret has expired"
        => "create a new secret, or better a certificate";
    EntraCertificateRefused "ENTRA_CERTIFICATE_REFUSED" Service "the directory refuses our certificate's assertion"
        => "upload our current certificate; check the clock";
    EntraFederationMismatch "ENTRA_FEDERATION_MISMATCH" Service "no federated credential matches"
        => "compare issuer, subject and audience of the federated credential";
    EntraConditionalAccess "ENTRA_CONDITIONAL_ACCESS" Customer "conditional access refuses our application"
        => "allow our application or our addresses in the policy";
    EntraThrottled "ENTRA_THROTTLED" Service "the directory is throttling or briefly unavailable"
        => "wait; tokens are cached";
    EntraUserNotAssigned "ENTRA_USER_NOT_ASSIGNED" Customer "the user is not assigned to the application"
        => "assign the user or a group under Enterprise applications";
    EntraUserNotInTenant "ENTRA_USER_NOT_IN_TENANT" Customer "the user's account is in another directory"
        => "sign in with an account of this directory";
    EntraRedirectMismatch "ENTRA_REDIRECT_MISMATCH" Service "the redirect address is not registered"
        => "add it to the application's registration exactly as it stands";
    EntraRefused "ENTRA_REFUSED" Service "the directory refused with a reason we do not know"
        => "keep the correlation id and look the code up in Microsoft's documentation";
    EntraDenied "ENTRA_DENIED" Customer "the directory denies our application without a reason we know"
        => "check the enterprise application's consent, properties and sign-in log";
    CredentialUnusable "CREDENTIAL_UNUSABLE" Service "our own credential for the directory cannot be read or used"
        => "the platform's operators check the credential's file, its permissions and its format";
    EntraUnreachable "ENTRA_UNREACHABLE" Service "the directory could not be reached"
        => "try again; check the way out to the directory if it lasts";

    // The service itself.
    ShuttingDown "SHUTTING_DOWN" Service "this replica is shutting down"
        => "try again; another replica or the restarted one answers";
    StoreUnavailable "STORE_UNAVAILABLE" Service "the database did not take or give the data"
        => "try again; the platform's operators check the database and its disk";
    RowForged "ROW_FORGED" Service "a database row fails its authentication"
        => "the platform's operators stop, compare with a backup and look for who wrote it";
    PlatformKeyUnavailable "PLATFORM_KEY_UNAVAILABLE" Service "the platform key this data needs is not loaded"
        => "the platform's operators restore the platform key file from its backup";
    Internal "INTERNAL" Service "something went wrong inside the service"
        => "keep the request id and tell the platform's operators";

    // The life of the customer's key.
    EnforcementDateInvalid "ENFORCEMENT_DATE_INVALID" Caller "the enforcement date is not a date and time"
        => "write the local date and time as 2027-03-01 or 2027-03-01T09:00, without an offset";
    EnforcementZoneMissing "ENFORCEMENT_ZONE_MISSING" Caller "the enforcement date has no time zone"
        => "name the zone the date is meant in, such as Europe/Berlin or UTC";
    EnforcementZoneUnknown "ENFORCEMENT_ZONE_UNKNOWN" Caller "there is no time zone of this name"
        => "name a zone of the IANA database, such as Europe/Berlin or UTC";
    EnforcementDatePast "ENFORCEMENT_DATE_PAST" Caller "the enforcement date is past"
        => "choose a date ahead";
    EnforcementDateInGap "ENFORCEMENT_DATE_IN_GAP" Caller "clocks in that time zone skip this time when daylight saving begins"
        => "choose a time that clocks there show, such as an hour later";
    EnforcementDateAmbiguous "ENFORCEMENT_DATE_AMBIGUOUS" Caller "clocks in that time zone show this time twice when daylight saving ends"
        => "choose a time that clocks there show once, or name it in UTC";
    EnforcementDateTooSoon "ENFORCEMENT_DATE_TOO_SOON" Caller "the enforcement date is too close for every replica to know of it in time"
        => "choose a date some minutes further ahead";
    EnforcementFrozen "ENFORCEMENT_FROZEN" Caller "the enforcement date is so close that nothing about it changes any more"
        => "wait for the date; after it the key can be rotated and apps selected";
    EnforcementNotDue "ENFORCEMENT_NOT_DUE" Caller "it is too early to decide about the enforcement date, or there is none"
        => "wait; it is decided shortly before the date";
    EnforcementMissed "ENFORCEMENT_MISSED" Service "nobody decided about the enforcement date in time"
        => "set another date; the platform's operators look why no replica was running before it";
    EnforcementHeld "ENFORCEMENT_HELD" Customer "the enforcement date came and the customer's key was not fit for it"
        => "mend what the key's status names and test it; another date is then set";
    KeyNotTested "KEY_NOT_TESTED" Caller "no test of this key configuration has passed"
        => "test the key configuration, and mend what the test names";
    TestOutdated "TEST_OUTDATED" Caller "the last passed test of this key configuration is older than a day"
        => "test the key configuration again";
    TestOfAnotherConfiguration "TEST_OF_ANOTHER_CONFIGURATION" Caller "the key configuration changed since it was tested"
        => "test the key configuration as it is now";
    KeyAlreadyEnforced "KEY_ALREADY_ENFORCED" Caller "the customer's key is in force; only rotation and the selection of apps change it"
        => "rotate the key or select apps; there is no date to set any more";
    KeyRevoked "KEY_REVOKED" Customer "the customer's key is switched off here"
        => "a workspace's admin restores it, with the same switch that revoked it";
    AppUnknown "APP_UNKNOWN" Caller "the selection names an app or bot that is not there"
        => "list the workspace's apps, and name only those";
    SelectionContradictory "SELECTION_CONTRADICTORY" Caller "the selection adds and removes the same app"
        => "name each app once";
    ChangedMeanwhile "CHANGED_MEANWHILE" Caller "somebody else changed this at the same time"
        => "read it again, and repeat the change if it is still wanted";
    KeyNotEnforced "KEY_NOT_ENFORCED" Caller "the customer's key is not in force yet; only a key in force is rotated"
        => "configure the version you want and test it; rotate it when its date has come";

    // The test of a configuration: 220 to 239 in the contract.
    OwnershipNotProven "OWNERSHIP_NOT_PROVEN" Customer "the key does not show this workspace's proof of ownership"
        => "set the tag byok-enrol of the key to the workspace's ownership nonce, and see that our application may read, wrap and unwrap with the key";
    VaultOpensDamaged "VAULT_OPENS_DAMAGED" Customer "the vault unwraps a wrapped key that was tampered with"
        => "use a key in a vault of Azure's own; what answers under this name is none";
    KeyPurgeable "KEY_PURGEABLE" Customer "purge protection is off: a deleted key can be purged, and everything under it is lost for good"
        => "turn the vault's purge protection on";
    KeyExportable "KEY_EXPORTABLE" Customer "the key is exportable: its private half may leave the vault"
        => "use a key that is not exportable and has no release policy";
    KeyExpires "KEY_EXPIRES" Customer "the key version has an expiry date: from then on it wraps no new data keys, and still unwraps"
        => "rotate the key before that day, or let the vault rotate it";

    // Leases: from 240.
    ControlLeaseEnded "CONTROL_LEASE_ENDED" Service "this replica could not read the database for too long and serves nothing"
        => "try again, another replica may answer; the platform's operators check the way to the database";
    // Rotation and operations.
    OperationUnderWay "OPERATION_UNDER_WAY" Caller "another operation of this workspace is under way"
        => "wait for it to end, or cancel it; byokctl operation list shows it";
    NothingToRotate "NOTHING_TO_ROTATE" Caller "the newest version of the key is in force and every data key is under it"
        => "make a new version of the key in the vault first";
    OperationEnded "OPERATION_ENDED" Caller "the operation has ended already"
        => "look at how it ended, and begin another one if that is needed";

    // Validation and coverage: 280 to 299 in the contract.
    AppNotUnderCustomerKey "APP_NOT_UNDER_CUSTOMER_KEY" Customer "the app's new data is under the platform's key, and not under the customer's"
        => "an admin of the workspace configures the key, selects the app, and waits for the enforcement date; key status shows which of these is missing";
    CredentialNotRetrieved "CREDENTIAL_NOT_RETRIEVED" Service "what the database gave back is not the credential that was stored"
        => "the platform's operators check the database and its backups; nothing of it was used";

    // Approvals, replacement, leaving, destruction: 300 to 339 in the contract.
    ApprovalOwnRequest "APPROVAL_OWN_REQUEST" Caller "the caller asked for this operation itself"
        => "have somebody else approve or reject it; cancel it to withdraw it";
    ApprovalNotAwaited "APPROVAL_NOT_AWAITED" Caller "the operation awaits no approval"
        => "look at where it stands; what was approved and has not begun is stopped by cancelling it";
    ApprovalExpired "APPROVAL_EXPIRED" Caller "nobody approved the operation in time"
        => "ask for it again";
    KeyReplacementUntested "KEY_REPLACEMENT_UNTESTED" Caller "no passing test of exactly the new key counts"
        => "test it (byokctl key test with the same key identifier and tenant), then ask again within 24 hours";
    KeyConfigurationMoved "KEY_CONFIGURATION_MOVED" Caller "the key configuration changed since the operation was asked for"
        => "look at the key and at the operations, and ask for it again";
    KeyIsInForce "KEY_IS_IN_FORCE" Caller "the key named is the one in force"
        => "rotate it to go over to another of its versions";
    KeyLeft "KEY_LEFT" Caller "the workspace has left its customer key"
        => "nothing is to be done; what still needs the key is listed by byokctl key leave --dry-run";
    DataKeyActive "DATA_KEY_ACTIVE" Caller "the data key is not retired: it encrypts, or may yet"
        => "give the app a new data key first, and re-encrypt what this one sealed";
    DataKeyDestroyed "DATA_KEY_DESTROYED" Caller "the data key was destroyed"
        => "nothing can bring it back; what it sealed can never be opened again";

    // Callers: 360 to 379 in the contract.
    PermissionDenied "PERMISSION_DENIED" Caller "the caller was not granted this action here"
        => "have the platform's operators grant the action named, or a role that has it (docs/permissions.md)";

    // Signing in to prove a directory: 361 to 369 in the contract.
    SignInOver "SIGN_IN_OVER" Customer "this sign-in is over: its code was used already, expired, or belongs to another one"
        => "begin the sign-in again, and finish it within ten minutes in the same browser";
    SignInUntrusted "SIGN_IN_UNTRUSTED" Service "what the sign-in brought back cannot be believed"
        => "begin the sign-in again; if it repeats, keep the request id and tell the platform's operators";
    SignInOtherTenant "SIGN_IN_OTHER_TENANT" Customer "the account that signed in is not of the expected directory"
        => "sign in with an administrator's account of exactly that directory; personal accounts prove nothing";
    SignInGuest "SIGN_IN_GUEST" Customer "the account that signed in is a guest of the directory"
        => "sign in with an account that is at home in the directory";
    SignInNotAdministrator "SIGN_IN_NOT_ADMINISTRATOR" Customer "the account that signed in administers nothing that counts here"
        => "sign in as a Global Administrator or Privileged Role Administrator whose role is active now";
    SignInClaimsMissing "SIGN_IN_CLAIMS_MISSING" Service "the directory did not say whether the account is a guest or which roles it has"
        => "the platform's operators register the application as docs/entra/app-manifest.json has it";
    SignInGroupsOverage "SIGN_IN_GROUPS_OVERAGE" Customer "the account is in so many groups that the directory leaves memberships out"
        => "sign in with an administrator's account that is in fewer than 200 groups";
    SigningKeysUnavailable "SIGNING_KEYS_UNAVAILABLE" Service "the keys that tokens are signed with are not known here, or too old"
        => "try again in a minute; check the way out to the issuer if it lasts";
    DomainInvalid "DOMAIN_INVALID" Caller "the text is no domain, or names no one directory"
        => "write a domain such as example.com, or the Tenant ID that Microsoft Entra ID shows under Overview";

    // Tenants and proofs of ownership: 370 to 384 in the contract.
    TenantNotConnected "TENANT_NOT_CONNECTED" Caller "the tenant is not on this workspace's connection"
        => "name it first (byokctl tenant connect), and prove that it is yours; or write the tenant that is connected";
    TenantNotProven "TENANT_NOT_PROVEN" Customer "nobody has signed in to prove that the tenant is this workspace's"
        => "have an owner of the workspace open the start address of byokctl tenant connect, and sign in";
    TenantDisconnected "TENANT_DISCONNECTED" Customer "the workspace was disconnected from this tenant"
        => "connect it again (byokctl tenant connect), set a new nonce as the key's tag and test the key, then restore it";
    ConsentStateUnknown "CONSENT_STATE_UNKNOWN" Caller "the answer belongs to no consent under way: it was forged, used before, or came too late"
        => "begin again with byokctl tenant connect; an address for consent works once and for 15 minutes";
    ConsentOtherBrowser "CONSENT_OTHER_BROWSER" Caller "the consent was begun in another browser"
        => "open the start address in the browser you finish in; to have somebody else consent, send them the consent address";
    ConsentDeclined "CONSENT_DECLINED" Customer "the directory did not give consent"
        => "have an admin who may consent for the directory open the address, and accept; or run az ad sp create";
    ConsentOtherTenant "CONSENT_OTHER_TENANT" Customer "consent was given in another directory than the one named"
        => "sign in with an account of the directory that was named, or connect the other one";
    ConsentNotUnderWay "CONSENT_NOT_UNDER_WAY" Caller "no consent of this workspace waits for a code"
        => "have the admin open the consent address again; begin anew if it is older than 15 minutes";
    ConsentCodeWrong "CONSENT_CODE_WRONG" Caller "this is not the code that the admin was shown"
        => "have it read out again; after five wrong codes the consent has to be begun anew";
    ConsentNotConfigured "CONSENT_NOT_CONFIGURED" Caller "this installation has no pages for consent"
        => "create our application in the directory with az ad sp create, and prove the key by its tag; operators set [entra] to offer consent";
    OwnershipNonceExpired "OWNERSHIP_NONCE_EXPIRED" Customer "the key's tag holds a nonce of this workspace that is too old"
        => "set the tag byok-enrol to the nonce that byokctl key status shows now, and test within a day";
    OwnershipNonceUsed "OWNERSHIP_NONCE_USED" Customer "the key's tag holds a nonce of this workspace that was used before"
        => "set the tag byok-enrol to the nonce that byokctl key status shows now, and test again";
    KeyBoundElsewhere "KEY_BOUND_ELSEWHERE" Customer "the key was proven to be another workspace's"
        => "use a key of its own for each workspace: make another one in the same vault";
    ReconnectFirst "RECONNECT_FIRST" Customer "the workspace was disconnected, and has not been proven anew since"
        => "connect the tenant again, set a new nonce as the key's tag and test the key; then restore it";

    // Credentials of a customer's own app registration: 385 to 394 in the contract.
    CredentialNotTested "CREDENTIAL_NOT_TESTED" Caller "no test of exactly this credential has passed in the last 24 hours"
        => "test it (byokctl tenant credential test), and mend what the test names; nothing becomes active untested";
    CredentialSlotsFull "CREDENTIAL_SLOTS_FULL" Caller "both slots hold a credential"
        => "remove the credential that is not in use first";
    CredentialInUse "CREDENTIAL_IN_USE" Caller "the credential is the one in use"
        => "activate another one first, or go back to the platform's app (byokctl tenant use-platform-app)";
    CredentialExpired "CREDENTIAL_EXPIRED" Caller "the credential's date of expiry is past"
        => "make a new one in the app registration, or have a certificate made here";
    SecretIdPasted "SECRET_ID_PASTED" Caller "this is a client secret's ID and not its value"
        => "paste the secret's Value; it is shown only right after the secret was made, so make another if it is gone";
    PrivateKeyPasted "PRIVATE_KEY_PASTED" Caller "this holds a private key; it was not kept"
        => "give only what is public, and think of who else may have seen this key; a certificate's private key is made here and never leaves";
    RegistrationElsewhere "REGISTRATION_ELSEWHERE" Customer "the app registration is in another directory than the key's vault"
        => "use a registration of the key's directory; to name a key of another directory, go back to the platform's app first (byokctl tenant use-platform-app)";
    RegistrationSecretRefused "REGISTRATION_SECRET_REFUSED" Customer "the customer's directory does not take the client secret"
        => "paste the secret's Value and not its ID; if the secret was removed from the app registration, add another credential, test and activate it";
    RegistrationSecretExpired "REGISTRATION_SECRET_EXPIRED" Customer "the client secret of the customer's app registration has expired"
        => "make a new secret in the app registration, or better have a certificate made here; then add, test and activate it";
    RegistrationCertificateRefused "REGISTRATION_CERTIFICATE_REFUSED" Customer "the customer's directory does not know the certificate"
        => "upload the public part to the app registration, under Certificates and secrets; it counts some minutes later";

    // The way out to vaults: 395 to 396 in the contract.
    VaultAddressNotApproved "VAULT_ADDRESS_NOT_APPROVED" Service "the vault's name leads to a private address that is not approved for this workspace"
        => "tell the platform's operators the address range of your private endpoint; they approve it for this workspace (vaults.private in docs/configuration.md)";
    VaultAddressForbidden "VAULT_ADDRESS_FORBIDDEN" Service "the vault's name leads to an address at which no vault is"
        => "the platform's operators check what their resolver answers for the vault's name: an address of their own machines or networks is among it";

    // The database as a whole: 397 to 399 in the contract.
    DatabaseRolledBack "DATABASE_ROLLED_BACK" Service "the database was replaced by an older copy or by another one"
        => "the platform's operators put the newer database back, or two of them accept the older one";

    // Callers in the database: 400 to 409 in the contract.
    GrantNotHeld "GRANT_NOT_HELD" Caller "nobody gives what they do not hold themselves"
        => "have it done by somebody who was given what is given here (docs/permissions.md)";
    CallerIsConfigured "CALLER_IS_CONFIGURED" Caller "the caller stands in the service's configuration"
        => "change it in the configuration file, and start the service again";
    CallerIsYourself "CALLER_IS_YOURSELF" Caller "nobody changes what they were given themselves"
        => "have another caller who may change callers do it";
    CallerLastAdministrator "CALLER_LAST_ADMINISTRATOR" Caller "nobody would be left who may change callers"
        => "give somebody else callers.change and a credential first";
    CallerTokensInUse "CALLER_TOKENS_IN_USE" Caller "the caller has two tokens already"
        => "remove the one that is not in use any more, then have another one made";
    CallerCertificateTaken "CALLER_CERTIFICATE_TAKEN" Caller "the certificate's name is another caller's"
        => "give each caller a certificate of its own";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every refusal has its own name and a next step, in words and not in a host name or an address.
    #[test]
    fn every_reason_has_one_name_and_a_next_step() {
        let mut names: Vec<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Reason::ALL.len());
        for reason in Reason::ALL {
            assert!(reason.remedy().len() > 10, "{reason} has no remedy");
            assert!(!reason.remedy().contains("://"), "{reason}: a remedy names no host");
        }
    }
}
