//! The gRPC part: who is calling, what for, may they, do it, answer.
//!
//! A handler cannot exist without a caller: [`call::Call`], on which the services are implemented, is made per request from
//! a credential that was accepted, before the request's body is read.

mod audit;
mod call;
mod callers;
mod credentials;
mod deadline;
mod encryption;
mod enterprise_keys;
mod guarded;
mod health;
mod key_tests;
mod life;
mod operations;
mod refuse;
pub mod rpc;
pub mod status;
mod streams;
mod tenants;
mod text;
mod usage;
mod workspaces;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use api::byok::v1::audit_server::AuditServer;
use api::byok::v1::callers_server::CallersServer;
use api::byok::v1::encryption_server::EncryptionServer;
use api::byok::v1::enterprise_keys_server::EnterpriseKeysServer;
use api::byok::v1::operations_server::OperationsServer;
use api::byok::v1::tenants_server::TenantsServer;
use api::byok::v1::workspaces_server::WorkspacesServer;
use domain::permission::Caller;
use domain::{Clock, Entropy, Reason, RequestId};
use futures::FutureExt;
use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use identity::{Admission, Callers, Credential};
use service::{Refusal, Service};
use tokio::sync::watch;
use tonic::codegen::Service as _;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::HealthService;

use self::call::Call;
pub use self::health::Health;
use crate::serve::{Answer, Incoming, Limits, Outgoing, Peer};

/// Answers byok.v1, health and reflection. Cloned for each connection: what its requests count up and down is their own.
pub struct Grpc {
    service: Arc<Service>,
    admission: Admission,
    /// Who opened the connection with a certificate.
    peer: Option<Arc<Peer>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    longest_call: Duration,
    health: HealthServer<HealthService>,
    reflection: Arc<dyn Fn(Incoming) -> BoxFuture<'static, Outgoing> + Send + Sync>,
    /// Closed when watches are to end.
    stopping: watch::Receiver<()>,
}

/// For another connection: it has let nobody in.
impl Clone for Grpc {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            admission: self.admission.for_another_connection(),
            peer: None,
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            longest_call: self.longest_call,
            health: self.health.clone(),
            reflection: self.reflection.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

/// The services of the contract, as health knows them.
const SERVICES: [&str; 7] = [
    <EncryptionServer<Call> as NamedService>::NAME,
    <WorkspacesServer<Call> as NamedService>::NAME,
    <EnterpriseKeysServer<Call> as NamedService>::NAME,
    <OperationsServer<Call> as NamedService>::NAME,
    <AuditServer<Call> as NamedService>::NAME,
    <CallersServer<Call> as NamedService>::NAME,
    <TenantsServer<Call> as NamedService>::NAME,
];

impl Grpc {
    /// The gRPC part over a running service, and the switch of its health.
    pub async fn new(
        service: Arc<Service>,
        callers: Arc<dyn Callers>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        limits: &Limits,
    ) -> (Self, Health) {
        let (health, server, stopping) = Health::serving(&SERVICES).await;
        let longest_call = limits.longest_call;
        let reflection = health::reflection();
        let admission = Admission::new(callers, clock.clone());
        (
            Self { service, admission, peer: None, clock, entropy, longest_call, health: server, reflection, stopping },
            health,
        )
    }

    /// A fresh id, for a call that waits or fails: a warm one that succeeds has no use for it.
    fn new_request(&self) -> RequestId {
        RequestId::new(self.clock.now().wall, domain::entropy::random(&*self.entropy))
    }

    fn refuse(&self, refusal: &Refusal, method: &str) -> Status {
        refuse::answer(refusal, self.new_request(), method)
    }

    /// The caller of a request, by its token or its connection's certificate, or a refusal. The body has not been read yet.
    fn admit(self: &Arc<Self>, request: &Incoming) -> Result<Call, Refusal> {
        let authorization = request.headers().get(AUTHORIZATION);
        let caller = self.caller(authorization)?;
        Ok(Call::new(self.clone(), caller, authorization.cloned(), deadline::asked_for(request.headers())))
    }

