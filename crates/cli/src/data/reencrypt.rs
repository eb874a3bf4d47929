//! `byokctl data reencrypt` of one ciphertext; [`bulk`](crate::data::bulk) does many.

use crate::args::{Global, Pipe, Target};
use crate::connect::connect;
use crate::data::destination::{Destination, not_a_terminal};
use crate::data::once_more::{Terms, seal_again};
use crate::data::progress::Bar;
use crate::data::source::Source;
use crate::data::{context, encrypt, inspect};
use crate::failure::Failure;
use envelope::HEADER_LEN;
use tokio::io::AsyncReadExt;

pub(crate) async fn run(
    global: &Global,
    target: Target,
    new_context: Vec<(String, String)>,
    no_context: bool,
    pipe: Pipe,
) -> Result<(), Failure> {
    not_a_terminal(&pipe.out)?;
    let old = context(target.context)?;
    let new = match (new_context.is_empty(), no_context) {
        (true, false) => None,
        (_, true) => Some(Default::default()),
        (false, false) => Some(context(new_context)?),
    };
    let terms = Terms { app: target.app.full(), old, new };
    let mut source = Source::open(&pipe.file)?;
    // What is no ciphertext at all is said before a file is made and the service is asked.
    let mut front = Vec::with_capacity(HEADER_LEN);
    let read = (&mut source.reader).take(HEADER_LEN as u64).read_to_end(&mut front).await;
    read.map_err(|error| super::read_failure(&error))?;
    inspect::header(&front)?;
    let mut destination = Destination::open(&pipe.out, pipe.force, false)?;
    let client = connect(global).await?;
    let bar = Bar::new("re-encrypting", source.length, destination.is_pipe());
    let reader = (&front[..]).chain(source.reader);
    let sealed = seal_again(&client, &terms, reader, destination.writer(), |read| bar.at(read)).await?;
    drop(bar);
    encrypt::finish(global, destination, &sealed).await
}
