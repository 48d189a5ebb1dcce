//! An open block: what is in it, and reading it by ranges of bytes.

use std::io;
use std::sync::{Arc, OnceLock};

use nave_model::select::Columns;
use nave_model::time::TimeRange;

use super::cache::Kept;
use super::layout::{
    FOOTER_LEN, Footer, HEADER_LEN, PageEntry, Refusal, Section, take_directory, take_header,
};
use super::samples::{Pages, append_series};
use super::{Cursor, FileKind, Meta, NO_ID, PageCache, ReadRange};
use crate::damage::Damage;
use crate::error::Error;
use crate::index::{Index, Parts};
use crate::page::{Kind, Page, Scratch};

/// An open block: index and directory in memory, pages in the source and in the cache.
#[derive(Debug)]
pub struct Block<R> {
    source: R,
    cache: PageCache,
    meta: Meta,
    index: Option<Index>,
    index_offset: u64,
    index_bytes: u64,
    file_len: u64,
    directory: Directory,
    ids: OnceLock<Arc<[u32]>>,
}

/// The pages by kind, each in order.
#[derive(Debug, Default)]
struct Directory {
    values: Vec<PageEntry>,
    times: Vec<PageEntry>,
    histograms: Vec<PageEntry>,
    ids: Vec<PageEntry>,
}

impl Directory {
    fn new(pages: Vec<PageEntry>) -> Self {
        let mut directory = Self::default();
        for page in pages {
            match page.kind {
                Kind::Values => directory.values.push(page),
                Kind::Times => directory.times.push(page),
                Kind::Histograms => directory.histograms.push(page),
                Kind::Ids => directory.ids.push(page),
            }
        }
        directory
    }

    fn of(&self, kind: Kind) -> &[PageEntry] {
        match kind {
            Kind::Values => &self.values,
            Kind::Times => &self.times,
            Kind::Histograms => &self.histograms,
            Kind::Ids => &self.ids,
        }
    }
}

/// Pages through the block's cache.
struct Cached;

impl<R: ReadRange> Pages<R> for Cached {
    type Page = Arc<Kept>;

    fn page(
        &mut self,
        block: &Block<R>,
        entry: &PageEntry,
        scratch: &mut Scratch,
    ) -> Result<Arc<Kept>, Error> {
        block.cache.get(block.meta.id, entry.offset, || block.load(entry, scratch))
    }
}

impl<R> Drop for Block<R> {
    fn drop(&mut self) {
        self.cache.forget(self.meta.id);
    }
}

impl<R: ReadRange> Block<R> {
    /// Reads header, footer, meta, directory and index.
    ///
    /// # Errors
    /// When the source fails, one of them is damaged, or the format is of a later version.
    pub fn open(source: R, cache: PageCache) -> Result<Self, Error> {
        let (mut block, footer) = Self::open_file(source, cache)?;
        if block.meta.kind == FileKind::Block {
            let index = open_index(&block.source, &footer)?;
            if index.series() != block.meta.series {
                let what = format!("expected {} series, came {}", block.meta.series, index.series());
                return Err(Error::damaged("index", block.index_offset)(Damage::new("index", 0, what)));
            }
            block.index = Some(index);
        }
        Ok(block)
    }

    /// As [`Block::open`], but the label index is left alone: for merging by ids, and for what is left of a block whose
    /// index is damaged.
    ///
    /// # Errors
    /// As [`Block::open`].
    pub fn open_pages(source: R, cache: PageCache) -> Result<Self, Error> {
        Self::open_file(source, cache).map(|(block, _)| block)
    }

    fn open_file(source: R, cache: PageCache) -> Result<(Self, Footer), Error> {
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
        if meta.id != id {
            let what = format!("expected the name of the header, {id}, came {}", meta.id);
            return Err(Error::damaged("meta", footer.meta.offset)(Damage::new("meta", 0, what)));
        }
        let block = Self {
            source,
            cache,
            meta,
            index: None,
            index_offset: end,
            index_bytes: footer.directory.offset - end,
            file_len: len,
            directory: Directory::new(pages),
            ids: OnceLock::new(),
        };
        Ok((block, footer))
    }

