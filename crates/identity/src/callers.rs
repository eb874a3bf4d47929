//! The seam: what a listener hands over, and who that turns out to be.

use domain::permission::Caller;

/// What a caller showed. Certificates and signed tokens come beside these.
///
/// Deliberately absent: `Debug`. A token must not reach a log by way of a struct that holds one.
#[derive(Clone, Copy)]
pub enum Credential<'a> {
    /// The text after `Bearer ` in the `authorization` metadata.
    Bearer(&'a str),
    /// Nothing was shown.
    None,
}

/// Tells callers apart. Asked on every request, so it neither waits nor allocates.
pub trait Callers: Send + Sync + 'static {
    /// Who showed this credential, or nobody. There is no reason on purpose: a stranger learns nothing from it.
    fn authenticate(&self, credential: Credential<'_>) -> Option<&Caller>;
}
