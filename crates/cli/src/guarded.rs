//! What needs a second person: `byokctl key replace`, `leave` and `destroy-data-key`.

use client::pb;

use crate::args::{Global, Output};
use crate::connect::connect;
use crate::failure::Failure;
use crate::{key, operation, output, view};

pub(crate) async fn replace(global: &Global, request: pb::ReplaceKeyRequest, no_wait: bool) -> Result<(), Failure> {
    let client = connect(global).await?;
    let answer = client.replace_key(request).await?;
    let plan = view::Plan::from(answer.plan.unwrap_or_default());
    let Some(begun) = answer.operation else {
        if answer.needs_approval {
            let hours = answer.waits.map_or(0, |waits| waits.seconds / 3_600);
            operation::say(global, &format!("somebody else has to approve it; then it waits {hours} hours"));
        }
        return operation::show_plan(global, &plan);
    };
    if begun.approval.is_some() {
        return asked(global, begun);
    }
    operation::say(global, &format!("{}: {} data keys, about {:.1} s", begun.name, plan.data_keys, plan.eta_seconds));
    key::follow(global, &client, begun, no_wait).await
}

pub(crate) async fn leave(global: &Global, request: pb::LeaveCustomerKeyRequest) -> Result<(), Failure> {
    let answer = connect(global).await?.leave_customer_key(request).await?;
    let leaving = view::Leaving::from(answer);
    if let (Some(operation), Output::Table) = (&leaving.operation, global.output) {
        operation::say(global, &format!("{}: {}", operation.name, ask_another(operation)));
    }
    let row = |needed: &view::StillNeeded| [needed.app.clone(), needed.data_keys.to_string()];
    let rows: Vec<_> = leaving.still_needed.iter().map(row).collect();
    output::many(global, ["STILL NEEDS THE CUSTOMER KEY", "DATA KEYS"], &rows, &leaving)
}

pub(crate) async fn destroy_data_key(global: &Global, name: String, yes: bool) -> Result<(), Failure> {
    if !yes {
        return Err(Failure::caller("what this data key sealed could never be opened again")
            .hint("add --yes to ask for it; somebody else has to approve it, and it waits seven days"));
    }
    asked(global, connect(global).await?.destroy_data_key(pb::DestroyDataKeyRequest { name }).await?)
}

fn asked(global: &Global, asked: pb::Operation) -> Result<(), Failure> {
    let asked = view::Operation::from(asked);
    operation::say(global, &ask_another(&asked));
    operation::show(global, asked)
}

fn ask_another(operation: &view::Operation) -> String {
    let id = operation.name.rsplit('/').next().unwrap_or_default();
    format!("somebody else has to approve it: byokctl operation approve {id}")
}
