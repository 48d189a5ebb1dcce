//! Bytes of a query to tokens, one at a time, without allocation.
//!
//! The lexer has three modes, as upstream's: between expressions, inside `{}` (no keywords, other
//! operators) and inside `[]` (durations only). It works on bytes, because string literals may hold
//! anything; text outside of strings is ASCII. After [`TokenKind::Error`] or [`TokenKind::Eof`] it
//! repeats itself.
//!
//! Texts of errors and where they point are upstream's, oddities included: the range of a lexical error
//! reaches to the end of the query.

mod number;
mod string;
mod token;

pub(crate) use token::{Token, TokenKind};

use crate::ast::{BinaryOp, Position};
use crate::quote::quote_char;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Statement,
    Braces,
    Brackets,
}

/// What was wrong, once something was.
#[derive(Debug, Clone)]
pub(crate) struct LexError {
    pub(crate) start: u32,
    pub(crate) message: String,
}

/// Gives the tokens of a query.
pub(crate) struct Lexer<'a> {
    input: &'a [u8],
    /// The next byte.
    at: usize,
    /// Where the current token starts.
    start: usize,
    mode: Mode,
    parens_open: u32,
    /// In brackets: whether an operand has just ended, so that an operator, `:` or `]` is next.
    after_operand: bool,
    /// In brackets: whether `:` was seen.
    colon_seen: bool,
    error: Option<LexError>,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            at: 0,
            start: 0,
            mode: Mode::Statement,
            parens_open: 0,
            after_operand: false,
            colon_seen: false,
            error: None,
        }
    }

    /// Starts at byte `at`, just after an opening brace, as in a series description.
    pub(crate) fn inside_braces_at(input: &'a [u8], at: usize) -> Self {
        Self { at, start: at, mode: Mode::Braces, ..Self::new(input) }
    }

    /// The bytes of a token.
    pub(crate) fn text(&self, token: Token) -> &'a [u8] {
        &self.input[token.pos.start as usize..token.pos.end as usize]
    }

    pub(crate) fn input(&self) -> &'a [u8] {
        self.input
    }

    /// The error behind a [`TokenKind::Error`], once.
    pub(crate) fn take_error(&mut self) -> Option<LexError> {
        self.error.take()
    }

    /// The next token.
    pub(crate) fn next(&mut self) -> Token {
        self.skip_blank();
        self.start = self.at;
        let kind = match self.mode {
            Mode::Statement => self.statement(),
            Mode::Braces => self.inside_braces(),
            Mode::Brackets => self.inside_brackets(),
        };
        let kind = kind.unwrap_or_else(|message| {
            self.error = Some(LexError { start: offset(self.start), message });
            self.at = self.input.len();
            TokenKind::Error
        });
        self.after_operand = matches!(kind, TokenKind::Number | TokenKind::Duration | TokenKind::RightParen);
        let start = if kind == TokenKind::Error { self.at } else { self.start };
        Token { kind, pos: Position { start: offset(start), end: offset(self.at) } }
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn accept(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let found = self.peek().is_some_and(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip_blank(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    let rest = &self.input[self.at..];
                    self.at += rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                }
                _ => break,
            }
        }
    }

    /// The character at the last bumped byte, as error messages show it.
    fn last_char(&self) -> String {
        quote_char(&self.input[self.at - 1..])
    }

    fn statement(&mut self) -> Result<TokenKind, String> {
        let Some(byte) = self.bump() else {
            return if self.parens_open > 0 {
                Err("unclosed left parenthesis".to_owned())
            } else {
                Ok(TokenKind::Eof)
            };
        };
        Ok(match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' => self.word(),
            b'0'..=b'9' => return self.number_or_duration(),
            b'.' if self.peek().is_some_and(|b| b.is_ascii_digit()) => return self.number_or_duration(),
            b'"' | b'\'' => return self.quoted_string(byte),
            b'`' => return self.raw_string(),
            b',' => TokenKind::Comma,
            b'(' => {
                self.parens_open += 1;
                TokenKind::LeftParen
            }
            b')' => return self.close_paren(),
            b'{' => {
                self.mode = Mode::Braces;
                TokenKind::LeftBrace
            }
            b'[' => {
                self.mode = Mode::Brackets;
                self.colon_seen = false;
                TokenKind::LeftBracket
            }
            b']' => return Err("unexpected right bracket ']'".to_owned()),
            b'@' => TokenKind::At,
            _ => return self.operator(byte),
        })
    }

    fn close_paren(&mut self) -> Result<TokenKind, String> {
        if self.parens_open == 0 {
            self.start = self.at;
            return Err("unexpected right parenthesis ')'".to_owned());
        }
        self.parens_open -= 1;
        Ok(TokenKind::RightParen)
    }

    fn operator(&mut self, byte: u8) -> Result<TokenKind, String> {
        Ok(TokenKind::Op(match byte {
            b'+' => BinaryOp::Add,
            b'-' => BinaryOp::Sub,
            b'*' => BinaryOp::Mul,
            b'/' => BinaryOp::Div,
            b'%' => BinaryOp::Mod,
            b'^' => BinaryOp::Pow,
            b'=' if self.accept(|b| b == b'=') => BinaryOp::Equal,
            b'=' if self.peek() == Some(b'~') => return Err("unexpected character after '=': '~'".to_owned()),
            b'=' => return Ok(TokenKind::Assign),
            b'!' if self.accept(|b| b == b'=') => BinaryOp::NotEqual,
            b'!' => {
                let next = quote_char(&self.input[self.at..]);
                return Err(format!("unexpected character after '!': {next}"));
            }
            b'<' if self.accept(|b| b == b'=') => BinaryOp::LessEqual,
            b'<' if self.accept(|b| b == b'/') => BinaryOp::TrimUpper,
            b'<' => BinaryOp::Less,
            b'>' if self.accept(|b| b == b'=') => BinaryOp::GreaterEqual,
            b'>' if self.accept(|b| b == b'/') => BinaryOp::TrimLower,
            b'>' => BinaryOp::Greater,
            _ => return Err(format!("unexpected character: {}", self.last_char())),
        }))
    }

    fn word(&mut self) -> TokenKind {
        while self.accept(|b| is_word(b) || b == b':') {}
        let word = &self.input[self.start..self.at];
        match token::keyword(word) {
            Some(kind) => kind,
            None if word.contains(&b':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        }
    }

    fn inside_braces(&mut self) -> Result<TokenKind, String> {
        let Some(byte) = self.bump() else {
            return Err("unexpected end of input inside braces".to_owned());
        };
        Ok(match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                while self.accept(is_word) {}
                TokenKind::Identifier
            }
            b',' => TokenKind::Comma,
            b'"' | b'\'' => return self.quoted_string(byte),
            b'`' => return self.raw_string(),
            b'=' if self.accept(|b| b == b'~') => TokenKind::MatchRegex,
            b'=' => TokenKind::Assign,
            b'!' if self.accept(|b| b == b'~') => TokenKind::MatchNotRegex,
            b'!' if self.accept(|b| b == b'=') => TokenKind::Op(BinaryOp::NotEqual),
            b'!' => {
                let next = quote_char(&self.input[self.at..]);
                return Err(format!("unexpected character after '!' inside braces: {next}"));
            }
            b'{' => return Err("unexpected left brace '{'".to_owned()),
            b'}' => {
                self.mode = Mode::Statement;
                TokenKind::RightBrace
            }
            _ => return Err(format!("unexpected character inside braces: {}", self.last_char())),
        })
    }

    fn inside_brackets(&mut self) -> Result<TokenKind, String> {
        let Some(byte) = self.bump() else {
            let message = match (self.parens_open, self.after_operand) {
                (_, false) => "unexpected end of input in duration expression",
                (0, true) => "unclosed left bracket",
                (_, true) => "unclosed left parenthesis",
            };
            return Err(message.to_owned());
        };
        Ok(match byte {
            b']' => {
                self.mode = Mode::Statement;
                TokenKind::RightBracket
            }
            b':' => return self.colon(),
            b'(' => {
                self.parens_open += 1;
                TokenKind::LeftParen
            }
            b')' => return self.close_paren(),
            b',' => TokenKind::Comma,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'^' => return self.operator(byte),
            b'0'..=b'9' => return self.number_or_duration(),
            b'.' if self.peek().is_some_and(|b| b.is_ascii_digit()) => return self.number_or_duration(),
            _ if is_word(byte) => return self.duration_word(),
            b'"' | b'\'' if self.after_operand => return self.quoted_string(byte),
            _ if self.after_operand => return Err(format!("unexpected character: {}", self.last_char())),
            _ => return Err(format!("unexpected character in duration expression: {}", self.last_char())),
        })
    }

    fn colon(&mut self) -> Result<TokenKind, String> {
        if self.colon_seen {
            return Err("unexpected repeated colon in duration expression".to_owned());
        }
        if !self.after_operand {
            return Err("unexpected colon before duration in duration expression".to_owned());
        }
        self.colon_seen = true;
        Ok(TokenKind::Colon)
    }

    /// `step`, `range`, `min_of`, `max_of`; nothing else may stand in brackets.
    fn duration_word(&mut self) -> Result<TokenKind, String> {
        while self.accept(is_word) {}
        let word = &self.input[self.start..self.at];
        match token::keyword(word) {
            Some(kind @ (TokenKind::Step | TokenKind::Range)) => Ok(kind),
            _ if word.eq_ignore_ascii_case(b"min_of") || word.eq_ignore_ascii_case(b"max_of") => {
                Ok(TokenKind::Identifier)
            }
            _ => {
                let first = char::from(word[0]);
                Err(if self.after_operand {
                    format!("unexpected character: '{first}', expected ':'")
                } else {
                    format!("unexpected character in duration expression: '{first}'")
                })
            }
        }
    }
}

