//! `byokctl audit export --otlp`: a chain as log records of OpenTelemetry, to a collector over gRPC.
//!
//! A record's body is the line that a file would hold, so that what a collector keeps is verified like a file. What is sent is
//! acknowledged before more is read: however long the chain, a batch of it is in memory. A collector that is busy or away is asked
//! again; an attempt whose answer was lost may leave records twice, which their numbers tell.

use std::path::Path;
use std::time::Duration;

use client::Endpoint;
use domain::ledger::ChainName;
use ledger::CheckpointJson;
use ledger::export::{End, Line};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde::Serialize;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Transport};
use tonic::{Code, Request};

use super::export::{BEHIND, Pages, eprintln_line};
use super::{not_an_answer, read_checkpoint, read_event};
use crate::args::Global;
use crate::failure::{Failure, one_line};
use crate::output;

/// Records of one request.
const TOGETHER: usize = 512;
/// Bytes of one request's bodies, about: collectors take 4 MiB by default.
const MOST_BYTES: usize = 1024 * 1024;
/// How long a collector may take for one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// Attempts at one request: with the pauses between them about two minutes.
const ATTEMPTS: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What was sent.
#[derive(Serialize)]
struct Sent {
    chain: String,
    /// How many events.
    events: u64,
    /// The last one's number: what `--after` goes on from.
    last: Option<u64>,
}

pub(crate) async fn run(
    global: &Global,
    chain: &ChainName,
    to: &Endpoint,
    ca: Option<&Path>,
    after: u64,
) -> Result<(), Failure> {
    let mut collector = Collector { client: LogsServiceClient::new(channel(to, ca)?), chain: chain.to_string() };
    let mut pages = Pages::begin(global, chain, after).await?;
    let mut sent = Sent { chain: chain.to_string(), events: 0, last: None };
    let mut batch = Batch::default();
    batch.push(&Line::Head(pages.head().clone()));
    loop {
        // An export that stood still while the collector was away for longer than the service waits is ended by the service.
        let answer = match pages.next().await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(broken_off(not_an_answer(), sent.last, after)),
            Err(failure) => return Err(broken_off(failure, sent.last, after)),
        };
        for event in answer.events {
            let event = read_event(event);
            batch.last = Some(event.number);
            batch.events += 1;
            batch.push(&Line::Event(event));
            if batch.is_full() {
                collector.send(&mut batch, &mut sent, after).await?;
            }
        }
        if let Some(checkpoint) = answer.checkpoint {
            let checkpoint = CheckpointJson::from(&read_checkpoint(&checkpoint)?);
            batch.push(&Line::End(End { events: sent.events + batch.events, checkpoint, behind: answer.behind }));
            if answer.behind {
                eprintln_line(BEHIND);
            }
            collector.send(&mut batch, &mut sent, after).await?;
            let last = sent.last.map_or_else(|| "none".to_owned(), |last| last.to_string());
            let fields = [("chain", sent.chain.clone()), ("events", sent.events.to_string()), ("last", last)];
            return output::one(global, &fields, &sent);
        }
    }
}

/// Records on their way.
#[derive(Default)]
struct Batch {
    records: Vec<LogRecord>,
    bytes: usize,
    events: u64,
    last: Option<u64>,
}

impl Batch {
    fn push(&mut self, line: &Line) {
        let record = record(line);
        self.bytes += line_text(&record).map_or(0, str::len);
        self.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= TOGETHER || self.bytes >= MOST_BYTES
    }
}

fn line_text(record: &LogRecord) -> Option<&str> {
    match record.body.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn text(text: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) })
}

