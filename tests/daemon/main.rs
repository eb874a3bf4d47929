//! The daemon from outside, through a real listener: one file for each promise.

#[cfg(feature = "dev")]
mod attacks;
mod bad_start;
mod callers;
mod canaries;
mod certificates;
mod deadline;
mod docs;
mod drain;
mod errors;
mod figures;
mod health;
mod issuers;
mod limits;
mod panics;
mod permissions;
mod platform_key;
mod raw;
mod secrets;
mod site;
mod streams;
mod verifying;
#[cfg(feature = "dev")]
mod webhook;
