//! `index`, version 2, written in one pass over series that were put aside.
//!
//! Symbols come first in the file and are known last, so that series wait in a file of their own with provisional
//! symbol numbers. Memory: every symbol once, 4 bytes per label of a series for the postings. Label indices are not
//! written: no reader has used them since version 2.

use std::collections::HashMap;
use std::sync::Arc;

use nave_base::varint;
use nave_model::label::Labels;

use super::index::ChunkRef;
use crate::error::Error;
use crate::file::{Sink, Source};

/// Collects series until the file can be written.
#[derive(Debug)]
pub(super) struct IndexWriter {
    waiting: Sink,
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
    series: u64,
}

impl IndexWriter {
    /// Puts series aside in `waiting`.
    pub(super) fn new(waiting: Sink) -> Self {
        Self { waiting, numbers: HashMap::new(), texts: Vec::new(), series: 0 }
    }

    /// Adds a series behind those before it in label order.
    pub(super) fn push(&mut self, labels: &Labels, chunks: &[ChunkRef]) -> Result<(), Error> {
        let mut entry = Vec::new();
        varint::put_u64(&mut entry, labels.len() as u64);
        for (name, value) in labels {
            varint::put_u64(&mut entry, u64::from(self.number(name)?));
            varint::put_u64(&mut entry, u64::from(self.number(value)?));
        }
        put_chunks(&mut entry, chunks);
        self.series += 1;
        self.waiting.put(&(entry.len() as u32).to_be_bytes())?;
        self.waiting.put(&entry)
    }

    fn number(&mut self, text: &str) -> Result<u32, Error> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        let number = u32::try_from(self.texts.len()).map_err(|_| Error::TooLarge("over 4 Gi symbols"))?;
        let text: Arc<str> = Arc::from(text);
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        Ok(number)
    }

    /// Makes what is put aside readable; it is then given to [`Ready::write`].
    pub(super) fn ready(mut self) -> Result<Ready, Error> {
        self.waiting.flush()?;
        let mut order: Vec<u32> = (0..self.texts.len() as u32).collect();
        order.sort_unstable_by(|a, b| self.texts[*a as usize].cmp(&self.texts[*b as usize]));
        let mut ordinals = vec![0; order.len()];
        (0..).zip(&order).for_each(|(ordinal, number)| ordinals[*number as usize] = ordinal);
        Ok(Ready { texts: self.texts, order, ordinals, series: self.series, postings: HashMap::new() })
    }
}

fn put_chunks(entry: &mut Vec<u8>, chunks: &[ChunkRef]) {
    varint::put_u64(entry, chunks.len() as u64);
    let mut before: Option<&ChunkRef> = None;
    for chunk in chunks {
        let span = chunk.max.0.wrapping_sub(chunk.min.0) as u64;
        match before {
            None => {
                varint::put_i64(entry, chunk.min.0);
                varint::put_u64(entry, span);
                varint::put_u64(entry, chunk.reference);
            }
            Some(before) => {
                varint::put_u64(entry, chunk.min.0.wrapping_sub(before.max.0) as u64);
                varint::put_u64(entry, span);
                varint::put_i64(entry, chunk.reference.wrapping_sub(before.reference) as i64);
            }
        }
        before = Some(chunk);
    }
}

/// Ordinals of name and value, or `None` for all series, and where the list begins.
type List = (Option<(u32, u32)>, u64);

/// All that is known once the last series came.
#[derive(Debug)]
pub(super) struct Ready {
    texts: Vec<Arc<str>>,
    order: Vec<u32>,
    ordinals: Vec<u32>,
    series: u64,
    /// By ordinals of name and value.
    postings: HashMap<(u32, u32), Vec<u32>>,
}

impl Ready {
    /// Writes the file; `waiting` is what series were put aside in.
    pub(super) fn write(mut self, mut waiting: Source, mut out: Sink) -> Result<(), Error> {
        out.put(&[0xba, 0xaa, 0xd7, 0x00, 2])?;
        let symbols = self.write_symbols(&mut out)?;
        out.pad(16)?;
        let series = out.position();
        let all = self.write_series(&mut waiting, &mut out)?;
        out.pad(4)?;
        let postings = out.position();
        let lists = self.write_postings(&all, &mut out)?;
        out.pad(4)?;
        let table = out.position();
        self.write_table(&lists, &mut out)?;
        for offset in [symbols, series, 0, 0, postings, table] {
            out.put_checked(&offset.to_be_bytes())?;
        }
        out.put_checksum()?;
        out.finish()
    }

    fn text(&self, ordinal: u32) -> &str {
        &self.texts[self.order[ordinal as usize] as usize]
    }

