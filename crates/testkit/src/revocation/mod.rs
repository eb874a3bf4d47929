//! A simulation of three replicas over one database and one vault, in simulated time: how long is a key served after its owner
//! took it back?
//!
//! Whole services run with their own loops. Time is tokio's, paused: it jumps to the next thing anybody waits for, so that a
//! run of eight minutes takes milliseconds, and a seed repeats it. The vault is the one in memory, with real RSA; each replica
//! has a line of its own to it, and one to the database. The database is in memory as well (SQLite's threads would bring in
//! the machine's own time), filled once from a real one.
//!
//! | file | what is in it |
//! |---|---|
//! | `plan` | what happens, drawn from the seed |
//! | `database` | the rows, and each replica's line to them |
//! | `vault_line` | each replica's line to the vault |
//! | `run` | one run, and what must not happen in it |

pub(crate) mod clock;
mod database;
pub(crate) mod plan;
mod run;
mod vault_line;

pub use database::Ground;
pub use plan::{Event, Plan, Trouble};
pub use run::{Run, simulate};

/// How many replicas there are.
pub const REPLICAS: usize = 3;
