//! Warnings and infos that a query collects.

use crate::ast::Position;

/// How serious a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Warning,
    Info,
}

/// One remark about the expression at `pos`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) level: Level,
    pub(crate) text: String,
    /// `None` for what the store says.
    pub(crate) pos: Option<Position>,
    /// How often it was made; 0 where that is not told.
    pub(crate) occurrences: u64,
}

impl Note {
    /// A note without a count.
    pub(crate) fn new(level: Level, text: String, pos: Option<Position>) -> Self {
        Self { level, text, pos, occurrences: 0 }
    }

    fn count(&self) -> String {
        if self.occurrences > 1 { format!(" ({} occurrences)", self.occurrences) } else { String::new() }
    }
}

/// Notes without repetition: of equal texts the first stays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notes(Vec<Note>);

/// More distinct notes than this are dropped; the API shows ten.
const NOTES_MAX: usize = 1000;

impl Notes {
    /// Adds a warning.
    pub(crate) fn warn(&mut self, pos: Position, text: impl Into<String>) {
        self.add(Note::new(Level::Warning, text.into(), Some(pos)));
    }

    /// Adds an info.
    pub(crate) fn info(&mut self, pos: Position, text: impl Into<String>) {
        self.add(Note::new(Level::Info, text.into(), Some(pos)));
    }

    /// Adds the warning that a sample of `metric` starts before the previous one was taken.
    pub(crate) fn overlap(&mut self, pos: Position, metric: &str) {
        let text = format!(
            "sample has start time that overlaps with previous sample timestamp for metric {}",
            quoted(metric)
        );
        self.add(Note { occurrences: 1, ..Note::new(Level::Warning, text, Some(pos)) });
    }

    /// Adds a note.
    pub(crate) fn add(&mut self, note: Note) {
        let same = |known: &Note| known.level == note.level && known.text == note.text;
        match self.0.iter().position(same) {
            Some(at) => {
                self.0[at].occurrences = self.0[at].occurrences.saturating_add(note.occurrences);
            }
            None if self.0.len() < NOTES_MAX => self.0.push(note),
            None => {}
        }
    }

    /// Leaves out what `known` has, except for what is counted; `known` then has it.
    pub(super) fn retain_new(&mut self, known: &mut Self) {
        self.0.retain(|note| {
            let is_known = known.0.iter().any(|known| known.level == note.level && known.text == note.text);
            if !is_known {
                known.add(note.clone());
            }
            !is_known || note.occurrences > 0
        });
    }

    /// Puts the notes at the places that `to` says for those of `from`.
    pub(super) fn moved(mut self, from: &[Position], to: &[Position]) -> Self {
        for note in &mut self.0 {
            let at = note.pos.and_then(|pos| from.iter().position(|known| *known == pos));
            if let Some(pos) = at.and_then(|at| to.get(at)) {
                note.pos = Some(*pos);
            }
        }
        self
    }

    /// Adds all of `other`.
    pub(crate) fn append(&mut self, other: Self) {
        other.0.into_iter().for_each(|note| self.add(note));
    }

    /// The warnings, or the infos, with line and column.
    pub(crate) fn texts(&self, level: Level, query: &str) -> Vec<String> {
        let text = |note: &Note| {
            let prefix = match level {
                Level::Warning => "PromQL warning: ",
                Level::Info => "PromQL info: ",
            };
            match note.pos {
                Some(pos) => {
                    let (line, column) = pos.line_column(query);
                    format!("{prefix}{}{} ({line}:{column})", note.text, note.count())
                }
                None => note.text.clone(),
            }
        };
        self.0.iter().filter(|note| note.level == level).map(text).collect()
    }
}

/// `name` in double quotes, as Go's `%q` does it for ordinary text.
pub(crate) fn quoted(name: &str) -> String {
    format!("{name:?}")
}

/// ` for metric name "x"`, or nothing without a name.
pub(crate) fn for_metric(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!(" for metric name {}", quoted(name)) }
}

/// `bytes` in double quotes; what is not UTF-8 shows as `\xff`.
pub(crate) fn quoted_bytes(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        text.push_str(quoted(chunk.valid()).trim_matches('"'));
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text.push('"');
    text
}

/// A number as Go's `%g`: shortest, with an exponent when it is very small or large.
pub(crate) fn number(value: f64) -> String {
    let exponent = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    if value.is_finite() && !(-4..6).contains(&exponent) {
        return exponential(value);
    }
    plain_number(value)
}

/// A number without exponent, as Go's `strconv.FormatFloat(v, 'f', -1, 64)`.
pub(crate) fn plain_number(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        format!("{value}")
    }
}

/// A number as Go's `%.2g`.
pub(crate) fn two_digits(value: f64) -> String {
    let text = format!("{value:.1e}");
    let rounded: f64 = text.parse().unwrap_or(value);
    let exponent = text.split_once('e').and_then(|(_, exponent)| exponent.parse::<i32>().ok()).unwrap_or(0);
    if (-4..2).contains(&exponent) { plain_number(rounded) } else { exponential(rounded) }
}

fn exponential(value: f64) -> String {
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// A number as OpenMetrics writes it: whole numbers with `.0`.
pub(crate) fn open_metrics(value: f64) -> String {
    let text = number(value);
    if value.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}
