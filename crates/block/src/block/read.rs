//! Reads a block by ranges of bytes.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use nave_base::disk::File;

use super::Meta;
use super::layout::{
    FOOTER_LEN, Footer, HEADER_LEN, PageEntry, Refusal, Section, take_directory, take_header,
};
use crate::damage::Damage;
use crate::error::Error;
use crate::index::{Index, Parts};
use crate::page::{Kind, Page, Scratch};

/// Where a block's bytes come from: a local file, memory, or ranged reads of an object.
pub trait ReadRange: Debug + Send + Sync {
    /// Bytes there are.
    ///
    /// # Errors
    /// Of the source.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are none.
    ///
    /// # Errors
    /// Of the source.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Exactly the `len` bytes at `offset`.
    ///
    /// # Errors
    /// Of the source; [`io::ErrorKind::UnexpectedEof`] when there are fewer.
    fn read_range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>>;
}

/// A file of a disk.
#[derive(Debug, Clone)]
pub struct LocalFile(pub Arc<dyn File>);

impl ReadRange for LocalFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.0.read_at(&mut bytes[filled..], offset + filled as u64)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => filled += read,
            }
        }
        Ok(bytes)
    }
}

impl ReadRange for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_range(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = self.get(start..start.saturating_add(len)).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(bytes.to_vec())
    }
}

/// An open block: index and directory in memory, pages in the source.
#[derive(Debug)]
pub struct Block<R> {
    source: R,
    meta: Meta,
    index: Index,
    index_bytes: u64,
    values: Vec<PageEntry>,
    times: Vec<PageEntry>,
}

impl<R: ReadRange> Block<R> {
    /// Reads header, footer, meta, directory and index.
    ///
    /// # Errors
    /// When the source fails, one of them is damaged, or the format is of a later version.
    pub fn open(source: R) -> Result<Self, Error> {
        let len = source.len().map_err(Error::io("cannot tell the length"))?;
        if len < (HEADER_LEN + FOOTER_LEN) as u64 {
            let what = format!("expected at least {} bytes, the file has {len}", HEADER_LEN + FOOTER_LEN);
            return Err(Error::damaged("file", 0)(Damage::new("file", 0, what)));
        }
        let header = source.read_range(0, HEADER_LEN).map_err(Error::io("cannot read the header"))?;
        let id = take_header(&header).map_err(refused("header", 0))?;
        let at = len - FOOTER_LEN as u64;
        let footer = source.read_range(at, FOOTER_LEN).map_err(Error::io("cannot read the footer"))?;
        let footer = Footer::take(&footer, len).map_err(refused("footer", at))?;
        let meta = Meta::take(&read_section(&source, footer.meta)?);
        let meta = meta.map_err(Error::damaged("meta", footer.meta.offset))?;
        let end = footer.dictionary.offset;
        let pages = take_directory(&read_section(&source, footer.directory)?, end);
        let pages = pages.map_err(Error::damaged("directory", footer.directory.offset))?;
        let parts = Parts {
            dictionary: read_section(&source, footer.dictionary)?,
            postings: read_section(&source, footer.postings)?,
            rows: read_section(&source, footer.rows)?,
        };
        let index = Index::open(parts).map_err(Error::damaged("index", end))?;
        if index.series() != meta.series || meta.id != id {
            let what = "expected the name of the header and the series of the index";
            return Err(Error::damaged("meta", footer.meta.offset)(Damage::new("meta", 0, what)));
        }
        let (values, times) = pages.into_iter().partition(|page| page.kind == Kind::Values);
        let index_bytes = footer.directory.offset - end;
        Ok(Self { source, meta, index, index_bytes, values, times })
    }

    /// What the block says about itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The label index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Bytes of the label index in the file.
    pub fn index_bytes(&self) -> u64 {
        self.index_bytes
    }

    /// Pages of values, in order of series.
    pub fn value_pages(&self) -> &[PageEntry] {
        &self.values
    }

    /// Pages of times, in order of columns.
    pub fn time_pages(&self) -> &[PageEntry] {
        &self.times
    }

    /// The bytes of a page, unchecked until it is opened.
    ///
    /// # Errors
    /// Of the source.
    pub fn read_page(&self, page: &PageEntry) -> Result<Vec<u8>, Error> {
        self.source.read_range(page.offset, page.len).map_err(Error::io("cannot read a page"))
    }

