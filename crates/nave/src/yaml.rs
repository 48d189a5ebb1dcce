//! The one place that knows the YAML library: text to typed settings, with file, line, column and field in
//! errors, and settings back to text.

mod place;

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::place::Outline;
pub(crate) use self::place::Place;

/// Why a file is no valid configuration.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {}{message}", position(*.at), prefix(.field))]
pub(crate) struct Error {
    file: String,
    at: Option<Place>,
    /// The field at `at`, as `scrape_configs[0].scrape_interval`; empty where none is known.
    field: String,
    message: String,
}

fn position(at: Option<Place>) -> String {
    at.map_or_else(String::new, |place| format!(":{}:{}", place.line, place.column))
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

impl Error {
    /// An error in the value of `field`, or what stands around it when `text` does not have the field.
    pub(crate) fn in_field(file: &Path, text: &str, field: &str, message: &dyn ToString) -> Self {
        let (field, at) = Outline::of(text).find(field);
        Self { file: file.display().to_string(), at, field, message: message.to_string() }
    }

    /// The same error with another thing to say.
    pub(crate) fn with_note(mut self, note: &str) -> Self {
        self.message.push_str("; ");
        self.message.push_str(note);
        self
    }
}

/// The first field of a document that `wanted` says yes to, of the names as in errors.
pub(crate) fn find_field(text: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    Outline::of(text).names().find(|field| wanted(field)).map(str::to_owned)
}

/// Parses one document. `file` only names it. An empty document gives the defaults.
pub(crate) fn parse<T: DeserializeOwned + Default>(file: &Path, text: &str) -> Result<T, Error> {
    // Local files are trusted with their own size; the library's default bound refuses large ones.
    let mut options = serde_saphyr::Options::default();
    options.budget = None;
    let parsed = serde_saphyr::from_str_with_options::<Option<T>>(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let error = error.without_snippet();
        let at = error.location().map(Place::from);
        let field = at.map(|at| Outline::of(text).field_at(at)).unwrap_or_default();
        Error { file: file.display().to_string(), at, field, message: message(error) }
    })
}

/// All documents of a text as they are, for files of others that are read in part. Empty documents are left out.
pub(crate) fn documents(text: &str) -> Result<Vec<serde_json::Value>, serde_saphyr::Error> {
    let mut options = serde_saphyr::Options::default();
    options.budget = None;
    serde_saphyr::from_multiple_with_options(text, options)
}

/// The library's words where users can use them, without the position, which stands before them.
fn message(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error as Is;
    match error {
        Is::SerdeUnknownField { field, expected, .. } => match closest(field, expected) {
            Some(known) => format!("field {field} not found; did you mean {known}?"),
            None => format!("field {field} not found; the fields here are: {}", expected.join(", ")),
        },
        Is::DuplicateMappingKey { key: Some(key), .. } => format!("field {key} already set"),
        Is::NullIntoString { .. } => {
            "expected a text, came nothing; without the key, it has its default".to_owned()
        }
        Is::InvalidBinaryBase64 { .. } => "!!binary value contains invalid base64 data".to_owned(),
        Is::BinaryNotUtf8 { .. } => "!!binary value is not UTF-8".to_owned(),
        Is::InvalidScalar { ty, .. } => format!("expected {}, came another text", kind(ty)),
        Is::InvalidBooleanStrict { .. } => "expected true or false, came another text".to_owned(),
        Is::Unexpected { expected: "string scalar", .. } => {
            "expected one value, came a list or a map".to_owned()
        }
        Is::Unexpected { expected: "mapping start", .. } => "expected a map of fields".to_owned(),
        Is::Unexpected { expected: "sequence start", .. } => "expected a list".to_owned(),
        Is::MultipleDocuments { .. } => "expected one YAML document, came several".to_owned(),
        other => {
            let text = other.to_string();
            let end = text.rfind(" at line ").unwrap_or(text.len());
            text[..end].to_owned()
        }
    }
}

/// What users call a type of this language.
fn kind(ty: &str) -> &str {
    match ty {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "boolean" | "bool" => "true or false",
        other => other,
    }
}

/// The name that `written` is a misspelling of, if it is one.
fn closest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    let near = known.iter().map(|name| (distance(written, name), *name));
    near.min().filter(|(distance, _)| *distance <= 2.min(written.len() / 2)).map(|(_, name)| name)
}

/// How many letters have to be put in, taken out or changed to make one text of the other.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, y) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

/// Settings as YAML, as `/api/v1/status/config` shows them.
pub(crate) fn print<T: Serialize>(value: &T) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        known: Option<u32>,
        #[allow(dead_code)]
        list: Option<Vec<Self>>,
    }

    #[test]
    fn errors_name_file_line_column_and_field() {
        let check = |text: &str, want: &str| {
            let error = parse::<Sample>(Path::new("x.yml"), text).unwrap_err().to_string();
            assert_eq!(error, want, "{text}");
        };
        check("known: 1\nknwon: 2\n", "x.yml:2:1: field knwon not found; did you mean known?");
        check("else: 2\n", "x.yml:1:1: field else not found; the fields here are: known, list");
        check("known: many\n", "x.yml:1:8: known: expected a whole number, not negative, came another text");
        check("list:\n  - knwon: 1\n", "x.yml:2:5: list[0]: field knwon not found; did you mean known?");
        check(
            "list:\n  - list:\n    z: 1\n",
            "x.yml:3:5: list[0]: field z not found; the fields here are: known, list",
        );
        check("known: 1\nknown: 2\n", "x.yml:2:1: field known already set");
        check(
            "list:\n  - known: 1\n  - known: {a: b}\n",
            "x.yml:3:12: list[1].known: expected one value, came a list or a map",
        );
        assert!(parse::<Sample>(Path::new("x.yml"), "").is_ok());
        let error = parse::<Sample>(Path::new("x.yml"), "known: 1\nlist: 'a\n").unwrap_err().to_string();
        assert!(error.starts_with("x.yml:2:7: ") || error.starts_with("x.yml:3:1: "), "{error}");
    }

    #[test]
    fn errors_point_to_the_field_or_what_is_around_it() {
        let text = "a:\n  - b: 1\n  - c: 2\n";
        let check = |field: &str, want: &str| {
            let error = Error::in_field(Path::new("x.yml"), text, field, &"wrong").to_string();
            assert_eq!(error, want, "{field}");
        };
        check("a[1].c", "x.yml:3:8: a[1].c: wrong");
        check("a[1].d", "x.yml:3:5: a[1]: wrong");
        check("q.r[3]", "x.yml:1:1: wrong");
    }
}
