//! Text of a query to a typed [`Expr`].
//!
//! A recursive-descent parser with operator precedence over the tokens of `lex`, one token ahead.
//!
//! - Errors are collected: what is wrong in meaning does not stop the parser, what is wrong in form does.
//!   The first error is what users see; all texts and positions follow upstream.
//! - Types are checked (`check`) only when the form is right.
//! - Input is bounded: [`QUERY_BYTES_MAX`] long, [`NESTING_MAX`] nested, trees [`DEPTH_MAX`] high.

mod aggregate;
mod binary;
mod duration;
mod error;
mod expr;
mod literal;
mod modifier;
mod selector;

pub(crate) use error::describe;
pub use error::{ParseError, ParseErrors};
pub(crate) use literal::parse_number;
pub(crate) use selector::is_name_matcher;

use crate::ast::{Expr, Position};
use crate::lex::{Lexer, Token, TokenKind};

/// The longest query in bytes.
pub const QUERY_BYTES_MAX: usize = 4 << 20;

/// The highest tree: how many operators may be chained (`a or b or c ...`).
pub const DEPTH_MAX: u32 = 1000;

/// How deep parentheses, calls and unary operators may be nested.
pub const NESTING_MAX: u32 = 200;

/// Which experimental parts of the language are on. The default is upstream's: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// `promql-experimental-functions`: functions and aggregations marked experimental.
    pub experimental_functions: bool,
    /// `promql-extended-range-selectors`: `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `promql-binop-fill-modifiers`: `fill`, `fill_left`, `fill_right`.
    pub binop_fill_modifiers: bool,
}

impl ParseOptions {
    /// Everything on.
    pub const ALL: Self =
        Self { experimental_functions: true, extended_range_selectors: true, binop_fill_modifiers: true };

    /// Switches the feature with upstream's name on; gives whether there is one.
    pub fn enable(&mut self, feature: &str) -> bool {
        match feature {
            "promql-experimental-functions" => self.experimental_functions = true,
            "promql-extended-range-selectors" => self.extended_range_selectors = true,
            "promql-binop-fill-modifiers" => self.binop_fill_modifiers = true,
            // Stable since 3.14 and always on; the name is still accepted.
            "promql-duration-expr" => {}
            _ => return false,
        }
        true
    }
}

/// Parses a query.
///
/// # Errors
/// What is wrong in form or type, with line and column.
pub fn parse(query: &str, options: &ParseOptions) -> Result<Expr, ParseErrors> {
    parse_bytes(query.as_bytes(), options)
}

/// Parses a query that need not be UTF-8; bytes that are not are errors with a position.
///
/// # Errors
/// What is wrong in form or type, with line and column.
pub fn parse_bytes(query: &[u8], options: &ParseOptions) -> Result<Expr, ParseErrors> {
    let mut parser = Parser::new(query, *options)?;
    let expr = parser.whole();
    match expr {
        Ok(mut expr) if parser.errors.is_empty() => {
            crate::check::check(&mut expr, query, &mut parser.errors);
            if parser.errors.is_empty() { Ok(expr) } else { Err(parser.into_errors()) }
        }
        _ => Err(parser.into_errors()),
    }
}

/// Parses one series selector, as the `match[]` parameter of the HTTP API has it.
///
/// # Errors
/// When it is none, or could match series without any label.
pub fn parse_selector(
    text: &str,
    options: &ParseOptions,
) -> Result<Vec<nave_model::matcher::Matcher>, ParseErrors> {
    let mut parser = Parser::new(text.as_bytes(), *options)?;
    let found = parser.whole_selector();
    match found {
        Ok(mut expr) if parser.errors.is_empty() => {
            crate::check::check(&mut expr, text.as_bytes(), &mut parser.errors);
            match expr.kind {
                crate::ast::ExprKind::Selector(selector) if parser.errors.is_empty() => Ok(selector.matchers),
                _ => Err(parser.into_errors()),
            }
        }
        _ => Err(parser.into_errors()),
    }
}

/// The form is wrong: parsing cannot go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The current token has no place here; not yet reported, so that the rule around it can say what it
    /// expected.
    Unexpected,
    /// Reported already.
    Reported,
}

pub(crate) type Parsed<T> = Result<T, Stop>;

