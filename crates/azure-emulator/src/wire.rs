//! How an answer travels, or does not: delays, drops, drips.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode};

use crate::cloud::Cloud;
use crate::exchange::Answer;
use crate::faults::{Disturbance, Falsified, Fault, Met};
use crate::serve::Cutter;

fn disturbances(met: &[Met]) -> impl Iterator<Item = (Disturbance, &Met)> {
    met.iter().filter_map(|m| match m.fault {
        Fault::Wire(disturbance) => Some((disturbance, m)),
        Fault::Vault(_) | Fault::Entra(_) | Fault::Answer(_) | Fault::IdToken(_) | Fault::Keys(_) => None,
    })
}

fn has(met: &[Met], disturbance: Disturbance) -> bool {
    disturbances(met).any(|(d, _)| d == disturbance)
}

/// What happens before the request takes effect. A disturbance that is returned ends the request: [`end`] it.
pub(crate) async fn before(met: &[Met]) -> Option<(Disturbance, Met)> {
    for (disturbance, one) in disturbances(met) {
        match disturbance {
            Disturbance::Delay { .. } => {
                if let Some(delay) = disturbance.delay() {
                    tokio::time::sleep(delay).await;
                }
            }
            Disturbance::Hold => one.cleared().await,
            Disturbance::Timeout | Disturbance::DropBefore | Disturbance::Reset => {
                return Some((disturbance, one.clone()));
            }
            Disturbance::DropAfter
            | Disturbance::DropMidAnswer
            | Disturbance::SlowDrip { .. }
            | Disturbance::UntrustedCertificate
            | Disturbance::NameUnknown => {}
        }
    }
    None
}

/// Ends the connection without an answer. The response it returns has nowhere to go.
pub(crate) async fn end(disturbance: Disturbance, met: &Met, cutter: &Cutter) -> Response<Body> {
    match disturbance {
        Disturbance::Timeout => {
            met.cleared().await;
            cutter.close();
        }
        Disturbance::Reset => cutter.reset(),
        _ => cutter.close(),
    }
    // The connection is gone before this is over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Response::new(Body::empty())
}

/// Whether the client hears a status at all.
pub(crate) fn is_told(met: &[Met]) -> bool {
    !has(met, Disturbance::DropAfter)
}

/// The answer as the faults that are about the whole of it leave it.
pub(crate) fn falsified(answer: Answer, path: &str, met: &[Met]) -> Answer {
    let has = |falsified| met.iter().any(|m| m.fault == Fault::Answer(falsified));
    if has(Falsified::Redirect) {
        let to = format!("https://{}.{}{path}", Falsified::COLLECTOR, Cloud::Public.vault_domain());
        return Answer::empty(307).header("location", to);
    }
    if has(Falsified::BadJson) {
        return Answer { status: 200, body: Bytes::from_static(b"{\"kid\":\"https://"), ..answer };
    }
    answer
}

/// Sends the answer as the disturbances leave it.
pub(crate) async fn send(answer: Answer, met: &[Met], cutter: &Cutter) -> Response<Body> {
    if has(met, Disturbance::DropAfter) {
        cutter.close();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let drip = disturbances(met).find_map(|(d, _)| match d {
        Disturbance::SlowDrip { millis } => Some(Duration::from_millis(millis)),
        _ => None,
    });
    let length = answer.body.len();
    let body = if has(met, Disturbance::DropMidAnswer) {
        cut_in_the_middle(answer.body.clone(), cutter.clone())
    } else if let Some(pause) = drip {
        byte_by_byte(answer.body.clone(), pause)
    } else {
        Body::from(answer.body.clone())
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().extend(answer.header_map());
    if answer.status != 204 {
        // Promised in full, so that a client can tell a cut answer from a short one.
        response.headers_mut().insert("content-length", length.into());
    }
    response
}

fn cut_in_the_middle(body: Bytes, cutter: Cutter) -> Body {
    let half = body.slice(..body.len() / 2);
    Body::from_stream(stream::unfold(Some(half), move |half| {
        let cutter = cutter.clone();
        async move {
            if let Some(half) = half {
                return Some((Ok::<_, Infallible>(half), None));
            }
            // Long enough for the first half to be on its way.
            tokio::time::sleep(Duration::from_millis(20)).await;
            cutter.close();
            tokio::time::sleep(Duration::from_secs(1)).await;
            None
        }
    }))
}

fn byte_by_byte(body: Bytes, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let first = rest.split_to(1);
        Some((Ok::<_, Infallible>(first), rest))
    }))
}
