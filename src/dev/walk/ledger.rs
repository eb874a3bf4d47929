//! The step that shows that what was done can be proved by somebody who was not there.

use ::ledger::export::{End, FORMAT, Head, Line};
use ::ledger::{CheckpointJson, Event, Verifier};
use client::pb;

use super::{CUSTOMER, Finding, Walk, check, unexpected};

impl Walk<'_> {
    pub(super) async fn proved(&mut self) -> Finding {
        let chain = format!("workspaces/{CUSTOMER}");
        let kept = self.client.create_checkpoint(pb::CreateCheckpointRequest { parent: chain.clone() }).await?;
        let mut lines = Vec::new();
        let mut pages = self.client.export_events(&chain, 0).await?;
        while let Some(page) = pages.next().await? {
            if lines.is_empty() {
                let (cluster, public_key) = (hex::encode(&page.cluster), hex::encode(&page.public_key));
                let head = Head { byokd_ledger: FORMAT, cluster, chain: page.chain, public_key, after: 0 };
                lines.push(Line::Head(head).write());
            }
            lines.extend(page.events.into_iter().map(|event| Line::Event(read(event)).write()));
            if let Some(checkpoint) = &page.checkpoint {
                let end = End { events: lines.len() as u64 - 1, checkpoint: written(checkpoint), behind: page.behind };
                lines.push(Line::End(end).write());
            }
        }
        let verify = |lines: &[String]| {
            let kept = written(&kept).read().ok_or_else(|| unexpected("the checkpoint is none"))?;
            let mut verifier = Verifier::new(Vec::new(), vec![kept]);
            lines.iter().for_each(|line| verifier.line(line));
            Ok::<_, crate::trouble::Trouble>(verifier.finish())
        };
        let report = verify(&lines)?;
        if let Some(finding) = report.findings.first() {
            return Err(unexpected(finding));
        }
        let (events, calls) = (report.events, lines.iter().filter(|line| line.contains("\"vault.called\"")).count());
        check(calls > 0, "no call to the vault is in the ledger")?;
        lines.remove(lines.len() / 2);
        check(!verify(&lines)?.is_good(), "an event was taken out, and nobody noticed")?;
        Ok(format!(
            "{events} events, each vault call among them, verified without the service and against a checkpoint; with one taken out they are not."
        ))
    }
}

fn read(event: pb::AuditEvent) -> Event {
    Event {
        number: u64::try_from(event.number).unwrap_or(0),
        time: Event::time_text(event.time_micros),
        time_micros: event.time_micros,
        actor: event.actor,
        event: event.event,
        details: event.details.into_iter().map(|detail| (detail.name, detail.value)).collect(),
        previous: hex::encode(&event.previous),
        hash: hex::encode(&event.hash),
    }
}

fn written(made: &pb::Checkpoint) -> CheckpointJson {
    CheckpointJson {
        cluster: hex::encode(&made.cluster),
        chain: made.chain.clone(),
        number: u64::try_from(made.number).unwrap_or(0),
        head: hex::encode(&made.head),
        time: Event::time_text(made.time_micros),
        time_micros: made.time_micros,
        public_key: hex::encode(&made.public_key),
        signature: hex::encode(&made.signature),
    }
}
