//! The file on disk, and when it has to be read again.
//!
//! Invariant: once started, there is always a good state; a file that cannot be used is reported once per
//! change and the last good state stays. TLS cannot be switched on or off while running, and a file that
//! became empty is taken as one that is being written: neither may open the door for a moment.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;

use super::settings::{Headers, SecuritySettings};
use super::tls;
use super::users::Users;

/// Turns the text of the file into settings; errors name file, line and column.
pub type Parse = fn(&Path, &str) -> Result<SecuritySettings, String>;

/// One good load of the file.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Whether certificates of clients are held against an authority.
    pub(super) verifies_clients: bool,
    /// Whether HTTP/2 is spoken on TLS connections.
    pub(super) http2: bool,
    pub(super) headers: Headers,
    pub(super) users: Option<Users>,
}

/// Identity, size and times of a file; `None` where there is none.
type Mark = Option<(u64, u64, i64, i64, i64, i64)>;

/// The file and those that it names.
#[derive(Debug)]
pub(super) struct Source {
    file: PathBuf,
    parse: Parse,
    /// What was there at the last attempt.
    marks: Vec<(PathBuf, Mark)>,
}

impl Source {
    pub(super) fn new(file: PathBuf, parse: Parse) -> Self {
        let marks = vec![(file.clone(), None)];
        Self { file, parse, marks }
    }

    /// Whether something changed since the last attempt. Blocks on the disk.
    pub(super) fn has_changed(&self) -> bool {
        self.marks.iter().any(|(path, mark)| *mark != mark_of(path))
    }

    /// Reads everything. Blocks on the disk.
    pub(super) fn load(&mut self, before: Option<&State>) -> Result<State, String> {
        // Marked before it is read, so that a change in between is seen by the next look.
        for (path, mark) in &mut self.marks {
            *mark = mark_of(path);
        }
        let name = self.file.display().to_string();
        let text = std::fs::read_to_string(&self.file).map_err(|error| format!("open {name}: {error}"))?;
        if before.is_some() && text.trim().is_empty() {
            return Err(format!("{name} has become empty; write {{}} to switch everything off, and restart"));
        }
        let mut settings = (self.parse)(&self.file, &text)?;
        settings.resolve_paths(self.file.parent().unwrap_or(Path::new("")));
        self.watch(&settings);
        let state = State::new(&settings).map_err(|why| format!("{name}: {why}"))?;
        if before.is_some_and(|before| before.tls.is_some() != state.tls.is_some()) {
            return Err(format!("{name}: TLS can only be switched on or off by a restart"));
        }
        Ok(state)
    }

    /// Marks the files that `settings` name, before they are read.
    fn watch(&mut self, settings: &SecuritySettings) {
        self.marks.truncate(1);
        let Some(tls) = &settings.tls_server_config else { return };
        for file in [&tls.cert_file, &tls.key_file, &tls.client_ca_file].into_iter().flatten() {
            self.marks.push((file.clone(), mark_of(file)));
        }
    }
}

impl State {
    fn new(settings: &SecuritySettings) -> Result<Self, String> {
        let http2 = settings.http2();
        let tls = match settings.tls_server_config.as_ref().filter(|tls| !tls.is_off) {
            Some(tls) => Some(tls::server_config(tls, http2)?),
            None => None,
        };
        let verifies_clients =
            settings.tls_server_config.as_ref().is_some_and(|tls| !tls.is_off && tls.client_auth.verifies());
        let headers = settings.http_server_config.as_ref().and_then(|http| http.headers.clone());
        let users = match &settings.basic_auth_users {
            Some(users) => Users::new(users)?,
            None => None,
        };
        Ok(Self { tls, verifies_clients, http2, headers: headers.unwrap_or_default(), users })
    }
}

fn mark_of(path: &Path) -> Mark {
    let meta = std::fs::metadata(path).ok()?;
    // The change time and the inode see what the modification time does not: a link that was turned, as
    // Kubernetes does with secrets, and files that were copied with their times.
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()))
}
