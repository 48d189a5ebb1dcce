//! `meta.json`: what a block is about.

use std::path::Path;

use nave_base::disk::Disk;
use serde::{Deserialize, Serialize};

use crate::error::{Damage, Error};

/// The hint on blocks that hold out-of-order samples.
const OUT_OF_ORDER: &str = "from-out-of-order";
/// A longer file is not read.
const BYTES_MAX: u64 = 64 << 20;

/// What a block is about, in the field names of the file. What others add is ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The block's name.
    pub ulid: String,
    /// First ms inside.
    pub min_time: i64,
    /// First ms behind it.
    pub max_time: i64,
    /// What is in it.
    #[serde(default)]
    pub stats: Statistics,
    /// How it came to be.
    #[serde(default)]
    pub compaction: Compaction,
    /// Format of the file: 1.
    pub version: u32,
}

/// What is in a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Statistics {
    /// Floats and histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Floats.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Histograms.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted stretches.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How a block came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// 1 when cut from the head, one more with every compaction.
    pub level: u32,
    /// Blocks of level 1 that are in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Blocks it was made of directly.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<Parent>,
    /// Nothing is left in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deletable: bool,
    /// Its compaction failed before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Words for the compactor.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// A block that went into another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parent {
    /// Its name.
    pub ulid: String,
    /// First ms inside.
    #[serde(default)]
    pub min_time: i64,
    /// First ms behind it.
    #[serde(default)]
    pub max_time: i64,
}

impl Meta {
    /// Reads the file below the block's folder `dir`.
    ///
    /// # Errors
    /// Of the file system, or when the file is not what it should be.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Self, Error> {
        let path = dir.join("meta.json");
        let file = disk.open(&path).map_err(Error::io(&path))?;
        let len = file.len().map_err(Error::io(&path))?;
        if len > BYTES_MAX {
            return Err(Damage::from(format!("{len} bytes are no meta.json")).at(&path, 0));
        }
        let bytes = file.read_from(0).map_err(Error::io(&path))?;
        let meta: Self = serde_json::from_slice(&bytes)
            .map_err(|error| Damage::from(format!("not a block's meta.json: {error}")).at(&path, 0))?;
        if meta.version != 1 {
            let what = format!("version {} of meta.json", meta.version);
            return Err(Error::Unsupported { path, what });
        }
        Ok(meta)
    }

    /// Whether it holds out-of-order samples beside blocks of the same time.
    #[must_use]
    pub fn is_out_of_order(&self) -> bool {
        self.compaction.hints.iter().any(|hint| hint == OUT_OF_ORDER)
    }
}
