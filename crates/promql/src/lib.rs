//! The query language: parse, plan, execute over [`nave_model::select::Select`].
//!
//! A query goes through [`parse()`] (text to a typed [`Expr`]), a plan and an executor.

pub mod answer;
pub mod ast;
mod check;
pub mod engine;
pub mod error;
mod execute;
pub mod follow;
pub mod function;
mod kernel;
mod lex;
pub mod parse;
mod plan;
mod print;
mod quote;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod testscript;

pub use answer::{Answer, Series, Stats, Value, VectorSample};
pub use ast::Expr;
pub use engine::{Engine, EngineOptions, QueryOptions};
pub use error::QueryError;
pub use follow::{Asked, Follow, Origin};
pub use parse::{ParseError, ParseErrors, ParseOptions, parse, parse_selector};
pub use plan::{Rewrite, Rewrites};
