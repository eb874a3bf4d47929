//! The SDK's requests as the way out takes them, and its answers as the SDK reads them. Bodies are handed over, not copied.

use azure_core::{
    Bytes,
    http::{
        Body, Request,
        headers::{HeaderName, HeaderValue, Headers},
    },
};
use futures::AsyncReadExt;
use http::HeaderMap;
use outbound::{NoAnswer, NotResolved, Sender, Wiped};
use zeroize::Zeroizing;

use super::vault_transport::CHALLENGE_DEADLINE;
use crate::{AnswerFault, KeyUnavailable, Trace};

/// A whole answer. The body is wiped with its last copy.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
}

/// Sends one request of the SDK's and reads its whole answer. The caller has checked where it goes.
pub(super) async fn send(sender: &Sender, request: &Request) -> Result<Received, NoAnswer> {
    let outbound::Received { status, headers, body } = sender.send(&ours(request).await?).await?;
    Ok(Received { status, headers: theirs(&headers), body })
}

/// What cannot be said in HTTP never leaves.
async fn ours(request: &Request) -> Result<outbound::Request, NoAnswer> {
    let method = http::Method::from_bytes(request.method().as_str().as_bytes());
    let mut headers = HeaderMap::new();
    for (name, value) in request.headers().iter() {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes()).map_err(|_| NoAnswer::Unreachable)?;
        let value = http::HeaderValue::from_str(value.as_str()).map_err(|_| NoAnswer::Unreachable)?;
        headers.append(name, value);
    }
    let body = match request.body() {
        Body::Bytes(bytes) => bytes.clone(),
        // None of the calls made here has one; an answer's length bounds it as it bounds an answer.
        Body::SeekableStream(stream) => {
            let mut whole = Zeroizing::new(Vec::with_capacity(usize::try_from(stream.len().unwrap_or(0)).unwrap_or(0)));
            stream.clone().read_to_end(&mut whole).await.map_err(|_| NoAnswer::Unreachable)?;
            Wiped(whole).into()
        }
    };
    let method = method.expect("the SDK's methods are HTTP's");
    Ok(outbound::Request { method, url: request.url().clone(), headers, body })
}

/// Headers that are text. The SDK knows no others.
fn theirs(headers: &HeaderMap) -> Headers {
    let text = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        Some((HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_str().ok()?.to_owned())))
    };
    let mut all = Headers::new();
    for (name, value) in headers.iter().filter_map(text) {
        all.insert(name, value);
    }
    all
}

/// What a request without an answer means.
pub(super) fn no_answer(why: NoAnswer) -> KeyUnavailable {
    match why {
        NoAnswer::Unreachable => KeyUnavailable::Unreachable,
        NoAnswer::NotResolved(why) => not_resolved(why),
        NoAnswer::TimedOut => KeyUnavailable::TimedOut { waited: CHALLENGE_DEADLINE },
        NoAnswer::TooLarge => KeyUnavailable::AnswerInvalid { fault: AnswerFault::TooLarge, trace: Trace::default() },
    }
}

/// What a name that no connection is made to means.
pub(super) fn not_resolved(why: NotResolved) -> KeyUnavailable {
    match why {
        NotResolved::NameUnknown => KeyUnavailable::NameUnknown,
        NotResolved::LookUpFailed => KeyUnavailable::Unreachable,
        NotResolved::AddressForbidden => KeyUnavailable::AddressForbidden,
    }
}

#[cfg(test)]
mod tests {
    use azure_core::{
        http::{Method, Url},
        stream::BytesStream,
    };

    use super::*;

    /// A request goes out as the SDK made it: each header, and the body whichever way it is held; bytes are not copied.
    #[tokio::test]
    async fn a_request_goes_out_as_it_was_made() {
        let mut request = Request::new(Url::parse("https://v.vault.azure.net/keys/k").unwrap(), Method::Post);
        request.insert_header("x-one", "1");
        let body = Bytes::from_static(b"a body");
        request.set_body(body.clone());
        let sent = ours(&request).await.unwrap();
        assert_eq!((sent.method.as_str(), sent.url.as_str()), ("POST", "https://v.vault.azure.net/keys/k"));
        assert_eq!(sent.headers["x-one"], "1");
        assert_eq!((sent.body.as_ptr(), sent.body.len()), (body.as_ptr(), body.len()));

        request.set_body(Box::new(BytesStream::new("a stream")) as Box<dyn azure_core::stream::SeekableStream>);
        assert_eq!(ours(&request).await.unwrap().body, "a stream");
        request.insert_header("x-two", "a\nb");
        assert_eq!(ours(&request).await.unwrap_err(), NoAnswer::Unreachable, "a header that would be two is not sent");
    }

    /// An answer's headers are there for the SDK; bytes that are no text are left out.
    #[test]
    fn an_answers_headers_are_read() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", http::HeaderValue::from_static("7"));
        headers.insert("x-odd", http::HeaderValue::from_bytes(&[0xff]).unwrap());
        let read = theirs(&headers);
        assert_eq!(read.get_optional_str(&HeaderName::from_static("retry-after")), Some("7"));
        assert_eq!(read.iter().count(), 1);
    }
}
