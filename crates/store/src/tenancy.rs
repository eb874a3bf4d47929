//! How directories and proofs of ownership stand in columns, the same in every database; all of their bytes are authenticated.

use domain::row_seal::RowBytes;
use domain::tenancy::{AppSeen, Origin, Proof, ProvenBy, ProvenKey, Standing, TagNonce, TenantLink};
use domain::{Cloud, Reason, Timestamp};

use crate::row::Row;

/// What of a directory's standing is neither its name nor its time of naming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StandingColumns {
    pub(crate) state: i64,
    pub(crate) at: Option<Timestamp>,
    pub(crate) proven_by: Option<String>,
    pub(crate) admin: Option<bool>,
}

const NAMED: i64 = 1;
const CAME_BACK: i64 = 2;
const SIGNED_IN: i64 = 3;
const KEY_TAG: i64 = 4;
const DISCONNECTED: i64 = 5;

impl StandingColumns {
    pub(crate) fn of(standing: &Standing) -> Self {
        let plain = |state, at| Self { state, at, proven_by: None, admin: None };
        match standing {
            Standing::Named => plain(NAMED, None),
            Standing::CameBack { at } => plain(CAME_BACK, Some(*at)),
            Standing::Disconnected { at } => plain(DISCONNECTED, Some(*at)),
            Standing::Proven(Proof { at, by: ProvenBy::SignIn { object_id, admin } }) => {
                Self { proven_by: Some(object_id.clone()), admin: Some(*admin), ..plain(SIGNED_IN, Some(*at)) }
            }
            Standing::Proven(Proof { at, by: ProvenBy::KeyTag { test } }) => {
                Self { proven_by: test.map(|test| test.to_string()), ..plain(KEY_TAG, Some(*at)) }
            }
        }
    }

    /// What they stand for. `None`: we never wrote these together.
    pub(crate) fn read(self) -> Option<Standing> {
        match (self.state, self.at, self.proven_by, self.admin) {
            (NAMED, None, None, None) => Some(Standing::Named),
            (CAME_BACK, Some(at), None, None) => Some(Standing::CameBack { at }),
            (DISCONNECTED, Some(at), None, None) => Some(Standing::Disconnected { at }),
            (SIGNED_IN, Some(at), Some(object_id), Some(admin)) => {
                Some(Standing::Proven(Proof { at, by: ProvenBy::SignIn { object_id, admin } }))
            }
            (KEY_TAG, Some(at), test, None) => {
                let test = test.map(|test| test.parse()).transpose().ok()?;
                Some(Standing::Proven(Proof { at, by: ProvenBy::KeyTag { test } }))
            }
            _ => None,
        }
    }
}

pub(crate) const fn origin_code(origin: Origin) -> i64 {
    match origin {
        Origin::Asked => 1,
        Origin::Implied => 2,
    }
}

pub(crate) const fn origin(code: i64) -> Option<Origin> {
    match code {
        1 => Some(Origin::Asked),
        2 => Some(Origin::Implied),
        _ => None,
    }
}

pub(crate) fn cloud(name: &str) -> Option<Cloud> {
    Cloud::ALL.into_iter().find(|cloud| cloud.as_str() == name)
}

/// What was said of our application. `None` inside: nothing yet. `None`: no such reason.
pub(crate) fn app_seen(at: Option<Timestamp>, refused: Option<&str>) -> Option<Option<AppSeen>> {
    match (at, refused) {
        (None, None) => Some(None),
        (Some(at), None) => Some(Some(AppSeen { at, refused: None })),
        (Some(at), Some(name)) => Some(Some(AppSeen { at, refused: Some(Reason::named(name)?) })),
        (None, Some(_)) => None,
    }
}

fn time(row: RowBytes, at: Option<Timestamp>) -> RowBytes {
    row.optional(at.map(|at| at.micros().to_be_bytes()).as_ref().map(<[u8; 8]>::as_slice))
}

impl Row for TenantLink {
    const TABLE: &'static str = "tenant_links";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let standing = StandingColumns::of(&self.standing);
        let row = row
            .field(self.cloud.as_str().as_bytes())
            .field(self.tenant.as_str().as_bytes())
            .field(self.typed.as_bytes())
            .number(origin_code(self.origin))
            .number(self.named_at.micros())
            .number(standing.state);
        let row = time(row, standing.at)
            .optional(standing.proven_by.as_ref().map(String::as_bytes))
            .optional(standing.admin.map(|admin| [u8::from(admin)]).as_ref().map(<[u8; 1]>::as_slice));
        let refused = self.app.and_then(|app| app.refused).map(|reason| reason.as_str().as_bytes());
        time(row, self.app.map(|app| app.at)).optional(refused)
    }
}

impl Row for TagNonce {
    const TABLE: &'static str = "tag_nonces";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let row = row
            .field(self.key.to_string().as_bytes())
            .field(self.tenant.as_str().as_bytes())
            .field(&self.value)
            .number(self.drawn_at.micros());
        time(row, self.consumed_at).optional(self.previous.as_ref().map(<[u8; 16]>::as_slice))
    }
}

impl Row for ProvenKey {
    const TABLE: &'static str = "proven_keys";
    fn workspace(&self) -> &str {
        self.workspace.as_str()
    }
    fn columns(&self, row: RowBytes) -> RowBytes {
        let row = row
            .field(self.key.to_string().as_bytes())
            .field(self.tenant.as_str().as_bytes())
            .number(self.at.micros())
            .optional(self.test.map(|test| test.to_string()).as_ref().map(String::as_bytes))
            .optional(self.nonce.as_ref().map(<[u8; 16]>::as_slice));
        time(time(row, self.void_since), self.released_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored number means one state for ever, and columns we never wrote together are nobody's standing.
    #[test]
    fn a_standing_survives_its_columns() {
        let at = Timestamp::from_micros(7);
        let signed_in = ProvenBy::SignIn { object_id: "o".to_owned(), admin: false };
        let all = [
            Standing::Named,
            Standing::CameBack { at },
            Standing::Proven(Proof { at, by: signed_in }),
            Standing::Proven(Proof { at, by: ProvenBy::KeyTag { test: None } }),
            Standing::Disconnected { at },
        ];
        for (number, standing) in (1..).zip(all) {
            let columns = StandingColumns::of(&standing);
            assert_eq!((columns.state, columns.clone().read()), (number, Some(standing)));
            for state in [NAMED, SIGNED_IN].into_iter().filter(|state| *state != number) {
                assert_eq!(StandingColumns { state, ..columns.clone() }.read(), None, "{columns:?} as {state}");
            }
        }
        assert_eq!((origin(1), origin(2), origin(3)), (Some(Origin::Asked), Some(Origin::Implied), None));
        assert_eq!(cloud("public"), Some(Cloud::Public));
        assert_eq!(
            (cloud("Public"), app_seen(None, Some("KEY_DISABLED")), app_seen(Some(at), Some("NO"))),
            (None, None, None)
        );
    }
}
