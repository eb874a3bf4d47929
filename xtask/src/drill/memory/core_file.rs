//! A core image of a running process, and what stands in it: what somebody gets who can run a debugger as root.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::process::{Hit, Look, Place, regions, tidy};
use super::wanted::Finder;
use crate::tool;

/// Whether gdb's `gcore` is there.
pub(crate) fn is_possible() -> bool {
    tool::is_there("gdb") && Command::new("gcore").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Writes an image into `directory`, looks through it and removes it.
pub(crate) fn look(pid: u32, directory: &Path, finder: &Finder<'_>) -> Result<Look> {
    let regions = regions(pid)?;
    let said = tool::output(Command::new("gcore").arg("-o").arg(directory.join("core")).arg(pid.to_string()));
    let path = directory.join(format!("core.{pid}"));
    ensure!(path.is_file(), "gcore wrote no image: {said:?}");
    let image = File::open(&path)?;
    let mut look = Look::default();
    let mut buffer = vec![0; PIECE + finder.longest];
    for (offset, address, length) in segments(&image)? {
        let mut at = 0;
        while at < length {
            let want = usize::try_from(length - at)?.min(buffer.len());
            image.read_exact_at(&mut buffer[..want], offset + at)?;
            look.bytes += want as u64;
            finder.find(&buffer[..want], |offset, needle| {
                let at = address + at + offset as u64;
                let region = regions.iter().find(|region| (region.from..region.to).contains(&at));
                let place = region.map_or(Place::Heap, |region| region.place.clone());
                let (kind, secret, form) = (needle.kind, needle.secret, needle.form);
                look.hits.push(Hit { kind, secret, form, place, at });
            });
            at += if at + (want as u64) < length { (want - finder.longest) as u64 } else { want as u64 };
        }
    }
    fs::remove_file(&path)?;
    tidy(&mut look.hits);
    Ok(look)
}

const PIECE: usize = 1 << 20;

/// The loaded segments of a 64-bit, little-endian ELF core: offset in the file, address, length in the file.
fn segments(image: &File) -> Result<Vec<(u64, u64, u64)>> {
    let mut header = [0; 64];
    image.read_exact_at(&mut header, 0)?;
    ensure!(header.starts_with(b"\x7fELF\x02\x01"), "the image is not a 64-bit ELF file");
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (table, size, count) = (number(&header[32..40]), number(&header[54..56]), number(&header[56..58]));
    ensure!(count < 0xffff, "the image has too many segments to be read here");
    let mut entry = vec![0; usize::try_from(size)?];
    ensure!(entry.len() >= 56, "the image's segments cannot be read");
    let mut segments = Vec::new();
    for index in 0..count {
        image.read_exact_at(&mut entry, table + index * size).context("the image is cut off")?;
        const LOADED: u64 = 1;
        if number(&entry[..4]) == LOADED {
            segments.push((number(&entry[8..16]), number(&entry[16..24]), number(&entry[32..40])));
        }
    }
    Ok(segments)
}
