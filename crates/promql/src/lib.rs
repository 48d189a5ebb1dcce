//! The query language: parse, plan, execute over [`nave_model::select::Select`].
//!
//! A query goes through [`parse`] (text to a typed [`Expr`]), a plan and an executor.

pub mod ast;
pub mod function;
pub mod parse;

pub use ast::Expr;
pub use parse::{ParseOptions, parse};
