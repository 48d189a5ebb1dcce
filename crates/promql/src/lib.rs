//! The query language: parse, plan, execute over Select.
