//! `byokctl app validate`, `app usage`, `app coverage`.

use std::time::Duration;

use client::pb;
use domain::Timestamp;

use crate::args::{AppName, Global, Output, Scope};
use crate::connect::connect;
use crate::failure::{Exit, Failure, one_line};
use crate::output;
use crate::view::usage::{AppCoverage, Coverage, HourOfUsage, Usage, Validation};

pub(crate) async fn validate(global: &Global, app: &AppName) -> Result<(), Failure> {
    let answer = connect(global).await?.validate_app(pb::ValidateAppRequest { app: app.full() }).await?;
    let validation = Validation::from(answer);
    match global.output {
        Output::Json => output::print(&output::document(&validation)?)?,
        Output::Table if validation.successful => output::print(&format!("{}\n", one_line(&validation.message)))?,
        Output::Table => {}
    }
    if validation.successful { Ok(()) } else { Err(failure(&validation)) }
}

/// Whose fault it is that a validation was no success, and what they do.
fn failure(validation: &Validation) -> Failure {
    let exit = match validation.owner.as_deref() {
        Some("customer") => Exit::Customer,
        Some("caller") => Exit::Caller,
        Some(_) | None => Exit::Service,
    };
    let reason = validation.reason.as_deref().unwrap_or("no reason");
    let message = format!("{} [{reason}]", validation.message.trim_end_matches('.'));
    let hint = validation.remedy.clone().unwrap_or_else(|| "validate again".to_owned());
    Failure { exit, message, hint }
}

pub(crate) async fn usage(
    global: &Global,
    scope: &Scope,
    last: Option<Duration>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
) -> Result<(), Failure> {
    let request = pb::GetUsageRequest {
        parent: scope.parent(),
        app: scope.app(),
        start_time: from.map(|at| client::time(at.micros())),
        end_time: until.map(|at| client::time(at.micros())),
        last: last.map(client::whole_seconds),
        ..Default::default()
    };
    let found = connect(global).await?.usage(request).await?;
    let hours: Vec<HourOfUsage> = found.into_iter().map(Into::into).collect();
    let row = |h: &HourOfUsage| {
        let t = &h.tally;
        [
            h.start_time.clone().unwrap_or_default().replace(":00:00.000Z", ":00Z"),
            short(&h.app),
            h.protection.clone(),
            t.sealed_messages.to_string(),
            bytes(t.sealed_bytes),
            t.opened_messages.to_string(),
            bytes(t.opened_bytes),
        ]
    };
    let rows: Vec<_> = hours.iter().map(row).collect();
    let heads = ["HOUR", "APP", "PROTECTION", "SEALED", "BYTES", "OPENED", "BYTES"];
    output::many(global, heads, &rows, &Usage { hours })
}

pub(crate) async fn coverage(global: &Global, scope: &Scope) -> Result<(), Failure> {
    let found = connect(global).await?.coverage(&scope.parent(), &scope.app()).await?;
    let apps: Vec<AppCoverage> = found.into_iter().map(Into::into).collect();
    match global.output {
        Output::Json => output::print(&output::document(&Coverage { apps })?),
        Output::Table => output::print(&table(&apps)),
    }
}

/// Every data key, then for each app what is left.
fn table(apps: &[AppCoverage]) -> String {
    let rows: Vec<_> = apps
        .iter()
        .flat_map(|app| app.data_keys.iter().map(move |key| (app, key)))
        .map(|(app, key)| {
            let time = |at: &Option<String>| at.clone().unwrap_or_else(|| "-".to_owned());
            [
                short(&app.app),
                key.data_key.rsplit('/').next().unwrap_or_default().to_owned(),
                key.protection.clone(),
                if key.present { "present".to_owned() } else { key.state.to_lowercase() },
                key.tally.sealed_messages.to_string(),
                key.tally.opened_messages.to_string(),
                time(&key.first_seal_time),
                time(&key.last_seal_time),
                time(&key.last_open_time),
            ]
        })
        .collect();
    let heads =
        ["APP", "DATA KEY", "PROTECTION", "STATE", "SEALED", "OPENED", "FIRST SEAL", "LAST SEAL", "LAST OPENED"];
    let mut text = output::table(heads, &rows);
    text.push('\n');
    for app in apps {
        let left = match app.data_keys_left {
            0 => "nothing is left to encrypt again".to_owned(),
            keys => format!(
                "left to encrypt again: at most {} messages under {keys} data {}",
                app.messages_left,
                if keys == 1 { "key" } else { "keys" }
            ),
        };
        text.push_str(&one_line(&format!("{}: new data is under {}; {left}", short(&app.app), app.protection)));
        text.push('\n');
    }
    text
}

/// `acme/support-bot`, as it can be typed.
fn short(app: &str) -> String {
    app.trim_start_matches("workspaces/").replacen("/apps/", "/", 1)
}

fn bytes(count: i64) -> String {
    output::bytes(u64::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::usage::sample;

    /// A validation that was no success ends with the exit code of who has to act, and says how.
    #[test]
    fn a_validation_says_whose_move_it_is() {
        let refused = Validation::from(pb::ValidateAppResponse {
            message: "The credential could not be stored: the key version is disabled.".into(),
            reason: "KEY_DISABLED".into(),
            owner: "customer".into(),
            remedy: "re-enable that version".into(),
            ..Default::default()
        });
        let told = failure(&refused);
        assert_eq!((told.exit.code(), told.hint.as_str()), (3, "re-enable that version"));
        assert!(told.message.ends_with("is disabled [KEY_DISABLED]"), "{}", told.message);
    }

    /// The table shows every data key, and below it what each app has left.
    #[test]
    fn the_table_says_what_is_left() {
        let text = anstream::adapter::strip_str(&table(&[sample().into()])).to_string();
        assert!(text.contains("acme/support-bot  0f0f"), "{text}");
        let left = "acme/support-bot: new data is under CUSTOMER_KEY; left to encrypt again: at most 7 messages under 1 data key\n";
        assert!(text.ends_with(left), "{text}");
    }
}
