//! The ledger, handed to an OpenTelemetry collector as its log records.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use api::byok::v1 as pb;
use api::byok::v1::audit_server::{Audit, AuditServer};

use crate::program::Byokctl;
use crate::site::Site;

/// What a collector has taken, and what it still refuses.
#[derive(Default)]
struct Taken {
    records: Mutex<Vec<LogRecord>>,
    requests: AtomicU32,
    /// So many requests are answered with this first.
    away: AtomicU32,
    /// From this request on it is refused for good, or rejected in part.
    denies_from: Option<u32>,
    rejects: bool,
}

struct Collector(Arc<Taken>);

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let taken = &self.0;
        if taken.away.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(Status::unavailable("restarting"));
        }
        let number = taken.requests.fetch_add(1, Ordering::Relaxed);
        if taken.denies_from.is_some_and(|from| number >= from) {
            return Err(Status::permission_denied("not you"));
        }
        if taken.rejects {
            let partial = ExportLogsPartialSuccess { rejected_log_records: 1, error_message: "too old".into() };
            return Ok(Response::new(ExportLogsServiceResponse { partial_success: Some(partial) }));
        }
        let logs = request.into_inner().resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        taken.records.lock().unwrap().extend(logs.flat_map(|scope| scope.log_records));
        Ok(Response::new(ExportLogsServiceResponse { partial_success: None }))
    }
}

async fn listen(taken: Taken) -> (String, Arc<Taken>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let taken = Arc::new(taken);
    let service = LogsServiceServer::new(Collector(taken.clone()));
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (address, taken)
}

fn bodies(taken: &Taken) -> Vec<String> {
    let text = |record: &LogRecord| match record.body.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        other => panic!("{other:?}"),
    };
    taken.records.lock().unwrap().iter().map(text).collect()
}

/// A collector that was away gets all of it, in order and once; what it keeps verifies like a file.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_lines_that_a_file_would_hold() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    for n in 0..700 {
        let event = domain::audit::AuditKind::WrappedKeysExported { count: n };
        let (workspace, at) = (Some("acme".parse().unwrap()), domain::Timestamp::from_micros(1_800_000_000_000_000));
        let event = domain::audit::AuditEvent { workspace, at, actor: "ann".into(), what: event };
        store::Store::record(&*site.store, event).await.unwrap();
    }
    let (address, taken) = listen(Taken { away: AtomicU32::new(2), ..Taken::default() }).await;
    let sent = ctl.run(&["audit", "export", "acme", "--otlp", &address, "--output", "json"]).await.good().json();
    assert_eq!((&sent["chain"], sent["last"].as_u64()), (&"workspaces/acme".into(), sent["events"].as_u64()));
    assert!(sent["events"].as_u64().unwrap() >= 703);
    assert_eq!(taken.requests.load(Ordering::Relaxed), 2, "in batches");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kept");
    std::fs::write(&file, bodies(&taken).join("\n") + "\n").unwrap();
    ctl.run(&["audit", "verify", file.to_str().unwrap()]).await.good();
    let records = taken.records.lock().unwrap();
    let names: Vec<&str> = records.iter().map(|record| record.event_name.as_str()).collect();
    assert_eq!((names[0], names[1]), ("byokd.ledger.head", "byokd.ledger.event"));
    assert_eq!(names.last(), Some(&"byokd.ledger.end"));
    assert_eq!(
        records[1].attributes[0].value,
        records[1].attributes.iter().find(|a| a.key == "byokd.event").unwrap().value
    );
}

/// What a collector will not take ends the command with the number to go on from; and going on from there sends the rest.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_gone_on_with() {
    let site = Site::start().await;
    site.acme().await;
    let ctl = Byokctl::of(&site);
    for (taken, words) in [
        (Taken { denies_from: Some(0), ..Taken::default() }, "PermissionDenied"),
        (Taken { rejects: true, ..Taken::default() }, "rejected 1 records: too old"),
    ] {
        let (address, _) = listen(taken).await;
        let refused = ctl.run(&["audit", "export", "acme", "--otlp", &address]).await.bad(2);
        assert!(refused.stderr.contains(words) && refused.stderr.contains("--after 0"), "{}", refused.stderr);
    }
    let (address, taken) = listen(Taken::default()).await;
    let sent = ctl.run(&["audit", "export", "acme", "--otlp", &address, "--after", "2", "--output", "json"]).await;
    assert_eq!(sent.good().json()["events"], 1);
    assert!(bodies(&taken)[1].contains("\"number\":3"), "{:?}", bodies(&taken));
    for (typed, words) in [
        (&["--otlp", "http://collector.example:4317"] as &[&str], "https://"),
        (&["--otlp", "https://collector.example:4317"], "--otlp-ca"),
        (&["--otlp", "unix:/run/collector.sock"], "over TCP"),
        (&["--otlp-ca", "file"], "--otlp"),
        (&["--otlp", "http://127.0.0.1:4317", "-o", "file"], "-o"),
    ] {
        let ended = ctl.run(&[&["audit", "export", "acme"], typed].concat()).await;
        assert_eq!(ended.code, Some(2), "{typed:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "{typed:?}: {}", ended.stderr);
    }
}

/// A service that ends an export after its first 600 events, as it does with one that stands still for too long.
struct EndsEarly;

#[tonic::async_trait]
impl Audit for EndsEarly {
    async fn list_events(&self, _: Request<pb::ListEventsRequest>) -> Result<Response<pb::ListEventsResponse>, Status> {
        Err(Status::unimplemented("not here"))
    }

    type ExportEventsStream = tokio_stream::Iter<std::vec::IntoIter<Result<pb::ExportEventsResponse, Status>>>;

    async fn export_events(
        &self,
        request: Request<pb::ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        let head = pb::ExportEventsResponse {
            cluster: vec![0; 16].into(),
            chain: request.into_inner().parent,
            public_key: vec![1; 32].into(),
            ..Default::default()
        };
        let event = |number| pb::AuditEvent {
            number,
            actor: "ann".into(),
            event: "app.upserted".into(),
            previous: vec![0; 32].into(),
            hash: vec![0; 32].into(),
            ..Default::default()
        };
        let events = pb::ExportEventsResponse { events: (1..=600).map(event).collect(), ..Default::default() };
        let end = Status::deadline_exceeded("the deadline passed");
        Ok(Response::new(tokio_stream::iter(vec![Ok(head), Ok(events), Err(end)])))
    }

    async fn get_checkpoint(&self, _: Request<pb::GetCheckpointRequest>) -> Result<Response<pb::Checkpoint>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn create_checkpoint(
        &self,
        _: Request<pb::CreateCheckpointRequest>,
    ) -> Result<Response<pb::Checkpoint>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

/// An export that the service ends says too where to go on: after what was acknowledged, and not after what was read.
#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_breaks_off_says_where_to_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ctl = Byokctl::at(&format!("http://{}", listener.local_addr().unwrap()), "token");
    let server = tonic::transport::Server::builder().add_service(AuditServer::new(EndsEarly));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let (address, taken) = listen(Taken::default()).await;
    let ended = ctl.run(&["audit", "export", "acme", "--otlp", &address]).await;
    assert_ne!(ended.code, Some(0));
    let code = ended.code.unwrap();
    let ended = ended.bad(code);
    let last = bodies(&taken).len() - 1;
    assert!((1..600).contains(&last), "a head, and one full batch: {last}");
    assert!(ended.stderr.contains(&format!("--after {last};")), "{}", ended.stderr);
}
