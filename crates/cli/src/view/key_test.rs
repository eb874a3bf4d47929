//! Tests of a key's configuration.

use client::pb;
use serde::Serialize;

use super::{short, time};
use crate::failure::Failure;

/// One line of `key test`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum TestEvent {
    Started { step: String },
    Ended(KeyTestStep),
    Finished(KeyTest),
}

impl TestEvent {
    /// The event as one line of JSON.
    pub(crate) fn line(event: &pb::test_configuration_response::Event) -> Result<String, Failure> {
        use pb::test_configuration_response::Event;
        let event = match event.clone() {
            Event::Started(started) => Self::Started { step: step(started) },
            Event::Ended(ended) => Self::Ended(ended.into()),
            Event::Finished(test) => Self::Finished(test.into()),
        };
        let text = serde_json::to_string(&event).map_err(|error| {
            Failure::caller(format!("the answer has no JSON form: {error}")).hint("use --output table")
        })?;
        Ok(text + "\n")
    }
}

#[derive(Serialize)]
pub(crate) struct KeyTestStep {
    pub(crate) step: String,
    pub(crate) state: String,
    pub(crate) duration_ms: u64,
    pub(crate) finding: String,
    /// The last four are absent where a step simply passed.
    pub(crate) reason: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) remedy: Option<String>,
    pub(crate) command: Option<String>,
}

impl From<pb::KeyTestStepResult> for KeyTestStep {
    fn from(s: pb::KeyTestStepResult) -> Self {
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let took = s.duration.and_then(|took| std::time::Duration::try_from(took).ok()).unwrap_or_default();
        Self {
            step: step(s.step),
            state: state(s.state),
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            finding: s.finding,
            reason: said(s.reason),
            owner: said(s.owner),
            remedy: said(s.remedy),
            command: said(s.command),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeyTest {
    pub(crate) name: String,
    pub(crate) config_hash: String,
    pub(crate) start_time: Option<String>,
    pub(crate) finish_time: Option<String>,
    pub(crate) passed: bool,
    /// Absent where it did not pass.
    pub(crate) counts_until: Option<String>,
    pub(crate) steps: Vec<KeyTestStep>,
}

impl From<pb::KeyTest> for KeyTest {
    fn from(t: pb::KeyTest) -> Self {
        Self {
            start_time: time!(t.start_time),
            finish_time: time!(t.finish_time),
            counts_until: time!(t.counts_until),
            name: t.name,
            config_hash: t.config_hash,
            passed: t.passed,
            steps: t.steps.into_iter().map(Into::into).collect(),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct KeyTests {
    pub(crate) tests: Vec<KeyTest>,
}

/// `NAME_RESOLUTION`, or what a newer service means by a number.
pub(crate) fn step(value: i32) -> String {
    short::<pb::KeyTestStep>(value, "KEY_TEST_STEP_", pb::KeyTestStep::as_str_name)
}

/// `PASSED`, or what a newer service means by a number.
pub(crate) fn state(value: i32) -> String {
    short::<pb::KeyTestStepState>(value, "KEY_TEST_STEP_STATE_", pb::KeyTestStepState::as_str_name)
}
