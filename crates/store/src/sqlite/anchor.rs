//! How a database is held against the head outside of it: when it is opened, before every commit, and whenever its revision is
//! read.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::OpenRefused;
use super::read;
use super::unit::Unit;
use super::writer::commit_durably;
use crate::head::{HeadFile, Stands};
use crate::row::{Meta, RowCodes};
use crate::{Head, HeadRefused, Outside, StoreError};

/// What everybody who uses the database knows of its head.
pub(super) struct Footing {
    /// The database turned out to be an older or another one: nothing is read from it or written to it any more.
    fallen: AtomicBool,
    /// The last head outside: whatever is read from now on is at least as new.
    last: Mutex<Head>,
}

impl Footing {
    /// Refuses everything once the database has turned out to be another.
    pub(super) fn holds(&self) -> Result<(), StoreError> {
        if self.fallen.load(Ordering::Acquire) { Err(StoreError::RolledBack) } else { Ok(()) }
    }

    fn last(&self) -> Head {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fell(&self, found: &Head, last: &Head) -> StoreError {
        if !self.fallen.swap(true, Ordering::AcqRel) {
            tracing::error!(
                %found, known = %last, reason = domain::Reason::DatabaseRolledBack.as_str(),
                "the database was replaced by an older copy or by another one: nothing is read from it or written to it"
            );
        }
        StoreError::RolledBack
    }

    /// Looks whether the database a reader sees is at least where the head was before it looked.
    pub(super) fn look(&self, conn: &Connection, codes: &RowCodes) -> Result<(), StoreError> {
        let last = self.last();
        let found = codes.head_of(&read::meta(conn, codes)?);
        if found == last || found.place() > last.place() { Ok(()) } else { Err(self.fell(&found, &last)) }
    }
}

/// The writer's end.
pub(super) struct Anchor {
    file: HeadFile,
    footing: Arc<Footing>,
}

impl Anchor {
    pub(super) fn footing(&self) -> &Arc<Footing> {
        &self.footing
    }

    /// Refuses to go on from a database that is not the one the head was taken of. `or_ahead`: an unclear commit may have been
    /// made.
    pub(super) fn take(&self, unit: &mut Unit<'_>, or_ahead: bool) -> Result<(), StoreError> {
        self.footing.holds()?;
        let (found, last) = (unit.head(), self.file.last());
        match Stands::of(&found, unit.named_head().as_ref(), &last) {
            Stands::There => {}
            Stands::Ahead if or_ahead => {}
            Stands::Ahead | Stands::Behind | Stands::Elsewhere => return Err(self.footing.fell(&found, &last)),
        }
        unit.name_head(last);
        Ok(())
    }

    /// The same head in a file of its own, which is written from now on.
    pub(super) fn renew(&mut self, file: HeadFile) {
        self.file = file;
    }

    /// The head follows a commit, before anybody is told of it.
    pub(super) fn advance(&mut self, head: &Head) -> Result<(), HeadRefused> {
        if *head != self.file.last() {
            self.file.advance(head)?;
            *self.footing.last.lock().unwrap_or_else(PoisonError::into_inner) = *head;
        }
        Ok(())
    }
}

/// Holds the database against its head before anything is changed. `None`: it has never had one.
pub(super) fn find(
    database: &Path,
    outside: &Outside,
    codes: &RowCodes,
    meta: &Meta,
) -> Result<Option<HeadFile>, OpenRefused> {
    let opened = HeadFile::open(&outside.head, codes.cluster().0, Arc::clone(&outside.seal));
    let (file, torn) = match opened {
        Ok(opened) => opened,
        Err(HeadRefused::Missing { .. }) if meta.anchored.is_none() => return Ok(None),
        Err(why) => return Err(why.into()),
    };
    let (found, last) = (codes.head_of(meta), file.last());
    let refused = |other_history| OpenRefused::RolledBack {
        path: database.to_owned(),
        database: Box::new(found),
        outside: Box::new(last),
        other_history,
    };
    match Stands::of(&found, meta.anchored.as_ref(), &last) {
        // A power loss while the head was written leaves the one before it, of which the database is the successor.
        Stands::There if torn => Err(HeadRefused::Damaged { path: outside.head.clone() }.into()),
        Stands::There | Stands::Ahead => Ok(Some(file)),
        Stands::Behind => Err(refused(false)),
        Stands::Elsewhere => Err(refused(true)),
    }
}

/// Brings the head up to a database that was found in order, or makes it for one that has never had any.
pub(super) fn take_up(
    found: Option<HeadFile>,
    outside: &Outside,
    conn: &Connection,
    codes: &RowCodes,
    is_new: bool,
) -> Result<Anchor, OpenRefused> {
    let unusable = |cause| OpenRefused::Unusable { path: outside.head.clone(), cause };
    let meta = read::meta(conn, codes).map_err(unusable)?;
    let head = codes.head_of(&meta);
    let mut file = match found {
        Some(file) => file,
        None => {
            if !is_new {
                tracing::warn!(
                    head = %outside.head.display(),
                    "the database has had no head until now: it is taken as it is, and held against its head from now on"
                );
            }
            HeadFile::create(&outside.head, codes.cluster().0, Arc::clone(&outside.seal), &head)?
        }
    };
    if file.last() != head {
        tracing::info!(database = %head, head = %file.last(), "the head follows the database");
        file.advance(&head)?;
    }
    if meta.anchored.is_none() && meta.anchors {
        // From this commit on the database itself says that it has a head: without one it is refused.
        let mut unit = Unit::begin(conn, codes).map_err(unusable)?;
        unit.name_head(head);
        let (_, head) = unit.commit_nothing(&mut commit_durably).map_err(unusable)?;
        file.advance(&head)?;
    }
    let footing = Arc::new(Footing { fallen: AtomicBool::new(false), last: Mutex::new(file.last()) });
    Ok(Anchor { file, footing })
}
