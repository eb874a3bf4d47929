//! Under what a key is found: always workspace, app and data key together (I-14).
//!
//! A name stands in the table as a [`Label`], whose texts are beside the id and not behind pointers: in a table of a million
//! keys every pointer that is followed costs more than everything else a look-up does.

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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

impl Label {
    fn parts(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Short { workspace, app, text } => {
                let (workspace, app) = (usize::from(*workspace), usize::from(*app));
                (&text[..workspace], &text[workspace..workspace + app])
            }
            Self::Long { workspace, text } => text.split_at(usize::from(*workspace)),
        }
    }

    fn matches(&self, app: AppRef<'_>) -> bool {
        self.parts() == (app.workspace.as_str().as_bytes(), app.app.as_str().as_bytes())
    }
}

// A label and the name it stands for hash alike, or a look-up would miss what is there.
fn hash_parts<H: Hasher>((workspace, app): (&[u8], &[u8]), state: &mut H) {
    workspace.hash(state);
    app.hash(state);
}

impl Hash for AppRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_parts((self.workspace.as_str().as_bytes(), self.app.as_str().as_bytes()), state);
    }
}

impl Hash for AppLabel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_parts(self.0.parts(), state);
    }
}

impl Hash for DataKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.id.as_bytes());
        self.app.hash(state);
    }
}

impl Hash for DataKeyLabel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.id.as_bytes());
        hash_parts(self.app.parts(), state);
    }
}

impl PartialEq for AppLabel {
    fn eq(&self, other: &Self) -> bool {
        self.0.parts() == other.0.parts()
    }
}

impl Eq for AppLabel {}

impl PartialEq for DataKeyLabel {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.app.parts() == other.app.parts()
    }
}

impl Eq for DataKeyLabel {}

/// An app's name in the table.
pub(crate) struct AppLabel(Label);

/// A data key's name in the table.
pub(crate) struct DataKeyLabel {
    id: DataKeyId,
    app: Label,
}

/// Workspace and app, one text after the other, and where the first one ends.
enum Label {
    Short { workspace: u8, app: u8, text: [u8; SHORT] },
    Long { workspace: u8, text: Box<[u8]> },
}

/// So long that almost every pair of ids fits, and that a data key's name fills one cache line.
const SHORT: usize = 45;

impl From<AppRef<'_>> for Label {
    fn from(app: AppRef<'_>) -> Self {
        let (workspace, app) = (app.workspace.as_str().as_bytes(), app.app.as_str().as_bytes());
        // Ids have at most 63 bytes.
        let [ends, rest] = [workspace, app].map(|id| u8::try_from(id.len()).expect("an id has at most 63 bytes"));
        let both = [workspace, app].concat();
        let mut text = [0; SHORT];
        match text.get_mut(..both.len()) {
            Some(start) => {
                start.copy_from_slice(&both);
                Self::Short { workspace: ends, app: rest, text }
            }
            None => Self::Long { workspace: ends, text: both.into() },
        }
    }
}

impl AppLabel {
    /// Used by a seeded fault only: whether the app has this id, in whatever workspace.
    pub(crate) fn is_of_app(&self, app: &AppId) -> bool {
        self.0.parts().1 == app.as_str().as_bytes()
    }
}

impl From<AppRef<'_>> for AppLabel {
    fn from(app: AppRef<'_>) -> Self {
        Self(app.into())
    }
}

impl From<DataKeyRef<'_>> for DataKeyLabel {
    fn from(key: DataKeyRef<'_>) -> Self {
        Self { id: key.id, app: key.app.into() }
    }
}

impl Equivalent<AppLabel> for AppRef<'_> {
    fn equivalent(&self, label: &AppLabel) -> bool {
        label.0.matches(*self)
    }
}

impl Equivalent<DataKeyLabel> for DataKeyRef<'_> {
    fn equivalent(&self, label: &DataKeyLabel) -> bool {
        self.id == label.id && label.app.matches(self.app)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher;

    /// I-14: a label stands for its own name and for no other workspace's, app's or data key's, however long the ids are.
    #[test]
    fn a_name_has_all_three_parts() {
        let long = "a".repeat(63);
        let pairs =
            [("acme", "bot"), ("acme", "bots"), ("acm", "ebot"), ("bot", "acme"), (&*long, "bot"), ("bot", &*long)];
        let names: Vec<DataKeyName> = pairs
            .iter()
            .flat_map(|(workspace, app)| {
                [1, 2].map(|id| DataKeyName {
                    app: AppName { workspace: workspace.parse().unwrap(), app: app.parse().unwrap() },
                    id: DataKeyId::from_bytes([id; 16]),
                })
            })
            .collect();
        let hasher = foldhash::fast::FixedState::default();
        for (i, a) in names.iter().map(DataKeyName::borrow).enumerate() {
            for (j, b) in names.iter().map(DataKeyName::borrow).enumerate() {
                let (label, app) = (DataKeyLabel::from(b), AppLabel::from(b.app));
                assert_eq!(a.equivalent(&label), i == j);
                assert_eq!(hasher.hash_one(a) == hasher.hash_one(&label), i == j);
                assert_eq!(a.app.equivalent(&app), i / 2 == j / 2);
                assert_eq!(hasher.hash_one(a.app) == hasher.hash_one(&app), i / 2 == j / 2);
                assert_eq!(DataKeyLabel::from(a) == label, i == j);
            }
        }
    }

    /// The figure that the layout is chosen for.
    #[test]
    fn a_label_fills_one_cache_line() {
        assert_eq!(size_of::<DataKeyLabel>(), 64);
    }
}
