//! Which apps and bots are under the customer's key at one time: a line of `key watch`.

use client::pb;
use serde::Serialize;

use super::{protection, time};

#[derive(Serialize)]
pub(crate) struct Selection {
    pub(crate) workspace: String,
    /// Which change of the key's life this shows; 0: nothing was ever changed.
    pub(crate) revision: u64,
    /// From when on every replica that serves goes by it.
    pub(crate) effective_time: Option<String>,
    /// Whether every app is selected, future ones too.
    pub(crate) every_app: bool,
    /// Whether the key is switched off here.
    pub(crate) revoked: bool,
    pub(crate) apps: Vec<SelectedApp>,
}

#[derive(Serialize, Clone, PartialEq, Eq)]
pub(crate) struct SelectedApp {
    pub(crate) app: String,
    pub(crate) selected: bool,
    /// Under whose key its new data is; absent while it is refused.
    pub(crate) protection: Option<String>,
}

impl From<pb::Selection> for Selection {
    fn from(s: pb::Selection) -> Self {
        let none = i32::from(pb::Protection::Unspecified);
        let app = |app: pb::SelectedApp| SelectedApp {
            protection: Some(app.protection).filter(|value| *value != none).map(protection),
            app: app.name,
            selected: app.selected,
        };
        Self {
            // Before any change there is nothing to wait for.
            effective_time: time!(s.effective_time).filter(|_| s.revision > 0),
            workspace: s.parent,
            revision: s.revision,
            every_app: s.every_app,
            revoked: s.revoked,
            apps: s.apps.into_iter().map(app).collect(),
        }
    }
}
