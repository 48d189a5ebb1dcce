//! Regular expressions with RE2's meaning, anchored at both ends.
//!
//! Users write patterns for Go's engine; `translate` turns them into patterns of the `regex` crate,
//! which shares RE2's promise of linear time. Patterns that are a list of texts (`a|b|c`, the usual
//! thing dashboards send) are matched by a set and are only compiled when captures are asked for. Others are
//! looked into and compiled when they are first used; only large ones are compiled at once, to see whether they
//! are too large. What is wrong with a pattern is always said at once.

mod expand;
mod literal;
mod translate;
mod weight;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use parking_lot::Mutex;

/// Bound on the memory of one compiled pattern, in bytes.
const SIZE_MAX: usize = 16 << 20;
/// Patterns up to this weight compile to far less than [`SIZE_MAX`]: a unit takes well under 1 KiB.
const WEIGHT_UNCOMPILED_MAX: u64 = 8 << 10;
/// Longest pattern, in bytes.
const PATTERN_MAX: usize = 4 << 20;

/// Patterns that are kept for whoever asks for them next; when there are more, all are forgotten.
const RECENT_MAX: usize = 128;
/// Longer patterns are not kept, in bytes.
const RECENT_PATTERN_MAX: usize = 200;
/// Nor are heavier ones, so that all together take some tens of MiB at the very most.
const RECENT_WEIGHT_MAX: u64 = 512;

static RECENT: LazyLock<Mutex<HashMap<String, Regex>>> = LazyLock::new(Mutex::default);

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {message}: `{fragment}`")]
pub struct RegexError {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
    /// The part of the pattern that is wrong.
    pub fragment: String,
}

/// A compiled, anchored pattern. Cloning copies a pointer.
#[derive(Clone)]
pub struct Regex(Arc<Inner>);

struct Inner {
    source: String,
    translated: String,
    names: Vec<String>,
    /// Compiles to little.
    light: bool,
    /// Filled at once unless the pattern is plainly valid and small.
    known: OnceLock<Known>,
    compiled: OnceLock<regex::Regex>,
}

/// What is known of a pattern without running it.
struct Known {
    prefix: String,
    strategy: Strategy,
}

/// The cheapest way to say whether a text matches.
enum Strategy {
    /// `.*`
    Everything,
    /// `.+`
    NotEmpty,
    /// One of few or many texts.
    Set { list: Vec<String>, lookup: HashSet<String> },
    /// A text with anything before or behind it, or one of a few such.
    Shapes(Vec<literal::Shape>),
    /// Run it.
    Compiled,
}

impl Regex {
    /// Compiles `^(?s:pattern)$`. What was asked for lately is not compiled again: dashboards send the same patterns
    /// over and over.
    ///
    /// # Errors
    /// When RE2 would refuse the pattern, or it compiles to more than the size limit.
    pub fn anchored(pattern: &str) -> Result<Self, RegexError> {
        if pattern.len() > RECENT_PATTERN_MAX {
            return Self::new(pattern);
        }
        if let Some(known) = RECENT.lock().get(pattern) {
            return Ok(known.clone());
        }
        let regex = Self::new(pattern)?;
        if !regex.0.light {
            return Ok(regex);
        }
        let mut recent = RECENT.lock();
        if recent.len() >= RECENT_MAX {
            recent.clear();
        }
        recent.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }

    fn new(pattern: &str) -> Result<Self, RegexError> {
        let refused = |message: &str, fragment: &str| RegexError {
            pattern: pattern.to_owned(),
            message: message.to_owned(),
            fragment: fragment.to_owned(),
        };
        if pattern.len() > PATTERN_MAX {
            return Err(refused("expression too large", ""));
        }
        let translate::Translated { pattern: translated, names } =
            translate::translate(pattern).map_err(|why| refused(why.message, &why.fragment))?;
        let (known, compiled) = (OnceLock::new(), OnceLock::new());
        let mut light = true;
        if let Some(strategy) = Strategy::plain(&translated) {
            let prefix = common_prefix(&strategy);
            // Nobody else has seen the cells yet.
            let _ = known.set(Known { prefix, strategy });
        } else if !is_small(pattern) {
            let hir = parse(&translated).map_err(|message| refused(&message, pattern))?;
            let prefix = literal::prefix(&hir);
            let strategy = Strategy::of(&translated, &hir);
            light = !weight::exceeds(&hir, RECENT_WEIGHT_MAX);
            if matches!(strategy, Strategy::Compiled) && weight::exceeds(&hir, WEIGHT_UNCOMPILED_MAX) {
                let regex = compile(&translated).map_err(|_| refused("expression too large", pattern))?;
                let _ = compiled.set(regex);
            }
            let _ = known.set(Known { prefix, strategy });
        }
        let source = pattern.to_owned();
        Ok(Self(Arc::new(Inner { source, translated, names, light, known, compiled })))
    }

