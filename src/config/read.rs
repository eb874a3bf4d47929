//! How a configuration file becomes a [`Config`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Cloud;
use secmem::MemoryLock;
use toml::de::DeTable;

use super::document::{Faults, Section};
use super::fault::Fault;
use super::{Azure, AzureCredential, CallerToken, Config, LONGEST, Listen};
use crate::serve::Limits;
use crate::telemetry::Format;

/// Reads a whole file's text; relative paths begin at `folder`.
pub(super) fn config(text: &str, folder: &Path) -> Result<Config, Vec<Fault>> {
    let faults = Faults::of(text);
    let (document, broken) = DeTable::parse_recoverable(text);
    for error in broken {
        faults.add(error.span(), "", error.message().to_owned(), "the file must be TOML; is it complete?");
    }
    if !faults.is_empty() {
        // What stands behind a broken line is not to be trusted.
        return Err(faults.into_sorted());
    }
    let mut whole = Section::whole(&faults, document.get_ref());
    let file = |text: &str| folder.join(text);

    let listen: Vec<_> = whole.sections("listen").into_iter().filter_map(|one| listen(one, &file)).collect();
    if listen.is_empty() && faults.is_empty() {
        whole.fault("listen", "is missing", "add a [[listen]] table with `unix`, or with `tls`, `certificate` and `key`");
    }
    let limits = limits(whole.section("limits"));
    let workers = whole.count("workers", 1..1_025).and_then(|count| usize::try_from(count).ok());
    let database = whole.required("database", "write the path of the database file").map(file);
    let platform_key =
        whole.required("platform_key", "write the path that `byokd platform-key init` was given").map(file);
    let locks = [("required", MemoryLock::Required), ("preferred", MemoryLock::Preferred)];
    let memory_lock = whole.one_of("memory_lock", &locks).unwrap_or(MemoryLock::Required);
    let azure = azure(whole.section("azure"), &file);
    let callers = callers(whole.sections("callers"));
    if callers.is_empty() && faults.is_empty() {
        let hint = "add a [[callers]] table with `name` and `token_sha256`: without one nobody can call";
        whole.fault("callers", "is missing", hint);
    }
    let mut log = whole.section("log");
    let log_format = log.one_of("format", &[("json", Format::Json), ("text", Format::Text)]).unwrap_or(Format::Json);
    let levels = [
        ("error", tracing::Level::ERROR),
        ("warn", tracing::Level::WARN),
        ("info", tracing::Level::INFO),
        ("debug", tracing::Level::DEBUG),
    ];
    let log_level = log.one_of("level", &levels).unwrap_or(tracing::Level::INFO);
    log.close();
    whole.close();

    match (database, platform_key, azure) {
        (Some(database), Some(platform_key), Some(azure)) if faults.is_empty() => Ok(Config {
            listen,
            limits,
            workers,
            database,
            platform_key,
            memory_lock,
            azure,
            callers,
            log_format,
            log_level,
        }),
        _ => Err(faults.into_sorted()),
    }
}

fn listen(mut one: Section<'_, '_>, file: &impl Fn(&str) -> PathBuf) -> Option<Listen> {
    let (tls, unix) = (one.text("tls"), one.text("unix"));
    let listen = match (tls, unix) {
        (Some(address), None) => {
            let parsed = address.parse().ok();
            if parsed.is_none() {
                one.fault("tls", "is not an address and port", "write an IP address and port, such as \"0.0.0.0:7444\"");
            }
            let certificate = one.required("certificate", "write the path of the certificate's PEM file").map(file);
            let key = one.required("key", "write the path of the private key's PEM file").map(file);
            parsed.zip(certificate).zip(key).map(|((address, certificate), key)| Listen::Tls { address, certificate, key })
        }
        (None, Some(path)) => {
            let mode = match one.text("mode") {
                None => Some(0o600),
                Some(text) => {
                    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && mode & 0o600 == 0o600);
                    if mode.is_none() {
                        one.fault("mode", "is not a socket's permissions", "write octal digits, such as \"0660\"");
                    }
                    mode
                }
            };
            mode.map(|mode| Listen::Unix { path: file(path), mode })
        }
        _ => {
            let hint = "write `unix = \"PATH\"`, or `tls = \"ADDRESS:PORT\"`; plaintext TCP is not served";
            one.fault("", "a place to listen on is either `tls` or `unix`", hint);
            // Known in one of the two forms: naming them unknown as well would mislead.
            let _ = (one.text("certificate"), one.text("key"), one.text("mode"));
            None
        }
    };
    one.close();
    listen
}

