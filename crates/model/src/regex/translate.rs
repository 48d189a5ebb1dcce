//! From Go's (RE2's) regular expression syntax to that of the `regex` crate.
//!
//! The two differ where it does not show: `\d` is ASCII in Go and Unicode here, `[a&&b]` is a set of
//! plain characters there and an intersection here, `a**` is an error there. This file reads a
//! pattern by Go's grammar (`syntax.Perl`), refuses what Go refuses with its words, and writes the
//! same pattern so that no reader can misunderstand it. It does not match anything.
//!
//! Invariants: the output has the same capture groups in the same order, all unnamed (their names
//! are returned beside it); every character of a class and every special character is written as an
//! escape.

use std::fmt::Write as _;

/// A repeat count above this is an error in Go, also when nested ones multiply.
const REPEAT_MAX: u32 = 1000;

/// A pattern for the `regex` crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Translated {
    /// The pattern.
    pub(super) pattern: String,
    /// Name of each capture group, from group 1 on; empty when it has none. A name may stand twice.
    pub(super) names: Vec<String>,
}

/// What is wrong, in Go's words, and the part of the pattern it is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) message: &'static str,
    pub(super) fragment: String,
}

fn refuse<T>(message: &'static str, fragment: &str) -> Result<T, Refused> {
    Err(Refused { message, fragment: fragment.to_owned() })
}

const NO_ARGUMENT: &str = "missing argument to repetition operator";
const BAD_COUNT: &str = "invalid repeat count";
const BAD_ESCAPE: &str = "invalid escape sequence";
const BAD_PERL: &str = "invalid or unsupported Perl syntax";
const BAD_NAME: &str = "invalid named capture";
const BAD_RANGE: &str = "invalid character class range";
const NO_BRACKET: &str = "missing closing ]";
const NO_PAREN: &str = "missing closing )";

/// Translates `source`.
pub(super) fn translate(source: &str) -> Result<Translated, Refused> {
    let mut reader = Reader { source, rest: source, out: String::new(), names: Vec::new(), open: Vec::new() };
    let mut before = Before::Nothing;
    while let Some(c) = reader.rest.chars().next() {
        before = reader.item(c, &before)?;
    }
    if !reader.open.is_empty() {
        return refuse(NO_PAREN, source);
    }
    Ok(Translated { pattern: reader.out, names: reader.names })
}

/// What stands before the next item, as far as a repetition operator cares.
enum Before<'a> {
    /// The start of a group or of an alternative.
    Nothing,
    /// Something that can be repeated; how often counted repetitions inside it multiply.
    Atom(u32),
    /// A repetition, as written.
    Repetition(&'a str),
}

struct Reader<'a> {
    source: &'a str,
    rest: &'a str,
    out: String,
    names: Vec<String>,
    /// For each open group, the largest product of nested repeat counts seen in it so far.
    open: Vec<u32>,
}

impl<'a> Reader<'a> {
    fn item(&mut self, c: char, before: &Before<'a>) -> Result<Before<'a>, Refused> {
        match c {
            '(' => return self.group(),
            ')' => return self.close(),
            '|' => {
                self.copy(1);
                return Ok(Before::Nothing);
            }
            '*' | '+' | '?' => return self.repeat(1, None, before),
            '{' => {
                if let Some((len, min, max)) = counts(self.rest) {
                    return self.repeat(len, Some((min, max)), before);
                }
                self.literal('{');
            }
            '[' => self.class()?,
            '\\' => return self.escape(before),
            '.' | '^' | '$' => self.copy(1),
            c => self.literal(c),
        }
        Ok(Before::Atom(1))
    }

    /// Takes `len` bytes unchanged.
    fn copy(&mut self, len: usize) {
        self.out.push_str(&self.rest[..len]);
        self.rest = &self.rest[len..];
    }

    fn literal(&mut self, c: char) {
        self.rest = &self.rest[c.len_utf8()..];
        put_literal(&mut self.out, c);
    }

    fn group(&mut self) -> Result<Before<'a>, Refused> {
        if !self.rest.starts_with("(?") {
            self.copy(1);
            self.names.push(String::new());
            self.open.push(1);
            return Ok(Before::Nothing);
        }
        if self.rest.starts_with("(?P<") || self.rest.starts_with("(?<") {
            self.named_group()?;
            return Ok(Before::Nothing);
        }
        self.flags()
    }

