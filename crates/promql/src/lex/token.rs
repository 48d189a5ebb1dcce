//! Kinds of tokens, and the table of keywords.

use crate::ast::{AggregateOp, BinaryOp, Position};

/// A piece of the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) pos: Position,
}

/// What a piece of the query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Eof,
    Error,
    Identifier,
    /// An identifier with a colon.
    MetricIdentifier,
    Number,
    Duration,
    String,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    /// `=`
    Assign,
    /// `=~`
    MatchRegex,
    /// `!~`
    MatchNotRegex,
    Op(BinaryOp),
    At,
    Aggregate(AggregateOp),
    Bool,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Offset,
    Anchored,
    Smoothed,
    Fill,
    FillLeft,
    FillRight,
    Start,
    End,
    Step,
    Range,
}

impl TokenKind {
    /// Whether a metric may be called so.
    pub(crate) fn is_metric_name(self) -> bool {
        use TokenKind as T;
        matches!(
            self,
            T::Identifier
                | T::MetricIdentifier
                | T::Aggregate(_)
                | T::By
                | T::Without
                | T::Offset
                | T::Anchored
                | T::Smoothed
                | T::Fill
                | T::FillLeft
                | T::FillRight
                | T::Start
                | T::End
                | T::Step
                | T::Range
                | T::Op(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
        )
    }

    /// Whether a label may be called so without quotes in `by (...)` and the like.
    pub(crate) fn is_label_name(self) -> bool {
        use TokenKind as T;
        self.is_metric_name()
            || matches!(
                self,
                T::Bool | T::On | T::Ignoring | T::GroupLeft | T::GroupRight | T::Op(BinaryOp::Atan2)
            )
    }
}

/// Longer than every keyword.
const KEYWORD_BYTES_MAX: usize = 12;

/// The keyword `word` is, in any letter case.
pub(super) fn keyword(word: &[u8]) -> Option<TokenKind> {
    use AggregateOp as A;
    use TokenKind as T;
    if word.len() > KEYWORD_BYTES_MAX || word.len() < 2 {
        return None;
    }
    let mut lower = [0; KEYWORD_BYTES_MAX];
    let lower = &mut lower[..word.len()];
    lower.copy_from_slice(word);
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"sum" => T::Aggregate(A::Sum),
        b"avg" => T::Aggregate(A::Avg),
        b"count" => T::Aggregate(A::Count),
        b"min" => T::Aggregate(A::Min),
        b"max" => T::Aggregate(A::Max),
        b"group" => T::Aggregate(A::Group),
        b"stddev" => T::Aggregate(A::Stddev),
        b"stdvar" => T::Aggregate(A::Stdvar),
        b"topk" => T::Aggregate(A::Topk),
        b"bottomk" => T::Aggregate(A::Bottomk),
        b"count_values" => T::Aggregate(A::CountValues),
        b"quantile" => T::Aggregate(A::Quantile),
        b"limitk" => T::Aggregate(A::Limitk),
        b"limit_ratio" => T::Aggregate(A::LimitRatio),
        b"and" => T::Op(BinaryOp::And),
        b"or" => T::Op(BinaryOp::Or),
        b"unless" => T::Op(BinaryOp::Unless),
        b"atan2" => T::Op(BinaryOp::Atan2),
        b"bool" => T::Bool,
        b"by" => T::By,
        b"without" => T::Without,
        b"on" => T::On,
        b"ignoring" => T::Ignoring,
        b"group_left" => T::GroupLeft,
        b"group_right" => T::GroupRight,
        b"offset" => T::Offset,
        b"anchored" => T::Anchored,
        b"smoothed" => T::Smoothed,
        b"fill" => T::Fill,
        b"fill_left" => T::FillLeft,
        b"fill_right" => T::FillRight,
        b"start" => T::Start,
        b"end" => T::End,
        b"step" => T::Step,
        b"range" => T::Range,
        b"inf" | b"nan" => T::Number,
        _ => return None,
    })
}
