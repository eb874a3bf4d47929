//! A database that cannot be trusted or used is not opened: one clear error, a next step, and not a byte changed.

mod fixture;

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use store::conformance::sample::{furnish, platform_key};
use store::conformance::{Database as _, TestSeal};
use store::sqlite::{OpenRefused, SqliteStore};

use self::fixture::SqliteFile;

/// A closed database with enough rows to fill some pages.
async fn furnished() -> SqliteFile {
    let file = SqliteFile::new();
    let store = file.open().await;
    furnish(&*store, &["acme", "bell"], &["bot", "crm"]).await;
    for n in 0..64 {
        let (key, wrapping) = platform_key("acme", "bot", n);
        store.insert_data_key(key, wrapping).await.unwrap();
    }
    drop(store);
    file
}

/// Opens it, expects a refusal with a next step, and that the file is as it was.
fn refusal(file: &SqliteFile) -> OpenRefused {
    let before = fs::read(file.path()).unwrap_or_default();
    let refused = file.try_open().map(drop).expect_err("opened");
    assert_eq!(fs::read(file.path()).unwrap_or_default(), before, "{refused}: the file was changed");
    assert!(!refused.to_string().contains('\n') && refused.remedy().len() > 10, "{refused}");
    refused
}

/// Another daemon on the same file: refused with its process id, and let in once it is gone.
#[tokio::test]
async fn two_daemons_do_not_share_a_database() {
    let file = furnished().await;
    let first = file.open().await;
    let refused = refusal(&file);
    assert!(matches!(refused, OpenRefused::Locked { pid: Some(pid), .. } if pid == std::process::id()), "{refused}");
    assert!(refused.to_string().contains(&std::process::id().to_string()));
    first.verify().await.unwrap();
    drop(first);
    file.open().await.verify().await.unwrap();
}

/// Another program that holds the file itself.
#[tokio::test]
async fn a_database_another_program_holds_is_refused() {
    let file = furnished().await;
    let other = Connection::open(file.path()).unwrap();
    other.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; CREATE TABLE x (y)").unwrap();
    let refused = refusal(&file);
    assert!(matches!(refused, OpenRefused::Locked { pid: None, .. }), "{refused}");
}

/// A path that is mistyped, or whose disk is not mounted, is not taken for an empty database.
#[tokio::test]
async fn a_missing_database_is_created_only_when_asked() {
    let file = SqliteFile::new();
    let refused = SqliteStore::open(file.options()).map(drop).unwrap_err();
    assert!(matches!(refused, OpenRefused::Missing { .. }), "{refused}");
    assert_eq!(fs::read_dir(file.dir()).unwrap().count(), 0, "nothing was left behind");
    drop(SqliteStore::create_or_open(file.options()).unwrap());
    drop(SqliteStore::open(file.options()).unwrap());

    let mut options = file.options();
    options.path = file.dir().join("not-there/byokd.db");
    let refused = SqliteStore::create_or_open(options.clone()).map(drop).unwrap_err();
    assert!(matches!(refused, OpenRefused::LockFile { .. }), "{refused}");
    // A directory nobody can write to, root included.
    options.path = "/proc/byokd.db".into();
    let refused = SqliteStore::create_or_open(options).map(drop).unwrap_err();
    assert!(matches!(refused, OpenRefused::LockFile { .. }), "{refused}");
}

/// New files are their owner's alone, and what was left of an interrupted creation is replaced.
#[tokio::test]
async fn a_new_database_is_its_owners_alone_and_whole() {
    let file = SqliteFile::new();
    fs::write(file.dir().join("byokd.db.new"), b"half a database").unwrap();
    let store = file.open().await;
    furnish(&*store, &["acme"], &["bot"]).await;
    let mut names = Vec::new();
    for entry in fs::read_dir(file.dir()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["byokd.db", "byokd.db-shm", "byokd.db-wal", "byokd.db.lock"]);
}

/// A file others can read or write, or that is another user's.
#[tokio::test]
async fn a_database_open_to_others_is_refused() {
    let file = furnished().await;
    for mode in [0o644, 0o660, 0o606, 0o601] {
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        let refused = refusal(&file);
        assert!(matches!(refused, OpenRefused::TooWidelyReadable { mode: found, .. } if found == mode), "{refused}");
    }
    fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
    // Only root can give a file away.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(file.path(), Some(65534), None).unwrap();
        let refused = refusal(&file);
        assert!(matches!(refused, OpenRefused::OwnedByAnother { owner: 65534, .. }), "{refused}");
        std::os::unix::fs::chown(file.path(), Some(0), None).unwrap();
    }
    drop(file.try_open().unwrap());
}

