//! How a step ends: well, with something to notice, or with a reason, a remedy and a command.

use domain::Reason;
use domain::key_test::StepState;
use vault::KeyUnavailable;

use crate::keys::Failure;

/// What a step says when it ends. Its time and its command come from who ran it.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) state: StepState,
    pub(super) finding: String,
    pub(super) reason: Option<Reason>,
    /// Where the reason's own remedy is not the one.
    pub(super) remedy: Option<String>,
}

impl Verdict {
    pub(super) fn passed(finding: impl Into<String>) -> Self {
        Self { state: StepState::Passed, finding: finding.into(), reason: None, remedy: None }
    }

    /// It does not prevent use; `reason` is what to look at first.
    pub(super) fn warning(reason: Reason, finding: impl Into<String>) -> Self {
        Self { state: StepState::Warning, finding: finding.into(), reason: Some(reason), remedy: None }
    }

    pub(super) fn failed(reason: Reason, finding: impl Into<String>) -> Self {
        Self { state: StepState::Failed, finding: finding.into(), reason: Some(reason), remedy: None }
    }

    pub(super) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The next step for whoever reads it.
    pub(super) fn remedy(&self) -> Option<String> {
        self.remedy.clone().or_else(|| self.reason.map(|reason| reason.remedy().to_owned()))
    }
}

/// The vault's or the directory's no, with its id of the call: the customer finds it in their own log.
impl From<&KeyUnavailable> for Verdict {
    fn from(why: &KeyUnavailable) -> Self {
        let reason = why.reason();
        let id = why.request_id().or(why.correlation_id());
        let finding = match id {
            Some(id) => format!("{} (request {id})", reason.summary()),
            None => reason.summary().to_owned(),
        };
        Self::failed(reason, finding)
    }
}

impl From<Failure> for Verdict {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Vault(why) => Self::from(&why),
            other => {
                let reason = crate::Refusal::from(other).reason();
                Self::failed(reason, reason.summary())
            }
        }
    }
}
