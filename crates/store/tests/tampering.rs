//! The codes of rows are what their refusals rest on.

mod fixture;

use std::sync::Arc;
use std::time::Duration;

use domain::row_seal::{RowMac, RowSeal};
use store::conformance::sample::{furnish, workspace_id};
use store::conformance::{Database as _, TestSeal};
use store::sqlite::SqliteStore;
use store::{Store as _, StoreError};

use self::fixture::SqliteFile;

/// Seeded bug: a store that takes every code for good reads the edited row as if nothing had happened. So it is the codes,
/// and nothing else, that the refusals above rest on.
#[tokio::test]
async fn without_its_codes_an_edited_row_would_be_believed() {
    struct Credulous(TestSeal);
    impl RowSeal for Credulous {
        fn seal(&self, row: &[u8]) -> RowMac {
            self.0.seal(row)
        }
        fn verify(&self, _: &[u8], _: &RowMac) -> bool {
            true
        }
    }
    let file = SqliteFile::new();
    furnish(&*file.open().await, &["acme"], &["bot"]).await;
    file.tamper("UPDATE key_configs SET lease = 999 WHERE workspace = 'acme'").await;
    let acme = workspace_id("acme");
    assert_eq!(file.open().await.key_config(&acme).await, Err(StoreError::RowForged { table: "key_configs" }));
    let mut options = file.options();
    options.row_seal = Arc::new(Credulous(TestSeal::default()));
    let believed = SqliteStore::open(options).unwrap().key_config(&acme).await.unwrap().unwrap();
    assert_eq!(believed.lease, Duration::from_micros(999));
}