    /// Appends all samples of a series, times in ms.
    ///
    /// # Errors
    /// When the source fails or a page is damaged; what was appended before is then cut off again.
    pub fn read(
        &self,
        series: u32,
        scratch: &mut Scratch,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), Error> {
        let start = (times.len(), values.len());
        let result = self.read_runs(series, scratch, times, values);
        if result.is_err() {
            times.truncate(start.0);
            values.truncate(start.1);
        }
        result
    }

    fn read_runs(
        &self,
        series: u32,
        scratch: &mut Scratch,
        times: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> Result<(), Error> {
        let from = self.values.partition_point(|page| page.last < series);
        for entry in self.values[from..].iter().take_while(|page| page.first <= series) {
            let bytes = self.read_page(entry)?;
            let damaged = || Error::damaged("page of values", entry.offset);
            let page = open_page(entry, &bytes, scratch).map_err(damaged())?;
            for i in page.columns_of(series) {
                page.values(i, scratch, values).map_err(damaged())?;
                let column = page.origin(i).unwrap_or_default().times;
                let count = self.read_times(column, scratch, times)?;
                if page.count(i) != Some(count) {
                    let what = format!("expected {:?} times in column {column}, came {count}", page.count(i));
                    return Err(damaged()(Damage::new("page", 0, what)));
                }
            }
        }
        Ok(())
    }

    /// Appends a column of times; gives how many.
    fn read_times(&self, column: u32, scratch: &mut Scratch, times: &mut Vec<i64>) -> Result<usize, Error> {
        let at = self.times.partition_point(|page| page.last < column);
        let Some(entry) = self.times.get(at).filter(|page| page.first <= column) else {
            let what = format!("no page has the times of column {column}");
            return Err(Error::damaged("directory", 0)(Damage::new("directory", 0, what)));
        };
        let bytes = self.read_page(entry)?;
        let damaged = || Error::damaged("page of times", entry.offset);
        let page = open_page(entry, &bytes, scratch).map_err(damaged())?;
        let start = times.len();
        page.times((column - entry.first) as usize, scratch, times).map_err(damaged())?;
        Ok(times.len() - start)
    }

    /// Decodes every page and gives what is damaged; empty means that everything is whole.
    ///
    /// # Errors
    /// When the source fails.
    pub fn verify(&self, scratch: &mut Scratch) -> Result<Vec<Error>, Error> {
        let mut found = Vec::new();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for entry in self.values.iter().chain(&self.times) {
            let bytes = self.read_page(entry)?;
            let mut decode = || {
                let page = open_page(entry, &bytes, scratch)?;
                (0..page.columns()).try_for_each(|i| {
                    times.clear();
                    values.clear();
                    match entry.kind {
                        Kind::Values => page.values(i, scratch, &mut values),
                        Kind::Times => page.times(i, scratch, &mut times),
                    }
                })
            };
            let part = if entry.kind == Kind::Values { "page of values" } else { "page of times" };
            found.extend(decode().map_err(Error::damaged(part, entry.offset)).err());
        }
        Ok(found)
    }
}

/// Opens a page and checks that it is the one of the directory.
fn open_page<'a>(entry: &PageEntry, bytes: &'a [u8], scratch: &mut Scratch) -> Result<Page<'a>, Damage> {
    let page = Page::open(entry.kind, bytes, scratch)?;
    let own = |i: usize| page.origin(i).map(|origin| origin.series);
    let fits = match entry.kind {
        Kind::Values => {
            own(0) == Some(entry.first) && own(page.columns().saturating_sub(1)) == Some(entry.last)
        }
        Kind::Times => page.columns() == (entry.last - entry.first) as usize + 1,
    };
    if !fits || page.samples() != entry.samples {
        let what =
            format!("it is not the page of {} to {} that the directory names", entry.first, entry.last);
        return Err(Damage::new("page", 0, what));
    }
    Ok(page)
}

fn refused(part: &'static str, offset: u64) -> impl FnOnce(Refusal) -> Error {
    move |refusal| match refusal {
        Refusal::Version(version) => Error::Version { version },
        Refusal::Damage(damage) => Error::damaged(part, offset)(damage),
    }
}

fn read_section(source: &impl ReadRange, section: Section) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(section.len)
        .map_err(|_| Error::io("a section is too long")(io::ErrorKind::OutOfMemory.into()))?;
    source.read_range(section.offset, len).map_err(Error::io("cannot read a section"))
}
