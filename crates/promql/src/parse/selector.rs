//! Series selectors: `name{label="value"}`, `{"quoted name", label=~"regex"}`.

use nave_model::label::METRIC_NAME;
use nave_model::matcher::{MatchOp, Matcher};

use super::{Parsed, Parser, Stop};
use crate::ast::{BinaryOp, Expr, ExprKind, Position, Selector, Span};
use crate::lex::{Token, TokenKind};

const CONTEXT: &str = "label matching";

impl Parser<'_> {
    /// A selector that starts at the token ahead.
    pub(super) fn selector(&mut self) -> Parsed<Expr> {
        self.height = 1;
        if self.token.kind == TokenKind::LeftBrace {
            let (matchers, pos) = self.matchers()?;
            return Ok(new_selector(String::new(), matchers, pos));
        }
        if !self.token.kind.is_metric_name() {
            return Err(Stop::Unexpected);
        }
        let name = self.advance();
        self.selector_named(name)
    }

    /// A selector whose name has been taken.
    pub(super) fn selector_named(&mut self, name: Token) -> Parsed<Expr> {
        let text = String::from_utf8_lossy(self.lexer.text(name)).into_owned();
        let (mut matchers, pos) = match self.token.kind {
            TokenKind::LeftBrace => {
                let (matchers, end) = self.matchers()?;
                (matchers, name.pos.to(end))
            }
            _ => (Vec::with_capacity(1), name.pos),
        };
        matchers.push(Matcher::metric_name(&text));
        Ok(new_selector(text, matchers, pos))
    }

    /// `{a="b", ...}` and where it stands.
    fn matchers(&mut self) -> Parsed<(Vec<Matcher>, Position)> {
        let open = self.expect(TokenKind::LeftBrace)?;
        let mut matchers = Vec::new();
        if let Some(close) = self.accept(TokenKind::RightBrace) {
            return Ok((matchers, open.pos.to(close.pos)));
        }
        loop {
            self.matcher(&mut matchers)?;
            let comma = self.accept(TokenKind::Comma).is_some();
            if let Some(close) = self.accept(TokenKind::RightBrace) {
                return Ok((matchers, open.pos.to(close.pos)));
            }
            if !comma {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    /// `label="value"`, `"quoted label"="value"` or `"quoted metric name"`.
    fn matcher(&mut self, matchers: &mut Vec<Matcher>) -> Parsed<()> {
        let start = self.token.pos;
        let quoted = self.token.kind == TokenKind::String;
        let name = match self.token.kind {
            TokenKind::Identifier => {
                let token = self.advance();
                String::from_utf8_lossy(self.lexer.text(token)).into_owned()
            }
            TokenKind::String => {
                let token = self.advance();
                self.text(token)?
            }
            _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
        };
        let op = match self.token.kind {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Op(BinaryOp::NotEqual) => MatchOp::NotEqual,
            TokenKind::MatchRegex => MatchOp::Regex,
            TokenKind::MatchNotRegex => MatchOp::NotRegex,
            _ if quoted => {
                matchers.push(Matcher::metric_name(&name));
                return Ok(());
            }
            _ => return Err(self.unexpected(CONTEXT, "label matching operator")),
        };
        self.advance();
        if self.token.kind != TokenKind::String {
            return Err(self.unexpected(CONTEXT, "string"));
        }
        let value = self.advance();
        let text = self.text(value)?;
        match Matcher::new(op, &name, &text) {
            Ok(matcher) => matchers.push(matcher),
            Err(error) => self.error(start.to(value.pos), error.to_string()),
        }
        Ok(())
    }
}

fn new_selector(name: String, matchers: Vec<Matcher>, pos: Position) -> Expr {
    let selector = Selector { name, matchers, offset: Span::Fixed(0), at: None, edge: None };
    Expr { pos, kind: ExprKind::Selector(selector) }
}

/// Whether a matcher is the one that the name before the braces stands for.
pub(crate) fn is_name_matcher(matcher: &Matcher, name: &str) -> bool {
    matcher.name() == METRIC_NAME && matcher.op() == MatchOp::Equal && matcher.value() == name
}
