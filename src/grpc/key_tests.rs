//! Tests of a key's configuration as the contract has them.

use api::byok::v1 as pb;
use domain::KeyTest;
use domain::key_test::{Step, StepResult, StepState};
use service::TestEvent;

use super::text;

/// One event of a test.
pub(super) fn event(event: TestEvent) -> pb::TestConfigurationResponse {
    use pb::test_configuration_response::Event;
    let event = match event {
        TestEvent::Started(started) => Event::Started(step(started).into()),
        TestEvent::Ended(result) => Event::Ended(step_result(result)),
        TestEvent::Finished(finished) => Event::Finished(test(finished)),
    };
    pb::TestConfigurationResponse { event: Some(event) }
}

/// A whole test.
pub(super) fn test(test: KeyTest) -> pb::KeyTest {
    pb::KeyTest {
        name: domain::name::key_test(&test.workspace, test.id),
        config_hash: test.config_hash.to_string(),
        start_time: text::stamp(test.started_at),
        finish_time: text::stamp(test.finished_at),
        passed: test.passed(),
        counts_until: test.counts_until().and_then(text::stamp),
        steps: test.steps.into_iter().map(step_result).collect(),
    }
}

fn step_result(result: StepResult) -> pb::KeyTestStepResult {
    let said = |reason: domain::Reason| (reason.as_str().to_owned(), reason.owner().as_str().to_owned());
    let (reason, owner) = result.reason.map(said).unwrap_or_default();
    pb::KeyTestStepResult {
        step: step(result.step).into(),
        state: state(result.state).into(),
        duration: prost_types::Duration::try_from(result.duration).ok(),
        finding: result.finding,
        reason,
        owner,
        remedy: result.remedy.unwrap_or_default(),
        command: result.command.unwrap_or_default(),
    }
}

fn step(step: Step) -> pb::KeyTestStep {
    match step {
        Step::NameResolution => pb::KeyTestStep::NameResolution,
        Step::Network => pb::KeyTestStep::Network,
        Step::Tenant => pb::KeyTestStep::Tenant,
        Step::Authentication => pb::KeyTestStep::Authentication,
        Step::Ownership => pb::KeyTestStep::Ownership,
        Step::Key => pb::KeyTestStep::Key,
        Step::Wrap => pb::KeyTestStep::Wrap,
        Step::Unwrap => pb::KeyTestStep::Unwrap,
        Step::TamperedUnwrap => pb::KeyTestStep::TamperedUnwrap,
        Step::DataPath => pb::KeyTestStep::DataPath,
    }
}

fn state(state: StepState) -> pb::KeyTestStepState {
    match state {
        StepState::Passed => pb::KeyTestStepState::Passed,
        StepState::Warning => pb::KeyTestStepState::Warning,
        StepState::Failed => pb::KeyTestStepState::Failed,
        StepState::NotRun => pb::KeyTestStepState::NotRun,
        StepState::PendingPropagation => pb::KeyTestStepState::PendingPropagation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps and states have the same numbers and names in rows and in the contract.
    #[test]
    fn steps_and_states_are_the_contracts() {
        for own in Step::ALL {
            let said = step(*own);
            assert_eq!(said as i32, i32::from(own.number()));
            assert_eq!(said.as_str_name(), format!("KEY_TEST_STEP_{}", own.as_str()));
        }
        for own in StepState::ALL {
            let said = state(own);
            assert_eq!(said as i32, i32::from(own.number()));
            assert_eq!(said.as_str_name(), format!("KEY_TEST_STEP_STATE_{}", own.as_str()));
        }
    }
}
