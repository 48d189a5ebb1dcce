//! String literals: finds their end and checks their escapes; `quote` computes the bytes.

use super::{Lexer, TokenKind};
use crate::quote::{code_point, decode_char};

impl Lexer<'_> {
    /// The rest of a string after its opening `quote`.
    pub(super) fn quoted_string(&mut self, quote: u8) -> Result<TokenKind, String> {
        loop {
            match self.peek() {
                None | Some(b'\n') => return Err("unterminated quoted string".to_owned()),
                Some(b'\\') => {
                    self.at += 1;
                    self.escape(quote)?;
                }
                Some(byte) if byte == quote => {
                    self.at += 1;
                    return Ok(TokenKind::String);
                }
                Some(byte) if byte.is_ascii() => self.at += 1,
                Some(_) => self.wide_char()?,
            }
        }
    }

    /// The rest of a string after its opening backtick.
    pub(super) fn raw_string(&mut self) -> Result<TokenKind, String> {
        loop {
            match self.peek() {
                None => return Err("unterminated raw string".to_owned()),
                Some(b'`') => {
                    self.at += 1;
                    return Ok(TokenKind::String);
                }
                Some(byte) if byte.is_ascii() => self.at += 1,
                Some(_) => self.wide_char()?,
            }
        }
    }

    fn wide_char(&mut self) -> Result<(), String> {
        let c = decode_char(&self.input[self.at..]).ok_or("invalid UTF-8 rune")?;
        self.at += c.len_utf8();
        Ok(())
    }

    /// What follows a backslash.
    fn escape(&mut self, quote: u8) -> Result<(), String> {
        const NOT_TERMINATED: &str = "escape sequence not terminated";
        let Some(byte) = self.peek() else { return Err(NOT_TERMINATED.to_owned()) };
        let (digits, base, max) = match byte {
            b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v' | b'\\' => {
                self.at += 1;
                return Ok(());
            }
            _ if byte == quote => {
                self.at += 1;
                return Ok(());
            }
            b'0'..=b'7' => (3, 8, 255),
            b'x' => (2, 16, 255),
            b'u' => (4, 16, u32::from(char::MAX)),
            b'U' => (8, 16, u32::from(char::MAX)),
            _ => return Err(format!("unknown escape sequence {}", code_point(&self.input[self.at..]))),
        };
        self.at += usize::from(base == 16);
        let mut value: u64 = 0;
        for _ in 0..digits {
            let Some(byte) = self.peek() else { return Err(NOT_TERMINATED.to_owned()) };
            let Some(digit) = char::from(byte).to_digit(base) else {
                let illegal = code_point(&self.input[self.at..]);
                return Err(format!("illegal character {illegal} in escape sequence"));
            };
            value = value * u64::from(base) + u64::from(digit);
            self.at += 1;
        }
        if value > u64::from(max) || (0xd800..0xe000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }
}
