//! The query language: parse, plan, execute over [`nave_model::select::Select`].
//!
//! A query goes through [`parse`] (text to a typed [`Expr`]), a plan and an executor.

pub mod ast;
mod check;
pub mod function;
mod lex;
pub mod parse;
mod print;
mod quote;

pub use ast::Expr;
pub use parse::{ParseError, ParseErrors, ParseOptions, parse, parse_selector};
