//! `byokctl` and `byokd dev` as a person has them: the programs, against a running daemon.

mod admin;
mod approvals;
mod audit;
mod bad_input;
mod callers;
mod certificates;
mod credentials;
mod data;
mod dev;
mod leave;
mod memory;
mod otlp;
mod program;
mod rotate;
#[path = "../daemon/site.rs"]
#[allow(dead_code, reason = "a daemon in this process, shared with the daemon's own tests, which use more of it")]
mod site;
mod tenant;
mod usage;
mod watch;
