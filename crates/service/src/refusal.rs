//! What an outsider is told when something is refused, and what stays in the log.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::{Owner, Reason};
use vault::{KeyUnavailable, Trace};

/// The one outward error of every use case. What it displays is fit for a stranger: no host name, no cause, no id of others.
///
/// It has no [`Error::source`] on purpose: printing a chain must not bring the cause out. [`Refusal::for_log`] does.
#[derive(Clone)]
pub struct Refusal {
    reason: Reason,
    detail: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    trace: Trace,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Refusal {
    /// A refusal with nothing more to say than its reason.
    pub fn because(reason: Reason) -> Self {
        Self { reason, detail: None, retry_after: None, trace: Trace::default(), cause: None }
    }

    /// Adds one sentence about which part of the request is wrong. Never from a vault, a database or another's data.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Adds what only a log may show.
    pub fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// Adds when trying again may help.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Why. Clients switch on it.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Who can fix it.
    pub fn owner(&self) -> Owner {
        self.reason.owner()
    }

    /// The next step.
    pub fn remedy(&self) -> &'static str {
        self.reason.remedy()
    }

    /// When trying again may help, if that is known.
    pub fn wait(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The vault's id of the call that was refused, for the customer to look up in their own log.
    pub fn vault_request_id(&self) -> Option<&str> {
        self.trace.request_id.as_deref()
    }

    /// The directory's id of the call that was refused.
    pub fn correlation_id(&self) -> Option<&str> {
        self.trace.correlation_id.as_deref()
    }

    /// What is wrong, in one sentence: what [`fmt::Display`] prints.
    pub fn message(&self) -> Cow<'static, str> {
        match &self.detail {
            None => Cow::Borrowed(self.reason.summary()),
            Some(detail) => Cow::Owned(format!("{}: {detail}", self.reason.summary())),
        }
    }

    /// The whole story, for a log: reason and every cause behind it. Never for an answer.
    pub fn for_log(&self) -> impl fmt::Display + '_ {
        ForLog(self)
    }
}

struct ForLog<'a>(&'a Refusal);

impl fmt::Display for ForLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.reason, self.0.message())?;
        let mut cause = self.0.cause.as_deref().map(|cause| cause as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

/// As [`fmt::Display`], with the reason's name: a `{:?}` in an answer must not leak what `{}` does not.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({}: {})", self.reason, self.message())
    }
}

impl Error for Refusal {}

impl From<KeyUnavailable> for Refusal {
    fn from(why: KeyUnavailable) -> Self {
        let trace = Trace {
            request_id: why.request_id().map(Into::into),
            correlation_id: why.correlation_id().map(Into::into),
            client_request_id: None,
        };
        let retry_after = why.retry_after();
        Self { retry_after, trace, ..Self::because(why.reason()).caused_by(why) }
    }
}

impl From<store::StoreError> for Refusal {
    fn from(why: store::StoreError) -> Self {
        Self::because(why.reason()).caused_by(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("contoso-kv.vault.azure.net said no to app 1234")]
    struct Inner;

    /// What an outsider can print of a refusal never holds its cause; a log does.
    #[test]
    fn a_cause_stays_inside() {
        let refusal = Refusal::because(Reason::VaultDenied).caused_by(Inner);
        for outward in [format!("{refusal}"), format!("{refusal:?}"), refusal.remedy().to_owned()] {
            assert!(!outward.contains("contoso"), "{outward}");
        }
        assert!(Error::source(&refusal).is_none());
        assert!(refusal.for_log().to_string().contains("contoso-kv"));
    }
}
