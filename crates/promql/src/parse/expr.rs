//! Operands: literals, selectors, calls, parentheses, unary operators, and what may follow them.

use super::{Parsed, Parser, Stop};
use crate::ast::{BinaryOp, Call, Expr, ExprKind, Position, Unary};
use crate::function::{Function, function};
use crate::lex::{Token, TokenKind};
use crate::parse::binary::Precedence;

impl Parser<'_> {
    /// An expression.
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.binary(Precedence::Lowest)
    }

    /// What stands between binary operators.
    pub(super) fn operand(&mut self) -> Parsed<Expr> {
        match self.token.kind {
            TokenKind::Op(BinaryOp::Add | BinaryOp::Sub) => self.nested(Self::unary),
            _ => {
                let primary = self.primary()?;
                self.modifiers(primary)
            }
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let sign = self.advance();
        let negative = sign.kind == TokenKind::Op(BinaryOp::Sub);
        // Binds like multiplication: only a power on its right belongs to it.
        let mut expr = self.binary(Precedence::Power)?;
        let pos = sign.pos.to(expr.pos);
        if let ExprKind::Number(number) = &mut expr.kind {
            number.value = if negative { -number.value } else { number.value };
            expr.pos = pos;
            return Ok(expr);
        }
        self.grow(self.height)?;
        Ok(Expr { pos, kind: ExprKind::Unary(Unary { negative, expr: Box::new(expr) }) })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        self.height = 1;
        match self.token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let token = self.advance();
                Ok(Expr { pos: token.pos, kind: ExprKind::Number(self.number(token)) })
            }
            TokenKind::String => {
                let token = self.advance();
                Ok(Expr { pos: token.pos, kind: ExprKind::String(self.string(token)) })
            }
            TokenKind::LeftParen => self.nested(Self::paren),
            TokenKind::LeftBrace => self.selector(),
            TokenKind::Aggregate(op) => self.aggregate_or_selector(op),
            TokenKind::Identifier
            | TokenKind::Start
            | TokenKind::End
            | TokenKind::Step
            | TokenKind::Range => {
                let name = self.advance();
                match self.token.kind {
                    TokenKind::LeftParen => self.nested(|parser| parser.call(name)),
                    _ => self.selector_named(name),
                }
            }
            kind if kind.is_metric_name() => self.selector(),
            _ => Err(Stop::Unexpected),
        }
    }

    fn paren(&mut self) -> Parsed<Expr> {
        let open = self.advance();
        let inner = self.expr()?;
        self.grow(self.height)?;
        let close = self.expect(TokenKind::RightParen)?;
        Ok(Expr { pos: open.pos.to(close.pos), kind: ExprKind::Paren(Box::new(inner)) })
    }

    fn call(&mut self, name: Token) -> Parsed<Expr> {
        let (args, close) = self.arguments()?;
        let pos = name.pos.to(close);
        match self.known_function(name) {
            Some(function) => Ok(Expr { pos, kind: ExprKind::Call(Call { function, args }) }),
            // Reported; any expression will do in its place, because types are not checked any more.
            None => Ok(Expr { pos, kind: ExprKind::String(crate::ast::ByteString::default()) }),
        }
    }

    fn known_function(&mut self, name: Token) -> Option<&'static Function> {
        let text = String::from_utf8_lossy(self.lexer.text(name));
        let Some(function) = function(&text) else {
            self.error(name.pos, format!("unknown function with name \"{text}\""));
            return None;
        };
        if function.experimental && !self.options.experimental_functions {
            self.error(name.pos, format!("function \"{text}\" is not enabled"));
        }
        Some(function)
    }

    /// `(a, b)` and where it ends.
    pub(super) fn arguments(&mut self) -> Parsed<(Vec<Expr>, Position)> {
        self.expect(TokenKind::LeftParen)?;
        let mut args = Vec::new();
        let mut height = 0;
        if self.token.kind != TokenKind::RightParen {
            loop {
                args.push(self.expr()?);
                height = height.max(self.height);
                let Some(comma) = self.accept(TokenKind::Comma) else { break };
                if !self.starts_expr() {
                    self.error(comma.pos, "trailing commas not allowed in function call args");
                    break;
                }
            }
        }
        let close = self.expect(TokenKind::RightParen)?;
        self.grow(height)?;
        Ok((args, close.pos))
    }

    fn starts_expr(&self) -> bool {
        use TokenKind as T;
        let kind = self.token.kind;
        matches!(kind, T::Number | T::Duration | T::String | T::LeftParen | T::LeftBrace)
            || matches!(kind, T::Op(BinaryOp::Add | BinaryOp::Sub))
            || kind.is_metric_name()
    }
}