    /// What the block says about itself.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The label index; none of a part.
    pub fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// Bytes of the label index in the file.
    pub fn index_bytes(&self) -> u64 {
        self.index_bytes
    }

    /// Bytes of the file.
    pub fn file_len(&self) -> u64 {
        self.file_len
    }

    /// The cache it was opened with.
    pub fn cache(&self) -> &PageCache {
        &self.cache
    }

    /// Pages of a kind, in order.
    pub fn pages(&self, kind: Kind) -> &[PageEntry] {
        self.directory.of(kind)
    }

    /// The pages of values that may have samples of a series.
    pub(super) fn value_pages_of(&self, ordinal: u32) -> &[PageEntry] {
        let values = &self.directory.values;
        let from = values.partition_point(|page| page.last < ordinal);
        let count = values[from..].partition_point(|page| page.first <= ordinal);
        &values[from..from + count]
    }

    /// The page of times or of histograms in which a column is.
    pub(super) fn page_of(&self, kind: Kind, column: u32) -> Result<&PageEntry, Error> {
        let pages = self.pages(kind);
        let at = pages.partition_point(|page| page.last < column);
        pages.get(at).filter(|page| page.first <= column).ok_or_else(|| {
            let what = format!("no {} has column {column}", kind.part());
            Error::damaged("directory", 0)(Damage::new("directory", 0, what))
        })
    }

    /// Whether a page has samples of this series and overlaps `range`, so that reading it is worth the while.
    pub fn may_have(&self, ordinal: u32, range: TimeRange) -> bool {
        self.value_pages_of(ordinal).iter().any(|page| page.range.overlaps(&range))
    }

    /// The numbers of all series in the store's registry, by ordinal; [`NO_ID`] where there is none. Read when they
    /// are first asked for.
    ///
    /// # Errors
    /// When the source fails or a page of ids is damaged.
    pub fn ids(&self) -> Result<Arc<[u32]>, Error> {
        if let Some(ids) = self.ids.get() {
            return Ok(Arc::clone(ids));
        }
        let (ids, damages) = self.ids_left()?;
        if let Some(damage) = damages.into_iter().next() {
            return Err(damage);
        }
        Ok(Arc::clone(self.ids.get_or_init(|| ids.into())))
    }

    /// As [`Block::ids`], with [`NO_ID`] for the series of damaged pages, and the damage: for repairing a part, of which
    /// the other series are then still known.
    ///
    /// # Errors
    /// When the source fails.
    pub fn ids_left(&self) -> Result<(Vec<u32>, Vec<Error>), Error> {
        let mut scratch = Scratch::new();
        let mut ids = vec![NO_ID; self.meta.series as usize];
        let mut damages = Vec::new();
        for entry in self.pages(Kind::Ids) {
            match self.read_ids(entry, &mut scratch, &mut ids) {
                Err(damage @ Error::Damaged { .. }) => damages.push(damage),
                read => read?,
            }
        }
        Ok((ids, damages))
    }

    /// Puts the ids of a page in their places.
    fn read_ids(&self, entry: &PageEntry, scratch: &mut Scratch, ids: &mut [u32]) -> Result<(), Error> {
        let damaged = || Error::damaged(entry.kind.part(), entry.offset);
        let mut numbers = Vec::new();
        self.load(entry, scratch)?.numbers(0, scratch, &mut numbers).map_err(damaged())?;
        let (first, last) = (entry.first as usize, entry.last as usize);
        let wrong =
            || damaged()(Damage::new("page", 0, format!("it has no ids of series {first} to {last}")));
        let places = ids.get_mut(first..=last).filter(|places| places.len() == numbers.len());
        let numbers = numbers.into_iter().map(u32::try_from).collect::<Result<Vec<_>, _>>();
        places.ok_or_else(wrong)?.copy_from_slice(&numbers.map_err(|_| wrong())?);
        Ok(())
    }