    fn named_group(&mut self) -> Result<(), Refused> {
        let head = self.rest.find('<').unwrap_or(0) + 1;
        let Some(end) = self.rest.find('>') else { return refuse(BAD_NAME, self.rest) };
        let name = &self.rest[head..end];
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return refuse(BAD_NAME, &self.rest[..=end]);
        }
        self.names.push(name.to_owned());
        self.open.push(1);
        self.out.push('(');
        self.rest = &self.rest[end + 1..];
        Ok(())
    }

    /// `(?flags)` or `(?flags:`
    fn flags(&mut self) -> Result<Before<'a>, Refused> {
        let (mut negative, mut saw) = (false, false);
        for (at, c) in self.rest.char_indices().skip(2) {
            match c {
                'i' | 'm' | 's' | 'U' => saw = true,
                '-' if !negative => (negative, saw) = (true, false),
                ':' | ')' if saw || !negative => {
                    let plain = at == 2 && c == ')';
                    if plain {
                        self.out.push_str("(?:)");
                        self.rest = &self.rest[at + 1..];
                    } else {
                        self.copy(at + 1);
                    }
                    if c == ':' {
                        self.open.push(1);
                    }
                    return Ok(Before::Nothing);
                }
                _ => return refuse(BAD_PERL, &self.rest[..at + c.len_utf8()]),
            }
        }
        refuse(NO_PAREN, self.source)
    }

    fn close(&mut self) -> Result<Before<'a>, Refused> {
        let Some(inside) = self.open.pop() else { return refuse("unexpected )", self.source) };
        self.copy(1);
        Ok(Before::Atom(inside))
    }

    fn repeat(
        &mut self,
        len: usize,
        counts: Option<(u32, Option<u32>)>,
        before: &Before<'a>,
    ) -> Result<Before<'a>, Refused> {
        let operator = &self.rest[..len];
        let inside = match before {
            Before::Nothing => return refuse(NO_ARGUMENT, operator),
            Before::Repetition(first) => {
                let at = self.source.len() - self.rest.len();
                return refuse(
                    "invalid nested repetition operator",
                    &self.source[at - first.len()..at + len],
                );
            }
            Before::Atom(inside) => *inside,
        };
        let mut product = inside;
        if let Some((min, max)) = counts {
            let most = max.unwrap_or(min);
            if min > REPEAT_MAX || most > REPEAT_MAX || most < min {
                return refuse(BAD_COUNT, operator);
            }
            product = inside.saturating_mul(most.max(1));
            if product > REPEAT_MAX && inside > 1 {
                return refuse(BAD_COUNT, operator);
            }
        }
        if let Some(group) = self.open.last_mut() {
            *group = (*group).max(product);
        }
        let lazy = usize::from(self.rest[len..].starts_with('?'));
        let written = &self.rest[..len + lazy];
        self.copy(len + lazy);
        Ok(Before::Repetition(written))
    }

    fn escape(&mut self, before: &Before<'a>) -> Result<Before<'a>, Refused> {
        let Some(c) = self.rest[1..].chars().next() else {
            return refuse("trailing backslash at end of expression", "");
        };
        match c {
            'Q' => return Ok(self.quoted(before)),
            'A' | 'z' => self.copy(2),
            'b' | 'B' => {
                let _ = write!(self.out, "(?-u:\\{c})");
                self.rest = &self.rest[2..];
            }
            _ => match self.class_escape()? {
                Some(set) => self.out.push_str(&set),
                None => {
                    let c = self.escaped_char()?;
                    put_literal(&mut self.out, c);
                }
            },
        }
        Ok(Before::Atom(1))
    }

    /// `\Q..\E`, or to the end.
    fn quoted(&mut self, before: &Before<'a>) -> Before<'a> {
        let body = &self.rest[2..];
        let (text, rest) = body.split_once("\\E").unwrap_or((body, ""));
        for c in text.chars() {
            put_literal(&mut self.out, c);
        }
        self.rest = rest;
        match before {
            Before::Nothing if text.is_empty() => Before::Nothing,
            _ => Before::Atom(1),
        }
    }

    /// `\d`, `\pL` and the like: the class for the `regex` crate, valid inside and outside of brackets.
    fn class_escape(&mut self) -> Result<Option<String>, Refused> {
        let set = match self.rest.as_bytes().get(1) {
            Some(b'd') => "[0-9]",
            Some(b'D') => "[^0-9]",
            Some(b's') => r"[\t\n\x0C\r ]",
            Some(b'S') => r"[^\t\n\x0C\r ]",
            Some(b'w') => "[0-9A-Za-z_]",
            Some(b'W') => "[^0-9A-Za-z_]",
            Some(b'p' | b'P') => return self.unicode_class().map(Some),
            _ => return Ok(None),
        };
        self.rest = &self.rest[2..];
        Ok(Some(set.to_owned()))
    }

    fn unicode_class(&mut self) -> Result<String, Refused> {
        let mut negative = self.rest.starts_with("\\P");
        let (name, len) = match self.rest[2..].chars().next() {
            Some('{') => match self.rest.find('}') {
                Some(end) => (&self.rest[3..end], end + 1),
                None => return refuse(BAD_RANGE, self.rest),
            },
            Some(c) => (&self.rest[2..2 + c.len_utf8()], 2 + c.len_utf8()),
            None => return refuse(BAD_RANGE, self.rest),
        };
        let bare = name.strip_prefix('^').unwrap_or(name);
        negative ^= bare.len() != name.len();
        let letter = if negative { 'P' } else { 'p' };
        let set = format!("\\{letter}{{{bare}}}");
        let known = bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"_- ".contains(&b))
            && regex_syntax::parse(&set).is_ok();
        if !known {
            return refuse(BAD_RANGE, &self.rest[..len]);
        }
        self.rest = &self.rest[len..];
        Ok(set)
    }

    /// An escape that stands for one character.
    fn escaped_char(&mut self) -> Result<char, Refused> {
        let body = &self.rest[1..];
        let Some(c) = body.chars().next() else {
            return refuse("trailing backslash at end of expression", "");
        };
        let upto = |len: usize| &self.rest[..len];
        let (code, len) = match c {
            '1'..='7' if !body[1..].starts_with(|c| ('0'..='7').contains(&c)) => {
                return refuse(BAD_ESCAPE, upto(2));
            }
            '0'..='7' => octal(body),
            'x' => match hexadecimal(body) {
                Ok(found) => found,
                Err(len) => return refuse(BAD_ESCAPE, upto(1 + len)),
            },
            'a' => (0x07, 1),
            'f' => (0x0C, 1),
            'n' => (0x0A, 1),
            'r' => (0x0D, 1),
            't' => (0x09, 1),
            'v' => (0x0B, 1),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => (c as u32, 1),
            c => return refuse(BAD_ESCAPE, upto(1 + c.len_utf8())),
        };
        let Some(c) = char::from_u32(code) else { return refuse(BAD_ESCAPE, upto(1 + len)) };
        self.rest = &self.rest[1 + len..];
        Ok(c)
    }

    /// `[...]`
    fn class(&mut self) -> Result<(), Refused> {
        let whole = self.rest;
        self.out.push('[');
        self.rest = &self.rest[1..];
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.out.push('^');
            self.rest = rest;
        }
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            if self.rest.starts_with("[:") && self.posix_class()? {
                continue;
            }
            if self.rest.starts_with('\\')
                && let Some(set) = self.class_escape()?
            {
                self.out.push_str(&set);
                continue;
            }
            self.class_range(whole)?;
        }
        self.rest = &self.rest[1..];
        self.out.push(']');
        Ok(())
    }

    /// `[:alpha:]`; false when there is no `:]`, and then it is plain characters.
    fn posix_class(&mut self) -> Result<bool, Refused> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let Some(end) = self.rest.find(":]") else { return Ok(false) };
        let name = &self.rest[2..end.max(2)];
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return refuse(BAD_RANGE, &self.rest[..end + 2]);
        }
        self.copy(end + 2);
        Ok(true)
    }

    fn class_range(&mut self, whole: &str) -> Result<(), Refused> {
        let start = self.rest;
        let low = self.class_char(whole)?;
        put_class_char(&mut self.out, low);
        if self.rest.starts_with('-') && self.rest.len() >= 2 && !self.rest.starts_with("-]") {
            self.rest = &self.rest[1..];
            let high = self.class_char(whole)?;
            if high < low {
                return refuse(BAD_RANGE, &start[..start.len() - self.rest.len()]);
            }
            self.out.push('-');
            put_class_char(&mut self.out, high);
        }
        Ok(())
    }

    fn class_char(&mut self, whole: &str) -> Result<char, Refused> {
        match self.rest.chars().next() {
            None => refuse(NO_BRACKET, whole),
            Some('\\') => self.escaped_char(),
            Some(c) => {
                self.rest = &self.rest[c.len_utf8()..];
                Ok(c)
            }
        }
    }
}

