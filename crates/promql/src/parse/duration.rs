//! Durations in ranges and offsets: literals, and expressions over `step()` and `range()`.

use super::{Parsed, Parser, Stop};
use crate::ast::{BinaryOp, DurationExpr, DurationKind, Number, Position, Span};
use crate::lex::TokenKind;
use crate::parse::binary::Precedence;

/// Upstream counts nanoseconds in 63 bits.
const SECONDS_MAX: f64 = (1u64 << 63) as f64 / 1e9;

impl Parser<'_> {
    /// A range or a step: more than nothing.
    pub(super) fn positive_duration(&mut self) -> Parsed<Span> {
        let duration = self.duration(Precedence::Lowest)?;
        if let DurationKind::Number(number) = duration.kind
            && number.value <= 0.0
        {
            self.error(duration.pos, "duration must be greater than 0");
        }
        Ok(into_span(duration))
    }

    /// What follows `offset`, and where it stands. Arithmetic needs parentheses here, because
    /// `a offset 1m - b` is a difference of vectors.
    pub(super) fn offset_duration(&mut self) -> Parsed<(Span, Position)> {
        let duration = match self.token.kind {
            TokenKind::LeftParen => self.duration(Precedence::Lowest)?,
            TokenKind::Op(BinaryOp::Add | BinaryOp::Sub) => {
                let sign = self.advance();
                let operand = self.duration_operand()?;
                self.signed(sign.kind == TokenKind::Op(BinaryOp::Sub), sign.pos, operand)
            }
            _ => self.duration_operand()?,
        };
        let pos = duration.pos;
        Ok((into_span(duration), pos))
    }

    fn duration(&mut self, min: Precedence) -> Parsed<DurationExpr> {
        let mut lhs = match self.token.kind {
            TokenKind::Op(BinaryOp::Add | BinaryOp::Sub) => self.nested(|parser| {
                let sign = parser.advance();
                let operand = parser.duration(Precedence::Power)?;
                Ok(parser.signed(sign.kind == TokenKind::Op(BinaryOp::Sub), sign.pos, operand))
            })?,
            _ => self.duration_operand()?,
        };
        let mut terms = 0;
        while let TokenKind::Op(op) = self.token.kind {
            let precedence = Precedence::of(op);
            if precedence < min
                || !matches!(precedence, Precedence::Sum | Precedence::Product | Precedence::Power)
            {
                break;
            }
            terms += 1;
            self.grow(terms)?;
            let sign = self.advance();
            let rhs = self.nested(|parser| parser.duration(precedence.right()))?;
            lhs = self.duration_binary(op, sign.pos, lhs, rhs);
        }
        Ok(lhs)
    }

    fn duration_binary(
        &mut self,
        op: BinaryOp,
        op_pos: Position,
        lhs: DurationExpr,
        rhs: DurationExpr,
    ) -> DurationExpr {
        let zero = matches!(rhs.kind, DurationKind::Number(number) if number.value == 0.0);
        let message = match op {
            BinaryOp::Div if zero => "division by zero",
            BinaryOp::Mod if zero => "modulo by zero",
            _ => {
                let pos = lhs.pos.to(rhs.pos);
                return DurationExpr { pos, kind: DurationKind::Binary(op, Box::new(lhs), Box::new(rhs)) };
            }
        };
        self.error(op_pos, message);
        nothing()
    }

    fn signed(&mut self, negative: bool, sign: Position, operand: DurationExpr) -> DurationExpr {
        let pos = sign.to(operand.pos);
        match operand.kind {
            DurationKind::Number(number) => {
                let value = if negative { -number.value } else { number.value };
                DurationExpr { pos, kind: DurationKind::Number(Number { value, ..number }) }
            }
            _ if negative => DurationExpr { pos, kind: DurationKind::Negate(Box::new(operand)) },
            _ => operand,
        }
    }

    fn duration_operand(&mut self) -> Parsed<DurationExpr> {
        match self.token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let token = self.advance();
                let number = self.number(token);
                if number.value.abs() > SECONDS_MAX {
                    self.error(token.pos, "duration out of range");
                    return Ok(nothing());
                }
                Ok(DurationExpr { pos: token.pos, kind: DurationKind::Number(number) })
            }
            TokenKind::Step | TokenKind::Range => {
                let name = self.advance();
                self.expect(TokenKind::LeftParen)?;
                let close = self.expect(TokenKind::RightParen)?;
                let kind =
                    if name.kind == TokenKind::Step { DurationKind::Step } else { DurationKind::Range };
                Ok(DurationExpr { pos: name.pos.to(close.pos), kind })
            }
            TokenKind::Identifier => self.nested(Self::duration_choice),
            TokenKind::LeftParen => self.nested(|parser| {
                let open = parser.advance();
                let inner = parser.duration(Precedence::Lowest)?;
                let close = parser.expect(TokenKind::RightParen)?;
                Ok(DurationExpr { pos: open.pos.to(close.pos), kind: DurationKind::Paren(Box::new(inner)) })
            }),
            _ => Err(Stop::Unexpected),
        }
    }

    /// `min_of(a, b)` or `max_of(a, b)`.
    fn duration_choice(&mut self) -> Parsed<DurationExpr> {
        let name = self.lexer.text(self.token);
        let min = name.eq_ignore_ascii_case(b"min_of");
        if !min && !name.eq_ignore_ascii_case(b"max_of") {
            return Err(Stop::Unexpected);
        }
        let name = self.advance();
        self.expect(TokenKind::LeftParen)?;
        let a = Box::new(self.duration(Precedence::Lowest)?);
        self.expect(TokenKind::Comma)?;
        let b = Box::new(self.duration(Precedence::Lowest)?);
        let close = self.expect(TokenKind::RightParen)?;
        let kind = if min { DurationKind::MinOf(a, b) } else { DurationKind::MaxOf(a, b) };
        Ok(DurationExpr { pos: name.pos.to(close.pos), kind })
    }

    /// Reports an unexpected token in the words of the rule around it.
    pub(super) fn instead(&mut self, stop: &Stop, context: &str, expected: &str) -> Stop {
        match stop {
            Stop::Unexpected => self.unexpected(context, expected),
            Stop::Reported => Stop::Reported,
        }
    }
}

/// In place of what was reported.
fn nothing() -> DurationExpr {
    let number = Number { value: 0.0, is_duration: false };
    DurationExpr { pos: Position::default(), kind: DurationKind::Number(number) }
}

fn into_span(duration: DurationExpr) -> Span {
    match duration.kind {
        // Rounded to nanoseconds, then cut to milliseconds, as upstream does.
        DurationKind::Number(number) => Span::Fixed(((number.value * 1e9).round() / 1e6).trunc() as i64),
        _ => Span::Computed(Box::new(duration)),
    }
}
