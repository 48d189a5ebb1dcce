//! The text of a script to commands.
//!
//! A script is blocks of lines: `clear`, `load`, `eval`. Empty lines and comment lines end a block. Nothing is
//! evaluated here; whether a query parses is found when it runs.

use std::fmt;

use nave_model::duration::PromDuration;
use nave_model::label::Labels;
use nave_model::time::Timestamp;

use super::expect::Expectation;
use super::series::{Description, SeriesValue};
use super::start::StartTimes;

/// Why a text is no script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected and what came.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error in line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ScriptError {}

/// A script.
#[derive(Debug, Clone)]
pub struct Script {
    /// In order.
    pub commands: Vec<Command>,
}

/// A step of a script.
#[derive(Debug, Clone)]
pub enum Command {
    /// Forget all series.
    Clear,
    /// Append series.
    Load(Load),
    /// Run a query and compare.
    Eval(Eval),
}

/// Series to append.
#[derive(Debug, Clone)]
pub struct Load {
    /// The line of the command, from 1.
    pub line: usize,
    /// Between two values.
    pub step_ms: i64,
    /// Also make histograms with custom buckets of the classic ones.
    pub with_nhcb: bool,
    /// Of two with equal labels the last one counts.
    pub series: Vec<LoadedSeries>,
}

/// A series to append.
#[derive(Debug, Clone)]
pub struct LoadedSeries {
    /// Its labels.
    pub labels: Labels,
    /// One per step; `None` is no sample.
    pub values: Vec<Option<SeriesValue>>,
    /// When each value began to count; empty when unknown.
    pub starts: Vec<Option<Timestamp>>,
}

/// A query and what it should give.
#[derive(Debug, Clone)]
pub struct Eval {
    /// The line of the command, from 1.
    pub line: usize,
    /// PromQL.
    pub query: String,
    /// At which time or times.
    pub at: When,
    /// What it should give.
    pub expect: Expectation,
}

/// The times a query is evaluated at, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At one.
    Instant(i64),
    /// At several.
    Range {
        /// The first.
        start: i64,
        /// Not after this.
        end: i64,
        /// Between two.
        step: i64,
    },
}

/// The lines of a script with a place in it.
pub(super) struct Lines<'a> {
    lines: Vec<&'a str>,
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        let line = |line: &'a str| match line.trim() {
            comment if comment.starts_with('#') => "",
            other => other,
        };
        Self { lines: text.split('\n').map(line).collect(), at: 0 }
    }

    /// The next line of a block; `None` at its end.
    pub(super) fn in_block(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.at).copied().filter(|line| !line.is_empty())?;
        self.at += 1;
        Some(line)
    }

    /// The number of the line taken last, from 1.
    pub(super) fn number(&self) -> usize {
        self.at
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ScriptError {
        ScriptError { line: self.at, message: message.into() }
    }
}

impl Script {
    /// Parses a script.
    ///
    /// # Errors
    /// The first line that is none of the language.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let mut lines = Lines::new(text);
        let mut commands = Vec::new();
        while lines.at < lines.lines.len() {
            let Some(line) = lines.in_block() else {
                lines.at += 1;
                continue;
            };
            let word = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
            commands.push(match word.as_str() {
                "clear" => Command::Clear,
                _ if word.starts_with("load") => Command::Load(load(line, &mut lines)?),
                _ if word.starts_with("eval") => Command::Eval(eval(line, &mut lines)?),
                _ => return Err(lines.error(format!("invalid command \"{line}\""))),
            });
        }
        Ok(Self { commands })
    }
}

pub(super) fn duration(text: &str, lines: &Lines<'_>) -> Result<i64, ScriptError> {
    let parsed: Result<PromDuration, _> = text.parse();
    let ms = parsed.map_err(|error| lines.error(format!("invalid duration \"{text}\": {error}")))?.as_ms();
    i64::try_from(ms).map_err(|_| lines.error(format!("duration \"{text}\" is too long")))
}

