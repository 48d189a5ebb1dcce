//! Values of number, duration and string tokens.

use nave_model::duration::PromDuration;

use super::{Parsed, Parser, Stop};
use crate::ast::{BinaryOp, ByteString, Number};
use crate::lex::{Token, TokenKind};
use crate::quote::{quote, unquote};

/// Of a longer number an error shows so many characters; upstream shows all of them.
const DIGITS_SHOWN_MAX: usize = 500;

impl Parser<'_> {
    /// The value of a number or duration token; what has no value is reported and 0.
    pub(super) fn number(&mut self, token: Token) -> Number {
        let text = std::str::from_utf8(self.lexer.text(token)).unwrap_or_default();
        let is_duration = token.kind == TokenKind::Duration;
        let value = if is_duration {
            text.parse::<PromDuration>().map(PromDuration::as_secs_f64).map_err(|error| error.to_string())
        } else {
            parse_number(text).map_err(|reason| {
                let shown = match text.get(..DIGITS_SHOWN_MAX) {
                    Some(head) if head.len() < text.len() => format!("{}...", quote(head.as_bytes())),
                    _ => quote(text.as_bytes()),
                };
                format!("error parsing number: strconv.ParseFloat: parsing {shown}: {reason}")
            })
        };
        let value = value.unwrap_or_else(|message| {
            self.error(token.pos, message);
            0.0
        });
        Number { value, is_duration }
    }

    /// A number or duration with or without a sign.
    pub(super) fn signed_number(&mut self) -> Parsed<f64> {
        let negative = match self.token.kind {
            TokenKind::Op(BinaryOp::Sub) => Some(true),
            TokenKind::Op(BinaryOp::Add) => Some(false),
            _ => None,
        };
        if negative.is_some() {
            self.advance();
        }
        if !matches!(self.token.kind, TokenKind::Number | TokenKind::Duration) {
            return Err(Stop::Unexpected);
        }
        let token = self.advance();
        let value = self.number(token).value;
        Ok(if negative == Some(true) { -value } else { value })
    }

    /// The bytes of a string token.
    pub(super) fn string(&self, token: Token) -> ByteString {
        ByteString(unquote(self.lexer.text(token)))
    }

    /// The text of a string token that names or matches a label; labels are UTF-8.
    pub(crate) fn text(&mut self, token: Token) -> Parsed<String> {
        String::from_utf8(unquote(self.lexer.text(token))).map_err(|error| {
            let shown = quote(error.as_bytes());
            self.fail(token.pos, format!("label names and values are UTF-8, got {shown}"))
        })
    }
}

/// The value of a number that the lexer has accepted: an integer in Go's notation (`0x1f`, `0755`), else a
/// float, with underscores between digits in both.
pub(crate) fn parse_number(text: &str) -> Result<f64, &'static str> {
    let plain;
    let digits = if text.contains('_') {
        plain = text.replace('_', "");
        plain.as_str()
    } else {
        text
    };
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    if let Some(hex) = hexadecimal {
        return match i64::from_str_radix(hex, 16) {
            Ok(value) => Ok(value as f64),
            Err(_) => Err("invalid syntax"),
        };
    }
    if digits.len() > 1
        && digits.starts_with('0')
        && let Ok(value) = i64::from_str_radix(&digits[1..], 8)
    {
        return Ok(value as f64);
    }
    let value: f64 = digits.parse().map_err(|_| "invalid syntax")?;
    // Only a word is infinite; digits that are have too many of them.
    if value.is_infinite() && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Err("value out of range");
    }
    Ok(value)
}