    /// Who shows this header, or the connection's certificate, now.
    fn caller(&self, authorization: Option<&HeaderValue>) -> Result<Arc<Caller>, Refusal> {
        let credential = match authorization {
            // What a request says itself counts alone: whoever shows a token that is refused is not let in as somebody else.
            Some(header) => {
                let text = header.to_str().unwrap_or_default();
                let token = text.strip_prefix("Bearer ").or_else(|| text.strip_prefix("bearer "));
                token.map_or(Credential::None, Credential::Bearer)
            }
            None => {
                let names = self.peer.as_ref().and_then(|peer| peer.names());
                names.map_or(Credential::None, Credential::Certificate)
            }
        };
        self.admission.admit(credential).ok_or_else(|| {
            // A replica that does not know who may call cannot say of anybody that they may not, nor of a token under a key that it
            // could not ask for yet.
            let shown = !matches!(credential, Credential::None);
            Refusal::because(match shown {
                true if !self.admission.is_current() => Reason::ControlLeaseEnded,
                true if !self.admission.has_keys_for(credential) => Reason::SigningKeysUnavailable,
                true | false => Reason::Unauthenticated,
            })
        })
    }

    async fn route(self: Arc<Self>, request: Incoming) -> Outgoing {
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map_or("", |(service, _)| service);
        let known = SERVICES.contains(&service);
        if !known {
            return match service {
                "grpc.health.v1.Health" => infallible(self.health.clone().call(request).await),
                "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
                    (self.reflection)(request).await
                }
                _ => Status::unimplemented("no such service; reflection lists those there are").into_http(),
            };
        }
        let call = match self.admit(&request) {
            Ok(call) => call,
            Err(refusal) => return self.refuse(&refusal, path).into_http(),
        };
        let method = call::method(path);
        let time = call.time();
        let answered = match service {
            "byok.v1.Encryption" => deadline::within(time, bounded!(EncryptionServer, call).call(request)).await,
            "byok.v1.Workspaces" => deadline::within(time, bounded!(WorkspacesServer, call).call(request)).await,
            "byok.v1.Operations" => deadline::within(time, bounded!(OperationsServer, call).call(request)).await,
            "byok.v1.Callers" => deadline::within(time, bounded!(CallersServer, call).call(request)).await,
            "byok.v1.Audit" => deadline::within(time, bounded!(AuditServer, call).call(request)).await,
            "byok.v1.Tenants" => deadline::within(time, bounded!(TenantsServer, call).call(request)).await,
            _ => deadline::within(time, bounded!(EnterpriseKeysServer, call).call(request)).await,
        };
        match answered {
            Ok(answer) => self.with_reason(infallible(answer), method),
            Err(_) => self.refuse(&Refusal::because(Reason::DeadlineExceeded), method).into_http(),
        }
    }

    /// Gives the refusals that the library makes by itself, before a handler runs, the shape of ours.
    fn with_reason(&self, answer: Outgoing, method: &str) -> Outgoing {
        if !answer.headers().contains_key(Status::GRPC_STATUS) {
            return answer;
        }
        match Status::from_header_map(answer.headers()) {
            Some(bare) if bare.details().is_empty() => match library_refusal(&bare) {
                Some(refusal) => self.refuse(&refusal, method).into_http(),
                None => answer,
            },
            _ => answer,
        }
    }
}

/// What a refusal by the library means in our terms. `None` for what is no failure, or is about a method that does not exist.
fn library_refusal(bare: &Status) -> Option<Refusal> {
    match bare.code() {
        Code::Ok | Code::Unimplemented => None,
        // "message length too large"
        Code::OutOfRange | Code::ResourceExhausted => Some(Refusal::because(Reason::PlaintextTooLarge)),
        // The body ended early, or is not the message it should be.
        _ => Some(Refusal::because(Reason::RequestInvalid).detail("the message cannot be decoded")),
    }
}

macro_rules! bounded {
    ($server:ident, $call:expr) => {
        $server::new($call)
            .max_decoding_message_size(Limits::MESSAGE_BYTES)
            .max_encoding_message_size(Limits::MESSAGE_BYTES)
    };
}
use bounded;

fn infallible(answer: Result<Outgoing, std::convert::Infallible>) -> Outgoing {
    match answer {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

impl Answer for Grpc {
    async fn answer(self: Arc<Self>, request: Incoming) -> Outgoing {
        let here = self.clone();
        match AssertUnwindSafe(self.route(request)).catch_unwind().await {
            Ok(answer) => answer,
            // The hook has logged where. Nothing half-done is kept: a call changes shared state only by whole transactions.
            Err(_) => here.refuse(&Refusal::because(Reason::Internal), "unknown").into_http(),
        }
    }

    fn opened_by(self, peer: Option<Arc<Peer>>) -> Self {
        Self { peer, ..self }
    }

    fn too_many_calls(&self) -> Outgoing {
        let refusal = Refusal::because(Reason::QuotaExceeded).detail("this connection has too many calls under way");
        self.refuse(&refusal, "unknown").into_http()
    }
}