    fn write_symbols(&self, out: &mut Sink) -> Result<u64, Error> {
        out.pad(4)?;
        let start = out.position();
        let mut entry = Vec::new();
        let sizes = self.texts.iter().map(|text| uvarint_len(text.len() as u64) + text.len() as u64);
        put_len(out, 4 + sizes.sum::<u64>(), "symbols of over 4 GiB")?;
        out.put_checked(&(self.texts.len() as u32).to_be_bytes())?;
        for number in &self.order {
            entry.clear();
            put_text(&mut entry, &self.texts[*number as usize]);
            out.put_checked(&entry)?;
        }
        out.put_checksum()?;
        Ok(start)
    }

    /// Gives the numbers of all series.
    fn write_series(&mut self, waiting: &mut Source, out: &mut Sink) -> Result<Vec<u32>, Error> {
        let mut all = Vec::new();
        let (mut at, mut entry, mut head) = (0, Vec::new(), Vec::new());
        for _ in 0..self.series {
            let len = u64::from(waiting.get_u32(at)?);
            let bytes = waiting.get(at + 4, len)?;
            at += 4 + len;
            out.pad(16)?;
            let id = u32::try_from(out.position() / 16)
                .map_err(|_| Error::TooLarge("series of over 64 GiB in one index"))?;
            all.push(id);
            entry.clear();
            if renumber(bytes, &self.ordinals, &mut self.postings, id, &mut entry).is_none() {
                return Err(waiting.damaged(at, "what was put aside reads differently"));
            }
            head.clear();
            varint::put_u64(&mut head, entry.len() as u64);
            out.put(&head)?;
            out.put_checked(&entry)?;
            out.put_checksum()?;
        }
        Ok(all)
    }

    /// Gives name, value and offset of every list, in the order of the table.
    fn write_postings(&mut self, all: &[u32], out: &mut Sink) -> Result<Vec<List>, Error> {
        let mut lists: Vec<_> = std::mem::take(&mut self.postings).into_iter().collect();
        lists.sort_unstable_by_key(|(key, _)| *key);
        let mut offsets = vec![(None, put_list(out, all)?)];
        for (key, list) in lists {
            offsets.push((Some(key), put_list(out, &list)?));
        }
        Ok(offsets)
    }

    fn write_table(&self, lists: &[List], out: &mut Sink) -> Result<(), Error> {
        let texts = |key: &Option<(u32, u32)>| match key {
            None => ("", ""),
            Some((name, value)) => (self.text(*name), self.text(*value)),
        };
        let size = |(key, offset): &List| {
            let (name, value) = texts(key);
            let text = |text: &str| uvarint_len(text.len() as u64) + text.len() as u64;
            1 + text(name) + text(value) + uvarint_len(*offset)
        };
        put_len(out, 4 + lists.iter().map(size).sum::<u64>(), "a postings table of over 4 GiB")?;
        out.put_checked(&(lists.len() as u32).to_be_bytes())?;
        let mut entry = Vec::new();
        for (key, offset) in lists {
            let (name, value) = texts(key);
            entry.clear();
            entry.push(2);
            put_text(&mut entry, name);
            put_text(&mut entry, value);
            varint::put_u64(&mut entry, *offset);
            out.put_checked(&entry)?;
        }
        out.put_checksum()
    }
}

/// Copies an entry with final symbol numbers, and notes the series in its postings.
fn renumber(
    mut entry: &[u8],
    ordinals: &[u32],
    postings: &mut HashMap<(u32, u32), Vec<u32>>,
    id: u32,
    out: &mut Vec<u8>,
) -> Option<()> {
    let labels = varint::take_u64(&mut entry)?;
    varint::put_u64(out, labels);
    for _ in 0..labels {
        let name = *ordinals.get(varint::take_u64(&mut entry)? as usize)?;
        let value = *ordinals.get(varint::take_u64(&mut entry)? as usize)?;
        varint::put_u64(out, u64::from(name));
        varint::put_u64(out, u64::from(value));
        postings.entry((name, value)).or_default().push(id);
    }
    out.extend_from_slice(entry);
    Some(())
}

fn put_list(out: &mut Sink, list: &[u32]) -> Result<u64, Error> {
    out.pad(4)?;
    let offset = out.position();
    put_len(out, 4 + 4 * list.len() as u64, "a postings list of over 4 GiB")?;
    out.put_checked(&(list.len() as u32).to_be_bytes())?;
    for id in list {
        out.put_checked(&id.to_be_bytes())?;
    }
    out.put_checksum()?;
    Ok(offset)
}

fn put_len(out: &mut Sink, len: u64, what: &'static str) -> Result<(), Error> {
    let len = u32::try_from(len).map_err(|_| Error::TooLarge(what))?;
    out.put(&len.to_be_bytes())
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    varint::put_u64(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn uvarint_len(value: u64) -> u64 {
    u64::from((64 - value.leading_zeros()).max(1).div_ceil(7))
}
