//! Aggregations: `sum by (a) (x)`, `sum(x) by (a)`, `topk(5, x)`.

use super::{Parsed, Parser, Stop};
use crate::ast::{Aggregate, AggregateOp, ByteString, Expr, ExprKind, Position};
use crate::lex::{Token, TokenKind};

#[derive(Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

impl Parser<'_> {
    /// An aggregation, or a selector of a metric that is called like one.
    pub(super) fn aggregate_or_selector(&mut self, op: AggregateOp) -> Parsed<Expr> {
        let name = self.advance();
        match self.token.kind {
            TokenKind::LeftParen | TokenKind::By | TokenKind::Without => {
                self.nested(|parser| parser.aggregate(op, name))
            }
            _ => self.selector_named(name),
        }
    }

    fn aggregate(&mut self, op: AggregateOp, name: Token) -> Parsed<Expr> {
        if op.is_experimental() && !self.options.experimental_functions {
            let message = format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            );
            self.error(name.pos, message);
        }
        let (grouping, args, end) = match self.aggregate_body() {
            Ok(body) => body,
            Err(Stop::Unexpected) => {
                let stop = self.unexpected("aggregation", "");
                let pos = Position { start: name.pos.start, end: name.pos.start };
                self.error(pos, "no arguments for aggregate expression provided");
                return Err(stop);
            }
            Err(stop) => return Err(stop),
        };
        Ok(self.new_aggregate(op, name.pos.to(end), grouping, args))
    }

    fn aggregate_body(&mut self) -> Parsed<(Grouping, Vec<Expr>, Position)> {
        let before = self.aggregate_grouping()?;
        let (args, end) = self.arguments()?;
        if let Some((grouping, _)) = before {
            return Ok((grouping, args, end));
        }
        Ok(match self.aggregate_grouping()? {
            Some((grouping, end)) => (grouping, args, end),
            None => (Grouping::default(), args, end),
        })
    }

    fn aggregate_grouping(&mut self) -> Parsed<Option<(Grouping, Position)>> {
        if !matches!(self.token.kind, TokenKind::By | TokenKind::Without) {
            return Ok(None);
        }
        let without = self.advance().kind == TokenKind::Without;
        let labels = self.grouping()?;
        Ok(Some((Grouping { labels, without }, self.last)))
    }

    fn new_aggregate(
        &mut self,
        op: AggregateOp,
        pos: Position,
        grouping: Grouping,
        mut args: Vec<Expr>,
    ) -> Expr {
        let wanted = if op.param_type().is_some() { 2 } else { 1 };
        if args.is_empty() {
            self.error(pos, "no arguments for aggregate expression provided");
        } else if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            self.error(pos, message);
        }
        if args.len() != wanted {
            // Reported; types are not checked any more.
            return Expr { pos, kind: ExprKind::String(ByteString::default()) };
        }
        let expr = Box::new(args.remove(wanted - 1));
        let param = args.pop().map(Box::new);
        let Grouping { labels, without } = grouping;
        Expr { pos, kind: ExprKind::Aggregate(Aggregate { op, expr, param, grouping: labels, without }) }
    }
}
