//! The series notation: `metric{a="b"} 1+2x3 _ stale {{schema:0 sum:1}}`.
//!
//! Also what `promtool test rules` calls input series. Errors point into the line, with upstream's texts
//! where it has any.

use std::sync::Arc;

use nave_model::histogram::Histogram;
use nave_model::label::{Builder, Labels, METRIC_NAME};
use nave_model::sample::{self, Value};

use super::histogram::{self, Literal};
use crate::ast::Position;
use crate::lex::{Lexer, Token, TokenKind};
use crate::parse::{ParseError, describe, parse_number};
use crate::quote::unquote;

/// The most values one item or line may stand for.
const VALUES_MAX: usize = 1_000_000;

/// A series with its values; `None` is no sample at that step.
#[derive(Debug, Clone)]
pub struct Description {
    /// The series.
    pub labels: Labels,
    /// One per step.
    pub values: Vec<Option<SeriesValue>>,
}

/// A value of a series description.
#[derive(Debug, Clone)]
pub struct SeriesValue {
    /// The float or histogram.
    pub value: Value,
    /// Whether a histogram names its counter reset hint, so that it is to be compared.
    pub hint_named: bool,
}

impl Description {
    /// Parses a line.
    ///
    /// # Errors
    /// What is wrong, with its column in the line.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let (labels, at) = parse_metric(line)?;
        let values = Cursor { text: line, at }.values()?;
        Ok(Self { labels, values })
    }
}

/// `name{a="b"}` at the start of `line`, and where it ends.
pub(super) fn parse_metric(line: &str) -> Result<(Labels, usize), ParseError> {
    let name_end =
        line.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':'))).unwrap_or(line.len());
    let mut labels = Builder::default();
    if name_end > 0 {
        labels.push(METRIC_NAME, &line[..name_end]);
    }
    if line[name_end..].starts_with('{') {
        return LabelSet { lexer: Lexer::inside_braces_at(line.as_bytes(), name_end + 1), line, labels }
            .parse();
    }
    if name_end == 0 {
        return Err(error_at(
            line,
            0,
            1,
            "expected a metric name or labels in braces at the start of a series",
        ));
    }
    Ok((labels.build(), name_end))
}

pub(super) fn error_at(line: &str, start: usize, end: usize, message: impl Into<String>) -> ParseError {
    let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    ParseError::new(Position { start: narrow(start), end: narrow(end) }, message.into(), line.as_bytes())
}

struct LabelSet<'a> {
    lexer: Lexer<'a>,
    line: &'a str,
    labels: Builder,
}

impl LabelSet<'_> {
    /// What stands between the braces, token by token and never one too many: values follow.
    fn parse(mut self) -> Result<(Labels, usize), ParseError> {
        let mut token = self.next()?;
        while token.kind != TokenKind::RightBrace {
            token = self.label(token)?;
            match token.kind {
                TokenKind::Comma => token = self.next()?,
                TokenKind::RightBrace => {}
                _ => return Err(self.unexpected(token, "\",\" or \"}\"")),
            }
        }
        let labels = self
            .labels
            .build_unique()
            .map_err(|error| error_at(self.line, 0, token.pos.end as usize, error.to_string()))?;
        Ok((labels, token.pos.end as usize))
    }

    /// One label from its first token; gives the token after it.
    fn label(&mut self, name: Token) -> Result<Token, ParseError> {
        let quoted = name.kind == TokenKind::String;
        let text = match name.kind {
            TokenKind::Identifier => self.lexer.text(name).to_vec(),
            TokenKind::String => unquote(self.lexer.text(name)),
            _ => return Err(self.unexpected(name, "identifier or \"}\"")),
        };
        let text = String::from_utf8_lossy(&text).into_owned();
        let after = self.next()?;
        if after.kind != TokenKind::Assign {
            if !quoted {
                return Err(self.unexpected(after, "\"=\""));
            }
            self.labels.push(METRIC_NAME, &text);
            return Ok(after);
        }
        let value = self.next()?;
        if value.kind != TokenKind::String {
            return Err(self.unexpected(value, "string"));
        }
        let value = unquote(self.lexer.text(value));
        self.labels.push(&text, &String::from_utf8_lossy(&value));
        self.next()
    }

    fn next(&mut self) -> Result<Token, ParseError> {
        let token = self.lexer.next();
        match self.lexer.take_error() {
            Some(error) => Err(error_at(self.line, error.start as usize, self.line.len(), error.message)),
            None => Ok(token),
        }
    }

    fn unexpected(&self, token: Token, expected: &str) -> ParseError {
        let found = describe(token.kind, self.lexer.text(token));
        let message = format!("unexpected {found} in label set, expected {expected}");
        error_at(self.line, token.pos.start as usize, token.pos.end as usize, message)
    }
}

