//! Was anything in an export altered, dropped, reordered or cut off? Each such event is named.
//!
//! A chain by itself shows every change that was not followed through to its end. Whoever rewrites everything from the change on
//! is found out by a signature: the chain's own checkpoints, the closing one, and the one that the customer kept.

use std::collections::HashMap;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use domain::ledger::{ChainName, START, SignedCheckpoint};

use crate::export::{self, End, Event, FORMAT, Head, Line};
pub use crate::finding::{Finding, Place, Report};

/// More than this many findings tell nobody anything.
const MOST_FINDINGS: usize = 100;

/// Which looks are taken. All of them; a test leaves one out to show that it is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(hidden)]
pub enum Look {
    Content,
    Link,
    Order,
    Signature,
    End,
    Kept,
    Form,
    Beginning,
}

/// Reads an export line by line. Keeps 40 bytes of each event.
pub struct Verifier {
    known_keys: Vec<[u8; 32]>,
    kept: Vec<SignedCheckpoint>,
    left_out: Option<Look>,
    /// The event that the export may begin after.
    from: u64,
    findings: Vec<Finding>,
    line: u64,
    head: Option<(Head, ChainName, [u8; 16])>,
    first: u64,
    last: u64,
    events: u64,
    /// The hash of the last event, as it says and as its content gives.
    end: [[u8; 32]; 2],
    hashes: HashMap<u64, [u8; 32]>,
    /// What the checkpoints that hold say of events, of those too that are not here.
    heads: HashMap<u64, [u8; 32]>,
    missing: Vec<(u64, u64)>,
    inner: Vec<(u64, SignedCheckpoint)>,
    closing: Option<End>,
    checkpoints: u64,
}

impl Verifier {
    /// `known_keys`: the keys that checkpoints may be signed by, known from elsewhere; empty: any. `kept`: checkpoints that were
    /// kept; their keys count as known.
    pub fn new(mut known_keys: Vec<[u8; 32]>, kept: Vec<SignedCheckpoint>) -> Self {
        known_keys.extend(kept.iter().map(|kept| kept.public_key));
        Self {
            known_keys,
            kept,
            left_out: None,
            from: 0,
            findings: Vec::new(),
            line: 0,
            head: None,
            first: 1,
            last: 0,
            events: 0,
            end: [START; 2],
            hashes: HashMap::new(),
            heads: HashMap::from([(0, START)]),
            missing: Vec::new(),
            inner: Vec::new(),
            closing: None,
            checkpoints: 0,
        }
    }

    /// Expects a part: the events after this one. Where an export begins is signed by nobody, so it is the caller who knows what was
    /// asked for; unless they say so, it is the whole chain. One that begins earlier has what is expected, and more; one that ends
    /// before that event, which the caller knows to be there, is cut off.
    #[must_use]
    pub fn after(mut self, event: u64) -> Self {
        self.from = event;
        self
    }

    /// Leaves one look out: for tests of tests.
    #[doc(hidden)]
    #[must_use]
    pub fn without(mut self, look: Look) -> Self {
        self.left_out = Some(look);
        self
    }

    fn looks_at(&self, look: Look) -> bool {
        self.left_out != Some(look)
    }

    fn found(&mut self, finding: Finding) {
        match self.findings.len() {
            n if n < MOST_FINDINGS => self.findings.push(finding),
            MOST_FINDINGS => self.findings.push(Finding::More),
            _ => {}
        }
    }

    /// Takes the next line, without its line end, in the bytes that stand there.
    pub fn bytes(&mut self, line: &[u8]) {
        match str::from_utf8(line) {
            Ok(text) => self.line(text),
            Err(_) => {
                self.line += 1;
                let why = "it is not UTF-8 text".to_owned();
                self.found(Finding::Line { line: self.line, expected: self.last.saturating_add(1), why });
            }
        }
    }