    fn known(&self) -> &Known {
        self.0.known.get_or_init(|| match parse(&self.0.translated) {
            Ok(hir) => {
                let prefix = literal::prefix(&hir);
                let strategy = Strategy::of(&self.0.translated, &hir);
                Known { prefix, strategy }
            }
            // Cannot be for a small pattern that was translated; it would match nothing.
            Err(_) => Known { prefix: String::new(), strategy: Strategy::Compiled },
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.known().strategy {
            Strategy::Everything => true,
            Strategy::NotEmpty => !text.is_empty(),
            Strategy::Set { list, lookup } if lookup.is_empty() => list.iter().any(|known| known == text),
            Strategy::Set { lookup, .. } => lookup.contains(text),
            Strategy::Shapes(all) => all.iter().any(|shape| shape.is_match(text)),
            Strategy::Compiled => {
                text.starts_with(&self.known().prefix)
                    && self.compiled().is_some_and(|regex| regex.is_match(text))
            }
        }
    }

    /// Every text that matches, where they are a finite set of reasonable size: `a|b|c`, `x[12]`.
    #[must_use]
    pub fn literal_alternatives(&self) -> Option<&[String]> {
        match &self.known().strategy {
            Strategy::Set { list, .. } => Some(list),
            _ => None,
        }
    }

    /// Text that every match begins with; may be empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.known().prefix
    }

    /// Whether every text matches.
    #[must_use]
    pub fn matches_everything(&self) -> bool {
        matches!(self.known().strategy, Strategy::Everything)
    }

    /// The groups of `text`, when all of it matches.
    #[must_use]
    pub fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> {
        // What is not compiled anyway is quicker to refuse than to run.
        if !matches!(self.known().strategy, Strategy::Compiled) && !self.is_match(text) {
            return None;
        }
        let found = self.compiled()?.captures(text)?;
        Some(Captures { regex: self.clone(), found })
    }

    /// `template` with the groups of `text` filled in, when all of `text` matches; see [`Captures::expand`].
    #[must_use]
    pub fn replace(&self, text: &str, template: &str) -> Option<String> {
        self.captures(text).map(|captures| captures.expand(template))
    }

    /// The compiled pattern. `None` only for a set whose pattern is over the size limit; what is compiled late
    /// besides is small.
    fn compiled(&self) -> Option<&regex::Regex> {
        if let Some(regex) = self.0.compiled.get() {
            return Some(regex);
        }
        let regex = compile(&self.0.translated).ok()?;
        Some(self.0.compiled.get_or_init(|| regex))
    }
}

/// The parsed pattern, or what is wrong with it.
fn parse(translated: &str) -> Result<regex_syntax::hir::Hir, String> {
    let mut parser = regex_syntax::ParserBuilder::new().dot_matches_new_line(true).build();
    parser.parse(translated).map_err(|error| kind(&error))
}

/// Whether a pattern that translates is surely valid and light: short, and without classes, escapes, flags and
/// counts. Most patterns of dashboards are.
fn is_small(pattern: &str) -> bool {
    const SMALL_MAX: usize = 256;
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || b"_:/-| .*+?$^()".contains(&byte);
    pattern.len() <= SMALL_MAX && pattern.bytes().all(simple) && !pattern.contains("(?")
}

/// Text that all alternatives of a set begin with.
fn common_prefix(strategy: &Strategy) -> String {
    let Strategy::Set { list, .. } = strategy else { return String::new() };
    let Some((first, rest)) = list.split_first() else { return String::new() };
    let shared = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let length = rest.iter().map(|other| shared(first, other)).min().unwrap_or(first.len());
    first[..length].to_owned()
}

impl Strategy {
    /// The strategy of `.*`, `.+` and plain ASCII alternatives, found without parsing the pattern: these are
    /// what nearly all queries have.
    fn plain(translated: &str) -> Option<Self> {
        match translated {
            ".*" => return Some(Self::Everything),
            ".+" => return Some(Self::NotEmpty),
            _ => {}
        }
        let plain = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'/' | b'-' | b' ' | b'|')
        };
        if !translated.bytes().all(plain) {
            return None;
        }
        let mut list: Vec<String> = translated.split('|').map(str::to_owned).collect();
        if list.len() > 1 {
            let mut seen = HashSet::new();
            list.retain(|text| seen.insert(text.clone()));
        }
        Some(Self::set(list))
    }

    fn of(translated: &str, hir: &regex_syntax::hir::Hir) -> Self {
        match translated {
            ".*" | "(.*)" | "^.*$" => return Self::Everything,
            ".+" | "(.+)" | "^.+$" => return Self::NotEmpty,
            _ => {}
        }
        if let Some(list) = literal::alternatives(hir) {
            return Self::set(list);
        }
        literal::shapes(hir).map_or(Self::Compiled, Self::Shapes)
    }

    fn set(list: Vec<String>) -> Self {
        // Comparing a few texts is quicker than hashing one.
        let lookup = if list.len() <= 8 { HashSet::new() } else { list.iter().cloned().collect() };
        Self::Set { list, lookup }
    }
}

