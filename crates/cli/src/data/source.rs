//! Where data comes from: a file or standard input.

use std::fs::File;
use std::path::Path;

use tokio::io::AsyncRead;

use crate::failure::Failure;

/// An opened input.
pub(crate) struct Source {
    pub(crate) reader: Box<dyn AsyncRead + Unpin + Send>,
    /// Bytes, for a regular file.
    pub(crate) length: Option<u64>,
}

impl Source {
    /// Opens `path`; `-` is standard input.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self { reader: Box::new(tokio::io::stdin()), length: None });
        }
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
        let (metadata, file) = opened.map_err(|error| {
            Failure::caller(format!("{} cannot be opened: {error}", path.display())).hint("check the input file's name")
        })?;
        if metadata.is_dir() {
            return Err(Failure::caller(format!("{} is a directory", path.display()))
                .hint("name a file, or pipe an archive in: tar c DIR | byokctl data encrypt …"));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::new(tokio::fs::File::from_std(file)), length })
    }
}