    /// The bytes of a page, unchecked until it is opened.
    ///
    /// # Errors
    /// Of the source.
    pub fn read_page(&self, page: &PageEntry) -> Result<Vec<u8>, Error> {
        self.source.read_range(page.offset, page.len).map_err(Error::io("cannot read a page"))
    }

    /// A page, read and opened.
    pub(super) fn load(&self, entry: &PageEntry, scratch: &mut Scratch) -> Result<Page, Error> {
        let bytes = self.read_page(entry)?;
        open_page(entry, bytes, scratch).map_err(Error::damaged(entry.kind.part(), entry.offset))
    }

    /// Appends the samples of a series in `range` to `out`. What is damaged is left out and named in `damages`, each page
    /// once; a series that does not exist has no samples.
    ///
    /// # Errors
    /// When the source fails.
    pub fn read(
        &self,
        ordinal: u32,
        range: TimeRange,
        scratch: &mut Scratch,
        out: &mut Columns,
        damages: &mut Vec<Error>,
    ) -> Result<(), Error> {
        append_series(self, ordinal, range, &mut Cached, scratch, out, damages)
    }

    /// Goes through all series in order, with few pages in memory and none in the cache.
    pub fn cursor(&self) -> Cursor<'_, R> {
        Cursor::new(self)
    }

    /// Decodes every page and gives what is damaged; empty means that everything is whole.
    ///
    /// # Errors
    /// When the source fails.
    pub fn verify(&self, scratch: &mut Scratch) -> Result<Vec<Error>, Error> {
        let mut found = Vec::new();
        for kind in [Kind::Values, Kind::Times, Kind::Histograms, Kind::Ids] {
            for entry in self.pages(kind) {
                let bytes = self.read_page(entry)?;
                let decoded = decode_all(entry, bytes, scratch);
                found.extend(decoded.map_err(Error::damaged(kind.part(), entry.offset)).err());
            }
        }
        if let Some(index) = &self.index {
            let damages = index.verify(scratch).into_iter();
            found.extend(damages.map(|damage| Error::damaged("index", self.index_offset)(damage)));
        }
        Ok(found)
    }
}

fn decode_all(entry: &PageEntry, bytes: Vec<u8>, scratch: &mut Scratch) -> Result<(), Damage> {
    let page = open_page(entry, bytes, scratch)?;
    let (mut numbers, mut values, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
    let count = if entry.kind == Kind::Histograms { page.runs() } else { page.columns() };
    (0..count).try_for_each(|i| {
        numbers.clear();
        values.clear();
        histograms.clear();
        match entry.kind {
            Kind::Values => page.values(i, scratch, &mut values),
            Kind::Times | Kind::Ids => page.numbers(i, scratch, &mut numbers),
            Kind::Histograms => page.histograms(i, 0..u32::MAX, scratch, &mut histograms),
        }
    })
}

/// Opens a page and checks that it is the one of the directory.
fn open_page(entry: &PageEntry, bytes: Vec<u8>, scratch: &mut Scratch) -> Result<Page, Damage> {
    let page = Page::open(entry.kind, bytes, scratch)?;
    let own = |i: usize| page.origin(i).map(|origin| origin.series);
    let fits = match entry.kind {
        Kind::Values => {
            own(0) == Some(entry.first) && own(page.columns().saturating_sub(1)) == Some(entry.last)
        }
        Kind::Times => page.columns() == (entry.last - entry.first) as usize + 1,
        Kind::Histograms => page.runs() == (entry.last - entry.first) as usize + 1,
        Kind::Ids => page.columns() == 1,
    };
    if !fits || page.samples() != entry.samples {
        let what =
            format!("it is not the page of {} to {} that the directory names", entry.first, entry.last);
        return Err(Damage::new("page", 0, what));
    }
    Ok(page)
}

fn open_index(source: &impl ReadRange, footer: &Footer) -> Result<Index, Error> {
    let parts = Parts {
        dictionary: read_section(source, footer.dictionary)?,
        postings: read_section(source, footer.postings)?,
        rows: read_section(source, footer.rows)?,
    };
    let mut scratch = Scratch::new();
    Index::open(parts, &mut scratch).map_err(Error::damaged("index", footer.dictionary.offset))
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
