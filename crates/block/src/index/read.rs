//! Reads the label index.

use nave_model::label::Labels;

use super::dictionary::Dictionary;
use super::postings::PostingsTable;
use super::rows::Rows;
use super::{Parts, Postings, ROWS, RowCache, SEPARATOR};
use crate::damage::Damage;
use crate::page::Scratch;

/// Between a label's name and its values in the order of symbols.
const AFTER_SEPARATOR: u8 = SEPARATOR + 1;

/// A label index in memory.
pub struct Index {
    dictionary: Dictionary,
    postings: PostingsTable,
    rows: Rows,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("series", &self.series())
            .field("symbols", &self.symbols())
            .finish_non_exhaustive()
    }
}

impl Index {
    /// Checks the parts and reads their tables; blocks of rows are checked when they are read.
    ///
    /// # Errors
    /// When a checksum does not fit, or the parts do not fit each other.
    pub fn open(parts: Parts, scratch: &mut Scratch) -> Result<Self, Damage> {
        let Parts { dictionary, postings, rows } = parts;
        let dictionary = Dictionary::open(&dictionary, scratch.decoder())?;
        let postings = PostingsTable::open(postings, dictionary.len())?;
        let rows = Rows::open(rows, postings.series())?;
        Ok(Self { dictionary, postings, rows })
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> u32 {
        self.postings.series()
    }

    /// How many different labels (name and value) there are.
    #[must_use]
    pub fn symbols(&self) -> usize {
        self.dictionary.len()
    }

    /// Bytes it takes in memory, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.dictionary.memory() + self.postings.memory() + self.rows.memory()
    }

    /// The series that have exactly this label.
    ///
    /// # Errors
    /// When the dictionary or the postings are damaged.
    pub fn postings(&self, name: &str, value: &str) -> Result<Postings, Damage> {
        let mut found = Postings::new();
        let target = symbol(name, value);
        if let Some((key, ordinal)) = self.dictionary.seek(&target)?.next()?
            && key == target
        {
            self.postings.reader().add(ordinal, &mut found)?;
        }
        Ok(found)
    }

    /// The series that have a label `name` whose value begins with `prefix` and for which `keep` says yes.
    ///
    /// # Errors
    /// When the dictionary or the postings are damaged, and those of `keep`.
    pub fn postings_where<E: From<Damage>>(
        &self,
        name: &str,
        prefix: &str,
        mut keep: impl FnMut(&str) -> Result<bool, E>,
    ) -> Result<Postings, E> {
        let (mut found, mut reader) = (Postings::new(), self.postings.reader());
        self.walk(name, prefix, |value, ordinal| {
            if keep(value)? {
                reader.add(ordinal, &mut found)?;
            }
            Ok::<_, E>(())
        })?;
        Ok(found)
    }

    /// All values of a label that begin with `prefix`, in order.
    ///
    /// # Errors
    /// When the dictionary is damaged.
    pub fn values(&self, name: &str, prefix: &str) -> Result<Vec<String>, Damage> {
        let mut values = Vec::new();
        self.walk(name, prefix, |value, _| {
            values.push(value.to_owned());
            Ok::<_, Damage>(())
        })?;
        Ok(values)
    }

    /// How many values of a label begin with `prefix`, found without looking at them.
    ///
    /// # Errors
    /// When the dictionary is damaged.
    pub fn values_count(&self, name: &str, prefix: &str) -> Result<usize, Damage> {
        let start = self.dictionary.seek(&symbol(name, prefix))?.ordinal();
        let end = self.dictionary.seek(&behind(name, prefix))?.ordinal();
        Ok(end.saturating_sub(start) as usize)
    }

