//! The daemon from outside, through a real listener: one file for each promise.

mod bad_start;
mod certificates;
mod deadline;
mod docs;
mod drain;
mod errors;
mod health;
mod issuers;
mod limits;
mod panics;
mod permissions;
mod raw;
mod secrets;
mod site;
mod streams;
#[cfg(feature = "dev")]
mod webhook;
