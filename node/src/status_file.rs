//! What a node writes down for whoever looks at it: small files of JSON in its directory, each whole or not there.

use std::{fs, io, path::Path};

use serde::{Serialize, de::DeserializeOwned};

/// The longest such file, bytes.
const MAX_FILE: u64 = 16_384;

/// What stands there; `None` if nothing does.
///
/// # Errors
/// If the file cannot be read, or is none of ours.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    use io::Read as _;
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(Some(serde_json::from_str(&text)?))
}

/// Writes it down; a new file first, so that whoever reads finds one of the two.
///
/// # Errors
/// The disk's; the old file is as it was.
pub(crate) fn write(path: &Path, status: &impl Serialize) -> io::Result<()> {
    let new = path.with_extension("json.new");
    fs::write(&new, serde_json::to_vec(status)?)?;
    fs::rename(&new, path)
}
