//! String literals as bytes and back, and characters as error messages show them.
//!
//! Quoting follows Go's `%q`, which upstream prints with: printable characters stay, the rest is
//! escaped, bytes that are not UTF-8 become `\x..`.

use std::fmt::Write as _;

/// `text` between double quotes.
pub(crate) fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    quote_into(&mut out, text);
    out
}

/// Appends `text` between double quotes.
pub(crate) fn quote_into(out: &mut String, text: &[u8]) {
    out.push('"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            escape_into(out, c, '"');
        }
        for byte in chunk.invalid() {
            _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
}

fn escape_into(out: &mut String, c: char, quote: char) {
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        '\\' => out.push_str("\\\\"),
        _ if c == quote => {
            out.push('\\');
            out.push(c);
        }
        _ if is_printable(c) => out.push(c),
        _ if c.is_ascii() => _ = write!(out, "\\x{:02x}", u32::from(c)),
        _ if u32::from(c) <= 0xffff => _ = write!(out, "\\u{:04x}", u32::from(c)),
        _ => _ = write!(out, "\\U{:08x}", u32::from(c)),
    }
}

/// Letters, marks, numbers, punctuation, symbols and the ASCII space.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // The standard library knows, but escapes combining marks too when they stand first.
    let mut text = String::from("a");
    text.push(c);
    text.escape_debug().nth(1) == Some(c)
}

/// The first character of `bytes`, when it is UTF-8.
pub(crate) fn decode_char(bytes: &[u8]) -> Option<char> {
    let head = &bytes[..bytes.len().min(4)];
    head.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next())
}

/// The first character of `bytes` between single quotes; `-1` at the end of input.
pub(crate) fn quote_char(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-1".to_owned();
    }
    let mut out = String::from("'");
    escape_into(&mut out, decode_char(bytes).unwrap_or(char::REPLACEMENT_CHARACTER), '\'');
    out.push('\'');
    out
}

/// The first character of `bytes` as `U+0063 'c'`.
pub(crate) fn code_point(bytes: &[u8]) -> String {
    let c = decode_char(bytes).unwrap_or(char::REPLACEMENT_CHARACTER);
    if is_printable(c) { format!("U+{:04X} '{c}'", u32::from(c)) } else { format!("U+{:04X}", u32::from(c)) }
}

/// The bytes of a string literal with its quotes, whose escapes the lexer has checked.
pub(crate) fn unquote(literal: &[u8]) -> Vec<u8> {
    let body = &literal[1..literal.len() - 1];
    if literal[0] == b'`' || !body.contains(&b'\\') {
        return body.to_vec();
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'\\' {
            out.push(byte);
            rest = tail;
            continue;
        }
        rest = unescape(tail, &mut out);
    }
    out
}

/// Appends the byte or character of the escape after a backslash; gives what follows it.
fn unescape<'a>(tail: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let simple = match tail[0] {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'x' => return unescape_number(&tail[1..], 2, 16, out),
        b'u' => return unescape_number(&tail[1..], 4, 16, out),
        b'U' => return unescape_number(&tail[1..], 8, 16, out),
        b'0'..=b'7' => return unescape_number(tail, 3, 8, out),
        other => other,
    };
    out.push(simple);
    &tail[1..]
}

fn unescape_number<'a>(tail: &'a [u8], digits: usize, base: u32, out: &mut Vec<u8>) -> &'a [u8] {
    let (number, rest) = tail.split_at(digits);
    let value = number.iter().fold(0, |value: u32, byte| {
        value * base
            + char::from(*byte).to_digit(base).expect("string literal: the lexer checked its escapes")
    });
    if digits <= 3 {
        out.push(u8::try_from(value).expect("string literal: the lexer checked its escapes"));
    } else {
        let c = char::from_u32(value).expect("string literal: the lexer checked its escapes");
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_back() {
        let check = |literal: &str, bytes: &[u8], quoted: &str| {
            assert_eq!(unquote(literal.as_bytes()), bytes, "{literal}");
            assert_eq!(quote(bytes), quoted, "{literal}");
        };
        check(r#""a\tb""#, b"a\tb", r#""a\tb""#);
        check(r#"'it\'s "x"'"#, b"it's \"x\"", r#""it's \"x\"""#);
        check(r"`\n`", b"\\n", r#""\\n""#);
        check(r#""\xff\377\u00e4\U0001F600""#, b"\xff\xff\xc3\xa4\xf0\x9f\x98\x80", "\"\\xff\\xffä😀\"");
        check("\"\\x7f\\u0085\\u0301\"", "\u{7f}\u{85}\u{301}".as_bytes(), "\"\\x7f\\u0085\u{301}\"");
    }
}
