//! What a test needs to read like the promise it checks: a clock moved by hand, randomness from a seed, a store that breaks on
//! demand, and a whole service in one value.
//!
//! For tests only. The service is built with the faults that can be put in on purpose.

mod clock;
mod directory;
pub mod enforcement;
mod entropy;
mod faulty_store;
pub mod quota;
pub mod revocation;
mod tenant;
mod world;

pub use clock::HandClock;
pub use directory::{HeldCodes, MemoryDirectory, parameter};
pub use entropy::SeededEntropy;
pub use faulty_store::{FaultyStore, Step};
pub use tenant::{TestApp, TestWorkspace, permit_create_workspace, put_in_force};
pub use world::{World, WorldBuilder};
