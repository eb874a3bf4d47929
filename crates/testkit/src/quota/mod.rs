//! Simulations of a vault's quota, in simulated time: does a rotation use its share and end when it said it would, and does an hour
//! of traffic ever meet a 429?
//!
//! Whole services run with their own loops over one real database. Time is tokio's, paused. The vault wraps and unwraps cheaply
//! (only probes are real RSA), takes time for each call, and counts like Azure does: so many operations in any ten seconds, and
//! 429 from then on.
//!
//! | file | what is in it |
//! |---|---|
//! | `vault` | the vault that counts |
//! | `inline` | a database that takes no simulated time |
//! | `ground` | services over both |
//! | `rotation` | many data keys go over to another version |
//! | `hour` | traffic of many apps on several replicas |

mod ground;
mod hour;
mod inline;
mod rotation;
mod vault;

pub use hour::{Hour, HourPlan};
pub use rotation::{RotationPlan, RotationRun};
