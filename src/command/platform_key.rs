//! `byokd platform-key list|add|promote|reseal|remove`: the platform root goes over to another key.
//!
//! All but `list` and `add` take the database's lock: whoever serves has read the root when it began. Between any two of them the
//! service may run: both keys are in the file.

use std::io::{ErrorKind, Write};
use std::path::Path;

use domain::credential::Credential;
use domain::{Clock as _, DataKey, PlatformKeyId, WorkspaceId, Wrapping};
use store::sqlite::{Left, MoveSealed, Offline, OpenRefused};
use vault::platform::PlatformRoot;

use super::init::runtime;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::entropy::SystemEntropy;
use crate::trouble::{Trouble, Troubles};
use crate::wire;

struct Opened {
    config: Config,
    platform: PlatformRoot,
}

fn open(path: &Path) -> Result<Opened, Troubles> {
    let config = Config::read(path)?;
    secmem::harden(config.memory_lock)?;
    let platform = runtime()?.block_on(wire::open_platform_root(&config))?;
    Ok(Opened { config, platform })
}

impl Opened {
    /// The database under its lock; none if there is none yet. One that is away, or that cannot be looked for, is not none: a disk
    /// that is not mounted looks the same but for the head.
    fn database(&self) -> Result<Option<Offline>, Trouble> {
        let (path, head) = (&self.config.database, self.config.head());
        if is_there(path)? {
            return wire::take_database(&self.config, &self.platform).map(Some);
        }
        if is_there(&head)? {
            return Err(OpenRefused::HeadAlone { path: path.clone(), head }.into());
        }
        Ok(None)
    }

    fn key(&self, key: PlatformKeyId) -> Result<(), Trouble> {
        let known = self.platform.keys().iter().any(|(id, _)| *id == key);
        let refused = vault::platform::RootRefused::NoSuchKey(key);
        if known { Ok(()) } else { Err(wire::root_trouble(&self.config.platform_key.file, &refused)) }
    }
}

fn is_there(path: &Path) -> Result<bool, OpenRefused> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(OpenRefused::Unreadable { path: path.to_owned(), cause }),
    }
}

/// Says which keys the root has, and how much is under each.
pub fn platform_key_list(path: &Path, out: &mut impl Write) -> Result<(), Troubles> {
    let opened = open(path)?;
    let database = opened.database();
    for ((id, checkpoints), check) in opened.platform.keys().iter().zip(opened.platform.check_values()) {
        let role = if *id == opened.platform.primary() { "primary" } else { "opens  " };
        let rows = match &database {
            Ok(None) => "no database yet".to_owned(),
            Ok(Some(database)) => rows(&database.left_under(*id)?),
            Err(why) => format!("how much is under it cannot be told now: {}", why.what),
        };
        let (check, checkpoints) = (hex::encode(check), hex::encode(checkpoints));
        let _ = writeln!(out, "{id}  {role}  check {check}  checkpoints signed by {checkpoints}  {rows}");
    }
    Ok(())
}

fn rows(left: &[Left]) -> String {
    if left.is_empty() {
        return "nothing is under it".to_owned();
    }
    left.iter().map(|left| format!("{} in {}", left.rows, left.place)).collect::<Vec<_>>().join(", ")
}

/// Adds a key that opens and does not seal yet.
pub fn platform_key_add(path: &Path, out: &mut impl Write) -> Result<(), Troubles> {
    let config = Config::read(path)?;
    secmem::harden(config.memory_lock)?;
    let id = runtime()?.block_on(wire::add_platform_key(&config))?;
    let _ = writeln!(
        out,
        "added {id}: it opens, and seals nothing yet\n\
         back up {} apart from the database now, and give it to every machine that may serve; then: byokd platform-key promote",
        config.platform_key.file.display()
    );
    Ok(())
}

