//! Attributes: names with values of any type, as text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::DEPTH_MAX;
use crate::write_v1::Error;
use crate::write_v1::field::{Fields, Wire, each};

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute {
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads a `KeyValue`.
pub(super) fn attribute(fields: Fields<'_>) -> Result<Attribute, Error> {
    let (key, value) = key_value(fields)?;
    let value = value.map(|value| any(value, 0)).transpose()?.unwrap_or(Any::Text(String::new()));
    Ok(Attribute { key, value: value.text() })
}

/// Bytes as text; what is no UTF-8 is replaced.
pub(super) fn text(fields: Fields<'_>) -> String {
    String::from_utf8_lossy(fields.rest()).into_owned()
}

fn key_value(fields: Fields<'_>) -> Result<(String, Option<Fields<'_>>), Error> {
    let (mut key, mut value) = (String::new(), None);
    each(fields, |number, wire, fields| {
        match (number, wire) {
            (1, Wire::Bytes) => key = text(fields.nested()?),
            (2, Wire::Bytes) => value = Some(fields.nested()?),
            (1 | 2, _) => return fields.wrong_wire(),
            _ => fields.skip(wire)?,
        }
        Ok(())
    })?;
    Ok((key, value))
}

/// A value: as it is shown alone, and within a list or map.
enum Any {
    Text(String),
    Bytes(String),
    /// A number, a bool, a list or a map: JSON already.
    Json(String),
    Unset,
}

impl Any {
    fn text(self) -> String {
        match self {
            Self::Text(text) | Self::Bytes(text) | Self::Json(text) => text,
            Self::Unset => String::new(),
        }
    }

    fn json(self, out: &mut String) {
        match self {
            Self::Text(text) | Self::Bytes(text) => quote(&text, out),
            Self::Json(text) => out.push_str(&text),
            Self::Unset => out.push_str("null"),
        }
    }
}

fn any(fields: Fields<'_>, depth: usize) -> Result<Any, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::Protobuf { offset: fields.at, expected: "an attribute that nests less deep" });
    }
    let mut value = Any::Unset;
    each(fields, |number, wire, fields| {
        value = match (number, wire) {
            (1, Wire::Bytes) => Any::Text(text(fields.nested()?)),
            (2, Wire::Varint) => Any::Json((fields.varint()? != 0).to_string()),
            (3, Wire::Varint) => Any::Json((fields.varint()? as i64).to_string()),
            (4, Wire::Fixed64) => Any::Json(number_text(fields.double()?)),
            (5, Wire::Bytes) => Any::Json(list(fields.nested()?, depth)?),
            (6, Wire::Bytes) => Any::Json(map(fields.nested()?, depth)?),
            (7, Wire::Bytes) => Any::Bytes(BASE64_STANDARD.encode(fields.nested()?.rest())),
            (1..=7, _) => return fields.wrong_wire(),
            _ => return fields.skip(wire),
        };
        Ok(())
    })?;
    Ok(value)
}

fn list(fields: Fields<'_>, depth: usize) -> Result<String, Error> {
    let mut out = String::from("[");
    each(fields, |number, wire, fields| {
        if (number, wire) != (1, Wire::Bytes) {
            return fields.skip(wire);
        }
        if out.len() > 1 {
            out.push(',');
        }
        any(fields.nested()?, depth + 1)?.json(&mut out);
        Ok(())
    })?;
    out.push(']');
    Ok(out)
}

fn map(fields: Fields<'_>, depth: usize) -> Result<String, Error> {
    let mut entries = std::collections::BTreeMap::new();
    each(fields, |number, wire, fields| {
        if (number, wire) != (1, Wire::Bytes) {
            return fields.skip(wire);
        }
        let (key, value) = key_value(fields.nested()?)?;
        let mut out = String::new();
        value.map(|value| any(value, depth + 1)).transpose()?.unwrap_or(Any::Unset).json(&mut out);
        entries.insert(key, out);
        Ok(())
    })?;
    let mut out = String::from("{");
    for (key, value) in entries {
        if out.len() > 1 {
            out.push(',');
        }
        quote(&key, &mut out);
        out.push(':');
        out.push_str(&value);
    }
    out.push('}');
    Ok(out)
}

/// A number as Go's JSON writes it: digits, and an exponent below 1e-6 and from 1e21.
fn number_text(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() || value.is_infinite() {
        let mut out = String::new();
        crate::exposition::write_float(&mut out, value);
        return out;
    }
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    if text.contains("e-") { text } else { text.replace('e', "e+") }
}

/// A JSON string as Go writes it, which escapes `<`, `>` and `&` too.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
