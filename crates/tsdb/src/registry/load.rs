//! Reading a registry with all cores: first the series, then what refers to them.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nave_base::disk::{File, SharedDisk};
use nave_model::append::Tenant;
use nave_model::label::Labels;
use parking_lot::Mutex;

use super::frame::{self, FRAME_HEAD, HEADER_BYTES, Head};
use crate::catalog::{RegistryLength, registry_path};
use crate::error::Error;

/// Damaged places that are named; the others are only counted.
const DAMAGES_MAX: usize = 100;

/// Takes what a registry holds; called by many threads at once.
pub(crate) trait Frames: Sync {
    /// Before everything else: how many series come.
    fn expect(&self, series: usize);
    /// A series.
    fn series(&self, tenant: &Tenant, id: u32, labels: Labels);
    /// A key of raw label bytes; all series have come.
    fn key(&self, key: u128, id: u32);
    /// A payload of the log's kind METADATA; `false` when it cannot be read.
    fn metadata(&self, payload: &[u8]) -> bool;
    /// A payload of the log's kind EXEMPLARS; `false` when it cannot be read.
    fn exemplars(&self, payload: &[u8]) -> bool;
}

/// What was in it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Series, dead ones among them.
    pub(crate) series: usize,
    /// Damaged places, as text.
    pub(crate) damages: Vec<String>,
}

/// A frame's place.
#[derive(Debug, Clone, Copy)]
struct Place {
    head: Head,
    offset: u64,
}

/// Reads the generation that `length` names with `threads` threads.
///
/// # Errors
/// Of the file system, or when the file is missing or of a later version. Damage is told in the answer.
pub(crate) fn load(
    disk: &SharedDisk,
    dir: &Path,
    length: RegistryLength,
    threads: usize,
    into: &dyn Frames,
) -> Result<Found, Error> {
    if length.generation == 0 {
        return Ok(Found::default());
    }
    let path = registry_path(dir, length.generation);
    let failed = |error: io::Error| Error::folder(&path, &error);
    let file = disk.open(&path).map_err(failed)?;
    let mut header = [0; HEADER_BYTES];
    let read = file.read_at(&mut header, 0).map_err(failed)?;
    frame::check_header(&header[..read], length.generation)
        .map_err(|message| Error::Folder { dir: path.clone(), message })?;
    let damages = Mutex::new(Vec::new());
    let (places, count) = places(&*file, length.bytes, &damages).map_err(failed)?;
    into.expect(count);
    let (named, rest): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|place| place.head.kind == frame::SERIES);
    for group in [named, rest] {
        each_in_parallel(&file, &group, threads, into, &damages).map_err(failed)?;
    }
    Ok(Found { series: count, damages: damages.into_inner() })
}

fn note(damages: &Mutex<Vec<String>>, what: String) {
    let mut damages = damages.lock();
    if damages.len() < DAMAGES_MAX {
        damages.push(what);
    }
}

/// All frames up to `end`, and how many series they say they have.
fn places(file: &dyn File, end: u64, damages: &Mutex<Vec<String>>) -> io::Result<(Vec<Place>, usize)> {
    let (mut all, mut count) = (Vec::new(), 0usize);
    let mut offset = HEADER_BYTES as u64;
    // The head, and behind it the count of series.
    let mut bytes = [0; FRAME_HEAD + 10];
    while offset < end {
        let read = file.read_at(&mut bytes, offset)?;
        let head = bytes[..read].first_chunk::<FRAME_HEAD>().map(Head::take);
        let next = head.map(|head| offset + FRAME_HEAD as u64 + u64::from(head.len));
        let (Some(head), Some(next)) = (head, next.filter(|next| *next <= end)) else {
            note(damages, format!("the registry is damaged at offset {offset}: {} bytes lost", end - offset));
            break;
        };
        if head.kind == frame::SERIES {
            let said = frame::series_count(&bytes[FRAME_HEAD..read]).unwrap_or(0);
            // A damaged count is found with the frame; it must not reserve the earth.
            count += usize::try_from(said).unwrap_or(0).min(head.len as usize * 64);
        }
        all.push(Place { head, offset: offset + FRAME_HEAD as u64 });
        offset = next;
    }
    Ok((all, count))
}

/// How many bytes of a generation can be read: up to the end of its last whole frame; 0 when there is none. For a
/// folder whose manifest is lost.
pub(crate) fn whole_bytes(disk: &SharedDisk, dir: &Path, generation: u64) -> Result<u64, Error> {
    let path = registry_path(dir, generation);
    let failed = |error: io::Error| Error::folder(&path, &error);
    let file = disk.open(&path).map_err(failed)?;
    let len = file.len().map_err(failed)?;
    let (places, _) = places(&*file, len, &Mutex::default()).map_err(failed)?;
    let mut payload = Vec::new();
    for place in places.iter().rev() {
        payload.resize(place.head.len as usize, 0);
        let read = file.read_at(&mut payload, place.offset).map_err(failed)?;
        if read == payload.len() && place.head.fits(&payload) {
            return Ok(place.offset + u64::from(place.head.len));
        }
    }
    Ok(0)
}

fn each_in_parallel(
    file: &Arc<dyn File>,
    places: &[Place],
    threads: usize,
    into: &dyn Frames,
    damages: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || -> io::Result<()> {
        let mut unpack = zstd::bulk::Decompressor::new()?;
        let mut payload = Vec::new();
        while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            payload.resize(place.head.len as usize, 0);
            let read = file.read_at(&mut payload, place.offset)?;
            let whole = place.head.fits(&payload[..read]);
            if !whole || apply(place.head.kind, &payload, &mut unpack, into).is_none() {
                note(damages, format!("a frame of the registry at offset {} is damaged", place.offset));
            }
        }
        Ok(())
    };
    let threads = threads.clamp(1, places.len().max(1));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let joined = others.into_iter().map(|other| {
            other
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a thread that reads the registry panicked")))
        });
        joined.fold(own, Result::and)
    })
}

fn apply(
    kind: u8,
    payload: &[u8],
    unpack: &mut zstd::bulk::Decompressor<'_>,
    into: &dyn Frames,
) -> Option<()> {
    match kind {
        frame::SERIES => {
            frame::series(payload, unpack, &mut |tenant, id, labels| into.series(tenant, id, labels))
        }
        frame::KEYS => frame::keys(payload, &mut |key, id| into.key(key, id)),
        frame::METADATA => into.metadata(payload).then_some(()),
        frame::EXEMPLARS => into.exemplars(payload).then_some(()),
        _ => None,
    }
}
