//! Which apps and bots are under the customer's key, and what a change of that would do.

use std::collections::BTreeSet;

use crate::audit::AuditKind;
use crate::key_life::{KeyLife, Step};
use crate::{AppId, Reason, Timestamp, WorkspaceId};

/// Which apps and bots are under the customer's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selection {
    /// All of them, future ones too.
    Every,
    /// These.
    Only(BTreeSet<AppId>),
}

impl Selection {
    /// Whether it has this app.
    pub fn has(&self, app: &AppId) -> bool {
        match self {
            Self::Every => true,
            Self::Only(apps) => apps.contains(app),
        }
    }
}

/// Whether one app was selected by name, and when that last changed. Means something only where not every app is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppSelection {
    /// Whose app.
    pub workspace: WorkspaceId,
    /// Which.
    pub app: AppId,
    /// Whether it is under the customer's key.
    pub selected: bool,
    /// When that was decided.
    pub changed_at: Timestamp,
}

/// What a selection is to become.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Wish {
    /// Every app, future ones too.
    Every,
    /// These and no others.
    Only(BTreeSet<AppId>),
    /// As it is, with some more and some fewer.
    Change {
        /// More.
        add: BTreeSet<AppId>,
        /// Fewer. One that is in both is refused.
        remove: BTreeSet<AppId>,
    },
}

/// What a wish would change. Old data keeps the key it has, whatever is selected: a data key never changes sides (I-18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The selection after it.
    pub selection: Selection,
    /// Apps whose new data goes over to the customer's key.
    pub to_customer_key: Vec<AppId>,
    /// Apps whose new data goes over to the platform's key.
    pub to_platform_key: Vec<AppId>,
    /// How many apps stay as they are.
    pub unchanged: usize,
}

impl Preview {
    /// What `wish` makes of `present`, for the workspace's live apps.
    pub fn of(present: &Selection, wish: &Wish, apps: &BTreeSet<AppId>) -> Result<Self, Reason> {
        let known = |named: &BTreeSet<AppId>| if named.is_subset(apps) { Ok(()) } else { Err(Reason::AppUnknown) };
        let selection = match wish {
            Wish::Every => Selection::Every,
            Wish::Only(only) => {
                known(only)?;
                Selection::Only(only.clone())
            }
            Wish::Change { add, remove } => {
                known(add)?;
                known(remove)?;
                if !add.is_disjoint(remove) {
                    return Err(Reason::SelectionContradictory);
                }
                match present {
                    // With nobody taken out it stays "every", and so has future apps too.
                    Selection::Every if remove.is_empty() => Selection::Every,
                    Selection::Every => Selection::Only(apps - remove),
                    // An app that was deleted since stays in: its id is never given to another.
                    Selection::Only(present) => Selection::Only(&(present | add) - remove),
                }
            }
        };
        let goes = |from: &Selection, to: &Selection| -> Vec<AppId> {
            apps.iter().filter(|app| !from.has(app) && to.has(app)).cloned().collect()
        };
        let (to_customer_key, to_platform_key) = (goes(present, &selection), goes(&selection, present));
        let unchanged = apps.len() - to_customer_key.len() - to_platform_key.len();
        Ok(Self { selection, to_customer_key, to_platform_key, unchanged })
    }
}

impl KeyLife {
    /// Takes over what was previewed, before and after the date. The rows of the apps it names go into the same transaction.
    pub fn select(self, preview: &Preview, now: Timestamp) -> Step<Self> {
        let every_app = preview.selection == Selection::Every;
        let record = AuditKind::AppsSelected {
            every: every_app,
            added: preview.to_customer_key.clone(),
            removed: preview.to_platform_key.clone(),
        };
        Step { next: Self { every_app, change: self.change + 1, changed_at: now, ..self }, record }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn apps(names: &[&str]) -> BTreeSet<AppId> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// An app that is not there, and one that is to come and go, are refused before anything changes.
    #[test]
    fn a_wish_that_makes_no_sense_is_refused() {
        let live = apps(&["bot", "crm"]);
        let of = |wish| Preview::of(&Selection::Every, &wish, &live);
        assert_eq!(of(Wish::Only(apps(&["nobody"]))), Err(Reason::AppUnknown));
        let both = Wish::Change { add: apps(&["bot"]), remove: apps(&["bot"]) };
        assert_eq!(of(both), Err(Reason::SelectionContradictory));
        for (add, remove) in [(apps(&["nobody"]), apps(&[])), (apps(&[]), apps(&["nobody"]))] {
            assert_eq!(of(Wish::Change { add, remove }), Err(Reason::AppUnknown));
        }
    }

    /// Taking one out of "every" leaves the others selected; adding to "every" leaves it "every".
    #[test]
    fn every_app_is_not_a_list() {
        let live = apps(&["bot", "crm"]);
        let change = |add: &[&str], remove: &[&str]| {
            let wish = Wish::Change { add: apps(add), remove: apps(remove) };
            Preview::of(&Selection::Every, &wish, &live).unwrap()
        };
        assert_eq!(change(&["bot"], &[]).selection, Selection::Every);
        let without = change(&[], &["bot"]);
        assert_eq!(without.selection, Selection::Only(apps(&["crm"])));
        assert_eq!((without.to_platform_key.len(), without.unchanged), (1, 1));
    }

    fn some() -> impl Strategy<Value = BTreeSet<AppId>> {
        proptest::collection::btree_set(proptest::sample::select(vec!["aaa", "bbb", "ccc", "ddd"]), 0..4)
            .prop_map(|names| names.into_iter().map(|name| name.parse().unwrap()).collect())
    }

    fn selection() -> impl Strategy<Value = Selection> {
        prop_oneof![Just(Selection::Every), some().prop_map(Selection::Only)]
    }

    fn wish() -> impl Strategy<Value = Wish> {
        let change = (some(), some()).prop_map(|(add, remove)| Wish::Change { remove: &remove - &add, add });
        prop_oneof![Just(Wish::Every), some().prop_map(Wish::Only), change]
    }

    proptest! {
        /// What a preview says changes is exactly what then has changed, and every app is counted once.
        #[test]
        fn a_preview_tells_the_truth(present in selection(), wish in wish()) {
            let live = apps(&["aaa", "bbb", "ccc", "ddd"]);
            let preview = Preview::of(&present, &wish, &live).unwrap();
            for app in &live {
                let (before, after) = (present.has(app), preview.selection.has(app));
                prop_assert_eq!(preview.to_customer_key.contains(app), !before && after);
                prop_assert_eq!(preview.to_platform_key.contains(app), before && !after);
            }
            let changed = preview.to_customer_key.len() + preview.to_platform_key.len();
            prop_assert_eq!(changed + preview.unchanged, live.len());
            if let Wish::Change { add, remove } = &wish {
                prop_assert!(add.iter().all(|app| preview.selection.has(app)));
                prop_assert!(!remove.iter().any(|app| preview.selection.has(app)));
            }
        }
    }
}
