//! Somebody who has shown who they are, with what they were given.

use std::fmt;
use std::sync::Arc;

use super::grant::{Compiled, Grant};
use super::role::Role;

/// Somebody who has shown who they are.
///
/// Deliberately absent: `Clone`. The name is counted, and a counter that the requests of all connections touch would travel
/// between the cores; each connection holds a [copy](Self::of_its_own) instead.
pub struct Caller {
    pub(super) name: Arc<str>,
    pub(super) grants: Box<[Compiled]>,
}

impl Caller {
    /// The most grants that one caller is given: every request is compared with them.
    pub const MOST_GRANTS: usize = 100;

    /// A caller with these grants.
    pub fn new<'a>(name: &str, grants: impl IntoIterator<Item = &'a Grant>) -> Self {
        Self { name: name.into(), grants: grants.into_iter().map(Grant::compile).collect() }
    }

    /// A caller who may do everything, the data of every app included, as one of the platform's services: the one of a
    /// development environment or a test.
    pub fn platform(name: &str) -> Self {
        Self::new(name, &[Grant::everywhere(Role::PlatformService), Grant::EVERYTHING])
    }

    /// The same caller, sharing nothing with this one.
    pub fn of_its_own(&self) -> Self {
        Self { name: Arc::from(&*self.name), grants: self.grants.clone() }
    }

    /// Whether this is who that was, with all that was given then.
    pub fn still_holds(&self, before: &Self) -> bool {
        self.name == before.name && before.grants.iter().all(|grant| self.grants.contains(grant))
    }

    /// The name that audit records carry.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("name", &self.name).finish_non_exhaustive()
    }
}
