//! What a failed call means for its caller: who can fix it, and what they do next.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::pb;

/// Who can fix a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Whoever made the call.
    Caller,
    /// The customer: their vault, key, directory or network.
    Customer,
    /// The platform that runs the service.
    Service,
}

/// The service's answer "no".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The gRPC code.
    pub code: Code,
    /// The stable name to switch on, such as `KEY_DISABLED`; empty if the answer did not come from byokd itself.
    pub reason: String,
    /// Who can fix it.
    pub owner: Owner,
    /// The next step; empty if the answer has none.
    pub remedy: String,
    /// The request's id in the service's log; empty if the answer has none.
    pub request_id: String,
    /// When to try again, if the service said so.
    pub retry_after: Option<Duration>,
    /// What is wrong, in one sentence.
    pub message: String,
}

impl Refused {
    /// The reason as this release knows it; `None` for one that a newer service added.
    pub fn known_reason(&self) -> Option<pb::Reason> {
        pb::Reason::from_str_name(&format!("REASON_{}", self.reason))
            .or_else(|| pb::Reason::from_str_name(&self.reason))
    }
}

/// Why a call did not give what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service said no.
    #[error(transparent)]
    Refused(Box<Refused>),
    /// No connection to the service could be made, or it broke.
    #[error("no connection to {server}: {cause}")]
    Unreachable {
        /// The address that was tried.
        server: String,
        /// What the system said.
        cause: String,
    },
    /// No answer within the call's deadline.
    #[error("{server} did not answer within {waited:?}")]
    NoAnswer {
        /// The address that was asked.
        server: String,
        /// The deadline.
        waited: Duration,
    },
    /// The connection's options do not fit together, or hold something unreadable.
    #[error("{0}")]
    Options(&'static str),
    /// The answer breaks the contract.
    #[error("the answer does not fit the request: {0}")]
    Answer(&'static str),
}

impl Error {
    /// Who can fix it.
    pub fn owner(&self) -> Owner {
        match self {
            Self::Refused(refused) => refused.owner,
            Self::Options(_) => Owner::Caller,
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::Answer(_) => Owner::Service,
        }
    }

    /// The refusal, if the service answered.
    pub fn refused(&self) -> Option<&Refused> {
        match self {
            Self::Refused(refused) => Some(refused),
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::Options(_) | Self::Answer(_) => None,
        }
    }

    /// Reads a status: byokd's own refusals carry their details, everything else is the connection's fault.
    pub(crate) fn from_status(status: &Status, server: &str, waited: Option<Duration>) -> Self {
        let details = status.get_error_details();
        let Some(info) = details.error_info().filter(|info| info.domain == "byokd") else {
            return Self::without_details(status, server, waited);
        };
        let entry = |key: &str| info.metadata.get(key).cloned().unwrap_or_default();
        let owner = match entry("owner").as_str() {
            "caller" => Owner::Caller,
            "customer" => Owner::Customer,
            "service" => Owner::Service,
            _ => owner_of(status.code()),
        };
        Self::Refused(Box::new(Refused {
            code: status.code(),
            reason: info.reason.clone(),
            owner,
            remedy: entry("remedy"),
            request_id: entry("request_id"),
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
            message: status.message().to_owned(),
        }))
    }

    /// A status that byokd did not write: made on this side, or by something between.
    fn without_details(status: &Status, server: &str, waited: Option<Duration>) -> Self {
        let server = server.to_owned();
        if let Some(cause) = std::error::Error::source(status) {
            return match (is_timeout(cause), waited) {
                (true, Some(waited)) => Self::NoAnswer { server, waited },
                _ => Self::Unreachable { server, cause: innermost(cause) },
            };
        }
        match (status.code(), waited) {
            (Code::DeadlineExceeded | Code::Cancelled, Some(waited)) => Self::NoAnswer { server, waited },
            (Code::Unavailable, _) => Self::Unreachable { server, cause: status.message().to_owned() },
            (code, _) => Self::Refused(Box::new(Refused {
                code,
                reason: String::new(),
                owner: owner_of(code),
                remedy: String::new(),
                request_id: String::new(),
                retry_after: None,
                message: format!("{code:?}: {}", status.message()),
            })),
        }
    }
}

/// The owner that a code suggests, for answers that do not name one.
fn owner_of(code: Code) -> Owner {
    match code {
        Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::OutOfRange
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::ResourceExhausted
        | Code::DeadlineExceeded
        | Code::Cancelled => Owner::Caller,
        Code::FailedPrecondition => Owner::Customer,
        Code::Ok
        | Code::Unknown
        | Code::Aborted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => Owner::Service,
    }
}

fn is_timeout(cause: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(cause);
    while let Some(error) = next {
        if error.downcast_ref::<tonic::TimeoutExpired>().is_some() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The innermost cause: "connection refused" says more than "transport error".
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    fn refusal(owner: &str) -> Status {
        let metadata = [("owner", owner), ("remedy", "re-enable that version"), ("request_id", "01J")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        let mut details = ErrorDetails::new();
        details.set_error_info(
            "KEY_DISABLED",
            "byokd",
            metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
        );
        details.set_retry_info(Some(Duration::from_secs(7)));
        Status::with_error_details(Code::FailedPrecondition, "the key version is disabled", details)
    }

    /// Everything the service says about a refusal reaches the program that asked.
    #[test]
    fn a_refusal_keeps_its_reason_owner_remedy_and_delay() {
        let error = Error::from_status(&refusal("customer"), "unix:/s", None);
        let refused = error.refused().unwrap();
        assert_eq!(refused.known_reason(), Some(pb::Reason::KeyDisabled));
        assert_eq!((refused.owner, refused.code), (Owner::Customer, Code::FailedPrecondition));
        assert_eq!((refused.remedy.as_str(), refused.request_id.as_str()), ("re-enable that version", "01J"));
        assert_eq!(refused.retry_after, Some(Duration::from_secs(7)));
    }

    /// An owner this release does not know is judged by the code, never taken for nobody's fault.
    #[test]
    fn an_unknown_owner_is_judged_by_the_code() {
        let error = Error::from_status(&refusal("auditor"), "unix:/s", None);
        assert_eq!(error.owner(), Owner::Customer);
    }

    /// An answer of something between (a proxy, a load balancer) is not taken for the service's word.
    #[test]
    fn an_answer_without_our_details_has_no_reason() {
        let error = Error::from_status(&Status::new(Code::Unimplemented, "nginx"), "https://x", None);
        assert_eq!(error.refused().unwrap().known_reason(), None);
        assert_eq!(error.owner(), Owner::Service);
        let gone = Error::from_status(&Status::unavailable("gone"), "https://x", None);
        assert!(matches!(gone, Error::Unreachable { .. }));
    }
}