/// What is not a database, not ours, or nothing at all.
#[tokio::test]
async fn a_file_that_is_not_our_database_is_refused() {
    let file = SqliteFile::new();
    let write = |content: &[u8]| {
        fs::write(file.path(), content).unwrap();
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
    };
    write(b"");
    assert!(matches!(refusal(&file), OpenRefused::Empty { .. }));
    for content in [&b"SQLite format 3\0"[..], &[b'x'; 8192], b"short"] {
        write(content);
        assert!(matches!(refusal(&file), OpenRefused::NotADatabase { .. }));
    }
    fs::remove_file(file.path()).unwrap();
    Connection::open(file.path()).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(refusal(&file), OpenRefused::NotOurs { .. }));
    fs::remove_file(file.path()).unwrap();
    fs::create_dir(file.path()).unwrap();
    assert!(matches!(refusal(&file), OpenRefused::NotAFile { .. }));
}

/// A file cut short, or with pages of zeroes or noise in it: one error, whichever page it is.
#[tokio::test]
async fn a_damaged_database_is_refused() {
    let file = furnished().await;
    let whole = fs::read(file.path()).unwrap();
    let restore = || fs::write(file.path(), &whole).unwrap();
    let pages = whole.len() / 4096;
    assert!(pages > 10);
    for kept in [1, pages / 2, pages - 1] {
        OpenOptions::new().write(true).open(file.path()).unwrap().set_len(kept as u64 * 4096).unwrap();
        let refused = refusal(&file);
        assert!(matches!(refused, OpenRefused::Damaged { .. }), "cut to {kept} pages: {refused}");
        restore();
    }
    for page in 1..pages {
        let mut damaged = OpenOptions::new().write(true).open(file.path()).unwrap();
        damaged.seek(SeekFrom::Start(page as u64 * 4096)).unwrap();
        damaged.write_all(&[0xa5; 4096]).unwrap();
        let refused = refusal(&file);
        assert!(matches!(refused, OpenRefused::Damaged { .. }), "page {page}: {refused}");
        restore();
    }
    drop(file.try_open().unwrap());
}

/// A database of a newer release, of another installation, or written under another platform root.
#[tokio::test]
async fn a_database_that_belongs_elsewhere_is_refused() {
    let file = furnished().await;
    let mut options = file.options();
    options.cluster = [9; 16];
    let refused = SqliteStore::create_or_open(options).map(drop).unwrap_err();
    assert!(matches!(refused, OpenRefused::OtherCluster { .. }), "{refused}");
    let mut options = file.options();
    options.root_check = [9; 16];
    options.row_seal = Arc::new(TestSeal::number(9));
    let refused = SqliteStore::create_or_open(options).map(drop).unwrap_err();
    assert!(matches!(refused, OpenRefused::OtherRoot { .. }), "{refused}");

    file.raw().pragma_update(None, "user_version", 999).unwrap();
    let refused = refusal(&file);
    assert!(matches!(refused, OpenRefused::NewerSchema { found: 999, .. }), "{refused}");
}

/// Somebody who can write to the file and makes it say it belongs here, or rolls its schema back, is found out by its code.
#[tokio::test]
async fn a_database_relabelled_by_hand_is_refused() {
    for relabel in [
        "UPDATE meta SET epoch = 2",
        "UPDATE meta SET schema = 1",
        "UPDATE meta SET revision = revision + 1",
        "DELETE FROM meta",
        "PRAGMA user_version = 0",
    ] {
        let file = furnished().await;
        file.tamper(relabel).await;
        let refused = refusal(&file);
        assert!(matches!(refused, OpenRefused::Forged { .. }), "{relabel}: {refused}");
    }
    let file = furnished().await;
    file.tamper("UPDATE meta SET cluster_id = x'09090909090909090909090909090909'").await;
    let mut options = file.options();
    options.cluster = [9; 16];
    let refused = SqliteStore::create_or_open(options).map(drop).unwrap_err();
    assert!(matches!(refused, OpenRefused::Forged { .. }), "{refused}");
}

/// A file system on which the write-ahead log's index cannot be shared.
#[tokio::test]
async fn a_database_without_its_log_is_refused() {
    let file = furnished().await;
    let index = file.path().with_extension("db-shm");
    assert!(!index.exists());
    fs::create_dir(&index).unwrap();
    let refused = refusal(&file);
    assert!(matches!(refused, OpenRefused::NoWal { .. }), "{refused}");
    fs::remove_dir(Path::new(&index)).unwrap();
    drop(file.try_open().unwrap());
}
