//! How the steps of a test stand in its row: one text for one list, so that the row's code covers what a reader sees.

use std::time::Duration;

use domain::Reason;
use domain::key_test::{Step, StepResult, StepState};

/// Number, state, microseconds, finding, reason, remedy, command.
type Written = (u8, u8, u64, String, Option<String>, Option<String>, Option<String>);

/// The steps as a JSON array of arrays.
pub(crate) fn text(steps: &[StepResult]) -> String {
    let written: Vec<Written> = steps.iter().map(written).collect();
    serde_json::to_string(&written).expect("numbers and texts are always JSON")
}

/// The steps in this text; `None` when it is not exactly what [`text`] writes for them.
pub(crate) fn parse(text: &str) -> Option<Vec<StepResult>> {
    let written: Vec<Written> = serde_json::from_str(text).ok()?;
    let steps = written.into_iter().map(read).collect::<Option<Vec<_>>>()?;
    (self::text(&steps) == text).then_some(steps)
}

fn written(result: &StepResult) -> Written {
    let micros = u64::try_from(result.duration.as_micros()).unwrap_or(u64::MAX);
    (
        result.step.number(),
        result.state.number(),
        micros,
        result.finding.clone(),
        result.reason.map(|reason| reason.as_str().to_owned()),
        result.remedy.clone(),
        result.command.clone(),
    )
}

fn read((step, state, micros, finding, reason, remedy, command): Written) -> Option<StepResult> {
    let reason = match reason {
        None => None,
        Some(name) => Some(Reason::named(&name)?),
    };
    Some(StepResult {
        step: Step::of_number(step.into())?,
        state: StepState::of_number(state.into())?,
        duration: Duration::from_micros(micros),
        finding,
        reason,
        remedy,
        command,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One list has one spelling: a text that says the same in another way is not ours, and what we write we read.
    #[test]
    fn one_list_has_one_spelling() {
        let step = StepResult {
            state: StepState::Failed,
            duration: Duration::from_micros(61_234),
            finding: "it said \"no\"\n".to_owned(),
            reason: Some(Reason::KeyDisabled),
            remedy: Some("enable it".to_owned()),
            ..StepResult::not_run(Step::Wrap)
        };
        let steps = vec![StepResult::not_run(Step::Key), step];
        let text = text(&steps);
        assert_eq!(
            text,
            r#"[[6,4,0,"",null,null,null],[7,3,61234,"it said \"no\"\n","KEY_DISABLED","enable it",null]]"#
        );
        assert_eq!(parse(&text), Some(steps));
        for other in [
            "",
            "[ ]",
            "{}",
            r#"[[6,4,0,"",null,null]]"#,
            r#"[[11,4,0,"",null,null,null]]"#,
            r#"[[6,9,0,"",null,null,null]]"#,
            r#"[[6,4,0,"","NO_SUCH_REASON",null,null]]"#,
            r#"[[6, 4,0,"",null,null,null]]"#,
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
        assert_eq!(parse("[]"), Some(Vec::new()));
    }
}
