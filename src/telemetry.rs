//! What an operator sees: log lines as JSON or text on standard error, and never a secret.
//!
//! Libraries may speak from warnings upwards only, at every level: at finer ones HTTP/2 and the vault's client print headers,
//! and with them tokens. The message of a panic is printed only where it is a literal of the program and so cannot hold data.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, registry};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The crates whose finer lines may be asked for.
const OURS: [&str; 7] = ["byokd", "service", "store", "vault", "identity", "secmem", "envelope"];

/// The lines of this service down to `level`, written to `writer`.
pub fn subscriber<W>(format: Format, level: Level, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let targets = OURS
        .iter()
        .fold(Targets::new().with_default(LevelFilter::WARN), |targets, ours| targets.with_target(*ours, level));
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        Format::Text => lines.with_target(false).boxed(),
    };
    registry().with(lines.with_filter(targets))
}

/// Makes this the process's log on standard error, once; panics are logged as well, without their data.
pub fn start(format: Format, level: Level) {
    // A second call keeps the first's choice.
    let _ = tracing::subscriber::set_global_default(subscriber(format, level, std::io::stderr));
    log_panics();
}

/// Has panics logged with their place, and with their words only where those are a literal of the program.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|at| (at.file(), at.line()));
        let (file, line) = place.unwrap_or(("unknown", 0));
        // A formatted message may quote what was being worked on; a literal cannot.
        let words = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(withheld)");
        tracing::error!(file, line, words, "a panic was caught");
    }));
}
