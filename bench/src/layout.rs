//! What the bytes on disk are: samples, label index, log, or other.

use crate::server::Def;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bytes of a data directory by what they hold; lengths of files, each file once.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Layout {
    /// Timestamps, values, and what finds them inside a file.
    pub numeric: u64,
    /// Labels of series, and what finds series by them.
    pub index: u64,
    pub log: u64,
    pub other: u64,
}

impl Layout {
    /// Everything but the log, which goes once its data is elsewhere.
    pub fn finished(&self) -> u64 {
        self.numeric + self.index + self.other
    }
}

/// Measures the files below `dir` by the patterns of the target's `layout`.
pub fn measure(def: &Def, dir: &Path) -> Result<Layout> {
    let mut out = Layout::default();
    for file in files(dir) {
        let path = format!("/{}", file.strip_prefix(dir).unwrap_or(&file).display());
        let Ok(len) = fs::metadata(&file).map(|m| m.len()) else { continue }; // merged away meanwhile
        let kind = def.layout.iter().find(|(_, patterns)| patterns.iter().any(|p| path.contains(p.as_str())));
        match kind.map(|k| k.0.as_str()) {
            Some("block") => {
                let index = block_index(&file).with_context(|| file.display().to_string())?;
                (out.index, out.numeric) = (out.index + index, out.numeric + len.saturating_sub(index));
            }
            Some("numeric") => out.numeric += len,
            Some("index") => out.index += len,
            Some("log") => out.log += len,
            _ => out.other += len,
        }
    }
    Ok(out)
}

/// All files below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(t) if t.is_dir() => out.extend(files(&entry.path())),
            Ok(t) if t.is_file() => out.push(entry.path()),
            _ => {}
        }
    }
    out
}

/// Bytes of the label index of a Nave block: the first three ranges that its footer names
/// (docs/format/block.md).
fn block_index(file: &Path) -> Result<u64> {
    let mut file = fs::File::open(file)?;
    file.seek(SeekFrom::End(-96))?;
    let mut footer = [0; 96];
    file.read_exact(&mut footer)?;
    anyhow::ensure!(&footer[88..] == b"\nNAVEEND", "no block: it does not end with NAVEEND");
    let number = |at: usize| u64::from_le_bytes(footer[at..at + 8].try_into().expect("8 bytes"));
    Ok((0..3).map(|i| number(i * 16 + 8)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_footer_of_a_block() {
        let file = std::env::temp_dir().join(format!("fleetbench-{}.block", std::process::id()));
        let mut bytes = vec![0u8; 500];
        for (offset, len) in [(32u64, 100u64), (132, 50), (182, 7), (189, 1000), (1189, 3)] {
            bytes.extend(offset.to_le_bytes().iter().chain(&len.to_le_bytes()));
        }
        bytes.extend([1, 0, 0, 0, 9, 9, 9, 9]);
        bytes.extend(b"\nNAVEEND");
        fs::write(&file, &bytes).unwrap();
        assert_eq!(block_index(&file).unwrap(), 157);
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert!(block_index(&file).is_err());
        fs::remove_file(&file).unwrap();
    }
}
