//! Reading the small text files of procfs and sysfs, with bounds and errors that name the file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Error;

/// No file read here is near this large; what is larger is not what it claims to be.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A file that was read, for errors that name it.
#[derive(Debug)]
pub(super) struct Text {
    path: PathBuf,
    text: String,
}

impl Text {
    /// Reads the file; bytes that are not UTF-8 become replacement characters.
    pub(super) fn read(path: PathBuf) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Self { text: String::from_utf8_lossy(&bytes).into_owned(), path }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// The lines, counted from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// The error for a line that is not what it should be.
    pub(super) fn unexpected(&self, line: usize, expected: &'static str, came: &str) -> Error {
        Error::Format { path: self.path.clone(), line, expected, came: came.chars().take(80).collect() }
    }

    /// `field` as a number.
    pub(super) fn number<T: FromStr>(&self, line: usize, field: Option<&str>) -> Result<T, Error> {
        let field = field.unwrap_or("");
        field.parse().map_err(|_| self.unexpected(line, "a number", field))
    }
}

/// The trimmed content of a file that may be missing, as many sysfs attributes are.
pub(super) fn read_attribute(path: &Path) -> Option<String> {
    Text::read(path.to_path_buf()).ok().map(|file| file.text.trim().to_owned())
}

/// A number from a file that may be missing.
pub(super) fn read_number(path: &Path) -> Option<f64> {
    read_attribute(path)?.parse().ok()
}