fn load(line: &str, lines: &mut Lines<'_>) -> Result<Load, ScriptError> {
    let (word, step) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let with_nhcb = match word {
        "load" => false,
        "load_with_nhcb" => true,
        _ => return Err(lines.error("invalid load command. (load[_with_nhcb] <step:duration>)")),
    };
    if step.trim().is_empty() {
        return Err(lines.error("invalid load command. (load[_with_nhcb] <step:duration>)"));
    }
    let number = lines.number();
    let step_ms = duration(step.trim(), lines)?;
    let mut load = Load { line: number, step_ms, with_nhcb, series: Vec::new() };
    let mut starts: Option<StartTimes> = None;
    while let Some(line) = lines.in_block() {
        if let Some(found) = StartTimes::parse(line) {
            if starts.is_some() {
                return Err(lines.error("@st line must be followed by its series line"));
            }
            starts = Some(found.map_err(|message| lines.error(message))?);
            continue;
        }
        let found = Description::parse(line).map_err(|error| lines.error(format!("{error}: {line}")))?;
        let series = loaded(found, starts.take(), step_ms).map_err(|message| lines.error(message))?;
        load.series.retain(|known| known.labels != series.labels);
        load.series.push(series);
    }
    match starts {
        Some(_) => Err(lines.error("@st line must be followed by its series line")),
        None => Ok(load),
    }
}

fn loaded(found: Description, starts: Option<StartTimes>, step_ms: i64) -> Result<LoadedSeries, String> {
    let Description { labels, values } = found;
    let starts = match starts {
        None => Vec::new(),
        Some(starts) if starts.labels != labels => {
            return Err(format!("@st line is of {}, the series line after it of {labels}", starts.labels));
        }
        Some(starts) if starts.offsets.len() != values.len() => {
            let (got, want) = (starts.offsets.len(), values.len());
            return Err(format!("@st line has {got} entries, the series line after it {want}"));
        }
        Some(starts) => starts.at_steps(step_ms),
    };
    Ok(LoadedSeries { labels, values, starts })
}

const EVAL_USAGE: &str = "invalid evaluation command. Must be either 'eval instant at <time> <query>' or 'eval range from <start> to <end> step <step> <query>'";

fn eval(line: &str, lines: &mut Lines<'_>) -> Result<Eval, ScriptError> {
    let (word, rest) = word(line);
    let (mode, rest) = self::word(rest);
    let number = lines.number();
    let (at, query) = match mode {
        "instant" => instant(rest, lines)?,
        "range" => range(rest, lines)?,
        _ => return Err(lines.error(EVAL_USAGE)),
    };
    if query.is_empty() {
        return Err(lines.error(EVAL_USAGE));
    }
    let mut expect = Expectation::default();
    match (word, mode) {
        ("eval", _) => {}
        ("eval_fail", _) => expect.fail = Some(super::expect::Pattern::Any),
        ("eval_warn", _) => expect.warnings.push(super::expect::Pattern::Any),
        ("eval_info", _) => expect.infos.push(super::expect::Pattern::Any),
        ("eval_ordered", "instant") => expect.ordered = true,
        _ => return Err(lines.error(EVAL_USAGE)),
    }
    expect.read(lines, at)?;
    Ok(Eval { line: number, query: query.to_owned(), at, expect })
}

/// The first word and what follows it.
pub(super) fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

fn instant<'a>(rest: &'a str, lines: &Lines<'_>) -> Result<(When, &'a str), ScriptError> {
    match word(rest) {
        ("at", rest) => {
            let (time, query) = word(rest);
            Ok((When::Instant(duration(time, lines)?), query))
        }
        _ => Ok((When::Instant(0), rest)),
    }
}

fn range<'a>(rest: &'a str, lines: &Lines<'_>) -> Result<(When, &'a str), ScriptError> {
    let mut rest = rest;
    let mut times = [0; 3];
    for (slot, keyword) in times.iter_mut().zip(["from", "to", "step"]) {
        let (found, after) = word(rest);
        if found != keyword {
            return Err(lines.error(EVAL_USAGE));
        }
        let (time, after) = word(after);
        *slot = duration(time, lines)?;
        rest = after;
    }
    let [start, end, step] = times;
    if end < start {
        return Err(
            lines.error(format!("invalid test definition, end timestamp ({end}) is before start ({start})"))
        );
    }
    if step == 0 {
        return Err(lines.error("invalid test definition, the step of a range must be greater than 0"));
    }
    Ok((When::Range { start, end, step }, rest))
}