/// Reads the values of a line.
pub(super) struct Cursor<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
}

impl Cursor<'_> {
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &str {
        let start = self.at;
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    pub(super) fn skip_blank(&mut self) -> bool {
        !self.take_while(|byte| matches!(byte, b' ' | b'\t')).is_empty()
    }

    pub(super) fn error(&self, start: usize, message: impl Into<String>) -> ParseError {
        error_at(self.text, start, self.at, message)
    }

    /// The byte ahead has no place here.
    pub(super) fn unexpected(&self) -> ParseError {
        let found = match self.text[self.at..].chars().next() {
            Some(c) => format!("\"{c}\""),
            None => "end of input".to_owned(),
        };
        self.error(self.at, format!("unexpected {found} in series values"))
    }

    fn values(&mut self) -> Result<Vec<Option<SeriesValue>>, ParseError> {
        let mut values = Vec::new();
        while self.at < self.text.len() {
            if !self.skip_blank() {
                return Err(self.unexpected());
            }
            if self.at < self.text.len() {
                self.item(&mut values)?;
            }
            if values.len() > VALUES_MAX {
                return Err(self.error(0, format!("series of more than {VALUES_MAX} values")));
            }
        }
        Ok(values)
    }

    fn item(&mut self, values: &mut Vec<Option<SeriesValue>>) -> Result<(), ParseError> {
        if self.accept(b'_') {
            let count = self.times()?.unwrap_or(1);
            values.extend(std::iter::repeat_n(None, count));
            return Ok(());
        }
        if self.text[self.at..].starts_with("{{") {
            return self.histograms(values);
        }
        if self.text[self.at..].starts_with("stale") && !self.word_goes_on(self.at + "stale".len()) {
            self.at += "stale".len();
            values.push(Some(float(sample::stale_nan())));
            return Ok(());
        }
        self.floats(values)
    }

    fn floats(&mut self, values: &mut Vec<Option<SeriesValue>>) -> Result<(), ParseError> {
        let mut value = self.signed_number()?;
        let step = match self.peek() {
            Some(b'+' | b'-') => self.signed_number()?,
            _ => 0.0,
        };
        let times = self.times()?;
        if step != 0.0 && times.is_none() {
            return Err(self.unexpected());
        }
        for _ in 0..=times.unwrap_or(0) {
            values.push(Some(float(value)));
            value += step;
        }
        Ok(())
    }

    fn histograms(&mut self, values: &mut Vec<Option<SeriesValue>>) -> Result<(), ParseError> {
        let first = self.histogram()?;
        let sign = self.peek().filter(|byte| matches!(byte, b'+' | b'-'));
        let step = match sign {
            Some(_) => {
                self.at += 1;
                Some(self.histogram()?)
            }
            None => None,
        };
        let digits_at = self.at + 1;
        let times = self.times()?;
        if step.is_some() && times.is_none() {
            return Err(self.unexpected());
        }
        let hint_named = step.as_ref().map_or(first.hint_named, |step| step.hint_named);
        let mut current: Arc<Histogram> = Arc::new(first.histogram);
        for done in 0..=times.unwrap_or(0) {
            if let Some(step) = step.as_ref().filter(|_| done > 0) {
                let next = histogram::combined(&current, &step.histogram, sign == Some(b'-'))
                    .map_err(|message| self.error(digits_at, message))?;
                current = Arc::new(next);
            }
            values.push(Some(SeriesValue { value: Value::Histogram(Arc::clone(&current)), hint_named }));
        }
        Ok(())
    }

    fn histogram(&mut self) -> Result<Literal, ParseError> {
        if !self.text[self.at..].starts_with("{{") {
            return Err(self.unexpected());
        }
        self.at += 2;
        Literal::parse(self)
    }

    /// `x5`, when it stands here.
    fn times(&mut self) -> Result<Option<usize>, ParseError> {
        if !self.accept(b'x') {
            return Ok(None);
        }
        let start = self.at;
        let digits = self.take_while(|byte| byte.is_ascii_digit());
        match digits.parse::<usize>() {
            Ok(count) if count <= VALUES_MAX => Ok(Some(count)),
            _ => {
                let message = format!("invalid repetition in series values: {digits:?}");
                Err(self.error(start, message))
            }
        }
    }

    fn word_goes_on(&self, at: usize) -> bool {
        self.text.as_bytes().get(at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }

    /// `-1.5e3`, `Inf`: decimal, because `0x8` is nine zeros here.
    pub(super) fn signed_number(&mut self) -> Result<f64, ParseError> {
        let negative = self.accept(b'-');
        if !negative {
            self.accept(b'+');
        }
        let value = self.number()?;
        Ok(if negative { -value } else { value })
    }

    fn number(&mut self) -> Result<f64, ParseError> {
        let start = self.at;
        if self.peek().is_some_and(|byte| byte.is_ascii_alphabetic()) {
            let word = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_').to_owned();
            return match word.to_ascii_lowercase().as_str() {
                "inf" => Ok(f64::INFINITY),
                "nan" => Ok(f64::NAN),
                _ => {
                    let expected = "number or \"stale\"";
                    let message =
                        format!("unexpected identifier \"{word}\" in series values, expected {expected}");
                    Err(self.error(start, message))
                }
            };
        }
        let digits = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'_');
        if self.take_while(digits).is_empty() {
            return Err(self.unexpected());
        }
        if self.accept(b'e') || self.accept(b'E') {
            _ = self.accept(b'+') || self.accept(b'-');
            self.take_while(digits);
        }
        let text = &self.text[start..self.at];
        parse_number(text)
            .map_err(|reason| self.error(start, format!("error parsing number: {text:?}: {reason}")))
    }
}

