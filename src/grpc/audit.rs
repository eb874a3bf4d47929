//! Answers `byok.v1.Audit`.

use api::byok::v1 as pb;
use api::byok::v1::audit_server::Audit;
use bytes::Bytes;
use domain::ledger::{ChainName, SignedCheckpoint};
use domain::permission::{self, Action, Permit, Target};
use service::{LedgerPage, Refusal};
use store::RecordedEvent;
use tonic::{Request, Response, Status};

use super::call::Call;
use super::refuse;
use super::streams::{self, Answers};

impl Call {
    /// The permission for an action on a chain, by its name.
    fn permit_chain<A: Action>(&self, name: &str) -> Result<Permit<A>, Refusal> {
        let chain: ChainName = name.parse().map_err(refuse::name)?;
        self.permit(chain.workspace().map_or(Target::Platform, |workspace| Target::Workspace(workspace.clone())))
    }
}

#[tonic::async_trait]
impl Audit for Call {
    async fn list_events(
        &self,
        request: Request<pb::ListEventsRequest>,
    ) -> Result<Response<pb::ListEventsResponse>, Status> {
        let pb::ListEventsRequest { parent, after, page_size } = request.into_inner();
        self.answer("Audit/ListEvents", async {
            let permit = self.permit_chain::<permission::ReadAudit>(&parent)?;
            let page_size = usize::try_from(page_size).map_err(|_| refuse::field("page_size must not be negative"))?;
            let page = self.service().list_events(&permit, number(after)?, Some(page_size)).await?;
            Ok(pb::ListEventsResponse {
                events: page.events.into_iter().map(event).collect(),
                next_after: page.next.map_or(0, signed),
            })
        })
        .await
    }

    type ExportEventsStream = Answers<pb::ExportEventsResponse>;

    async fn export_events(
        &self,
        request: Request<pb::ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        const METHOD: &str = "Audit/ExportEvents";
        let pb::ExportEventsRequest { parent, after } = request.into_inner();
        let begin = async {
            let permit = self.permit_chain::<permission::ReadAudit>(&parent)?;
            self.service().export_events(&permit, number(after)?).await
        };
        let mut pages = self.attend(METHOD, begin).await?;
        let answers = streams::spawn(self, METHOD, |answers| async move {
            let first = pb::ExportEventsResponse {
                cluster: Bytes::copy_from_slice(&pages.cluster()),
                chain: pages.chain().to_string(),
                public_key: Bytes::copy_from_slice(&pages.public_key()),
                ..Default::default()
            };
            answers.send(first).await?;
            while let Some(page) = answers.within(pages.next()).await? {
                let mut answer = pb::ExportEventsResponse::default();
                match page {
                    LedgerPage::Events(events) => answer.events = events.into_iter().map(event).collect(),
                    LedgerPage::End { signed, behind } => {
                        answer.checkpoint = Some(checkpoint(&signed));
                        answer.behind = behind;
                    }
                }
                answers.send(answer).await?;
            }
            Ok(())
        });
        Ok(Response::new(answers))
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Result<Response<pb::Checkpoint>, Status> {
        let pb::GetCheckpointRequest { parent } = request.into_inner();
        self.answer("Audit/GetCheckpoint", async {
            let permit = self.permit_chain::<permission::ReadAudit>(&parent)?;
            Ok(checkpoint(&self.service().newest_checkpoint(&permit).await?))
        })
        .await
    }

    async fn create_checkpoint(
        &self,
        request: Request<pb::CreateCheckpointRequest>,
    ) -> Result<Response<pb::Checkpoint>, Status> {
        let pb::CreateCheckpointRequest { parent } = request.into_inner();
        self.answer("Audit/CreateCheckpoint", async {
            let permit = self.permit_chain::<permission::MakeCheckpoint>(&parent)?;
            Ok(checkpoint(&self.service().make_checkpoint(&permit).await?))
        })
        .await
    }
}

fn number(after: i64) -> Result<u64, Refusal> {
    u64::try_from(after).map_err(|_| refuse::field("after must not be negative"))
}

/// A chain ends long before these numbers do.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn event(event: RecordedEvent) -> pb::AuditEvent {
    pb::AuditEvent {
        number: signed(event.seq),
        time_micros: event.at.micros(),
        actor: event.actor,
        event: event.name,
        details: event.details.into_iter().map(|(name, value)| pb::AuditDetail { name, value }).collect(),
        previous: Bytes::copy_from_slice(&event.previous),
        hash: Bytes::copy_from_slice(&event.hash),
    }
}

fn checkpoint(made: &SignedCheckpoint) -> pb::Checkpoint {
    pb::Checkpoint {
        cluster: Bytes::copy_from_slice(&made.checkpoint.cluster),
        chain: made.checkpoint.chain.to_string(),
        number: signed(made.checkpoint.number),
        head: Bytes::copy_from_slice(&made.checkpoint.head),
        time_micros: made.checkpoint.at.micros(),
        public_key: Bytes::copy_from_slice(&made.public_key),
        signature: Bytes::copy_from_slice(&made.signature),
    }
}
