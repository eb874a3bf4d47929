//! How a refusal is answered, and what of it is logged.

use domain::name::InvalidName;
use domain::permission::NotPermitted;
use domain::{InvalidId, Owner, Reason, RequestId};
use service::Refusal;
use tonic::Status;

use super::status::status;

/// A name that breaks the pattern; the message says the pattern and not what was sent.
pub(super) fn name(invalid: InvalidName) -> Refusal {
    Refusal::because(Reason::NameInvalid).detail(invalid.to_string())
}

/// An id that breaks its rule.
pub(super) fn id(invalid: InvalidId) -> Refusal {
    Refusal::because(Reason::NameInvalid).detail(invalid.to_string())
}

/// Not yours is answered exactly like not there (I-14). What is missing is named only where the caller was given something.
pub(super) fn not_permitted(why: NotPermitted) -> Refusal {
    match why {
        NotPermitted::NotThere => Refusal::because(Reason::NotFound),
        NotPermitted::NotGranted(verb) => Refusal::because(Reason::PermissionDenied).detail(verb.as_str()),
    }
}

/// A field that is missing or has a value it cannot have.
pub(super) fn field(what: &'static str) -> Refusal {
    Refusal::because(Reason::RequestInvalid).detail(what)
}

/// The status of a refusal. Its cause goes to the log, at a level that fits the owner: a caller's mistakes must not fill it.
pub(super) fn answer(refusal: &Refusal, request: RequestId, method: &str) -> Status {
    let (reason, why) = (refusal.reason(), refusal.for_log());
    let vault = refusal.vault_request_id();
    service::figures::refused(reason);
    match refusal.owner() {
        Owner::Caller => tracing::debug!(%request, method, %reason, %why, "refused"),
        Owner::Customer => tracing::warn!(%request, method, %reason, %why, vault, "refused on the customer's side"),
        Owner::Service => tracing::error!(%request, method, %reason, %why, vault, "failed"),
    }
    status(refusal, request)
}
