//! How Entra ID's token endpoint says no: status, OAuth error and AADSTS number of every refusal.
//!
//! Numbers and their meaning are Microsoft's published ones; status and OAuth error are those seen with them.

use serde::{Deserialize, Serialize};

macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $name:ident $number:literal $status:literal $error:literal $text:literal;)*) => {
        /// One way Entra ID refuses. In JSON: the AADSTS number (429 and 503 are answers without one).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "u32", into = "u32")]
        pub enum EntraRefusal { $($(#[doc = $doc])* $name,)* }

        impl EntraRefusal {
            /// Every refusal.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The AADSTS number; for the answers without one, the HTTP status.
            pub const fn number(self) -> u32 {
                match self { $(Self::$name => $number,)* }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The OAuth 2.0 `error`, which is what clients act on.
            pub const fn error(self) -> &'static str {
                match self { $(Self::$name => $error,)* }
            }

            /// The human text after the number.
            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

refusals! {
    /// No such tenant in this cloud.
    TenantNotFound 90002 400 "invalid_request" "Tenant not found. Check that the tenant ID is right and that the sign-in goes to the right cloud.";
    /// The application is not in the directory.
    AppNotInDirectory 700016 400 "unauthorized_client" "Application was not found in the directory. It may not have been installed by the tenant's administrator.";
    /// The application is not in the directory, as said for a resource.
    AppNotInDirectoryAsResource 700011 400 "unauthorized_client" "Application was not found in the directory.";
    /// The application exists, but has no service principal in this tenant: before onboarding, or after its removal.
    ServicePrincipalMissing 7000229 401 "unauthorized_client" "The client application is missing service principal in the tenant.";
    /// Nobody has consented.
    ConsentMissing 65001 400 "invalid_grant" "The user or administrator has not consented to use the application.";
    /// An administrator has to consent.
    AdminConsentRequired 90094 400 "invalid_grant" "An administrator of the tenant has to grant the permission.";
    /// The application's registration lacks permissions or consent.
    Misconfigured 650056 400 "unauthorized_client" "Misconfigured application: the tenant's administrator has not consented to the listed permissions.";
    /// The application is disabled.
    AppDisabled 7000112 400 "unauthorized_client" "Application is disabled.";
    /// The application is not available to this tenant.
    AppUnavailable 70001 400 "unauthorized_client" "The application is disabled or does not exist in this directory.";
    /// The client secret is wrong.
    SecretWrong 7000215 401 "invalid_client" "Invalid client secret provided. Ensure the secret being sent is the client secret value, not the client secret ID.";
    /// The client secret has expired.
    SecretExpired 7000222 401 "invalid_client" "The provided client secret keys are expired.";
    /// The certificate is not registered, or the assertion is not signed by it.
    CertificateUnknown 700027 401 "invalid_client" "The certificate with identifier used to sign the client assertion is not registered on the application.";
    /// The assertion is too old or not yet valid.
    AssertionOutsideItsTime 700024 401 "invalid_client" "Client assertion is not within its valid time range.";
    /// The certificate was revoked.
    CertificateRevoked 7000214 401 "invalid_client" "Certificate has been revoked.";
    /// The certificate has expired or is not yet valid.
    CertificateOutsideItsTime 1000502 401 "invalid_client" "The provided certificate is not within its specified validity period.";
    /// The assertion's signature is wrong.
    AssertionSignature 7000274 401 "invalid_client" "The client assertion contains an invalid signature.";
    /// No federated credential has the assertion's subject.
    FederatedSubjectUnknown 700213 401 "invalid_client" "No matching federated identity record found for presented assertion subject.";
    /// A user's token was presented as a federated assertion.
    FederatedTokenForbidden 700229 401 "invalid_client" "Only app-only tokens can be used as federated identity credentials.";
    /// Conditional access blocks.
    ConditionalAccess 53003 400 "invalid_grant" "Access has been blocked by Conditional Access policies.";
    /// A security policy blocks.
    SecurityPolicy 530032 400 "invalid_grant" "The request is blocked by the tenant's security policy.";
    /// The tenant has too many requests.
    TenantThrottled 90055 429 "temporarily_unavailable" "There are too many incoming requests for this tenant.";
    /// The client repeats the same request.
    LoopDetected 50196 400 "invalid_grant" "The server terminated an operation because it encountered a client request loop.";
    /// The request took too much.
    BudgetExceeded 90024 503 "temporarily_unavailable" "Request budget exceeded. A transient error has occurred.";
    /// The directory is briefly away.
    DirectoryUnavailable 90033 503 "temporarily_unavailable" "A transient error has occurred. Please try again.";
    /// Try again.
    Retryable 50033 503 "temporarily_unavailable" "A transient error has occurred. Please try again.";
    /// HTTP 429 without an AADSTS number.
    TooManyRequests 429 429 "temporarily_unavailable" "Too many requests.";
    /// HTTP 503 without an AADSTS number.
    Unavailable 503 503 "temporarily_unavailable" "The service is unavailable.";
    /// The user is not assigned to the application.
    UserNotAssigned 50105 400 "invalid_grant" "The signed in user is not assigned to a role for the application.";
    /// The user's account is in another tenant.
    UserNotInTenant 50020 400 "invalid_grant" "User account from the identity provider does not exist in the tenant.";
    /// The user's account is nowhere.
    UserUnknown 50034 400 "invalid_grant" "The user account does not exist in the directory.";
    /// The account does not fit the tenant.
    AccountNotInTenant 16000 400 "interaction_required" "The selected account does not exist in the tenant and cannot access the application.";
    /// The redirect address is not registered.
    RedirectMismatch 50011 400 "invalid_request" "The redirect URI specified in the request does not match the redirect URIs configured for the application.";
    // Natural causes beyond what a service needs to tell apart: published numbers all the same.
    /// The assertion's issuer or subject is not the client.
    AssertionNotOfThisClient 700021 400 "invalid_request" "Client assertion application identifier doesn't match 'client_id' parameter.";
    /// The assertion's audience is not this endpoint.
    AssertionAudience 700023 401 "invalid_client" "Client assertion audience claim does not match Realm issuer.";
    /// No federated credential has the assertion's issuer.
    FederatedIssuerUnknown 700211 401 "invalid_client" "No matching federated identity record found for presented assertion issuer.";
    /// No federated credential has the assertion's audience.
    FederatedAudienceUnknown 700212 401 "invalid_client" "No matching federated identity record found for presented assertion audience.";
    /// Neither secret nor assertion.
    CredentialMissing 7000218 401 "invalid_client" "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
    /// The assertion is not a token that can be read.
    AssertionMalformed 50027 401 "invalid_client" "Invalid JWT token: the client assertion is not well formed.";
    /// A parameter is missing.
    ParameterMissing 900144 400 "invalid_request" "The request body must contain the parameters 'grant_type', 'client_id' and 'scope'.";
    /// Another grant than client credentials.
    GrantUnsupported 70003 400 "unsupported_grant_type" "The app requested an unsupported grant type.";
    /// No such resource.
    ResourceUnknown 500011 400 "invalid_resource" "The resource principal was not found in the tenant.";
    /// The authorisation code is none of ours, or another client's.
    CodeInvalid 70000 400 "invalid_grant" "The provided value for the 'code' parameter is not valid.";
    /// The authorisation code is older than ten minutes.
    CodeExpired 70008 400 "invalid_grant" "The provided authorization code or refresh token has expired due to inactivity.";
    /// The authorisation code was redeemed before.
    CodeRedeemed 54005 400 "invalid_grant" "OAuth2 Authorization code was already redeemed, please retry with a new valid code.";
    /// The verifier is not the one whose hash came first.
    VerifierMismatch 501481 400 "invalid_grant" "The Code_Verifier does not match the code_challenge supplied in the authorization request.";
    /// The redirect address is another one than the code was given for.
    CodeRedirectMismatch 500112 400 "invalid_client" "The reply address does not match the reply address provided when requesting Authorization code.";
    /// Somebody declined to consent.
    ConsentDeclined 65004 400 "access_denied" "User declined to consent to access the app.";
    /// Nobody is signed in, and nobody may be asked to.
    LoginRequired 50058 400 "login_required" "A silent sign-in request was sent but no user is signed in.";
    /// No `code_challenge` of the method S256.
    PkceRequired 9002325 400 "invalid_request" "Proof Key for Code Exchange is required for cross-origin authorization code redemption.";
    /// Another response type than `code`.
    ResponseTypeUnsupported 700054 400 "unsupported_response_type" "The response_type is not enabled for the application.";
    /// A registration for one directory only was used from another.
    SingleTenant 50194 400 "invalid_request" "Application is not configured as a multi-tenant application.";
    /// A scope that does not end in `/.default`.
    ScopeInvalid 1002012 400 "invalid_scope" "Client credential flows must have a scope value with /.default suffixed to the resource identifier.";
}

impl EntraRefusal {
    /// Whether the body carries an AADSTS number.
    pub const fn has_number(self) -> bool {
        !matches!(self, Self::TooManyRequests | Self::Unavailable)
    }
}

impl TryFrom<u32> for EntraRefusal {
    type Error = String;

    fn try_from(number: u32) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|r| r.number() == number);
        known.copied().ok_or_else(|| format!("{number} is no refusal that can be switched on"))
    }
}

impl From<EntraRefusal> for u32 {
    fn from(refusal: EntraRefusal) -> Self {
        refusal.number()
    }
}
