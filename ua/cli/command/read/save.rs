//! `cutout read N --save DIR`: attachments into files. Their names are the sender's, so none may leave the directory or
//! take another file's place.

use std::{
    borrow::Cow,
    fs::{DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use mail_parser::{
    Encoding, Message, MessagePart, MimeHeaders as _, PartType,
    decoders::{base64::base64_decode, quoted_printable::quoted_printable_decode},
};

use crate::{
    printable::{self, file_name, split_ending},
    terminal::{Failure, say, tell},
};

/// Attachments that one command saves.
const MOST_SAVED: usize = 1_000;
/// Names that are tried for one attachment where files of its name are there.
const MOST_NAMES: usize = 1_000;

/// Saves all attachments of a mail, and says where.
///
/// # Errors
/// [`Failure`]: 73 if the directory or a file cannot be written, 65 if there are too many.
pub(super) fn attachments(
    directory: &Path,
    message: &Option<Message<'_>>,
    bytes: &[u8],
) -> Result<(), Failure> {
    let Some(message) = message else {
        let remedy = "save the whole mail with --raw";
        return Err(Failure::new(65, "no attachments can be found in this mail", "", remedy));
    };
    let failed = |error: std::io::Error| {
        let what = format!("cannot write into {}", directory.display());
        Failure::new(73, &what, error, "check the directory and its permissions")
    };
    let count = message.attachment_count();
    if count == 0 {
        tell("This mail has no attachments.");
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    for (index, attachment) in message.attachments().take(MOST_SAVED).enumerate() {
        let name = file_name(attachment.attachment_name().unwrap_or_default());
        let name = if name.is_empty() { format!("attachment-{}", index + 1) } else { name };
        let (mut file, path) = create(directory, &name).map_err(failed)?;
        let content = content(attachment, bytes);
        file.write_all(&content).map_err(failed)?;
        say(format!("{}\t{} bytes", printable::line(&path.display().to_string()), content.len()))?;
    }
    if count > MOST_SAVED {
        let cause = format!("it has {count}; one command saves {MOST_SAVED}");
        let remedy = "save the whole mail with --raw";
        return Err(Failure::new(65, "not all attachments were saved", cause, remedy));
    }
    Ok(())
}

/// Makes a new file of this name, or of one with a number where there is a file already; never follows a link.
fn create(directory: &Path, name: &str) -> std::io::Result<(File, PathBuf)> {
    let (stem, ending) = split_ending(name);
    for number in 1..=MOST_NAMES {
        let numbered =
            if number == 1 { name.to_owned() } else { format!("{stem}-{number}{ending}") };
        let path = directory.join(numbered);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return Ok((opened?, path)),
        }
    }
    Err(std::io::Error::new(
        ErrorKind::AlreadyExists,
        format!("{MOST_NAMES} files are called {name}"),
    ))
}

/// What an attachment holds. A text keeps its own encoding: the parser's has been turned into UTF-8.
fn content<'a>(part: &'a MessagePart<'_>, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    let is_text = matches!(part.body, PartType::Text(_) | PartType::Html(_));
    let range = usize::try_from(part.offset_body).ok().zip(usize::try_from(part.offset_end).ok());
    let raw = range.and_then(|(start, end)| bytes.get(start..end)).filter(|_| is_text);
    let decoded = raw.and_then(|raw| match part.encoding {
        Encoding::None => Some(Cow::Borrowed(raw)),
        Encoding::Base64 => base64_decode(raw).map(Cow::Owned),
        Encoding::QuotedPrintable => quoted_printable_decode(raw).map(Cow::Owned),
    });
    decoded.unwrap_or_else(|| Cow::Borrowed(part.contents()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_and_a_link_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let outside = directory.path().join("outside");
        let inside = directory.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("a.txt"), b"mine").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("a-2.txt")).unwrap();
        let (_, path) = create(&inside, "a.txt").unwrap();
        assert_eq!(path, inside.join("a-3.txt"));
        assert_eq!(std::fs::read(inside.join("a.txt")).unwrap(), b"mine");
        assert!(!outside.exists());
    }
}
