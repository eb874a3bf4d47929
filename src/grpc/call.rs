//! One call: who makes it, how long it may take, and how its refusals are answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::permission::{self, Action, Caller, Permit, Target};
use domain::{Reason, RequestId};
use envelope::Context;
use http::HeaderValue;
use service::{Refusal, Service};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Response, Status};
use tracing::Instrument;

use super::rpc::Rpc;
use super::{Grpc, refuse};

/// A call of somebody who has shown who they are. The services of the contract are implemented on this type, so that none can
/// be reached without a caller.
pub(super) struct Call {
    grpc: Arc<Grpc>,
    caller: Arc<Caller>,
    /// What its caller showed, if not a certificate.
    authorization: Option<HeaderValue>,
    asked: Option<Duration>,
}

/// Who began a stream, and what they showed: looked at again while the stream lasts.
pub(super) struct Standing {
    grpc: Arc<Grpc>,
    caller: Arc<Caller>,
    authorization: Option<HeaderValue>,
}

impl Standing {
    /// Refused: whoever began the stream would not be let in now, or has lost some of what was given then. Where nothing changed
    /// nobody is asked, as with a connection's next request.
    pub(super) fn holds(&self) -> Result<(), Refusal> {
        let now = self.grpc.caller(self.authorization.as_ref())?;
        if now.still_holds(&self.caller) { Ok(()) } else { Err(Refusal::because(Reason::Unauthenticated)) }
    }
}

impl Call {
    /// A call that arrives now; `asked` is how long its caller will wait.
    pub(super) fn new(
        grpc: Arc<Grpc>,
        caller: Arc<Caller>,
        authorization: Option<HeaderValue>,
        asked: Option<Duration>,
    ) -> Self {
        Self { grpc, caller, authorization, asked }
    }

    /// For a stream, which may outlast what its caller was given.
    pub(super) fn standing(&self) -> Standing {
        Standing { grpc: self.grpc.clone(), caller: self.caller.clone(), authorization: self.authorization.clone() }
    }

    /// How long the call may take until it is answered, or a stream until it begins to be.
    pub(super) fn time(&self) -> Duration {
        self.asked.map_or(self.grpc.longest_call, |asked| asked.min(self.grpc.longest_call))
    }

    /// When a stream has to be over, counted from now: only its caller can say, since it lasts as long as its data.
    pub(super) fn stream_end(&self) -> Option<Instant> {
        self.asked.map(|asked| tokio::time::sleep(asked).deadline())
    }

    /// How long a stream may stand still.
    pub(super) fn longest_pause(&self) -> Duration {
        self.grpc.longest_call
    }

    /// Closed when the process takes no more: what has no end of its own ends then.
    pub(super) fn stopping(&self) -> watch::Receiver<()> {
        self.grpc.stopping.clone()
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        &self.grpc.service
    }

    /// The permission for an action on a target.
    pub(super) fn permit<A: Action>(&self, target: Target) -> Result<Permit<A>, Refusal> {
        permission::permit(&self.caller, target).map_err(refuse::not_permitted)
    }

    /// The permission for an action on a workspace, by its resource name.
    pub(super) fn permit_workspace<A: Action>(&self, name: &str) -> Result<Permit<A>, Refusal> {
        self.permit(Target::Workspace(domain::name::parse_workspace(name).map_err(refuse::name)?))
    }

    /// The permission for an action on a workspace's key, by the key's resource name.
    pub(super) fn permit_key<A: Action>(&self, name: &str) -> Result<Permit<A>, Refusal> {
        self.permit(Target::Workspace(domain::name::parse_key(name).map_err(refuse::name)?))
    }

    /// The permission for an action on an app, by its resource name.
    pub(super) fn permit_app<A: Action>(&self, name: &str) -> Result<Permit<A>, Refusal> {
        let (workspace, app) = domain::name::parse_app(name).map_err(refuse::name)?;
        self.permit(Target::App(workspace, app))
    }

    /// Does what may wait, in a span with the request's id, and answers its refusal under the same id.
    pub(super) async fn attend<T>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Status> {
        let request = self.grpc.new_request();
        let answer = |refusal| refuse::answer(&refusal, request, method);
        async { work.await.map_err(answer) }.instrument(self.span(request, method)).await
    }

    /// As [`Call::attend`], for what is answered with one message.
    pub(super) async fn answer<T>(
        &self,
        method: &'static str,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<Response<T>, Status> {
        self.attend(method, work).await.map(Response::new)
    }

    pub(super) fn span(&self, request: RequestId, method: &'static str) -> tracing::Span {
        tracing::info_span!("request", %request, method, caller = self.caller.name())
    }

    /// Answers a refusal of a call that did not wait.
    pub(super) fn refuse(&self, refusal: &Refusal, method: &'static str) -> Status {
        refuse::answer(refusal, self.grpc.new_request(), method)
    }

    /// A fresh request id, for a stream that lives on after this call.
    pub(super) fn new_request(&self) -> RequestId {
        self.grpc.new_request()
    }
}

/// A context's entries as a request holds them.
pub(super) type Entries = HashMap<String, String>;

/// The context of a request, checked.
pub(super) fn context(entries: &Entries) -> Result<Context, Refusal> {
    if entries.is_empty() {
        return Ok(Context::empty());
    }
    Context::from_entries(entries)
        .map_err(|invalid| Refusal::because(domain::Reason::ContextInvalid).detail(invalid.to_string()))
}

/// A request's path as a method's name for the log: only the known ones, never a stranger's text.
pub(super) fn method(path: &str) -> &'static str {
    Rpc::at(path).map_or("unknown", Rpc::name)
}
