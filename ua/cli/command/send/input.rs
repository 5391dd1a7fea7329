//! What is sent: read from a file or from standard input, where somebody may be typing it.

use std::{
    fs::File,
    io::{IsTerminal as _, Read as _},
    os::fd::AsFd as _,
    path::PathBuf,
};

use anon::{certificate::Address, mail::BODY_MAX};
use ua::identifying;

use crate::{
    command::read_file,
    terminal::{Failure, Progress, tell},
};

/// Header fields that are warned of one by one.
const MOST_WARNINGS: usize = 30;

/// Whether somebody is going to type the message.
pub(super) fn is_typed(file: Option<&PathBuf>) -> bool {
    file.is_none_or(|path| path.as_os_str() == "-") && std::io::stdin().is_terminal()
}

/// Reads the message.
///
/// # Errors
/// [`Failure`] with 66.
pub(super) fn read(file: Option<&PathBuf>) -> Result<Vec<u8>, Failure> {
    match file {
        Some(path) if path.as_os_str() != "-" => read_file(path),
        _ => {
            if std::io::stdin().is_terminal() {
                tell("Type the message, then Ctrl-D.");
            }
            let limit = u64::try_from(BODY_MAX).unwrap_or(u64::MAX).saturating_add(1);
            let unreadable = |error| Failure::new(66, "standard input cannot be read", error, "");
            // Past the standard library's own buffer, which would keep a copy until the program ends.
            let input = std::io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
            let mut bytes = Vec::new();
            File::from(input).take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
            Ok(bytes)
        }
    }
}

/// What is typed, and what comes of some work that is done meanwhile if that ends first. What was typed is handed over at
/// once, however far the work is.
///
/// # Errors
/// [`Failure`] with 66.
pub(super) async fn typed<T>(
    progress: &Progress,
    work: impl Future<Output = T>,
) -> Result<(Vec<u8>, Option<T>), Failure> {
    progress.hide();
    let mut early = None;
    let mut typing = tokio::task::spawn_blocking(|| read(None));
    let typed = tokio::select! {
        typed = &mut typing => typed,
        done = work => {
            early = Some(done);
            typing.await
        }
    };
    progress.show();
    let typed = typed.map_err(|error| Failure::new(66, "nothing was read", error, ""))??;
    Ok((typed, early))
}

/// Says which header fields of a finished message tell of its sender: it goes out byte for byte.
pub(super) fn warn_of(message: &[u8], network: &str, signer: Option<&Address>) {
    let telling = identifying::fields(message, network, signer);
    if telling.is_empty() {
        return;
    }
    tell("warning: the message goes out byte for byte, and every recipient reads in its header:");
    for field in telling.iter().take(MOST_WARNINGS) {
        tell(format!("  {}: {}", field.name, field.shows));
    }
    if telling.len() > MOST_WARNINGS {
        tell(format!("  and {} more fields", telling.len() - MOST_WARNINGS));
    }
    tell(
        "  Take out what nobody is to know. A text, with -s, is made into a message that names nobody.",
    );
}
