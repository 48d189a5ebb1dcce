//! Where the objects come from: files in YAML or JSON, or kubectl with the access of who runs it.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::object::Objects;

/// Most bytes of objects of one kind; a cluster of a thousand services has a few MB.
const OBJECT_BYTES_MAX: u64 = 512 << 20;
/// Longest time for one answer of kubectl.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// What kubectl is asked for, and whether a cluster may well be without it.
const RESOURCES: [(&str, bool); 6] = [
    ("servicemonitors.monitoring.coreos.com", false),
    ("services", false),
    ("endpointslices.discovery.k8s.io", false),
    ("namespaces", false),
    ("prometheuses.monitoring.coreos.com", true),
    ("prometheusagents.monitoring.coreos.com", true),
];

/// All objects of `files`; "-" is the standard input.
pub(super) fn from_files(files: &[PathBuf]) -> Result<Objects> {
    let mut objects = Objects::default();
    for file in files {
        let text = read(file).with_context(|| format!("cannot read {}", file.display()))?;
        for document in
            documents(&text).with_context(|| format!("{} is neither YAML nor JSON", file.display()))?
        {
            objects.take(document).with_context(|| format!("in {}", file.display()))?;
        }
    }
    Ok(objects)
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file)?)
    };
    let read = source.take(OBJECT_BYTES_MAX + 1).read_to_string(&mut text)?;
    anyhow::ensure!(
        read as u64 <= OBJECT_BYTES_MAX,
        "expected at most {OBJECT_BYTES_MAX} bytes, there are more"
    );
    Ok(text)
}

fn documents(text: &str) -> Result<Vec<Value>> {
    if text.trim_start().starts_with('{') {
        let documents = serde_json::Deserializer::from_str(text).into_iter();
        return Ok(documents.collect::<Result<_, _>>()?);
    }
    Ok(crate::yaml::documents(text)?)
}

/// Asks kubectl for everything that counts.
pub(super) async fn from_cluster(kubectl: &Path) -> Result<Objects> {
    let mut objects = Objects::default();
    for (resource, may_lack) in RESOURCES {
        match ask(kubectl, resource).await {
            Ok(answer) => objects.take(answer)?,
            Err(_) if may_lack => {}
            Err(error) => {
                return Err(error.context(format!(
                    "cannot get {resource} by {}; give the objects with --objects instead",
                    kubectl.display()
                )));
            }
        }
    }
    Ok(objects)
}

async fn ask(kubectl: &Path, resource: &str) -> Result<Value> {
    let mut child = Command::new(kubectl)
        .args(["get", resource, "--all-namespaces", "--output=json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        bail!("its output cannot be read");
    };
    let (mut answer, mut complaint) = (Vec::new(), Vec::new());
    // One byte more than allowed tells that there is too much.
    let (mut stdout, mut stderr) = (stdout.take(OBJECT_BYTES_MAX + 1), stderr.take(4096));
    let reading = async {
        tokio::try_join!(stdout.read_to_end(&mut answer), stderr.read_to_end(&mut complaint))?;
        child.wait().await
    };
    let status = tokio::time::timeout(ANSWER_TIME_MAX, reading)
        .await
        .with_context(|| format!("no answer within {ANSWER_TIME_MAX:?}"))??;
    if !status.success() {
        bail!("{}", String::from_utf8_lossy(&complaint).trim());
    }
    serde_json::from_slice(&answer).context("its answer is no JSON")
}