    /// Takes the next line, without its line end.
    pub fn line(&mut self, text: &str) {
        self.line += 1;
        let expected = self.last.saturating_add(1);
        let wrong = |line, why: String| Finding::Line { line, expected, why };
        let read = match Line::read(text) {
            Err(export::NotALine::OtherForm) if !self.looks_at(Look::Form) => {
                serde_json::from_str(text).map(Line::Event).map_err(|_| export::NotALine::OtherForm)
            }
            read => read,
        };
        let line = match read {
            Ok(line) => line,
            Err(why) => return self.found(wrong(self.line, why.to_string())),
        };
        if self.closing.is_some() {
            return self.found(wrong(self.line, "something follows the closing line".to_owned()));
        }
        match line {
            Line::Head(head) if self.line == 1 => self.begin(head),
            Line::Head(_) => self.found(wrong(self.line, "a second first line".to_owned())),
            Line::Event(event) => self.event(event),
            Line::End(end) => self.closing = Some(end),
        }
    }

    fn begin(&mut self, head: Head) {
        let mut cluster = [0; 16];
        let chain = head.chain.parse::<ChainName>().ok();
        let read = chain.filter(|_| export::decode(&head.cluster, &mut cluster).is_some());
        match read.filter(|_| head.byokd_ledger == FORMAT) {
            Some(chain) => {
                (self.first, self.last) = (head.after.saturating_add(1), head.after);
                if head.after > self.from && self.looks_at(Look::Beginning) {
                    self.missing.push((self.from + 1, head.after));
                }
                self.head = Some((head, chain, cluster));
            }
            None => {
                let why = "the first line is of no ledger, or of a newer format".to_owned();
                self.found(Finding::Line { line: 1, expected: 1, why });
            }
        }
    }

    fn event(&mut self, event: Event) {
        let (number, line) = (event.number, self.line);
        self.events += 1;
        let Some((head, chain, cluster)) = &self.head else {
            return self.found(Finding::Line {
                line,
                expected: number,
                why: "there is no first line before it".to_owned(),
            });
        };
        let begins_inside = head.after > 0;
        let computed = event.expected_hash(chain);
        let (said, previous) = (export::hash(&event.hash), export::hash(&event.previous));
        let timed = Event::time_text(event.time_micros) == event.time;
        let whole = said.is_some() && said == computed && timed;
        if event.event == SignedCheckpoint::EVENT {
            match SignedCheckpoint::from_details(*cluster, chain.clone(), &event.details) {
                Some(signed) => self.inner.push((number, signed)),
                None => self.found(Finding::BadSignature { place: Place::Event(number) }),
            }
        }
        if !whole && self.looks_at(Look::Content) {
            self.found(Finding::Altered { number });
        }
        if self.looks_at(Look::Order) && self.last.checked_add(1) != Some(number) {
            if number <= self.last || number < self.first {
                self.fill(number);
                return self.found(Finding::Misplaced { number, line });
            }
            self.missing.push((self.last + 1, number - 1));
        } else if self.looks_at(Look::Link) {
            // What the first of a part follows is not here: the part's own checkpoints say.
            let opens = number == self.first && begins_inside;
            let follows = previous.is_some_and(|previous| self.end.contains(&previous));
            if !follows && !opens && (whole || previous.is_none()) {
                self.found(Finding::Unlinked { number });
            }
        }
        if number == self.first
            && begins_inside
            && let Some(previous) = previous
        {
            self.hashes.insert(number - 1, previous);
        }
        self.last = number.max(self.last);
        let said = said.or(computed).unwrap_or(START);
        self.end = [said, computed.unwrap_or(said)];
        self.hashes.insert(number, computed.unwrap_or(said));
    }

    /// An event turned up late: it is not missing, and what is left of the gap is.
    fn fill(&mut self, number: u64) {
        let Some(at) = self.missing.iter().position(|(from, to)| (*from..=*to).contains(&number)) else { return };
        let (from, to) = self.missing.remove(at);
        self.missing.extend((from < number).then(|| (from, number - 1)));
        self.missing.extend((number < to).then(|| (number + 1, to)));
    }