fn put_literal(out: &mut String, c: char) {
    if regex_syntax::is_meta_character(c) {
        out.push('\\');
    }
    out.push(c);
}

fn put_class_char(out: &mut String, c: char) {
    if c.is_ascii_alphanumeric() || !c.is_ascii() {
        out.push(c);
    } else {
        let _ = write!(out, "\\x{:02X}", c as u32);
    }
}

/// `{2}`, `{2,}` or `{2,3}`: its length and counts. Anything else is plain text in Go.
fn counts(text: &str) -> Option<(usize, u32, Option<u32>)> {
    let (min, rest) = count(&text[1..])?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => count(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    let rest = rest.strip_prefix('}')?;
    Some((text.len() - rest.len(), min, max))
}

fn count(text: &str) -> Option<(u32, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(len);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}

/// Up to three octal digits: the code and how many.
fn octal(text: &str) -> (u32, usize) {
    let digits = text.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b));
    digits.fold((0, 0), |(code, len), digit| (code * 8 + u32::from(digit - b'0'), len + 1))
}

/// `x41` or `x{10FFFF}`: the code and the length, or the length of what is wrong.
fn hexadecimal(text: &str) -> Result<(u32, usize), usize> {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let (digits, len) = match text[1..].strip_prefix('{') {
        Some(body) => match body.find('}') {
            Some(end) => (&body[..end], end + 3),
            None => return Err(text.len()),
        },
        None => (text.get(1..3).unwrap_or(""), 3),
    };
    match u32::from_str_radix(digits, 16) {
        Ok(code) if is_hex(digits) => Ok((code, len)),
        _ => Err(text.char_indices().nth(len).map_or(text.len(), |(at, _)| at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_differs() {
        let check = |source: &str, want: &str| {
            assert_eq!(translate(source).map(|done| done.pattern), Ok(want.to_owned()), "{source}");
        };
        check("a.*b+?|^c$", "a.*b+?|^c$");
        check(r"\d\W", "[0-9][^0-9A-Za-z_]");
        check(r"\bx\B", r"(?-u:\b)x(?-u:\B)");
        check("a{bbb}c", r"a\{bbb\}c");
        check("a{,5}", r"a\{,5\}");
        check("a{01}", r"a\{01\}");
        check("a{2,3}?", "a{2,3}?");
        check(r"\Qa.b\E+", r"a\.b+");
        check(r"\Qa*", r"a\*");
        check(r"\101\0\12", "A\0\n");
        check(r"\x41\x{1F600}", "A\u{1F600}");
        check("[[a]]", r"[\x5Ba]\]");
        check("[a&&b]", r"[a\x26\x26b]");
        check("[a~~b-]", r"[a\x7E\x7Eb\x2D]");
        check(r"[]\d-z[:^alpha:]]", r"[\x5D[0-9]\x2Dz[:^alpha:]]");
        check(r"[^\pN\]]", r"[^\p{N}\x5D]");
        check(r"\<\>\_", "<>_");
        check(r"\p{^Greek}\PL", r"\P{Greek}\P{L}");
        check("(?i)a(?s-m:b)(?)", "(?i)a(?s-m:b)(?:)");
        let named = translate("(?P<a>x)(y)(?<2b>z)").unwrap();
        assert_eq!(
            (named.pattern.as_str(), named.names),
            ("(x)(y)(z)", vec!["a".to_owned(), String::new(), "2b".to_owned()])
        );
    }

    #[test]
    fn refuses_what_go_refuses_in_its_words() {
        let check = |source: &str, message: &str, fragment: &str| {
            let refused = translate(source).expect_err(source);
            assert_eq!((refused.message, refused.fragment.as_str()), (message, fragment), "{source}");
        };
        check("(", NO_PAREN, "(");
        check("a)(b", "unexpected )", "a)(b");
        check("*a", NO_ARGUMENT, "*");
        check("(|+)", NO_ARGUMENT, "+");
        check(r"\Q\E*", NO_ARGUMENT, "*");
        check("a**", "invalid nested repetition operator", "**");
        check("a{2}{3}", "invalid nested repetition operator", "{2}{3}");
        check("a+?+", "invalid nested repetition operator", "+?+");
        check("x{1001}", BAD_COUNT, "{1001}");
        check("x{2,1}", BAD_COUNT, "{2,1}");
        check("((x{100}){100}){2}", BAD_COUNT, "{100}");
        check("(?x)a", BAD_PERL, "(?x");
        check("(?=a)", BAD_PERL, "(?=");
        check("(?P<x y>a)", BAD_NAME, "(?P<x y>");
        check("(?P<x", BAD_NAME, "(?P<x");
        check("[a--b]", BAD_RANGE, "a--");
        check("[z-a]", BAD_RANGE, "z-a");
        check("[[:word]:]]", BAD_RANGE, "[:word]:]");
        check(r"\p{Nope}", BAD_RANGE, r"\p{Nope}");
        check("[a", NO_BRACKET, "[a");
        check(r"a\", "trailing backslash at end of expression", "");
        for escape in [r"\1", r"\8", r"\Z", r"\C", r"\u", r"\é"] {
            check(escape, BAD_ESCAPE, escape);
        }
        check(r"\x4z", BAD_ESCAPE, r"\x4z");
        check(r"\x{110000}", BAD_ESCAPE, r"\x{110000}");
    }
}
