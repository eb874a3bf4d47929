//! What cannot be served is refused with one clear error that says what to do, and nothing is changed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder with everything a daemon needs, to be spoilt.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.keep("config.toml", folder.config(), 0o644);
        folder.keep("client-secret", "s3cret\n", 0o600);
        let made = folder.run(&["platform-key", "init", "--file", "platform.key"]);
        assert!(made.status.success(), "{made:?}");
        folder
    }

    fn config(&self) -> String {
        r#"
database = "byokd.db"
memory_lock = "preferred"

[platform_key]
file = "platform.key"

[[listen]]
unix = "byokd.sock"

[azure]
client_id = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01"
client_secret_file = "client-secret"

[[callers]]
name = "platform"
token_sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
grants = ["*"]
"#
        .into()
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn keep(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) {
        fs::write(self.at(name), text).unwrap();
        fs::set_permissions(self.at(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Makes the database, by a check of which only the database's part matters.
    fn database(&self) {
        let root = vault::platform::PlatformRoot::open_file(&self.at("platform.key")).unwrap();
        drop(open(&self.at("byokd.db"), &root));
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_byokd")).args(arguments).current_dir(self.0.path()).output().unwrap()
    }

    fn serve(&self) -> Output {
        self.run(&["serve", "--config", "config.toml"])
    }
}

fn open(path: &Path, root: &vault::platform::PlatformRoot) -> store::sqlite::SqliteStore {
    let options = store::sqlite::SqliteOptions {
        path: path.into(),
        row_seal: root.row_seal(),
        root_check: root.check_value(),
        cluster: root.cluster_id(),
        durability: store::sqlite::Durability::Full,
    };
    store::sqlite::SqliteStore::create_or_open(options).unwrap()
}

/// One error that names the thing and one hint, and nothing of a panic or a cause chain.
fn refused(output: &Output, about: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{about}: {said}");
    // The log has lines of its own; what is for people begins with these words.
    let errors = said.lines().filter(|line| line.starts_with("error: ")).count();
    let hints = said.lines().filter(|line| line.starts_with("hint: ")).count();
    assert_eq!((errors, hints), (1, 1), "{about}: {said}");
    assert!(said.contains(about), "{about:?} is not in: {said}");
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
}

/// Every file a daemon starts from can be missing, damaged, foreign or open to others: each is told, and left as it is.
#[test]
fn what_a_daemon_starts_from_is_checked() {
    type Spoil = fn(&Folder);
    let cases: [(&str, Spoil); 16] = [
        ("config.toml does not exist", |f| fs::remove_file(f.at("config.toml")).unwrap()),
        ("config.toml is not UTF-8", |f| f.keep("config.toml", [0xff, 0xfe, 0x00], 0o644)),
        ("database: is missing", |f| f.keep("config.toml", f.config().replace("database = \"byokd.db\"", ""), 0o644)),
        ("client-secret does not exist", |f| fs::remove_file(f.at("client-secret")).unwrap()),
        ("client-secret holds a secret and has the permissions 0644", |f| f.keep("client-secret", "s", 0o644)),
        ("client-secret holds no client secret", |f| f.keep("client-secret", "\n", 0o600)),
        ("no platform key file", |f| fs::remove_file(f.at("platform.key")).unwrap()),
        ("the platform key file has mode 0640", |f| {
            fs::set_permissions(f.at("platform.key"), fs::Permissions::from_mode(0o640)).unwrap();
        }),
        ("the platform key file is truncated", |f| {
            let key = fs::read(f.at("platform.key")).unwrap();
            f.keep("platform.key", &key[..key.len() / 2], 0o600);
        }),
        ("the platform key file is damaged", |f| {
            let mut key = fs::read(f.at("platform.key")).unwrap();
            let middle = key.len() / 2;
            key[middle] ^= 1;
            f.keep("platform.key", key, 0o600);
        }),
        ("is not a platform key file", |f| f.keep("platform.key", "notes", 0o600)),
        ("cluster", |f| {
            f.database();
            fs::remove_file(f.at("platform.key")).unwrap();
            assert!(f.run(&["platform-key", "init", "--file", "platform.key"]).status.success());
        }),
        ("is not a database", |f| f.keep("byokd.db", vec![7; 8_192], 0o600)),
        ("is an empty file", |f| f.keep("byokd.db", "", 0o600)),
        ("is open to others", |f| {
            f.database();
            fs::set_permissions(f.at("byokd.db"), fs::Permissions::from_mode(0o666)).unwrap();
        }),
        ("exists and is not a socket", |f| f.keep("byokd.sock", "somebody's notes", 0o644)),
    ];
    for (about, spoil) in cases {
        let folder = Folder::new();
        spoil(&folder);
        refused(&folder.serve(), about);
    }
}

/// A database a second daemon would share is refused while the first has it; so is its socket.
#[test]
fn a_second_daemon_is_refused() {
    let folder = Folder::new();
    let root = vault::platform::PlatformRoot::open_file(&folder.at("platform.key")).unwrap();
    let first = open(&folder.at("byokd.db"), &root);
    refused(&folder.serve(), "is in use by another process");
    refused(&folder.run(&["store", "check", "--config", "config.toml"]), "is in use by another process");
    drop(first);
    let alive = UnixListener::bind(folder.at("byokd.sock")).unwrap();
    refused(&folder.serve(), "another process is listening on");
    drop(alive);
}

/// `config check` tells every fault of the text at once, and then every fault of the files.
#[test]
fn a_check_tells_everything_at_once() {
    let folder = Folder::new();
    let check = || folder.run(&["config", "check", "--config", "config.toml"]);
    let good = check();
    assert!(good.status.success(), "{good:?}");
    let two = folder.config().replace("memory_lock = \"preferred\"", "memory-lock = \"preferred\"\nworkers = \"all\"");
    folder.keep("config.toml", two, 0o644);
    let said = String::from_utf8(check().stderr).unwrap();
    let expected = "error: config.toml: line 3: memory-lock: is not known\nhint: did you mean memory_lock?\n\
                    error: config.toml: line 4: workers: is a string where a whole number belongs\n\
                    hint: write a whole number\n";
    assert_eq!(said, expected);

    folder.keep("config.toml", folder.config(), 0o644);
    folder.keep("client-secret", "s", 0o644);
    folder.keep("platform.key", "notes", 0o600);
    let said = String::from_utf8(check().stderr).unwrap();
    assert_eq!(said.matches("error: ").count(), 2, "{said}");
    assert_eq!(said.matches("hint: ").count(), 2, "{said}");
}

/// An existing platform key is never overwritten, and a new one is for its owner's eyes only.
#[test]
fn a_platform_key_is_made_once() {
    let folder = Folder::new();
    let before = fs::read(folder.at("platform.key")).unwrap();
    refused(&folder.run(&["platform-key", "init", "--file", "platform.key"]), "exists already");
    refused(&folder.run(&["platform-key", "init", "--config", "config.toml"]), "exists already");
    assert_eq!(fs::read(folder.at("platform.key")).unwrap(), before);
    assert_eq!(fs::metadata(folder.at("platform.key")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A database is verified without a daemon, and one that was tampered with is not in order.
#[test]
fn a_store_is_checked_offline() {
    let folder = Folder::new();
    let check = || folder.run(&["store", "check", "--config", "config.toml"]);
    refused(&check(), "there is no database");
    assert!(!folder.at("byokd.db").exists(), "a check creates nothing");
    folder.database();
    let good = check();
    assert!(good.status.success() && String::from_utf8_lossy(&good.stdout).contains("is in order"), "{good:?}");
    let mut bytes = fs::read(folder.at("byokd.db")).unwrap();
    // Everything behind the first page, which describes the rest: somewhere in there are the rows.
    bytes[4096..].fill(0xa5);
    folder.keep("byokd.db", bytes, 0o600);
    assert_eq!(check().status.code(), Some(1));
}

/// Told to stop by a signal, a daemon ends well and takes its socket with it.
#[test]
fn a_signal_ends_a_daemon_well() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let folder = Folder::new();
        let mut daemon = Command::new(env!("CARGO_BIN_EXE_byokd"))
            .args(["serve", "--config", "config.toml"])
            .current_dir(folder.0.path())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(daemon.stderr.take().unwrap()));
        let listening = lines.by_ref().map_while(Result::ok).any(|line| line.contains("listening"));
        assert!(listening);
        let pid = rustix::process::Pid::from_child(&daemon);
        rustix::process::kill_process(pid, signal).unwrap();
        let rest: Vec<_> = lines.map_while(Result::ok).collect();
        assert!(daemon.wait().unwrap().success(), "{rest:?}");
        assert!(rest.iter().any(|line| line.contains("stopped")), "{rest:?}");
        assert!(!folder.at("byokd.sock").exists());
    }
}
