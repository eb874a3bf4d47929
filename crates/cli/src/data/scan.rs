//! `byokctl data inspect` of many: how many stored ciphertexts there are under each data key and protection.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use domain::{WorkspaceId, name};
use envelope::HEADER_LEN;
use tokio::io::BufReader;

use crate::args::{Global, Output};
use crate::connect::connect;
use crate::data::progress::Bar;
use crate::data::source::Source;
use crate::data::{files, inspect, lines, say};
use crate::failure::Failure;
use crate::output;
use crate::view::Inspected;
use crate::view::usage::{Bad, Scanned, ScannedKey, ScannedProtection};

/// Counts what is in these files and directories, or in the lines of these files.
pub(crate) async fn run(
    global: &Global,
    paths: &[PathBuf],
    in_lines: bool,
    workspace: Option<&WorkspaceId>,
) -> Result<(), Failure> {
    let mut count = Count::default();
    match in_lines {
        true => scan_lines(paths, &mut count).await?,
        false => scan_files(paths, &mut count).await?,
    }
    let known = match workspace {
        Some(workspace) => Some(data_keys(global, workspace).await?),
        None => None,
    };
    let scanned = count.summed(known.as_ref());
    tell(global, &scanned, known.is_some())
}

async fn scan_files(paths: &[PathBuf], count: &mut Count) -> Result<(), Failure> {
    let mut all = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => all.extend(files::below(path)?),
            false => all.push(path.clone()),
        }
    }
    let bar = Bar::of_many("inspecting", Some(all.len() as u64));
    for (n, path) in all.iter().enumerate() {
        match path.as_os_str() == "-" {
            true => count.take("standard input", inspect::inspect(Source::open(path)?.reader).await),
            false => count.take(&path.display().to_string(), inspect_file(path)),
        }
        bar.at(n as u64 + 1);
    }
    Ok(())
}

/// By its header and its length: a large file is not read.
fn inspect_file(path: &Path) -> Result<Inspected, Failure> {
    let mut front = Vec::with_capacity(HEADER_LEN);
    let read = File::open(path).and_then(|file| {
        let size = file.metadata()?.len();
        (&file).take(HEADER_LEN as u64).read_to_end(&mut front)?;
        Ok(size)
    });
    let size = read
        .map_err(|error| Failure::caller(format!("it cannot be read: {error}")).hint("check the file's permissions"))?;
    inspect::describe(&front, size)
}

async fn scan_lines(paths: &[PathBuf], count: &mut Count) -> Result<(), Failure> {
    for path in paths {
        let source = Source::open(path)?;
        let place = |number: u64| match path.as_os_str() == "-" {
            true => format!("line {number}"),
            false => format!("{}: line {number}", path.display()),
        };
        let bar = Bar::new("inspecting", source.length, false);
        let mut reader = BufReader::new(source.reader);
        let (mut number, mut read) = (0, 0);
        while let Some(line) = lines::next(&mut reader).await? {
            (number, read) = (number + 1, read + line.len() as u64);
            bar.at(read);
            match lines::text(&line) {
                Ok("") => {}
                Ok(text) => match lines::decode(text) {
                    Ok((bytes, _)) => {
                        count.take(&place(number), inspect::describe(&bytes, bytes.len() as u64));
                    }
                    Err(why) => count.bad(place(number), why),
                },
                Err(why) => count.bad(place(number), why),
            }
        }
    }
    Ok(())
}

/// What the service says of a data key.
struct Known {
    app: String,
    protection: String,
    present: bool,
}

/// A workspace's data keys by their ids.
async fn data_keys(global: &Global, workspace: &WorkspaceId) -> Result<HashMap<String, Known>, Failure> {
    let apps = connect(global).await?.coverage(&name::workspace(workspace), "").await?;
    let mut known = HashMap::new();
    for app in apps {
        for key in app.data_keys {
            let id = key.data_key.rsplit('/').next().unwrap_or_default().to_owned();
            let protection = crate::view::protection(key.protection);
            known.insert(id, Known { app: app.app.clone(), protection, present: key.present });
        }
    }
    Ok(known)
}

#[derive(Default)]
struct Count {
    keys: BTreeMap<String, ScannedKey>,
    bad: Vec<Bad>,
}

impl Count {
    fn take(&mut self, at: &str, found: Result<Inspected, Failure>) {
        let found = match found {
            Ok(found) => found,
            Err(failure) => return self.bad(at.to_owned(), &failure.message),
        };
        let key = self.keys.entry(found.data_key_id.clone()).or_default();
        match found.kind {
            "stream" => key.streams += 1,
            _ => key.messages += 1,
        }
        key.bytes += found.size;
        key.data_key_id = found.data_key_id;
    }

    fn bad(&mut self, at: String, why: &str) {
        self.bad.push(Bad { at, why: why.to_owned() });
    }

