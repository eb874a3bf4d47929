//! Going over to another version of the customer's key: nothing is lost, nothing fails meanwhile, and the old version is
//! called safe to disable only when it is.

mod customer;
mod data_keys;
mod hints;
mod key;
mod trouble;
