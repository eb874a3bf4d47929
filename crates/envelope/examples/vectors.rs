//! Writes the frozen vectors of format version 1 to the directory named: `cargo run -p envelope --example vectors DIR`
//!
//! The same bytes every time. A test compares them with the committed files under `vectors/`.
#![expect(dead_code, reason = "shares the tests' modules, which use more of them")]

use std::path::PathBuf;

#[path = "../tests/it/support/mod.rs"]
mod support;

fn main() -> std::io::Result<()> {
    let directory = std::env::args_os().nth(1).map(PathBuf::from).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidInput, "name the directory that the vectors are written to")
    })?;
    std::fs::create_dir_all(&directory)?;
    for (name, text) in support::frozen::files() {
        std::fs::write(directory.join(name), text)?;
    }
    Ok(())
}
