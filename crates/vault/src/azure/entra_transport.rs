//! The guard before the directory: only the token endpoint of one tenant, and refusals whole.

use std::fmt;

use azure_core::{
    error::ErrorKind,
    http::{AsyncRawResponse, HttpClient, Method, RawResponse, Request, StatusCode},
};
use domain::{Cloud, TenantId};
use outbound::{NoAnswer, Sender};

use super::bridge;
use crate::{CredentialFault, KeyUnavailable};

/// Sends token requests of one tenant.
pub(super) struct EntraTransport {
    sender: Sender,
    endpoint: String,
}

impl EntraTransport {
    pub(super) fn new(sender: Sender, cloud: Cloud, tenant: &TenantId) -> Self {
        Self { sender, endpoint: token_endpoint(cloud, tenant) }
    }
}

/// Where a tenant's tokens are: the fixed login host of the cloud, and the tenant's own path.
pub(super) fn token_endpoint(cloud: Cloud, tenant: &TenantId) -> String {
    format!("https://{}/{tenant}/oauth2/v2.0/token", cloud.login_host())
}

#[async_trait::async_trait]
impl HttpClient for EntraTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        // The secret and the assertion go to this one URL, whatever the SDK was told.
        if request.url().as_str() != self.endpoint || request.method() != Method::Post {
            let why = KeyUnavailable::CredentialUnusable(CredentialFault::Malformed);
            return Err(azure_core::Error::new(ErrorKind::Other, why));
        }
        let received = bridge::send(&self.sender, request).await.map_err(|why| {
            let why = match why {
                NoAnswer::Unreachable | NoAnswer::NotResolved(_) | NoAnswer::TimedOut | NoAnswer::TooLarge => {
                    KeyUnavailable::DirectoryUnreachable
                }
            };
            azure_core::Error::new(ErrorKind::Other, why)
        })?;
        let status = StatusCode::from(received.status);
        if status.is_success() {
            return Ok(AsyncRawResponse::from_bytes(status, received.headers, received.body));
        }
        // As an error, whole: what the SDK makes of a refusal loses status, number and Retry-After when the text is escaped.
        let raw_response = Some(Box::new(RawResponse::from_bytes(status, received.headers, received.body)));
        Err(azure_core::Error::from(ErrorKind::HttpResponse { status, error_code: None, raw_response }))
    }
}

impl fmt::Debug for EntraTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntraTransport").finish_non_exhaustive()
    }
}