    fn summed(self, known: Option<&HashMap<String, Known>>) -> Scanned {
        let mut scanned = Scanned { bad: self.bad, ..Scanned::default() };
        let mut protections: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
        for mut key in self.keys.into_values() {
            if let Some(found) = known.and_then(|known| known.get(&key.data_key_id)) {
                key.app = Some(found.app.clone());
                key.protection = Some(found.protection.clone());
                key.present = Some(found.present);
            }
            let ciphertexts = key.messages + key.streams;
            (scanned.ciphertexts, scanned.bytes) = (scanned.ciphertexts + ciphertexts, scanned.bytes + key.bytes);
            let sum = protections.entry(key.protection.clone()).or_default();
            (sum.0, sum.1) = (sum.0 + ciphertexts, sum.1 + key.bytes);
            scanned.data_keys.push(key);
        }
        if known.is_some() {
            let protection = |(protection, (ciphertexts, bytes))| ScannedProtection { protection, ciphertexts, bytes };
            scanned.protections = protections.into_iter().map(protection).collect();
        }
        scanned
    }
}

fn tell(global: &Global, scanned: &Scanned, asked: bool) -> Result<(), Failure> {
    match global.output {
        Output::Json => output::print(&output::document(scanned)?)?,
        Output::Table => {
            output::print(&table(scanned, asked))?;
            scanned.bad.iter().for_each(|bad| say(&format!("{}: {}", bad.at, bad.why)));
        }
    }
    match scanned.bad.len() as u64 {
        0 => Ok(()),
        bad => Err(Failure::caller(format!(
            "{bad} of {} are no byokd ciphertexts, or cannot be read",
            bad + scanned.ciphertexts
        ))
        .hint("each is named above, or under `bad` in the JSON; the others were counted")),
    }
}

fn table(scanned: &Scanned, asked: bool) -> String {
    let or_not_known = |text: &Option<String>| match (text, asked) {
        (Some(text), _) => text.trim_start_matches("workspaces/").replacen("/apps/", "/", 1),
        (None, true) => "not of this workspace".to_owned(),
        (None, false) => "-".to_owned(),
    };
    let row = |key: &ScannedKey| {
        [
            key.data_key_id.clone(),
            or_not_known(&key.app),
            or_not_known(&key.protection),
            key.present.map_or("-", |present| if present { "present" } else { "left" }).to_owned(),
            (key.messages + key.streams).to_string(),
            output::bytes(key.bytes),
        ]
    };
    let mut rows: Vec<_> = scanned.data_keys.iter().map(row).collect();
    for sum in &scanned.protections {
        let [protection, ciphertexts] = [or_not_known(&sum.protection), sum.ciphertexts.to_string()];
        rows.push([String::new(), "all".to_owned(), protection, String::new(), ciphertexts, output::bytes(sum.bytes)]);
    }
    let all = [scanned.ciphertexts.to_string(), output::bytes(scanned.bytes)];
    let [count, bytes] = all;
    rows.push([String::new(), "all".to_owned(), "all".to_owned(), String::new(), count, bytes]);
    output::table(["DATA KEY", "APP", "PROTECTION", "STATE", "CIPHERTEXTS", "BYTES"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(key: &str, kind: &'static str, size: u64) -> Result<Inspected, Failure> {
        let (format_version, suite, data_key_id) = (1, "KC-XAES-256-GCM", key.to_owned());
        Ok(Inspected { kind, format_version, suite, data_key_id, size, plaintext_size: 0, segments: None })
    }

    /// Counted by data key and protection; what nobody knows stands for itself and is in no protection's sum but its own.
    #[test]
    fn ciphertexts_are_counted_by_key_and_protection() {
        let mut count = Count::default();
        count.take("a", found("0f", "message", 100));
        count.take("b", found("0f", "stream", 200));
        count.take("c", found("1f", "message", 50));
        count.take("d", Err(Failure::caller("the input is empty").hint("x")));
        let known = Known { app: "workspaces/acme/apps/bot".into(), protection: "PLATFORM_KEY".into(), present: false };
        let scanned = count.summed(Some(&HashMap::from([("0f".to_owned(), known)])));
        assert_eq!((scanned.ciphertexts, scanned.bytes), (3, 350));
        let keys: Vec<_> = scanned.data_keys.iter().map(|k| (k.messages, k.streams, k.present)).collect();
        assert_eq!(keys, [(1, 1, Some(false)), (1, 0, None)]);
        let sums: Vec<_> = scanned.protections.iter().map(|p| (p.protection.as_deref(), p.ciphertexts)).collect();
        assert_eq!(sums, [(None, 1), (Some("PLATFORM_KEY"), 2)]);
        assert_eq!(scanned.bad, [Bad { at: "d".into(), why: "the input is empty".into() }]);
        let text = anstream::adapter::strip_str(&table(&scanned, true)).to_string();
        assert!(text.contains("acme/bot") && text.contains("left") && text.contains("not of this workspace"), "{text}");
    }
}
