//! Numbers and durations.
//!
//! What is accepted, and where an error message cuts the text, follow upstream's scanner step by step;
//! the value is computed later, from the text.

use super::{Lexer, TokenKind, is_word};
use crate::quote::quote;

impl Lexer<'_> {
    /// The rest of a number or duration whose first byte was bumped.
    pub(super) fn number_or_duration(&mut self) -> Result<TokenKind, String> {
        self.at = self.start;
        if self.scan_number() {
            return Ok(TokenKind::Number);
        }
        if self.scan_duration() {
            return Ok(TokenKind::Duration);
        }
        let text = &self.input[self.start..self.at];
        Err(format!("bad number or duration syntax: {}", quote(text)))
    }

    fn scan_number(&mut self) -> bool {
        let mut hexadecimal = false;
        if self.accept(|b| b == b'0') && self.accept(|b| matches!(b, b'x' | b'X')) {
            self.accept(|b| b == b'_');
            hexadecimal = true;
        }
        let digit = move |b: u8| if hexadecimal { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
        let exponent = |b: u8| matches!(b, b'e' | b'E');
        self.accept(|b| b == b'.');
        self.accept(digit);
        let (mut dot_seen, mut exponent_seen) = (false, false);
        while let Some(byte) = self.peek() {
            match byte {
                b'.' => {
                    self.at += 1;
                    if dot_seen || self.accept(|b| matches!(b, b'_' | b'.')) || hexadecimal {
                        return false;
                    }
                    dot_seen = true;
                }
                _ if exponent(byte) => {
                    self.at += 1;
                    if exponent_seen {
                        return false;
                    }
                    exponent_seen = true;
                    self.accept(|b| matches!(b, b'+' | b'-'));
                    if self.nothing_after_separator() {
                        return false;
                    }
                }
                b'_' => {
                    self.at += 1;
                    if self.nothing_after_separator() {
                        return false;
                    }
                }
                _ if digit(byte) => while self.accept(digit) {},
                _ => break,
            }
        }
        !self.peek().is_some_and(is_word)
    }

    fn nothing_after_separator(&mut self) -> bool {
        self.accept(|b| matches!(b, b'.' | b'_' | b'e' | b'E')) || self.peek().is_none()
    }

    /// The rest of a duration whose first digits were taken as a number.
    fn scan_duration(&mut self) -> bool {
        let unit = |b: u8| matches!(b, b's' | b'm' | b'h' | b'd' | b'w');
        if !self.accept(|b| unit(b) || b == b'y') {
            return false;
        }
        self.accept(|b| b == b's');
        while self.accept(|b| b.is_ascii_digit()) {
            while self.accept(|b| b.is_ascii_digit()) {}
            if !self.accept(unit) {
                return false;
            }
            self.accept(|b| b == b's');
        }
        // The byte that spoils it belongs into the error message.
        !self.accept(is_word)
    }
}
