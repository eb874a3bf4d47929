//! How a configuration file becomes a [`Config`].

use std::path::Path;

use secmem::MemoryLock;
use toml::de::DeTable;

use super::Config;
use super::callers::callers;
use super::document::{Faults, Section};
use super::entra::entra;
use super::fault::Fault;
use super::issuers::issuers;
use super::keys::{azure, platform_key};
use super::listen::{limits, listen};
use super::metrics::metrics;
use super::service;
use super::way_out::{WayOut, proxy};
use super::webhook::webhook;
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
        whole.fault(
            "listen",
            "is missing",
            "add a [[listen]] table with `unix`, or with `tls`, `certificate` and `key`",
        );
    }
    let webhook = webhook(whole.section("webhook"), &file);
    let entra = entra(whole.section("entra"), &file);
    let metrics = metrics(whole.section("metrics"), &file);
    let limits = limits(whole.section("limits"));
    let mut way_out = WayOut::default();
    let options = service::options(&mut whole, &mut way_out);
    way_out.proxy = proxy(whole.section("outbound"));
    let workers = whole.count("workers", 1..1_025).and_then(|count| usize::try_from(count).ok());
    let database = whole.required("database", "write the path of the database file").map(file);
    let state_dir = whole.text("state_dir").map(file);
    let platform_key = platform_key(whole.section("platform_key"), &file, &mut way_out);
    let locks = [("required", MemoryLock::Required), ("preferred", MemoryLock::Preferred)];
    let memory_lock = whole.one_of("memory_lock", &locks).unwrap_or(MemoryLock::Required);
    let azure = azure(whole.section("azure"), &file);
    let callers = callers(whole.sections("callers"));
    let issuers = issuers(whole.sections("issuers"), &callers, &file);
    if callers.is_empty() && issuers.is_empty() && faults.is_empty() {
        let hint = "add a [[callers]] table with `name`, `token_sha256` and `grants`: without one nobody can call";
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
            webhook,
            entra,
            limits,
            options,
            workers,
            database,
            platform_key,
            memory_lock,
            azure,
            callers,
            issuers,
            log_format,
            log_level,
            way_out,
            state_dir,
            metrics,
        }),
        _ => Err(faults.into_sorted()),
    }
}

#[cfg(test)]
mod tests;
