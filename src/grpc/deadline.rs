//! How long a caller will wait.

use std::task::Poll;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::error::Elapsed;

/// What the caller asked for (`grpc-timeout`). A header that is not well formed counts as absent, as the protocol has it.
pub(super) fn asked_for(headers: &HeaderMap) -> Option<Duration> {
    parse(headers.get("grpc-timeout")?.to_str().ok()?)
}

/// As [`tokio::time::timeout`], but what is ready at once, as a warm call is, reads no clock and sets no timer.
pub(super) async fn within<T>(time: Duration, work: impl Future<Output = T> + Unpin) -> Result<T, Elapsed> {
    let mut work = work;
    match futures::poll!(&mut work) {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => tokio::time::timeout(time, work).await,
    }
}

/// At most eight digits and a unit, after "gRPC over HTTP2", `Timeout`.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// I-25: what waits is ended at its time, and what does not is done even where no time is left.
    #[tokio::test(start_paused = true)]
    async fn only_what_waits_is_ended() {
        assert_eq!(within(Duration::ZERO, std::future::ready(7)).await.ok(), Some(7));
        assert!(within(Duration::from_secs(3), std::future::pending::<()>()).await.is_err());
        let late = Box::pin(tokio::time::sleep(Duration::from_secs(4)));
        assert!(within(Duration::from_secs(3), late).await.is_err());
        let slow = Box::pin(tokio::time::sleep(Duration::from_secs(2)));
        assert!(within(Duration::from_secs(3), slow).await.is_ok());
    }

    /// Every unit of the protocol is read, and what is no timeout is none.
    #[test]
    fn a_grpc_timeout_is_read_as_the_protocol_says() {
        let good = [
            ("1H", Duration::from_secs(3_600)),
            ("2M", Duration::from_secs(120)),
            ("3S", Duration::from_secs(3)),
            ("99999999m", Duration::from_millis(99_999_999)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ];
        for (text, expected) in good {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        for bad in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "1é"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
