//! Writes the table of the web UI's built files, which `src/ui/file.rs` includes.
//!
//! What `make ui` left in `ui/dist/web` goes into the binary; where nothing was built the table is empty
//! and the binary says how to build the UI. Needs no Node itself.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() {
    let root = Path::new(&env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo")).join("../../ui/dist");
    // The folder is always there, so that a build without the UI is not done again each time.
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build.rs");
    let web = root.join("web");
    let mut files = Vec::new();
    if web.join("index.html").exists() {
        collect(&web, &mut files).expect("ui/dist/web can be read");
    }
    files.sort();
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("ui_files.rs");
    fs::write(out, table(&web, &files)).expect("OUT_DIR can be written");
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn table(web: &Path, files: &[PathBuf]) -> String {
    let mut text = String::from("&[\n");
    for path in files {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        if matches!(&*extension, "gz" | "br") {
            continue;
        }
        let name = path.strip_prefix(web).expect("below the folder").to_string_lossy().replace('\\', "/");
        let include = |path: &Path| format!("include_bytes!({:?})", path.canonicalize().expect("exists"));
        let packed = |suffix: &str| {
            let path = PathBuf::from(format!("{}.{suffix}", path.display()));
            if path.exists() { format!("Some({})", include(&path)) } else { "None".to_owned() }
        };
        let tag = fnv(&fs::read(path).expect("built files can be read"));
        writeln!(
            text,
            "    File {{ name: {name:?}, etag: \"\\\"{tag:016x}\\\"\", plain: {}, gzip: {}, brotli: {} }},",
            include(path),
            packed("gz"),
            packed("br"),
        )
        .expect("writing to a string");
    }
    text.push(']');
    text
}

/// FNV-1a, 64 bits: tells versions of one file apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
