//! What each fuzz target does with its input. The targets under `fuzz/` call these, and so does an ordinary test over
//! their committed corpus. A body panics when a promise is broken.

use envelope::{
    Binding, Context, HEADER_LEN, Header, InvalidContext, Kind, MAX_CONTEXT_BYTES, MAX_CONTEXT_ENTRIES, OVERHEAD,
    PROLOGUE_LEN, StreamOpener, StreamSealer, open, seal,
};

const KEY: [u8; 32] = [0x42; 32];

fn with_binding<T>(f: impl FnOnce(&Binding<'_>) -> T) -> T {
    let context = Context::empty();
    f(&Binding { workspace: "acme", app: "support-bot", protection: 2, context: &context })
}

/// Any bytes as a ciphertext: what parses is what stands there, and what opens is exactly what sealing gives.
pub(crate) fn header(data: &[u8]) {
    let parsed = Header::parse(data);
    if let Ok(header) = &parsed {
        assert_eq!(&data[..6], b"BYOK\x01\x01");
        assert_eq!(&data[6..8], if header.kind == Kind::Message { &[1, 0] } else { &[2, 16] });
        assert_eq!((&data[8..24], &data[24..48]), (&header.data_key_id[..], &header.nonce[..]));
        assert_eq!(data[48..HEADER_LEN], header.commitment);
    }
    let mut out = b"before".to_vec();
    match with_binding(|binding| open(&KEY, binding, data, &mut out)) {
        Err(_) => assert_eq!(out, b"before"),
        Ok(()) => {
            let header = parsed.expect("what opens has a header");
            let mut again = Vec::new();
            let plaintext = out.strip_prefix(b"before").expect("it appends");
            with_binding(|binding| seal(&KEY, &header.data_key_id, &header.nonce, binding, plaintext, &mut again));
            assert_eq!((again.as_slice(), again.len()), (data, plaintext.len() + OVERHEAD));
        }
    }
}

/// Any bytes as a stream, in pieces of any length. The first byte chooses the length of the pieces; the rest is the
/// stream, whose first byte, if it is 0, asks for a genuine prologue before what follows.
pub(crate) fn stream(data: &[u8]) {
    let Some((piece, rest)) = data.split_first() else { return };
    let pieces = usize::from(*piece) * 97 + 1;
    let genuine = sealed_stream(b"");
    let bytes = match rest.split_first() {
        Some((0, rest)) => [&genuine[..PROLOGUE_LEN], rest].concat(),
        Some(_) | None => rest.to_vec(),
    };
    if let Some(plaintext) = opened_stream(&bytes, pieces) {
        // The only streams that open are those that sealing gives; P and R are fixed, so there is one for a plaintext.
        assert!(bytes[..PROLOGUE_LEN] != genuine[..PROLOGUE_LEN] || bytes == sealed_stream(&plaintext));
    }
    let sealed = sealed_stream(data);
    assert_eq!(opened_stream(&sealed, pieces).as_deref(), Some(data));
}

fn sealed_stream(plaintext: &[u8]) -> Vec<u8> {
    let (mut sealer, prologue) = with_binding(|binding| StreamSealer::new(&KEY, &[1; 16], [2; 12], [3; 7], binding));
    let mut out = prologue.to_vec();
    sealer.push(plaintext, &mut out).expect("inputs are short");
    sealer.finish(&mut out).expect("inputs are short");
    out
}

fn opened_stream(bytes: &[u8], pieces: usize) -> Option<Vec<u8>> {
    let (prologue, segments) = bytes.split_first_chunk::<PROLOGUE_LEN>()?;
    let mut opener = with_binding(|binding| StreamOpener::new(&KEY, binding, prologue)).ok()?;
    let mut out = Vec::new();
    for piece in segments.chunks(pieces) {
        opener.push(piece, &mut out).ok()?;
    }
    opener.finish(&mut out).ok()?;
    Some(out)
}

/// Two bindings out of any text: what is sealed for one opens for the other only if they are the same. Fields end at a
/// byte 0xff, so that the two can be made to differ by no more than where a border stands.
pub(crate) fn context(data: &[u8]) {
    let (first, second) = data.split_at(data.len() / 2);
    let (first, second) = (Fields::read(first), Fields::read(second));
    let (Some(a), Some(b)) = (first.context(), second.context()) else { return };
    let mut sealed = Vec::new();
    let binding = Binding { workspace: &first.workspace, app: &first.app, protection: 2, context: &a };
    seal(&KEY, &[1; 16], &[2; 24], &binding, b"x", &mut sealed);
    assert!(open(&KEY, &binding, &sealed, &mut Vec::new()).is_ok());
    let other = Binding { workspace: &second.workspace, app: &second.app, protection: 2, context: &b };
    let opened = open(&KEY, &other, &sealed, &mut Vec::new()).is_ok();
    assert_eq!(opened, first.sorted() == second.sorted());
}

struct Fields {
    workspace: String,
    app: String,
    entries: Vec<(String, String)>,
}

impl Fields {
    fn read(data: &[u8]) -> Self {
        let mut fields = data.split(|byte| *byte == 0xff).map(|field| String::from_utf8_lossy(field).into_owned());
        let mut next = || fields.next().unwrap_or_default();
        let (workspace, app) = (next(), next());
        let rest: Vec<String> = fields.collect();
        let entries = rest.chunks(2).map(|pair| (pair[0].clone(), pair.get(1).cloned().unwrap_or_default())).collect();
        Self { workspace, app, entries }
    }

    fn sorted(&self) -> (&str, &str, Vec<&(String, String)>) {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort();
        (&self.workspace, &self.app, entries)
    }

    /// The context, if it is one; when it is refused, then for the reason given.
    fn context(&self) -> Option<Context> {
        let bytes: usize = self.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        let sorted = self.sorted().2;
        let expected = if self.entries.len() > MAX_CONTEXT_ENTRIES {
            Some(InvalidContext::TooManyEntries)
        } else if bytes > MAX_CONTEXT_BYTES {
            Some(InvalidContext::TooLong)
        } else if self.entries.iter().any(|(key, _)| key.is_empty()) {
            Some(InvalidContext::EmptyKey)
        } else if sorted.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            Some(InvalidContext::RepeatedKey)
        } else {
            None
        };
        let context = Context::from_entries(self.entries.iter().map(|(key, value)| (key, value)));
        assert_eq!(context.as_ref().err().copied(), expected);
        context.ok()
    }
}
