//! `byokctl`: what admins and operators type, over gRPC.
//!
//! Data goes to standard output, talk to standard error. A failure is an `error:` and a `hint:` and an exit code that says
//! whose it is: 2 the caller's, 3 the customer's, 4 the service's.

mod app;
mod args;
mod audit;
mod caller;
mod connect;
mod credential;
mod data;
mod failure;
mod guarded;
mod key;
mod key_test;
mod operation;
mod output;
mod signals;
mod tenant;
mod usage;
mod view;
mod watch;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Args, KeyVerb, Noun};
use crate::failure::Failure;

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::caller(format!("the system gives no event loop: {error}"))
                .hint("raise the limit of open files (ulimit -n)");
            return failure.print();
        }
    };
    let watching = matches!(args.noun, Noun::Key(KeyVerb::Watch { .. }));
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            // Dropping the command drops its temporary file.
            failure = signals::interrupted() => Err(if watching { watch::interrupted() } else { failure }),
            outcome = run(args) => outcome,
        }
    });
    // A read of standard input cannot be called back: do not wait for it.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    let global = args.global;
    match args.noun {
        Noun::Workspace(verb) => workspace::run(&global, verb).await,
        Noun::App(verb) => app::run(&global, verb).await,
        Noun::Key(verb) => key::run(&global, verb).await,
        Noun::Operation(verb) => operation::run(&global, verb).await,
        Noun::Caller(verb) => caller::run(&global, verb).await,
        Noun::Audit(verb) => audit::run(&global, verb).await,
        Noun::Tenant(verb) => tenant::run(&global, verb).await,
        Noun::Data(verb) => data::run(&global, verb).await,
    }
}