fn float(value: f64) -> SeriesValue {
    SeriesValue { value: Value::Float(value), hint_named: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        match Description::parse(line) {
            Ok(found) => {
                let values: Vec<String> = found
                    .values
                    .iter()
                    .map(|value| match value {
                        None => "_".to_owned(),
                        Some(SeriesValue { value: Value::Float(value), .. }) if sample::is_stale(*value) => {
                            "stale".to_owned()
                        }
                        Some(SeriesValue { value: Value::Float(value), .. }) => value.to_string(),
                        Some(SeriesValue { value: Value::Histogram(histogram), .. }) => {
                            format!("h{}/{}", histogram.count, histogram.sum)
                        }
                    })
                    .collect();
                format!("{} {}", found.labels, values.join(" "))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn series() {
        let check = |line: &str, want: &str| assert_eq!(shown(line), want, "{line}");
        check("a 1 2x1 _ _x2 stale", r#"{__name__="a"} 1 2 2 _ _ _ stale"#);
        check("sum{by='x'} -1+2x2 1e1-.5x1", r#"{__name__="sum", by="x"} -1 1 3 10 9.5"#);
        check("{\"a.b\", \"c.d\"=`e`} Inf -inf NaN", r#"{__name__="a.b", "c.d"="e"} inf -inf NaN"#);
        check("a 0x2", r#"{__name__="a"} 0 0 0"#);
        check("{} {{count:1 sum:2}}+{{count:1 sum:3}}x1", "{} h1/2 h2/5");
        check("a 1+1", "1:6: parse error: unexpected end of input in series values");
        check(
            "a x",
            "1:3: parse error: unexpected identifier \"x\" in series values, expected number or \"stale\"",
        );
    }
}
