//! Every table whose rows belong to a workspace's set or the platform's: the one list that a whole check and a whole re-sealing go through.

use domain::key_life::{AppSelection, KeyLife};
use domain::tenancy::{ProvenKey, TagNonce, TenantLink};
use domain::{
    App, KeyConfig, KeyTest, KeyUsage, KeyVersion, Operation, StoredCaller, StoredCredential, Workspace, WorkspaceId,
};

use super::read::Stored;
use crate::StoreError;
use crate::integration::{IntegrationHead, OwnedCredential};
use crate::row::{NumberedWrapping, WrappedKey};

/// What is done with each table.
pub(super) trait EachTable {
    fn table<R: Stored>(&mut self) -> Result<(), StoreError>;
}

/// Goes through them. The audit chains and the rows about the sets and the database itself have ways of their own.
pub(super) fn each_table(with: &mut impl EachTable) -> Result<(), StoreError> {
    with.table::<Workspace>()?;
    with.table::<App>()?;
    with.table::<KeyConfig>()?;
    with.table::<KeyVersion>()?;
    with.table::<KeyLife>()?;
    with.table::<AppSelection>()?;
    with.table::<KeyTest>()?;
    with.table::<WrappedKey>()?;
    with.table::<NumberedWrapping>()?;
    with.table::<Operation>()?;
    with.table::<KeyUsage>()?;
    with.table::<StoredCredential>()?;
    with.table::<StoredCaller>()?;
    with.table::<IntegrationHead>()?;
    with.table::<OwnedCredential>()?;
    with.table::<TenantLink>()?;
    with.table::<TagNonce>()?;
    with.table::<ProvenKey>()
}

/// Whose set a row is in; nobody's is the platform's.
pub(super) fn set_of<R: Stored>(row: &R) -> Result<Option<WorkspaceId>, StoreError> {
    match row.workspace() {
        "" => Ok(None),
        name => name.parse().map(Some).map_err(|_| StoreError::RowForged { table: R::TABLE }),
    }
}