fn attribute(key: &str, value: Option<AnyValue>) -> KeyValue {
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn record(line: &Line) -> LogRecord {
    let body = text(&line.write());
    let (name, micros, mut attributes) = match line {
        Line::Head(_) => ("byokd.ledger.head", None, Vec::new()),
        Line::End(_) => ("byokd.ledger.end", None, Vec::new()),
        Line::Event(event) => {
            let number = AnyValue { value: Some(Value::IntValue(i64::try_from(event.number).unwrap_or(i64::MAX))) };
            let attributes = vec![
                attribute("byokd.event", text(&event.event)),
                attribute("byokd.actor", text(&event.actor)),
                attribute("byokd.number", Some(number)),
            ];
            ("byokd.ledger.event", Some(event.time_micros), attributes)
        }
    };
    attributes.push(attribute("event.name", text(name)));
    LogRecord {
        time_unix_nano: micros.and_then(|at| u64::try_from(at).ok()).map_or(0, |at| at.saturating_mul(1_000)),
        severity_number: SeverityNumber::Info.into(),
        severity_text: "INFO".to_owned(),
        body,
        attributes,
        event_name: name.to_owned(),
        ..LogRecord::default()
    }
}

struct Collector {
    client: LogsServiceClient<Channel>,
    chain: String,
}

impl Collector {
    /// Sends what is there, again and again where that may help. What was acknowledged is counted.
    async fn send(&mut self, batch: &mut Batch, sent: &mut Sent, after: u64) -> Result<(), Failure> {
        let Batch { records, events, last, .. } = std::mem::take(batch);
        let request = self.request(records);
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            let mut asked = Request::new(request.clone());
            asked.set_timeout(PATIENCE);
            let refused = match self.client.export(asked).await {
                Ok(answer) => {
                    if let Some(partial) = answer.into_inner().partial_success
                        && partial.rejected_log_records > 0
                    {
                        let why = format!("the collector rejected {} records", partial.rejected_log_records);
                        let why = if partial.error_message.is_empty() {
                            why
                        } else {
                            format!("{why}: {}", partial.error_message)
                        };
                        return Err(unsent(&why, sent.last, after));
                    }
                    sent.events += events;
                    sent.last = last.or(sent.last);
                    return Ok(());
                }
                Err(refused) => refused,
            };
            if !may_help(refused.code()) || attempt == ATTEMPTS {
                let why = format!("the collector does not take it: {:?}: {}", refused.code(), refused.message());
                return Err(unsent(&why, sent.last, after));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(unsent("the collector does not take it", sent.last, after))
    }

    fn request(&self, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
        let attributes = vec![attribute("service.name", text("byokd")), attribute("byokd.chain", text(&self.chain))];
        let scope = InstrumentationScope { name: "byokd.ledger".to_owned(), ..InstrumentationScope::default() };
        let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records, ..ScopeLogs::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs { resource, scope_logs, ..ResourceLogs::default() }],
        }
    }
}

/// What the protocol says of codes: these ask for another attempt.
fn may_help(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn unsent(why: &str, last: Option<u64>, after: u64) -> Failure {
    Failure::caller(one_line(why)).hint(go_on(last, after))
}

/// The export ended on its way here: its own next step, and where to go on.
fn broken_off(failure: Failure, last: Option<u64>, after: u64) -> Failure {
    let hint = format!("{}; {}", go_on(last, after), failure.hint);
    Failure { hint, ..failure }
}

fn go_on(last: Option<u64>, after: u64) -> String {
    format!("the collector has all up to event {0}: go on with --after {0}", last.unwrap_or(after))
}

fn channel(to: &Endpoint, ca: Option<&Path>) -> Result<Channel, Failure> {
    let unusable = |error: tonic::transport::Error| {
        Failure::caller(format!("the collector's address cannot be used: {error}")).hint("check --otlp and --otlp-ca")
    };
    let transport = Transport::from_shared(to.to_string()).map_err(unusable)?.connect_timeout(Duration::from_secs(10));
    let transport = match (to, ca) {
        (Endpoint::Unix(_), _) => {
            return Err(Failure::caller("a collector is reached over TCP")
                .hint("write --otlp https://HOST:4317, or http://127.0.0.1:4317 on this machine"));
        }
        (Endpoint::Tls { .. }, None) => {
            return Err(Failure::caller("an https:// collector needs the authority that vouches for it").hint(
                "name its certificate with --otlp-ca FILE; for a public one: --otlp-ca /etc/ssl/certs/ca-certificates.crt",
            ));
        }
        (Endpoint::Tls { .. }, Some(path)) => {
            let pem = std::fs::read(path).map_err(|error| super::unreadable(path, &error))?;
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
            transport.tls_config(tls).map_err(unusable)?
        }
        (Endpoint::Loopback(_), _) => transport,
    };
    Ok(transport.connect_lazy())
}
