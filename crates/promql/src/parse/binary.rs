//! Binary operators: precedence, associativity and how vectors are matched.

use super::{Parsed, Parser, Stop};
use crate::ast::{Binary, BinaryOp, Cardinality, Expr, ExprKind, Matching, Position};
use crate::lex::TokenKind;

/// How strongly an operator binds, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Precedence {
    Lowest,
    Or,
    And,
    Comparison,
    Sum,
    Product,
    Power,
    Highest,
}

impl Precedence {
    pub(crate) fn of(op: BinaryOp) -> Self {
        use BinaryOp as B;
        match op {
            B::Or => Self::Or,
            B::And | B::Unless => Self::And,
            B::Equal | B::NotEqual | B::Less | B::LessEqual | B::Greater | B::GreaterEqual => {
                Self::Comparison
            }
            B::TrimUpper | B::TrimLower => Self::Comparison,
            B::Add | B::Sub => Self::Sum,
            B::Mul | B::Div | B::Mod | B::Atan2 => Self::Product,
            B::Pow => Self::Power,
        }
    }

    /// The weakest operator that may stand in the right operand: all but `^` associate to the left.
    pub(crate) fn right(self) -> Self {
        match self {
            Self::Lowest => Self::Or,
            Self::Or => Self::And,
            Self::And => Self::Comparison,
            Self::Comparison => Self::Sum,
            Self::Sum => Self::Product,
            Self::Product | Self::Power => Self::Power,
            Self::Highest => Self::Highest,
        }
    }
}

/// What stands between an operator and its right side.
struct Modifiers {
    return_bool: bool,
    matching: Matching,
    filled: bool,
}

impl Parser<'_> {
    /// An expression of operators that bind at least as strongly as `min`.
    pub(super) fn binary(&mut self, min: Precedence) -> Parsed<Expr> {
        let mut lhs = self.operand()?;
        while let TokenKind::Op(op) = self.token.kind {
            let precedence = Precedence::of(op);
            if precedence < min {
                break;
            }
            let left_height = self.height;
            self.advance();
            let modifiers = self.binary_modifiers()?;
            // `a ^ b ^ c` recurses; everything else loops.
            let rhs = self.nested(|parser| parser.binary(precedence.right()))?;
            self.grow(self.height.max(left_height))?;
            lhs = self.new_binary(op, modifiers, lhs, rhs);
        }
        Ok(lhs)
    }

    fn new_binary(&mut self, op: BinaryOp, modifiers: Modifiers, lhs: Expr, rhs: Expr) -> Expr {
        let pos = lhs.pos.to(rhs.pos);
        if modifiers.filled && !self.options.binop_fill_modifiers {
            self.error(pos, "binop fill modifiers are experimental and not enabled");
        }
        let binary = Binary {
            op,
            lhs: Box::new(lhs),
            rhs: Box::new(rhs),
            return_bool: modifiers.return_bool,
            matching: Some(modifiers.matching),
        };
        Expr { pos, kind: ExprKind::Binary(binary) }
    }

    fn binary_modifiers(&mut self) -> Parsed<Modifiers> {
        let return_bool = self.accept(TokenKind::Bool).is_some();
        let mut matching = Matching::default();
        if matches!(self.token.kind, TokenKind::On | TokenKind::Ignoring) {
            matching.on = self.advance().kind == TokenKind::On;
            matching.labels = self.grouping()?;
            self.group_side(&mut matching)?;
        }
        let filled = self.fill(&mut matching)?;
        Ok(Modifiers { return_bool, matching, filled })
    }

    /// `group_left` or `group_right`, with or without labels.
    fn group_side(&mut self, matching: &mut Matching) -> Parsed<()> {
        matching.cardinality = match self.token.kind {
            TokenKind::GroupLeft => Cardinality::ManyToOne,
            TokenKind::GroupRight => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        self.advance();
        if self.token.kind == TokenKind::LeftParen {
            matching.include = self.grouping()?;
        }
        Ok(())
    }

    /// `fill(1)`, `fill_left(1)`, `fill_right(1)` or both of the latter; gives whether there was any.
    /// Without a parenthesis these words are names of metrics.
    fn fill(&mut self, matching: &mut Matching) -> Parsed<bool> {
        let mut filled = false;
        loop {
            let kind = self.token.kind;
            if !matches!(kind, TokenKind::Fill | TokenKind::FillLeft | TokenKind::FillRight)
                || !self.parenthesis_follows()
            {
                return Ok(filled);
            }
            let again = match kind {
                TokenKind::Fill => filled,
                TokenKind::FillLeft => matching.fill_left.is_some(),
                _ => matching.fill_right.is_some(),
            };
            if again {
                return Err(Stop::Unexpected);
            }
            self.advance();
            let value = Some(self.fill_value()?);
            match kind {
                TokenKind::Fill => (matching.fill_left, matching.fill_right) = (value, value),
                TokenKind::FillLeft => matching.fill_left = value,
                _ => matching.fill_right = value,
            }
            filled = true;
        }
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let value = self.signed_number().map_err(|_| self.unexpected("fill modifier", "number"))?;
        self.expect(TokenKind::RightParen)?;
        Ok(value)
    }

    /// Whether the byte after the token ahead, blanks aside, opens a parenthesis.
    fn parenthesis_follows(&self) -> bool {
        let rest = &self.lexer.input()[self.token.pos.end as usize..];
        rest.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'(')
    }

    /// `(a, b, "c.d")`.
    pub(super) fn grouping(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        if self.accept(TokenKind::LeftParen).is_none() {
            return Err(self.unexpected(CONTEXT, "\"(\""));
        }
        let mut labels = Vec::new();
        if self.accept(TokenKind::RightParen).is_some() {
            return Ok(labels);
        }
        loop {
            labels.push(self.grouping_label()?);
            let comma = self.accept(TokenKind::Comma).is_some();
            if self.accept(TokenKind::RightParen).is_some() {
                return Ok(labels);
            }
            if !comma {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let pos: Position = self.token.pos;
        let name = match self.token.kind {
            TokenKind::String => {
                let token = self.advance();
                self.text(token)?
            }
            kind if kind.is_label_name() => {
                let token = self.advance();
                String::from_utf8_lossy(self.lexer.text(token)).into_owned()
            }
            _ => return Err(self.unexpected("grouping opts", "label")),
        };
        if name.is_empty() {
            self.error(pos, "invalid label name for grouping: \"\"");
        }
        Ok(name)
    }
}
