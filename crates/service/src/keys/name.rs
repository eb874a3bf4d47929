//! Under what a key is found: always workspace, app and data key together (I-14).

use std::hash::{Hash, Hasher};

use domain::{AppId, DataKeyId, WorkspaceId};
use equivalent::Equivalent;

/// An app, borrowed: a look-up allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppRef<'a> {
    pub(crate) workspace: &'a WorkspaceId,
    pub(crate) app: &'a AppId,
}

/// An app, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AppName {
    pub(crate) workspace: WorkspaceId,
    pub(crate) app: AppId,
}

/// A data key of an app, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DataKeyRef<'a> {
    pub(crate) app: AppRef<'a>,
    pub(crate) id: DataKeyId,
}

/// A data key of an app, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataKeyName {
    pub(crate) app: AppName,
    pub(crate) id: DataKeyId,
}

impl AppRef<'_> {
    pub(crate) fn to_owned(self) -> AppName {
        AppName { workspace: self.workspace.clone(), app: self.app.clone() }
    }
}

impl<'a> AppRef<'a> {
    pub(crate) fn data_key(self, id: DataKeyId) -> DataKeyRef<'a> {
        DataKeyRef { app: self, id }
    }
}

impl AppName {
    pub(crate) fn borrow(&self) -> AppRef<'_> {
        AppRef { workspace: &self.workspace, app: &self.app }
    }
}

impl DataKeyRef<'_> {
    pub(crate) fn to_owned(self) -> DataKeyName {
        DataKeyName { app: self.app.to_owned(), id: self.id }
    }
}

impl DataKeyName {
    pub(crate) fn borrow(&self) -> DataKeyRef<'_> {
        DataKeyRef { app: self.app.borrow(), id: self.id }
    }
}

// Owned and borrowed names hash alike, or a look-up would miss what is there: both go through the borrowed form.
impl Hash for AppRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.workspace.hash(state);
        self.app.hash(state);
    }
}

impl Hash for AppName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrow().hash(state);
    }
}

impl Hash for DataKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.id.as_bytes());
        self.app.hash(state);
    }
}

impl Hash for DataKeyName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrow().hash(state);
    }
}

impl Equivalent<AppName> for AppRef<'_> {
    fn equivalent(&self, key: &AppName) -> bool {
        *self == key.borrow()
    }
}

impl Equivalent<DataKeyName> for DataKeyRef<'_> {
    fn equivalent(&self, key: &DataKeyName) -> bool {
        // The id first: 16 random bytes tell almost every two keys apart without a second memory access.
        self.id == key.id && *self == key.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    /// I-14: a name equals itself in both forms, and no other workspace's, app's or data key's.
    #[test]
    fn a_name_has_all_three_parts() {
        let names: Vec<DataKeyName> = [("acme", "bot"), ("acme", "bots"), ("acm", "ebot"), ("bot", "acme")]
            .iter()
            .flat_map(|(workspace, app)| {
                [1, 2].map(|id| DataKeyName {
                    app: AppName { workspace: workspace.parse().unwrap(), app: app.parse().unwrap() },
                    id: DataKeyId::from_bytes([id; 16]),
                })
            })
            .collect();
        let hasher = foldhash::fast::FixedState::default();
        for (i, a) in names.iter().enumerate() {
            for (j, b) in names.iter().enumerate() {
                assert_eq!(a.borrow().equivalent(b), i == j);
                assert_eq!(hasher.hash_one(a.borrow()) == hasher.hash_one(b), i == j);
            }
        }
    }
}
