//! The connections that only read: a few, shared, each used by one query at a time off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection;
use crate::StoreError;

/// How many queries read at the same time. A look-up takes microseconds and two cores are the common case.
const READERS: usize = 8;

/// A pool of reading connections, opened as they are needed.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Readers {
    pub(super) fn of(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, idle: Mutex::new(Vec::new()), permits: Semaphore::new(READERS) })
    }

    /// Runs `query` on a connection of its own.
    pub(super) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _permit = self.permits.acquire().await.map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(self);
        // Fails when the runtime shuts down, or when the query panicked; its connection is gone then, which is well.
        tokio::task::spawn_blocking(move || readers.run(query)).await.map_err(|_| StoreError::Closed)?
    }

    fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let conn = match idle {
            Some(conn) => conn,
            None => connection::reader(&self.path)?,
        };
        let outcome = query(&conn);
        // A connection that saw the disk fail is not used again.
        if !matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Damaged)) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
        outcome
    }

    /// Closes the connections nobody is using.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
