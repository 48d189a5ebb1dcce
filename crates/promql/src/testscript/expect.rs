//! The lines of an `eval` block: what a query should give.

use nave_model::label::Labels;
use nave_model::regex::Regex;

use super::script::{Lines, ScriptError, When, duration, word};
use super::series::{Description, SeriesValue};
use crate::quote::unquote;

/// What a message should be.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// Anything.
    Any,
    /// This text.
    Text(String),
    /// A regex that is found somewhere in it.
    Regex(Regex),
}

impl Pattern {
    /// Whether `message` is as wanted.
    #[must_use]
    pub fn matches(&self, message: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Text(text) => text == message,
            Self::Regex(regex) => regex.is_match(message),
        }
    }

    fn regex(source: &str) -> Result<Self, String> {
        let anywhere = format!(".*(?:{source}).*");
        Regex::anchored(&anywhere).map(Self::Regex).map_err(|error| {
            format!(
                "invalid regexp '{source}' for expected_fail_regexp: error parsing regexp: {}",
                error.message
            )
        })
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Regex(regex) => write!(f, "{regex:?}"),
        }
    }
}

/// What a query should give.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// It fails, with such a message.
    pub fail: Option<Pattern>,
    /// Results stand in this order.
    pub ordered: bool,
    /// Each is given, and no other warning, unless empty.
    pub warnings: Vec<Pattern>,
    /// There is no warning.
    pub no_warnings: bool,
    /// Each is given, and no other info, unless empty.
    pub infos: Vec<Pattern>,
    /// There is no info.
    pub no_infos: bool,
    /// An instant query gives a range vector with these times.
    pub range_vector: Option<When>,
    /// The result is this text.
    pub string: Option<Vec<u8>>,
    /// The result is this number.
    pub scalar: Option<f64>,
    /// The result's series, in the order written.
    pub series: Vec<ExpectedSeries>,
}

/// A series of an expected result.
#[derive(Debug, Clone)]
pub struct ExpectedSeries {
    /// Its labels.
    pub labels: Labels,
    /// One per step; `None` is no sample.
    pub values: Vec<Option<SeriesValue>>,
}

impl Expectation {
    /// Reads the lines of the block.
    pub(super) fn read(&mut self, lines: &mut Lines<'_>, at: When) -> Result<(), ScriptError> {
        let mut fails = 0;
        while let Some(line) = lines.in_block() {
            let (first, rest) = word(line);
            match first {
                "expect" => self.read_expect(rest, lines, &mut fails)?,
                "expected_fail_message" if self.fail.is_some() => {
                    self.fail = Some(Pattern::Text(rest.trim().to_owned()));
                }
                "expected_fail_regexp" if self.fail.is_some() => {
                    self.fail = Some(Pattern::regex(rest.trim()).map_err(|message| lines.error(message))?);
                }
                _ if self.read_scalar(line) => {}
                _ => self.read_series(line, lines, at)?,
            }
        }
        if (!self.warnings.is_empty() && self.no_warnings) || (!self.infos.is_empty() && self.no_infos) {
            return Err(lines.error("invalid expect lines: warn with no_warn, or info with no_info"));
        }
        Ok(())
    }

    fn read_expect(&mut self, rest: &str, lines: &Lines<'_>, fails: &mut usize) -> Result<(), ScriptError> {
        let (kind, text) = word(rest);
        *fails += usize::from(kind == "fail");
        if *fails > 1 {
            return Err(lines.error("invalid expect lines, multiple expect fail lines are not allowed"));
        }
        match kind {
            "range" => return self.read_range_vector(text, lines),
            "string" => {
                self.string =
                    Some(literal(text).ok_or_else(|| lines.error(format!("no quoted string: {text}")))?);
                return Ok(());
            }
            _ => {}
        }
        let pattern = pattern(text).map_err(|message| lines.error(message))?;
        match kind {
            "ordered" => self.ordered = true,
            "fail" => self.fail = Some(pattern),
            "warn" => self.warnings.push(pattern),
            "no_warn" => self.no_warnings = true,
            "info" => self.infos.push(pattern),
            "no_info" => self.no_infos = true,
            _ => return Err(lines.error(format!("invalid expect statement, got: \"expect {rest}\""))),
        }
        Ok(())
    }

    /// `vector from <start> to <end> step <step>`
    fn read_range_vector(&mut self, text: &str, lines: &Lines<'_>) -> Result<(), ScriptError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["vector", "from", start, "to", end, "step", step] = words[..] else {
            return Err(lines.error(
                "invalid range vector definition \"expect range vector from <start> to <end> step <step>\"",
            ));
        };
        self.range_vector = Some(When::Range {
            start: duration(start, lines)?,
            end: duration(end, lines)?,
            step: duration(step, lines)?.max(1),
        });
        Ok(())
    }

    fn read_scalar(&mut self, line: &str) -> bool {
        let unsigned = line.trim_start_matches(['+', '-']);
        let number = match unsigned.to_ascii_lowercase().as_str() {
            "inf" => Some(f64::INFINITY),
            "nan" => Some(f64::NAN),
            _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
                crate::parse::parse_number(unsigned).ok()
            }
            _ => None,
        };
        let Some(number) = number else { return false };
        self.scalar = Some(if line.starts_with('-') { -number } else { number });
        true
    }

    fn read_series(&mut self, line: &str, lines: &Lines<'_>, at: When) -> Result<(), ScriptError> {
        let Description { labels, values } =
            Description::parse(line).map_err(|error| lines.error(format!("{error}: {line}")))?;
        let steps_max = match self.range_vector.unwrap_or(at) {
            When::Instant(_) => 1,
            When::Range { start, end, step } => usize::try_from((end - start) / step + 1).unwrap_or(0),
        };
        if values.len() > steps_max {
            let got = values.len();
            return Err(lines.error(format!("expected at most {steps_max} values in \"{line}\", got {got}")));
        }
        self.series.push(ExpectedSeries { labels, values });
        Ok(())
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    let text = text.trim();
    if let Some(wanted) = text.strip_prefix("msg:") {
        return Ok(Pattern::Text(wanted.trim().to_owned()));
    }
    match text.strip_prefix("regex:") {
        Some(source) => Pattern::regex(source.trim()),
        None if text.is_empty() => Ok(Pattern::Any),
        None => Err(format!("invalid expect statement: expected msg: or regex:, got \"{text}\"")),
    }
}

/// The bytes of a quoted string that fills `text`.
fn literal(text: &str) -> Option<Vec<u8>> {
    let mut lexer = crate::lex::Lexer::new(text.as_bytes());
    let token = lexer.next();
    let whole = token.kind == crate::lex::TokenKind::String && token.pos.end as usize == text.len();
    whole.then(|| unquote(lexer.text(token)))
}