    /// The end of the file.
    pub fn finish(mut self) -> Report {
        for (from, to) in std::mem::take(&mut self.missing) {
            self.found(Finding::Missing { from, to });
        }
        for (number, signed) in std::mem::take(&mut self.inner) {
            self.checkpoint(&signed, Place::Event(number));
        }
        let closing = self.closing.take();
        let behind = closing.as_ref().is_some_and(|end| end.behind);
        let mut public_key = None;
        match &closing {
            Some(end) => {
                public_key = Some(end.checkpoint.public_key.clone());
                self.close(end);
            }
            None if self.looks_at(Look::End) => {
                let why = "it has no closing line";
                self.found(Finding::CutOff { after: self.last, why });
            }
            None => {}
        }
        if self.head.is_some() && self.last < self.from && self.looks_at(Look::Beginning) {
            let why = "the event after which it should begin is known to be there";
            self.found(Finding::CutOff { after: self.last, why });
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.retain(|_| self.looks_at(Look::Kept));
        let kept_is_older = kept.iter().any(|kept| kept.checkpoint.number.saturating_add(1) < self.first);
        for kept in kept {
            if kept.checkpoint.number > self.last {
                let why = "the checkpoint that was kept has seen more of it";
                self.found(Finding::CutOff { after: self.last, why });
            }
            self.checkpoint(&kept, Place::Kept);
        }
        if self.head.is_none() && self.line == 0 {
            self.found(Finding::Line { line: 1, expected: 1, why: "the file is empty".to_owned() });
        }
        Report {
            after: self.head.as_ref().map_or(0, |(head, ..)| head.after),
            behind,
            range: (self.events > 0).then_some((self.first, self.last)),
            chain: self.head.map(|(_, chain, _)| chain),
            events: self.events,
            checkpoints: self.checkpoints,
            public_key,
            key_was_known: !self.known_keys.is_empty(),
            kept_is_older,
            findings: self.findings,
        }
    }

    fn close(&mut self, end: &End) {
        if !self.looks_at(Look::End) {
            return;
        }
        let Some(signed) = end.checkpoint.read() else {
            return self.found(Finding::BadSignature { place: Place::End });
        };
        if signed.checkpoint.number > self.last {
            let why = "its closing line says that there is more";
            self.found(Finding::CutOff { after: self.last, why });
        } else if end.events != self.events || signed.checkpoint.number < self.last {
            let why = format!("it counts {} events where there are {}", end.events, self.events);
            self.found(Finding::Line { line: self.line, expected: self.last.saturating_add(1), why });
        }
        if self.head.as_ref().is_some_and(|(head, ..)| head.public_key != end.checkpoint.public_key) {
            let why = "the first line names another key than the last".to_owned();
            self.found(Finding::Line { line: 1, expected: self.first, why });
        }
        self.checkpoint(&signed, Place::End);
    }

    /// Whether a checkpoint may be signed by this key. Where nobody said which, all are of the one that the first line names.
    fn may_sign(&self, public_key: &[u8; 32]) -> bool {
        match (&self.known_keys[..], &self.head) {
            ([], None) => true,
            ([], Some((head, ..))) => export::hash(&head.public_key).as_ref() == Some(public_key),
            (known, _) => known.contains(public_key),
        }
    }

    /// One checkpoint: signed, by a known key, of this chain, about an event before it, and true of that, as are all others of it.
    fn checkpoint(&mut self, signed: &SignedCheckpoint, place: Place) {
        if !self.looks_at(Look::Signature) {
            return;
        }
        let is = &signed.checkpoint;
        let key = UnparsedPublicKey::new(&ED25519, signed.public_key);
        if key.verify(&is.signed_bytes(), &signed.signature).is_err() {
            return self.found(Finding::BadSignature { place });
        }
        if !self.may_sign(&signed.public_key) {
            let public_key = hex::encode(signed.public_key);
            return self.found(Finding::OtherKey { place, public_key });
        }
        if self.head.as_ref().is_some_and(|(_, chain, cluster)| (chain, *cluster) != (&is.chain, is.cluster)) {
            return self.found(Finding::OtherChain { place });
        }
        if let Place::Event(event) = place
            && is.number >= event
        {
            return self.found(Finding::Ahead { event, about: is.number });
        }
        self.checkpoints += 1;
        let said = *self.heads.entry(is.number).or_insert(is.head);
        let here = self.hashes.get(&is.number).copied().unwrap_or(said);
        if said != is.head || here != is.head {
            self.found(Finding::Rewritten { number: is.number, place });
        }
    }
}
