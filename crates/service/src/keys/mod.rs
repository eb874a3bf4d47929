//! Data keys in memory and how they come to be there: the table the hot path reads, the leases that bound it, and the one way
//! in for a key that is cold.
//!
//! | module | question |
//! |---|---|
//! | [`name`] | under what is a key found |
//! | [`control`] | has this replica read the store a short while ago |
//! | [`lease`] | may keys under this version be served now |
//! | [`open_key`] | what is held of one open data key |
//! | [`meters`] | how much was done under it |
//! | [`standing`] | what the store last said of an app, and is that fresh |
//! | [`table`] | where open keys are found, and how they are taken away |
//! | [`flight`] | how many ask for the same thing at once: one |
//! | [`probing`] | when is a key version asked about next |
//! | [`probe`] | how it is asked about |
//! | [`around`] | what would a kept token and an older version hide |
//! | [`quota`] | how much of a vault's quota is taken |
//! | [`vault_call`] | how a vault is asked, and what a denial does |
//! | [`whose_denial`] | does a denial count: is it about the key, or about who is in use |
//! | [`unwrap`] | from a row to a key that was compared |
//! | [`journal`] | what has yet to be written into the ledger |
//! | [`reseal`] | how a stored wrapping goes over to another key of the platform root |
//! | [`rewrap`] | how a data key gets a wrapping by another key version |
//! | [`birth`] | how a new data key comes to encrypt |
//! | [`birth_place`] | how many do so at once |
//! | [`ready`] | what happens when the hot path finds nothing |
//! | [`ruled`] | under whose key is an app's new data, by what the store said and this replica's clock |
//! | [`unknown`] | which data keys do not exist |
//! | [`failure`] | why any of this did not work |

pub(crate) mod applications;
pub(crate) mod around;
pub(crate) mod birth;
pub(crate) mod birth_place;
pub(crate) mod control;
pub(crate) mod failure;
pub(crate) mod flight;
pub(crate) mod journal;
pub(crate) mod lease;
pub(crate) mod meters;
pub(crate) mod name;
pub(crate) mod open_key;
pub(crate) mod personal_use;
pub(crate) mod probe;
pub(crate) mod probing;
pub(crate) mod quota;
pub(crate) mod ready;
pub(crate) mod reseal;
pub(crate) mod rewrap;
pub(crate) mod ruled;
pub(crate) mod standing;
pub(crate) mod table;
pub(crate) mod unknown;
pub(crate) mod unwrap;
pub(crate) mod vault_call;
pub(crate) mod whose_denial;

pub(crate) use failure::Failure;
pub(crate) use meters::Done;
pub(crate) use name::{AppName, AppRef, DataKeyName, DataKeyRef};
pub(crate) use open_key::OpenKey;
pub(crate) use standing::Standing;
pub(crate) use table::KeyTable;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic of another holder does not end the service. What these locks guard is consistent between any two lines.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