fn limits(mut section: Section<'_, '_>) -> Limits {
    let usual = Limits::default();
    let second = Duration::from_secs(1);
    let size = |count: Option<u64>, usual: usize| count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usual);
    let limits = Limits {
        connections: size(section.count("connections", 1..1_000_001), usual.connections),
        streams_per_connection: section
            .count("streams_per_connection", 1..10_001)
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(usual.streams_per_connection),
        calls_per_connection: size(section.count("calls_per_connection", 1..10_001), usual.calls_per_connection),
        handshake: section.duration("handshake", second / 10, second * 60).unwrap_or(usual.handshake),
        idle: section.duration("idle", second, LONGEST).unwrap_or(usual.idle),
        age: section.duration("age", second, LONGEST).unwrap_or(usual.age),
        age_grace: section.duration("age_grace", second / 10, LONGEST).unwrap_or(usual.age_grace),
        longest_call: section.duration("longest_call", second / 10, second * 600).unwrap_or(usual.longest_call),
        drain: section.duration("drain", second / 10, second * 3_600).unwrap_or(usual.drain),
    };
    section.close();
    limits
}

fn azure(mut section: Section<'_, '_>, file: &impl Fn(&str) -> PathBuf) -> Option<Azure> {
    if !section.is_present() {
        let hint = "add an [azure] table with `client_id` and one of `client_secret_file`, `certificate_file`, \
                    `federated_token_file`";
        section.fault("client_id", "is missing", hint);
        return None;
    }
    let clouds = Cloud::ALL.map(|cloud| (cloud.as_str(), cloud));
    let cloud = section.one_of("cloud", &clouds).unwrap_or(Cloud::Public);
    let client_id = section.required("client_id", "copy the Application (client) ID of our app registration");
    let secret = section.text("client_secret_file").map(file).map(AzureCredential::Secret);
    let certificate = section.text("certificate_file").map(file).map(AzureCredential::Certificate);
    let federated = section.text("federated_token_file").map(file).map(AzureCredential::FederatedToken);
    let mut given: Vec<_> = [secret, certificate, federated].into_iter().flatten().collect();
    if given.len() != 1 {
        let hint = "write exactly one of `client_secret_file`, `certificate_file`, `federated_token_file`";
        section.fault("", format!("{} credentials are given where one belongs", given.len()), hint);
    }
    let client_id = client_id.filter(|id| {
        let guid = id.parse::<domain::TenantId>().is_ok();
        if !guid {
            section.fault("client_id", "is not a GUID", "copy the Application (client) ID of our app registration");
        }
        guid
    });
    section.close();
    Some(Azure { cloud, client_id: client_id?.to_owned(), credential: given.pop()? })
}

fn callers(sections: Vec<Section<'_, '_>>) -> Vec<CallerToken> {
    let mut callers: Vec<CallerToken> = Vec::new();
    let mut names = BTreeSet::new();
    for mut section in sections {
        let name = section.required("name", "write a name; audit records carry it").and_then(|name| {
            if name.len() > 100 || name.chars().any(char::is_control) {
                section.fault("name", "is not a caller's name", "write at most 100 bytes without control characters");
                return None;
            }
            if !names.insert(name.to_owned()) {
                section.fault("name", "is given to two callers", "choose another name");
            }
            Some(name.to_owned())
        });
        let how = "write the SHA-256 of the token as 64 hexadecimal digits: printf %s \"$TOKEN\" | sha256sum";
        let sha256 = section.required("token_sha256", how).and_then(|text| {
            let mut hash = [0; 32];
            let read = hex::decode_to_slice(text, &mut hash);
            if read.is_err() {
                section.fault("token_sha256", "is not a SHA-256", how);
            }
            read.ok().map(|()| hash)
        });
        if let (Some(name), Some(sha256)) = (name, sha256) {
            if let Some(same) = callers.iter().find(|caller| caller.sha256 == sha256) {
                let what = format!("is the same token as that of {}", same.name);
                section.fault("token_sha256", what, "give each caller a token of its own");
            }
            callers.push(CallerToken { name, sha256 });
        }
        section.close();
    }
    callers
}