    /// All label names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.rows.names().iter().map(|name| String::from(&**name)).collect()
    }

    /// The labels of a series.
    ///
    /// # Errors
    /// When there is no such series, or its rows are damaged.
    pub fn labels(&self, series: u32, cache: &mut RowCache, scratch: &mut Scratch) -> Result<Labels, Damage> {
        let row = self.rows.load(series, self.symbols(), cache, scratch)?;
        cache.labels(row, &self.dictionary)
    }

    /// The series of `among` whose label `name` (`""` where it is absent) fits. Cheaper than going through all values
    /// when `among` are few.
    ///
    /// # Errors
    /// When rows are damaged.
    pub(crate) fn retain(
        &self,
        among: &Postings,
        name: &str,
        scratch: &mut Scratch,
        mut fits: impl FnMut(&str) -> bool,
    ) -> Result<Postings, Damage> {
        let place = self.rows.names().binary_search_by(|known| (**known).cmp(name)).ok();
        let (mut cache, mut verdicts) = (RowCache::default(), std::collections::HashMap::new());
        let mut found = Vec::new();
        for series in among {
            let row = self.rows.load(series, self.symbols(), &mut cache, scratch)?;
            let ordinal = place.and_then(|place| self.rows.symbol(row, place as u32, &cache));
            let verdict = match verdicts.get(&ordinal) {
                Some(verdict) => *verdict,
                None => {
                    let verdict = self.verdict(ordinal, name, &mut fits)?;
                    verdicts.insert(ordinal, verdict);
                    verdict
                }
            };
            if verdict {
                found.push(series);
            }
        }
        Ok(found.into_iter().collect())
    }

    fn verdict(
        &self,
        ordinal: Option<u32>,
        name: &str,
        fits: &mut impl FnMut(&str) -> bool,
    ) -> Result<bool, Damage> {
        let Some(ordinal) = ordinal else { return Ok(fits("")) };
        let key = self.dictionary.text(ordinal)?;
        let value = key.get(name.len() + 1..).and_then(|value| std::str::from_utf8(value).ok());
        value.map(fits).ok_or_else(|| no_text(name))
    }

    fn walk<E: From<Damage>>(
        &self,
        name: &str,
        prefix: &str,
        mut found: impl FnMut(&str, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = symbol(name, prefix);
        let mut walk = self.dictionary.seek(&start)?;
        while let Some((key, ordinal)) = walk.next()? {
            if !key.starts_with(&start) {
                break;
            }
            let value = std::str::from_utf8(&key[name.len() + 1..]).map_err(|_| no_text(name))?;
            found(value, ordinal)?;
        }
        Ok(())
    }

    /// Reads everything and gives what is damaged.
    pub(crate) fn verify(&self, scratch: &mut Scratch) -> Vec<Damage> {
        let mut found = Vec::new();
        found.extend(self.verify_symbols().err());
        let mut cache = RowCache::default();
        for block in 0..self.rows.blocks() {
            let rows = (block * ROWS) as u32..((block + 1) * ROWS).min(self.series() as usize) as u32;
            let mut labels = rows.map(|series| self.labels(series, &mut cache, scratch).map(drop));
            let damage = labels.find_map(Result::err);
            found.extend(
                damage.map(|damage| Damage { what: format!("block {block}: {}", damage.what), ..damage }),
            );
        }
        found
    }

    /// Symbols ascend and are labels, and their postings are there.
    fn verify_symbols(&self) -> Result<(), Damage> {
        let (mut walk, mut before) = (self.dictionary.seek(&[])?, Vec::new());
        let (mut reader, mut postings, mut count) = (self.postings.reader(), Postings::new(), 0);
        while let Some((key, ordinal)) = walk.next()? {
            let label = std::str::from_utf8(key).is_ok_and(|text| text.contains(char::from(SEPARATOR)));
            if !label || (count > 0 && before.as_slice() >= key) {
                let what = format!("symbol {ordinal} is no label or out of order");
                return Err(Damage::new("index dictionary", 0, what));
            }
            before.clear();
            before.extend_from_slice(key);
            postings.clear();
            reader.add(ordinal, &mut postings)?;
            count += 1;
        }
        if count != self.symbols() {
            let what = format!("expected {} symbols, came {count}", self.symbols());
            return Err(Damage::new("index dictionary", 0, what));
        }
        Ok(())
    }
}

fn no_text(name: &str) -> Damage {
    Damage::new("index dictionary", 0, format!("a value of {name:?} is not UTF-8"))
}

/// The key of a label in the dictionary.
fn symbol(name: &str, value: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len() + 1 + value.len());
    key.extend_from_slice(name.as_bytes());
    key.push(SEPARATOR);
    key.extend_from_slice(value.as_bytes());
    key
}

/// The first key behind all that begin with this name and prefix of a value.
fn behind(name: &str, prefix: &str) -> Vec<u8> {
    let mut key = symbol(name, prefix);
    while key.last() == Some(&u8::MAX) {
        key.pop();
    }
    match key.last_mut() {
        Some(last) => *last += 1,
        None => key.push(AFTER_SEPARATOR),
    }
    key
}
