//! A simulation of three replicas that keep one enforcement date, in simulated time: is a ciphertext ever under the wrong key?
//!
//! Whole services run with their own loops over the rows, lines and clocks of [`revocation`](crate::revocation). Their clocks are
//! off by up to 500 ms either way, lines to the vault and to the database are cut, commits are slow, processes stand still, or
//! die and come back with nothing in memory, and the customer may disable the key. A seed repeats a run.
//!
//! | file | what is in it |
//! |---|---|
//! | `plan` | what happens, drawn from the seed |
//! | `run` | one run, and what must not happen in it |

mod plan;
mod run;

pub use plan::{Crash, Plan};
pub use run::{Decision, Run, ground, simulate};

/// How many replicas there are.
pub const REPLICAS: usize = 3;
