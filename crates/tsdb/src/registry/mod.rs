//! The registry: which number is which series, the keys of raw label bytes, metadata. `docs/format/registry.md`.
//!
//! Append-only within a generation. The manifest names how many bytes count; what stands behind them is the rest of
//! a flush that did not happen and is cut away before anything is added. When most of what it names is dead, a new
//! generation is written and the manifest names that one.
//!
//! This knows bytes and files. Which series are new, and when to begin a generation, is the flush's business.

mod frame;
mod load;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nave_base::disk::{File, SharedDisk};
use nave_model::append::Tenant;
use nave_model::label::Labels;

use crate::catalog::{RegistryLength, registry_path};
use crate::error::Error;
use crate::record;

pub(crate) use load::{Found, Frames, load, whole_bytes};

/// Bytes of a frame's content before compression.
const FRAME_BYTES: usize = 1 << 20;
/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 4 << 20;

/// Writes a generation's file behind what counts.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    file: Arc<dyn File>,
    generation: u64,
    bytes: u64,
    buffer: Vec<u8>,
    tenant: Option<Tenant>,
    content: frame::SeriesContent,
    keys: frame::KeyContent,
    /// Series added.
    pub(crate) series: u64,
}

impl Writer {
    /// Goes on behind `length`; `length.generation` 0 begins the first generation.
    pub(crate) fn append(disk: &SharedDisk, dir: &Path, length: RegistryLength) -> Result<Self, Error> {
        if length.generation == 0 {
            return Self::create(disk, dir, 1);
        }
        let path = registry_path(dir, length.generation);
        let open = || -> io::Result<Arc<dyn File>> {
            let file = disk.append(&path)?;
            if file.len()? != length.bytes {
                file.truncate(length.bytes)?;
            }
            Ok(file)
        };
        let file = open().map_err(|error| Error::folder(&path, &error))?;
        Ok(Self::new(path, file, length.generation, length.bytes))
    }

    /// Begins a generation.
    pub(crate) fn create(disk: &SharedDisk, dir: &Path, generation: u64) -> Result<Self, Error> {
        let path = registry_path(dir, generation);
        let make = || -> io::Result<Arc<dyn File>> {
            let file = disk.append(&path)?;
            file.truncate(0)?;
            disk.sync_dir(path.parent().unwrap_or(Path::new(".")))?;
            Ok(file)
        };
        let file = make().map_err(|error| Error::folder(&path, &error))?;
        let mut writer = Self::new(path, file, generation, 0);
        writer.buffer = frame::header(generation).to_vec();
        Ok(writer)
    }

    fn new(path: PathBuf, file: Arc<dyn File>, generation: u64, bytes: u64) -> Self {
        Self {
            path,
            file,
            generation,
            bytes,
            buffer: Vec::new(),
            tenant: None,
            content: frame::SeriesContent::default(),
            keys: frame::KeyContent::default(),
            series: 0,
        }
    }

    /// Adds a series; those of one tenant are best added one after the other, in label order.
    pub(crate) fn series(&mut self, tenant: &Tenant, id: u32, labels: &Labels) -> Result<(), Error> {
        if self.tenant.as_ref() != Some(tenant) {
            self.end_series()?;
            self.tenant = Some(tenant.clone());
        }
        self.content.push(id, labels);
        self.series += 1;
        if self.content.len() >= FRAME_BYTES { self.end_series() } else { Ok(()) }
    }

    fn end_series(&mut self) -> Result<(), Error> {
        if let Some(tenant) = &self.tenant
            && self.content.count() > 0
        {
            let payload = self.content.take(tenant).map_err(|error| Error::folder(&self.path, &error))?;
            self.put(frame::SERIES, &payload)?;
        }
        Ok(())
    }

    /// Adds the key of raw label bytes that mean series `id`.
    pub(crate) fn key(&mut self, key: u128, id: u32) -> Result<(), Error> {
        self.keys.push(key, id);
        if self.keys.len() >= FRAME_BYTES { self.end_keys() } else { Ok(()) }
    }

    fn end_keys(&mut self) -> Result<(), Error> {
        if self.keys.count() > 0 {
            let payload = self.keys.take();
            self.put(frame::KEYS, &payload)?;
        }
        Ok(())
    }

    /// Adds a payload of the log's kind [`record::METADATA`].
    pub(crate) fn metadata(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.put(frame::METADATA, payload)
    }

    /// Adds a payload of the log's kind [`record::EXEMPLARS`].
    pub(crate) fn exemplars(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.put(frame::EXEMPLARS, payload)
    }

    fn put(&mut self, kind: u8, payload: &[u8]) -> Result<(), Error> {
        frame::put(&mut self.buffer, kind, payload);
        if self.buffer.len() >= WRITE_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Error> {
        self.file.append(&self.buffer).map_err(|error| Error::folder(&self.path, &error))?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Makes everything durable; gives the length for the manifest.
    pub(crate) fn finish(mut self) -> Result<RegistryLength, Error> {
        self.end_series()?;
        self.end_keys()?;
        if !self.buffer.is_empty() {
            self.write()?;
            self.file.sync().map_err(|error| Error::folder(&self.path, &error))?;
        }
        Ok(RegistryLength { generation: self.generation, bytes: self.bytes })
    }
}

/// A family's metadata as [`Writer::metadata`] takes it.
pub(crate) fn metadata_payload<'a>(
    tenant: &Tenant,
    families: impl IntoIterator<Item = &'a record::Family>,
) -> Vec<u8> {
    let mut payload = Vec::new();
    record::put_tenant(&mut payload, tenant);
    families.into_iter().for_each(|(family, one)| record::put_metadata(&mut payload, family, one));
    payload
}

#[cfg(test)]
mod tests;