/// Makes a key the primary.
pub fn platform_key_promote(path: &Path, key: PlatformKeyId, out: &mut impl Write) -> Result<(), Troubles> {
    let opened = open(path)?;
    opened.key(key)?;
    // Held until the file is replaced: whoever serves next reads the new one.
    let database = opened.database()?;
    let file = &opened.config.platform_key.file;
    PlatformRoot::promote(file, key, &SystemEntropy).map_err(|refused| wire::root_trouble(file, &refused))?;
    drop(database);
    let _ = writeln!(
        out,
        "{key} is the primary: it seals what is written from now on\n\
         what was written before stays under the other keys until: byokd platform-key reseal"
    );
    Ok(())
}

/// Takes wrappings over with the service's own code.
struct Moving<'p>(&'p PlatformRoot);

impl MoveSealed for Moving<'_> {
    fn move_wrapping(&self, key: &DataKey, wrapping: &Wrapping) -> Result<Wrapping, String> {
        service::reseal_wrapping(self.0, key, wrapping, &SystemEntropy).map_err(|why| why.to_string())
    }

    fn move_credential(&self, workspace: &WorkspaceId, credential: &Credential) -> Result<Vec<u8>, String> {
        let moved = self.0.reseal_secret(&credential.sealed, &credential.identity(workspace), &SystemEntropy);
        Ok(moved.map_err(|why| why.to_string())?.unwrap_or_else(|| credential.sealed.clone()))
    }
}

/// Seals everything anew under the primary. Interrupted, it goes on where it stopped when it is run again.
pub fn platform_key_reseal(path: &Path, out: &mut impl Write) -> Result<(), Troubles> {
    let opened = open(path)?;
    let Some(mut database) = opened.database()? else {
        let hint = "start the service once; a new database is under the primary from the beginning";
        return Err(Trouble::new("there is no database yet", hint).into());
    };
    let (platform, now) = (&opened.platform, SystemClock.now().wall);
    let mut told = u64::MAX;
    let mut tell = |so_far: store::sqlite::Resealed| {
        let percent = (so_far.done * 100).checked_div(so_far.of).unwrap_or(100);
        if percent / 5 != told {
            told = percent / 5;
            let _ = writeln!(out, "{percent:>3} %  {} of {} rows", so_far.done, so_far.of);
        }
    };
    let (primary, check) = (platform.primary(), platform.primary_check_value());
    let done = database.reseal(primary, check, &Moving(platform), now, &mut tell).map_err(Trouble::from)?;
    let _ = writeln!(out, "{done} rows were sealed anew: everything is under {primary}");
    for (id, _) in platform.keys().into_iter().filter(|(id, _)| *id != primary) {
        let _ = writeln!(out, "{id}: {}", rows(&database.left_under(id)?));
    }
    Ok(())
}

/// Takes a key that nothing is under out of the file. The database has to be there to say so: a key that is gone does not come back.
pub fn platform_key_remove(path: &Path, key: PlatformKeyId, out: &mut impl Write) -> Result<(), Troubles> {
    let opened = open(path)?;
    opened.key(key)?;
    let Some(mut database) = opened.database()? else {
        let what = format!(
            "there is no database at {}: whether anything is under {key} cannot be told, and the key stays",
            opened.config.database.display()
        );
        let hint = "let `database` in the configuration name the database, and see that its disk is mounted";
        return Err(Trouble::new(what, hint).into());
    };
    let left = database.left_under(key)?;
    let of_the_primary = database.root_check()? == opened.platform.primary_check_value();
    if !left.is_empty() || !of_the_primary {
        let what = format!("{key} is still needed: {}", rows(&left));
        return Err(Trouble::new(what, "seal everything anew first: byokd platform-key reseal").into());
    }
    // The older of the head's two halves may be under it still, and would count as damaged without it.
    database.renew_head()?;
    let file = &opened.config.platform_key.file;
    PlatformRoot::remove_key(file, key, &SystemEntropy).map_err(|refused| wire::root_trouble(file, &refused))?;
    drop(database);
    let _ = writeln!(
        out,
        "{key} is gone from {}\n\
         backups of the database from before the reseal need it: keep a copy of the file of then as long as you keep them\n\
         tags byok-enrol that were drawn are rows and count as before; of keys that were proven before any were drawn the proof stays, and \
         their tags are not recognised any more: see byokctl key status before such a key is replaced",
        file.display()
    );
    Ok(())
}
