//! Directories: what is in their files, and in the names of these.

use std::{io, path::Path};

use super::needle::{Find, Needles};

/// What is in a directory and below it, each with its path from there, and how many bytes were searched. Files with
/// one of these names are left out.
pub(super) fn search(
    directory: &Path,
    except: &[&str],
    needles: &Needles<'_>,
) -> io::Result<(Vec<(String, Find)>, u64)> {
    let (mut found, mut searched) = (Vec::new(), 0);
    let mut ahead = vec![directory.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.strip_prefix(directory).unwrap_or(&path).display().to_string();
            if except.contains(&name.as_str()) {
                continue;
            }
            let mut see = |find| found.push((name.clone(), find));
            needles.search(name.as_bytes()).into_iter().for_each(&mut see);
            if path.is_dir() {
                ahead.push(path);
                continue;
            }
            // What is gone by now was temporary, and is searched the next time if it is written again.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            searched += u64::try_from(bytes.len()).unwrap_or(0);
            needles.search(&bytes).into_iter().for_each(see);
        }
    }
    Ok((found, searched))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::needle::{Canaries, Label};

    #[test]
    fn contents_and_names_are_searched() {
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().join("below");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(below.join("file"), b"..canary-1234..").unwrap();
        std::fs::write(directory.path().join("canary-1234"), b"").unwrap();
        std::fs::write(directory.path().join("log"), b"canary-1234").unwrap();
        let mut canaries = Canaries::default();
        canaries.text(Label::Marker, "canary-1234");
        let (mut found, _) =
            search(directory.path(), &["log"], &canaries.needles().unwrap()).unwrap();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["below/file", "canary-1234"]);
    }
}
