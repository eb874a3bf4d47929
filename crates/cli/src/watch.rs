//! `byokctl key watch`: which apps and bots are under the customer's key, told as it changes.
//!
//! For people: every app at first, then a line for each that changed. For programs: the whole selection, one JSON object a line.

use client::Selections;
use domain::{WorkspaceId, name};

use crate::args::{Global, Output};
use crate::connect::connect;
use crate::failure::{Exit, Failure, one_line};
use crate::output;
use crate::view::{SelectedApp, Selection};

/// What whoever watched does next.
const AGAIN: &str = "watch again: it begins with the selection as it is then, so that nothing is missed";

pub(crate) async fn run(global: &Global, workspace: &WorkspaceId) -> Result<(), Failure> {
    let client = connect(global).await?;
    let mut selections = client.watch_selection(&name::workspace(workspace)).await?;
    let (mut before, mut table): (Option<Selection>, Option<Table>) = (None, None);
    loop {
        let now = next(&mut selections).await?;
        match global.output {
            Output::Json => output::print(&output::line(&now)?)?,
            Output::Table => {
                let heads = table.is_none();
                let table = table.get_or_insert_with(|| Table::wide_enough_for(&now));
                let heads = if heads { table.heads() } else { String::new() };
                output::print(&(heads + &table.lines(&changes(before.as_ref(), &now))))?;
            }
        }
        before = Some(now);
    }
}

async fn next(selections: &mut Selections) -> Result<Selection, Failure> {
    match selections.next().await {
        Ok(Some(now)) => Ok(now.into()),
        Ok(None) => Err(cut_off("the service ended the watch".to_owned(), None)),
        Err(error) => {
            let failure = Failure::from(error);
            // What the caller or the customer has to mend is not mended by watching again.
            Err(if failure.exit == Exit::Service {
                cut_off(format!("the watch was cut off: {}", failure.message), Some(&failure.hint))
            } else {
                failure
            })
        }
    }
}

/// How a watch ends that somebody interrupts: there is no other way for it to end well.
pub(crate) fn interrupted() -> Failure {
    Failure { exit: Exit::Interrupted, message: "interrupted; nothing is watched any more".into(), hint: AGAIN.into() }
}

fn cut_off(message: String, hint: Option<&str>) -> Failure {
    let hint = hint.map_or_else(|| AGAIN.to_owned(), |hint| format!("{hint}; {AGAIN}"));
    Failure { exit: Exit::Service, message, hint }
}

const HEADS: [&str; 5] = ["REVISION", "EFFECTIVE", "APP", "SELECTED", "NEW DATA UNDER"];

/// Columns that line up although nobody knows what comes.
struct Table {
    widths: [usize; 5],
}

impl Table {
    fn wide_enough_for(first: &Selection) -> Self {
        let mut widths = HEADS.map(str::len);
        widths[1] = "2027-03-01T09:00:00.000Z".len();
        let ids = first.apps.iter().map(|app| short(&app.app).chars().count());
        widths[2] = ids.chain([NEW_ONES.len()]).max().unwrap_or(0);
        Self { widths }
    }

    fn heads(&self) -> String {
        let bold = anstyle::Style::new().bold();
        format!("{bold}{}{bold:#}\n", self.line(HEADS.map(str::to_owned)))
    }

    fn lines(&self, rows: &[[String; 5]]) -> String {
        rows.iter().map(|row| self.line(row.clone()) + "\n").collect()
    }

    fn line(&self, cells: [String; 5]) -> String {
        let padded: Vec<String> =
            cells.iter().zip(self.widths).map(|(cell, width)| format!("{:<width$}", one_line(cell))).collect();
        padded.join("  ").trim_end().to_owned()
    }
}

/// The row about apps that are not there yet.
const NEW_ONES: &str = "(future ones)";

/// What is new: every app at first, then those that differ or are gone.
fn changes(before: Option<&Selection>, now: &Selection) -> Vec<[String; 5]> {
    let was = |app: &str| before.and_then(|before| before.apps.iter().find(|was| was.app == app));
    let yes = |selected: bool| if selected { "yes" } else { "no" }.to_owned();
    let under = |app: &SelectedApp| match (&app.protection, now.revoked) {
        (Some(protection), _) => protection.clone(),
        (None, true) => "refused: the key is switched off here".to_owned(),
        (None, false) => "refused".to_owned(),
    };
    let mut told: Vec<[String; 3]> = Vec::new();
    for app in now.apps.iter().filter(|app| was(&app.app) != Some(*app)) {
        told.push([short(&app.app).to_owned(), yes(app.selected), under(app)]);
    }
    for gone in before.iter().flat_map(|before| &before.apps) {
        if !now.apps.iter().any(|app| app.app == gone.app) {
            told.push([short(&gone.app).to_owned(), "deleted".to_owned(), String::new()]);
        }
    }
    if before.is_none_or(|before| before.every_app != now.every_app) {
        told.push([NEW_ONES.to_owned(), yes(now.every_app), String::new()]);
    }
    if told.is_empty() {
        told.push(["no app".to_owned(), String::new(), String::new()]);
    }
    let effective = now.effective_time.clone().unwrap_or_default();
    told.into_iter()
        .map(|[app, selected, under]| [now.revision.to_string(), effective.clone(), app, selected, under])
        .collect()
}

fn short(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(revision: u64, every_app: bool, apps: &[(&str, bool, Option<&str>)]) -> Selection {
        let app = |(app, selected, protection): &(&str, bool, Option<&str>)| SelectedApp {
            app: format!("workspaces/acme/apps/{app}"),
            selected: *selected,
            protection: protection.map(str::to_owned),
        };
        Selection {
            workspace: "workspaces/acme".into(),
            revision,
            effective_time: Some("2027-03-01T09:05:15.000Z".into()),
            every_app,
            revoked: false,
            apps: apps.iter().map(app).collect(),
        }
    }

    /// Everything at first, under heads; then what changed and nothing else, in the same columns.
    #[test]
    fn what_changed_is_told_in_columns_that_line_up() {
        let first = selection(2, true, &[("crm", true, Some("CUSTOMER_KEY")), ("bot", true, Some("CUSTOMER_KEY"))]);
        let second = selection(3, false, &[("crm", false, Some("PLATFORM_KEY")), ("bot", true, Some("CUSTOMER_KEY"))]);
        let third = Selection { revoked: true, ..selection(4, false, &[("bot", true, None)]) };
        let fourth = Selection { revoked: true, ..selection(5, false, &[("bot", true, None)]) };
        let table = Table::wide_enough_for(&first);
        let mut text = table.heads() + &table.lines(&changes(None, &first));
        for (before, now) in [(&first, &second), (&second, &third), (&third, &fourth)] {
            text.push_str(&table.lines(&changes(Some(before), now)));
        }
        let text = anstream::adapter::strip_str(&text).to_string();
        let at = "2027-03-01T09:05:15.000Z";
        let expected = format!(
            "REVISION  EFFECTIVE                 APP            SELECTED  NEW DATA UNDER\n\
             2         {at}  crm            yes       CUSTOMER_KEY\n\
             2         {at}  bot            yes       CUSTOMER_KEY\n\
             2         {at}  (future ones)  yes\n\
             3         {at}  crm            no        PLATFORM_KEY\n\
             3         {at}  (future ones)  no\n\
             4         {at}  bot            yes       refused: the key is switched off here\n\
             4         {at}  crm            deleted\n\
             5         {at}  no app\n"
        );
        assert_eq!(text, expected, "{text}");
    }
}