fn compile(translated: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(&format!("^(?s:{translated})$")).size_limit(SIZE_MAX).build()
}

/// The words of the syntax crate without its drawing of the pattern.
fn kind(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "invalid syntax".to_owned(),
    }
}

/// The groups of a match.
#[derive(Debug)]
pub struct Captures<'t> {
    regex: Regex,
    found: regex::Captures<'t>,
}

impl Captures<'_> {
    /// Group `number`; 0 is the whole match. `None` when there is no such group or it took no part.
    #[must_use]
    pub fn get(&self, number: usize) -> Option<&str> {
        self.found.get(number).map(|group| group.as_str())
    }

    /// The first group of that name that took part.
    #[must_use]
    pub fn name(&self, name: &str) -> Option<&str> {
        let names = self.regex.0.names.iter();
        let numbers = names.enumerate().filter(|(_, known)| !known.is_empty() && *known == name);
        numbers.filter_map(|(at, _)| self.get(at + 1)).next()
    }

    /// `template` with `$1`, `${1}`, `$name` and `${name}` replaced as Go's `Expand` does: a name goes as far as
    /// letters, digits and underscores go, unknown groups are empty, `$$` is a dollar.
    #[must_use]
    pub fn expand(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len());
        expand::expand(template, &mut out, |number| self.get(number), |name| self.name(name));
        out
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0.source)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Regex {}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(pattern: &str) -> Regex {
        Regex::anchored(pattern).unwrap()
    }

    #[test]
    fn shapes_match_as_compiled_patterns() {
        let patterns = [
            "ip-10.*",
            "x.*",
            ".*x",
            ".*x.*",
            "x.+",
            ".+x",
            ".+x.+",
            ".+x.*",
            ".*x.+",
            "(a|b.*|.+c)",
            "(.*)b(.*)",
            "^a.*$",
            "é.+",
        ];
        let texts = [
            "", "x", "xx", "axa", "ax", "xa", "a", "b", "bc", "c", "ac", "ip-10", "ip-105", "ip-1", "é",
            "ééb", "\nx\n",
        ];
        for pattern in patterns {
            let regex = regex(pattern);
            assert!(matches!(regex.known().strategy, Strategy::Shapes(_)), "{pattern}");
            let compiled = compile(&regex.0.translated).unwrap();
            for text in texts {
                assert_eq!(regex.is_match(text), compiled.is_match(text), "/{pattern}/ on {text:?}");
            }
        }
        for pattern in ["x[0-9].*", "(?i)x.*", "x.*y", "a.*b.*"] {
            assert!(matches!(regex(pattern).known().strategy, Strategy::Compiled), "{pattern}");
        }
    }

    #[test]
    fn recent_patterns_are_shared() {
        let again = || regex("shared-[0-9]+-pattern");
        assert!(
            Arc::ptr_eq(&again().0, &again().0) || RECENT.lock().len() < 2,
            "unless all were just forgotten"
        );
        let long = "l[0-9]".repeat(RECENT_PATTERN_MAX);
        assert!(!Arc::ptr_eq(&regex(&long).0, &regex(&long).0));
    }

    #[test]
    fn matches_as_re2() {
        let check = |pattern: &str, text: &str, want: bool| {
            assert_eq!(regex(pattern).is_match(text), want, "/{pattern}/ on {text:?}");
        };
        check("", "", true);
        check("foo", "foobar", false);
        check("foo|bar", "bar", true);
        check("a-b|c d|", "", true);
        check("foo|foo", "fo", false);
        check("foo.*", "foo\nbar", true);
        check(".+", "", false);
        check(".*", "\n", true);
        check(r"\d+", "\u{663}", false);
        check(r"\w", "\u{e9}", false);
        check(r"a\b.*", "a\u{e9}", true);
        check(r"(?i)\w", "\u{17f}", true);
        check("(?i)stra\u{df}e|K", "k", true);
        check("[[a]]", "a]", true);
        check("[a&&b]", "&", true);
        check("[^a]", "\n", true);
        check("a{,5}", "a{,5}", true);
        check("(?-s).", "\n", false);
        check("^foo$", "foo", true);
        check("(?m)a$\nb", "a\nb", true);
        check(r"\<x\>", "<x>", true);
        check("x(a|b)?", "x", true);
        check(r"\s", "\u{b}", false);
        check("[[:word:]]+", "a_1", true);
        check("$x", "x", false);
        check("^$*a.+", "ab", true);
        check(".*a|b", "xa", true);
        check("(/dev/)?(nvme.+|sd.+|dm-.+)", "/dev/sda", true);
    }

    /// Nothing is left to refuse in a small pattern that was translated: all of up to four characters.
    #[test]
    fn small_patterns_that_are_taken_are_valid() {
        let mut patterns = vec![String::new()];
        for _ in 0..4 {
            let longer =
                patterns.iter().flat_map(|start| "a.*+?()|$^".chars().map(move |c| format!("{start}{c}")));
            patterns = longer.chain([String::new()]).collect();
            for pattern in patterns.iter().filter(|pattern| is_small(pattern)) {
                if let Ok(regex) = Regex::anchored(pattern) {
                    assert!(parse(&regex.0.translated).is_ok(), "{pattern}");
                }
            }
        }
        assert_eq!(patterns.len(), 11_111);
    }

    #[test]
    fn errors_have_gos_words() {
        let error = Regex::anchored("foo(").unwrap_err();
        assert_eq!(error.to_string(), "error parsing regexp: missing closing ): `foo(`");
        let deep = format!("{}a{}", "(".repeat(2_000), ")".repeat(2_000));
        assert!(Regex::anchored(&deep).is_err());
        let huge = Regex::anchored(r"(\pL{1000}\pL{1000}){1}\pL{900}").unwrap_err().to_string();
        assert!(huge.contains("expression too large"), "{huge}");
    }

    #[test]
    fn says_what_it_matches() {
        let check = |pattern: &str, set: Option<&[&str]>, prefix: &str| {
            let regex = regex(pattern);
            let got = regex.literal_alternatives().map(|set| set.iter().map(String::as_str).collect());
            assert_eq!(got, set.map(<[&str]>::to_vec), "{pattern}");
            assert_eq!(regex.prefix(), prefix, "{pattern}");
            for text in set.unwrap_or_default() {
                assert!(regex.is_match(text), "{pattern} {text}");
            }
        };
        check("foo", Some(&["foo"]), "foo");
        check("foo|bar|foo", Some(&["foo", "bar"]), "");
        check("(web|web2)-(a|b)", Some(&["web-a", "web-b", "web2-a", "web2-b"]), "web");
        check("^(?:x[12])$", Some(&["x1", "x2"]), "x");
        check("a|", Some(&["a", ""]), "");
        check("(?i)ab", Some(&["AB", "Ab", "aB", "ab"]), "");
        check("node.*", None, "node");
        check("node-[0-9]+", None, "node-");
        check("(ab)+c", None, "ab");
        check(r"a\.b.+", None, "a.b");
        check("[a-z][a-z]", None, "");
        let many = (0..20_000).map(|n| format!("host-{n:05}")).collect::<Vec<_>>().join("|");
        let many = regex(&many);
        assert_eq!(many.literal_alternatives().map(<[String]>::len), Some(20_000));
        assert!(many.is_match("host-19999") && !many.is_match("host-20000"));
    }

    #[test]
    fn expands_groups() {
        let check = |pattern: &str, text: &str, template: &str, want: Option<&str>| {
            assert_eq!(regex(pattern).replace(text, template).as_deref(), want, "{pattern}");
        };
        check("f(.*)", "foo", "ch${1}-$1", Some("choo-oo"));
        check("f(.*)", "bar", "x", None);
        check("(?P<a>x)|(?P<a>y)", "y", "$a", Some("y"));
        check("(foo|bar)", "bar", "$1$0", Some("barbar"));
        check("(.*)", "", "[$1]", Some("[]"));
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[\PC\n]{0,24}", text in "[ab&\\[\\]]{0,4}") {
            if let Ok(regex) = Regex::anchored(&pattern) {
                let whole = regex.captures(&text).map(|found| found.get(0).map(str::len));
                proptest::prop_assert_eq!(whole.is_some(), regex.is_match(&text));
            }
        }

        #[test]
        fn syntax_soup_does_not_panic(pattern in r"([(){}\[\]|*+?^$.\\QEpxdb:<>P\-,0-9a]|\\){0,16}") {
            if let Ok(regex) = Regex::anchored(&pattern) {
                let _ = regex.captures("aQ0");
            }
        }
    }
}