/// Offsets are 32 bits: [`crate::parse::QUERY_BYTES_MAX`] is far below.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(query: &str) -> String {
        let mut lexer = Lexer::new(query.as_bytes());
        let mut out = Vec::new();
        loop {
            let token = lexer.next();
            match token.kind {
                TokenKind::Eof => return out.join(" "),
                TokenKind::Error => {
                    let error = lexer.take_error().unwrap();
                    out.push(format!("{}:{}", error.start, error.message));
                    return out.join(" ");
                }
                kind => out.push(format!("{kind:?}")),
            }
        }
    }

    #[test]
    fn tokens() {
        let check = |query: &str, want: &str| assert_eq!(kinds(query), want, "{query}");
        check("", "");
        check(" # all of it\n", "");
        check("a:b{c=~'d'}", "MetricIdentifier LeftBrace Identifier MatchRegex String RightBrace");
        check("sum{sum=\"1\"}", "Aggregate(Sum) LeftBrace Identifier Assign String RightBrace");
        check("a >= BOOL 0x1F", "Identifier Op(GreaterEqual) Bool Number");
        check("1e5 1_000 .5 5. 5m30s", "Number Number Number Number Duration");
        check(
            "a[5m:1m+step()]",
            "Identifier LeftBracket Duration Colon Duration Op(Add) Step LeftParen RightParen RightBracket",
        );
        check("1ab", "0:bad number or duration syntax: \"1\"");
        check("a $", "Identifier 2:unexpected character: '$'");
        check("a ä", "Identifier 2:unexpected character: 'ä'");
        check("!", "0:unexpected character after '!': -1");
    }
}