pub(crate) struct Parser<'a> {
    pub(crate) lexer: Lexer<'a>,
    /// The token ahead.
    pub(crate) token: Token,
    /// Where the token taken last stands.
    last: Position,
    options: ParseOptions,
    pub(crate) errors: Vec<ParseError>,
    /// How deep the parser is in nested expressions.
    nesting: u32,
    /// Height of the expression parsed last.
    height: u32,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(query: &'a [u8], options: ParseOptions) -> Result<Self, ParseErrors> {
        if query.len() > QUERY_BYTES_MAX {
            let message = format!("query of {} bytes is longer than {QUERY_BYTES_MAX}", query.len());
            return Err(ParseErrors::one(ParseError::new(Position::default(), message, b"")));
        }
        Ok(Self::over(Lexer::new(query), options))
    }

    pub(crate) fn over(lexer: Lexer<'a>, options: ParseOptions) -> Self {
        let token = Token { kind: TokenKind::Eof, pos: Position::default() };
        let last = Position::default();
        let mut parser = Self { lexer, token, last, options, errors: Vec::new(), nesting: 0, height: 0 };
        parser.advance();
        parser
    }

    pub(crate) fn into_errors(self) -> ParseErrors {
        ParseErrors::new(self.errors)
    }

    /// One expression and nothing after it.
    fn whole(&mut self) -> Parsed<Expr> {
        if self.token.kind == TokenKind::Eof {
            return Err(self.fail(Position::default(), "no expression found in input"));
        }
        let expr = self.expr().map_err(|stop| self.report(&stop))?;
        self.end()?;
        Ok(expr)
    }

    fn whole_selector(&mut self) -> Parsed<Expr> {
        let selector = self.selector().map_err(|stop| self.report(&stop))?;
        self.end()?;
        Ok(selector)
    }

    fn end(&mut self) -> Parsed<()> {
        if self.token.kind == TokenKind::Eof { Ok(()) } else { Err(self.unexpected("", "")) }
    }

    /// Takes the token ahead and reads the next one.
    pub(crate) fn advance(&mut self) -> Token {
        let token = self.token;
        self.last = token.pos;
        self.token = self.lexer.next();
        if self.token.kind == TokenKind::Error
            && let Some(error) = self.lexer.take_error()
        {
            let end = u32::try_from(self.lexer.input().len()).unwrap_or(u32::MAX);
            self.error(Position { start: error.start, end }, error.message);
        }
        token
    }

    /// Takes the token ahead when it is a `kind`.
    pub(crate) fn accept(&mut self, kind: TokenKind) -> Option<Token> {
        (self.token.kind == kind).then(|| self.advance())
    }

    /// Takes the token ahead, which must be a `kind`.
    pub(crate) fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        self.accept(kind).ok_or(Stop::Unexpected)
    }

    /// Reports what is wrong in meaning.
    pub(crate) fn error(&mut self, pos: Position, message: impl Into<String>) {
        let error = ParseError::new(pos, message.into(), self.lexer.input());
        self.errors.push(error);
    }

    /// Reports what stops the parser.
    pub(crate) fn fail(&mut self, pos: Position, message: impl Into<String>) -> Stop {
        self.error(pos, message);
        Stop::Reported
    }

    /// Reports that the token ahead has no place here. What the lexer has reported is not reported again.
    pub(crate) fn unexpected(&mut self, context: &str, expected: &str) -> Stop {
        if self.token.kind != TokenKind::Error {
            let found = error::describe(self.token.kind, self.lexer.text(self.token));
            let context = if context.is_empty() { String::new() } else { format!(" in {context}") };
            let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
            self.error(self.token.pos, format!("unexpected {found}{context}{expected}"));
        }
        Stop::Reported
    }

    /// Reports a stop that no rule has reported.
    fn report(&mut self, stop: &Stop) -> Stop {
        match stop {
            Stop::Unexpected => self.unexpected("", ""),
            Stop::Reported => Stop::Reported,
        }
    }

    /// Runs `rule` one level deeper.
    fn nested<T>(&mut self, rule: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.nesting == NESTING_MAX {
            let message = format!("expression is nested deeper than {NESTING_MAX} levels");
            return Err(self.fail(self.token.pos, message));
        }
        self.nesting += 1;
        let result = rule(self);
        self.nesting -= 1;
        result
    }

    /// Sets the height of the expression that is being built over one of height `below`.
    fn grow(&mut self, below: u32) -> Parsed<()> {
        if below >= DEPTH_MAX {
            let message = format!("expression has more than {DEPTH_MAX} operators in a chain");
            return Err(self.fail(self.token.pos, message));
        }
        self.height = below + 1;
        Ok(())
    }
}
