//! What follows an operand: `[range]`, `[range:step]`, `offset`, `@`, `anchored`, `smoothed`.

use nave_model::time::Timestamp;

use super::{Parsed, Parser};
use crate::ast::{At, Edge, Expr, ExprKind, Matrix, Position, Selector, Span, Subquery};
use crate::lex::TokenKind;

const RANGE_CONTEXT: &str = "subquery or range selector";
const RANGE_EXPECTED: &str = "number, duration, step(), or range()";

/// The modifiers of one selector or subquery.
struct Slots<'e> {
    offset: &'e mut Span,
    at: &'e mut Option<At>,
    edge: Option<&'e mut Option<Edge>>,
}

fn slots(expr: &mut Expr) -> Option<Slots<'_>> {
    fn of(selector: &mut Selector) -> Slots<'_> {
        Slots { offset: &mut selector.offset, at: &mut selector.at, edge: Some(&mut selector.edge) }
    }
    match &mut expr.kind {
        ExprKind::Selector(selector) => Some(of(selector)),
        ExprKind::Matrix(matrix) => Some(of(&mut matrix.selector)),
        ExprKind::Subquery(subquery) => {
            Some(Slots { offset: &mut subquery.offset, at: &mut subquery.at, edge: None })
        }
        _ => None,
    }
}

impl Parser<'_> {
    /// `expr` with everything that follows it.
    pub(super) fn modifiers(&mut self, mut expr: Expr) -> Parsed<Expr> {
        // A range on what is no selector has been reported; what follows it is reported as upstream does.
        let mut broken = false;
        loop {
            match self.token.kind {
                TokenKind::LeftBracket => expr = self.range(expr, &mut broken)?,
                TokenKind::Offset => self.offset(&mut expr, broken)?,
                TokenKind::At => self.at(&mut expr, broken)?,
                TokenKind::Anchored => self.edge(&mut expr, Edge::Anchored, broken),
                TokenKind::Smoothed => self.edge(&mut expr, Edge::Smoothed, broken),
                _ => return Ok(expr),
            }
        }
    }

    fn range(&mut self, expr: Expr, broken: &mut bool) -> Parsed<Expr> {
        let open = self.advance();
        let range =
            self.positive_duration().map_err(|stop| self.instead(&stop, RANGE_CONTEXT, RANGE_EXPECTED))?;
        if self.accept(TokenKind::Colon).is_some() {
            return self.subquery(expr, range);
        }
        if self.token.kind != TokenKind::RightBracket {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        }
        let close = self.advance();
        let pos = expr.pos.to(close.pos);
        let selector_pos = expr.pos;
        let selector = match expr.kind {
            ExprKind::Selector(selector) => selector,
            kind => {
                self.error(open.pos.to(close.pos), "ranges only allowed for vector selectors");
                *broken = true;
                return Ok(Expr { pos, kind });
            }
        };
        if selector.offset != Span::Fixed(0) {
            self.error(open.pos.to(close.pos), "no offset modifiers allowed before range");
        } else if selector.at.is_some() {
            self.error(open.pos.to(close.pos), "no @ modifiers allowed before range");
        }
        Ok(Expr { pos, kind: ExprKind::Matrix(Matrix { selector, selector_pos, range }) })
    }

    fn subquery(&mut self, expr: Expr, range: Span) -> Parsed<Expr> {
        const CONTEXT: &str = "subquery selector";
        let step = match self.token.kind {
            TokenKind::RightBracket => None,
            _ => Some(self.positive_duration().map_err(|stop| {
                self.instead(&stop, CONTEXT, "number, duration, step(), range(), or \"]\"")
            })?),
        };
        if self.token.kind != TokenKind::RightBracket {
            return Err(self.unexpected(CONTEXT, "\"]\""));
        }
        let close = self.advance();
        self.grow(self.height)?;
        let pos = expr.pos.to(close.pos);
        let subquery = Subquery { expr: Box::new(expr), range, step, offset: Span::Fixed(0), at: None };
        Ok(Expr { pos, kind: ExprKind::Subquery(subquery) })
    }

    fn offset(&mut self, expr: &mut Expr, broken: bool) -> Parsed<()> {
        self.advance();
        let (offset, end) =
            self.offset_duration().map_err(|stop| self.instead(&stop, "offset", RANGE_EXPECTED))?;
        let message = match slots(expr) {
            _ if broken => "ranges only allowed for vector selectors",
            Some(slots) if *slots.offset == Span::Fixed(0) => {
                *slots.offset = offset;
                expr.pos.end = end.end;
                return Ok(());
            }
            Some(_) => "offset may not be set multiple times",
            None => {
                "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery"
            }
        };
        self.error(expr.pos, message);
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr, broken: bool) -> Parsed<()> {
        self.advance();
        let (at, end) = match self.token.kind {
            TokenKind::Start | TokenKind::End => self.at_edge_of_query()?,
            _ => {
                let seconds = self.signed_number().map_err(|_| self.unexpected("@", "timestamp"))?;
                (self.at_time(expr.pos, seconds), self.last)
            }
        };
        let Some(at) = at else { return Ok(()) };
        let message = match slots(expr) {
            _ if broken => "ranges only allowed for vector selectors",
            Some(slots) if slots.at.is_none() => {
                *slots.at = Some(at);
                expr.pos.end = end.end;
                return Ok(());
            }
            Some(_) => "@ <timestamp> may not be set multiple times",
            None => {
                "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery"
            }
        };
        self.error(expr.pos, message);
        Ok(())
    }

    /// `start()` or `end()`.
    fn at_edge_of_query(&mut self) -> Parsed<(Option<At>, Position)> {
        let at = if self.advance().kind == TokenKind::Start { At::Start } else { At::End };
        for kind in [TokenKind::LeftParen, TokenKind::RightParen] {
            if self.token.kind != kind {
                return Err(self.unexpected("@", "timestamp"));
            }
            if kind == TokenKind::LeftParen {
                self.advance();
            }
        }
        let close = self.advance();
        Ok((Some(at), close.pos))
    }

    fn at_time(&mut self, pos: Position, seconds: f64) -> Option<At> {
        let limit = i64::MAX as f64;
        if !seconds.is_finite() || seconds >= limit || seconds <= -limit {
            let shown = match seconds {
                _ if seconds.is_nan() => "NaN".to_owned(),
                _ if seconds.is_infinite() => format!("{}Inf", if seconds > 0.0 { '+' } else { '-' }),
                _ => format!("{seconds:.6}"),
            };
            self.error(pos, format!("timestamp out of bounds for @ modifier: {shown}"));
            return None;
        }
        // Beyond 292 million years the cast saturates, which no data can tell apart.
        Some(At::Time(Timestamp((seconds * 1000.0).round() as i64)))
    }

    fn edge(&mut self, expr: &mut Expr, edge: Edge, broken: bool) {
        let token = self.advance();
        let name = edge.as_str();
        if !self.options.extended_range_selectors {
            self.error(expr.pos, format!("{name} modifier is experimental and not enabled"));
            return;
        }
        if broken {
            return;
        }
        let message = match slots(expr) {
            Some(Slots { edge: Some(slot), .. }) if slot.is_none_or(|known| known == edge) => {
                *slot = Some(edge);
                expr.pos.end = token.pos.end;
                return;
            }
            Some(Slots { edge: Some(_), .. }) => {
                "anchored and smoothed modifiers cannot be used together".to_owned()
            }
            Some(_) => format!("{name} modifier is not supported for subqueries"),
            None => format!("{name} modifier not implemented"),
        };
        self.error(expr.pos, message);
    }
}
