//! Which number stands for which variant: the same in every database, for ever.

use std::time::Duration;

use domain::operation::{OperationKind, OperationState};
use domain::{AppKind, DataKeyState, Protection, Timestamp, WrapScheme, WrappingKey};

/// A lease in the microseconds kept in its row.
pub(crate) fn lease_micros(lease: Duration) -> u64 {
    u64::try_from(lease.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) const fn app_kind_code(kind: AppKind) -> i64 {
    match kind {
        AppKind::App => 1,
        AppKind::Bot => 2,
    }
}

pub(crate) const fn app_kind(code: i64) -> Option<AppKind> {
    match code {
        1 => Some(AppKind::App),
        2 => Some(AppKind::Bot),
        _ => None,
    }
}

pub(crate) const fn state_code(state: DataKeyState) -> i64 {
    match state {
        DataKeyState::Pending => 1,
        DataKeyState::Staged => 2,
        DataKeyState::Active => 3,
        DataKeyState::Retired => 4,
        DataKeyState::Abandoned => 5,
    }
}

pub(crate) const fn state(code: i64) -> Option<DataKeyState> {
    match code {
        1 => Some(DataKeyState::Pending),
        2 => Some(DataKeyState::Staged),
        3 => Some(DataKeyState::Active),
        4 => Some(DataKeyState::Retired),
        5 => Some(DataKeyState::Abandoned),
        _ => None,
    }
}

/// The number of its protection and the 16 bytes that name the key.
pub(crate) const fn wrapping_key_code(key: WrappingKey) -> (i64, [u8; 16]) {
    match key {
        WrappingKey::Platform(id) => (Protection::PlatformKey.byte() as i64, *id.as_bytes()),
        WrappingKey::Customer(id) => (Protection::CustomerKey.byte() as i64, *id.as_bytes()),
    }
}

pub(crate) fn wrapping_key(code: i64, key: [u8; 16]) -> Option<WrappingKey> {
    Some(match Protection::from_byte(u8::try_from(code).ok()?)? {
        Protection::PlatformKey => WrappingKey::Platform(domain::PlatformKeyId::from_bytes(key)),
        Protection::CustomerKey => WrappingKey::Customer(domain::KeyVersionId::from_bytes(key)),
    })
}

pub(crate) const fn scheme_code(scheme: WrapScheme) -> i64 {
    match scheme {
        WrapScheme::RsaOaep256 => 1,
        WrapScheme::PlatformAesGcm => 2,
    }
}

pub(crate) const fn scheme(code: i64) -> Option<WrapScheme> {
    match code {
        1 => Some(WrapScheme::RsaOaep256),
        2 => Some(WrapScheme::PlatformAesGcm),
        _ => None,
    }
}

/// The columns that say what an operation does.
#[derive(Default)]
pub(crate) struct KindColumns {
    pub(crate) kind: i64,
    pub(crate) from: Option<domain::KeyVersionId>,
    pub(crate) to: Option<domain::KeyVersionId>,
    pub(crate) app: Option<domain::AppId>,
    pub(crate) active_before: Option<Timestamp>,
    pub(crate) key: Option<domain::KeyLocation>,
    pub(crate) tenant: Option<domain::TenantId>,
    pub(crate) data_key: Option<domain::DataKeyId>,
}

pub(crate) fn operation_kind_columns(kind: &OperationKind) -> KindColumns {
    let (none, versions) = (KindColumns::default(), kind.versions());
    let none = KindColumns { from: versions.map(|(from, _)| from), to: versions.map(|(_, to)| to), ..none };
    match kind {
        OperationKind::RotateKey { .. } => KindColumns { kind: 1, ..none },
        OperationKind::RotateDataKeys { app, active_before } => {
            KindColumns { kind: 2, app: app.clone(), active_before: Some(*active_before), ..none }
        }
        OperationKind::ReplaceKey { key, tenant, .. } => {
            KindColumns { kind: 3, key: Some(key.clone()), tenant: Some(tenant.clone()), ..none }
        }
        OperationKind::LeaveCustomerKey => KindColumns { kind: 4, ..none },
        OperationKind::DestroyDataKey { app, data_key } => {
            KindColumns { kind: 5, app: Some(app.clone()), data_key: Some(*data_key), ..none }
        }
    }
}

pub(crate) const fn operation_state_code(state: OperationState) -> i64 {
    match state {
        OperationState::Planned => 1,
        OperationState::Running => 2,
        OperationState::Done => 3,
        OperationState::Cancelled => 4,
        OperationState::Failed => 5,
        OperationState::AwaitingApproval => 6,
        OperationState::Waiting => 7,
        OperationState::Rejected => 8,
        OperationState::Expired => 9,
    }
}

pub(crate) const fn operation_state(code: i64) -> Option<OperationState> {
    match code {
        1 => Some(OperationState::Planned),
        2 => Some(OperationState::Running),
        3 => Some(OperationState::Done),
        4 => Some(OperationState::Cancelled),
        5 => Some(OperationState::Failed),
        6 => Some(OperationState::AwaitingApproval),
        7 => Some(OperationState::Waiting),
        8 => Some(OperationState::Rejected),
        9 => Some(OperationState::Expired),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stored number means one variant for ever: these are what databases in the field hold.
    #[test]
    fn stored_numbers_keep_their_meaning() {
        use DataKeyState::{Abandoned, Active, Pending, Retired, Staged};
        for (number, expected) in (1..).zip([Pending, Staged, Active, Retired, Abandoned]) {
            assert_eq!((state(number), state_code(expected)), (Some(expected), number));
        }
        for (number, expected) in [(1, AppKind::App), (2, AppKind::Bot)] {
            assert_eq!((app_kind(number), app_kind_code(expected)), (Some(expected), number));
        }
        for (number, expected) in [(1, WrapScheme::RsaOaep256), (2, WrapScheme::PlatformAesGcm)] {
            assert_eq!((scheme(number), scheme_code(expected)), (Some(expected), number));
        }
        let states = [
            OperationState::Planned,
            OperationState::Running,
            OperationState::Done,
            OperationState::Cancelled,
            OperationState::Failed,
            OperationState::AwaitingApproval,
            OperationState::Waiting,
            OperationState::Rejected,
            OperationState::Expired,
        ];
        for (number, expected) in (1..).zip(states) {
            assert_eq!((operation_state(number), operation_state_code(expected)), (Some(expected), number));
        }
        assert_eq!((operation_state(0), operation_state(10)), (None, None));
        assert_eq!((state(0), state(6), scheme(3), app_kind(3)), (None, None, None, None));
        assert_eq!((wrapping_key(0, [0; 16]), wrapping_key(257, [0; 16])), (None, None));
    }
}
