//! How a passphrase leaves the environment. `CUTOUT_PASSPHRASE` is handy for scripts, but whoever may look at a process may
//! read its environment, and every program that this one starts inherits it: arti's pluggable transports do.
//!
//! ```text
//! CUTOUT_PASSPHRASE=… ─► [begin] ─► the same program in the same process, begun anew, without the variable;
//!                                    the passphrase comes through a pipe, which is empty once it is read
//! ```
//! Nothing but a new program image forgets its environment: `/proc/PID/environ` shows what the process began with, and
//! taking a variable out of the C library's list is unsound where threads run.

use std::{
    io::{Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    process::Command,
    sync::OnceLock,
};

use zeroize::Zeroizing;

/// The variable that people set.
pub const VARIABLE: &str = "CUTOUT_PASSPHRASE";
/// The one that tells the program begun anew where to read: its process id and the descriptor. The id keeps other programs
/// of ours, which inherit the variable, from reading a descriptor that is something else there.
const PIPE: &str = "CUTOUT_PASSPHRASE_PIPE";
/// The longest passphrase that is handed over, bytes: what a pipe takes without a reader.
const LONGEST: usize = 4_096;

static GIVEN: OnceLock<Zeroizing<String>> = OnceLock::new();

/// Takes the passphrase out of the environment; does not return if that needs a new program image. To be called first,
/// while there is one thread. Where it cannot be done the passphrase stays where it is.
pub fn begin() {
    if let Some(passphrase) = read_pipe() {
        let _ = GIVEN.set(passphrase);
        return;
    }
    let Some(passphrase) = std::env::var_os(VARIABLE) else { return };
    let passphrase = Zeroizing::new(passphrase.to_string_lossy().into_owned());
    if passphrase.len() <= LONGEST {
        let _ = begin_anew(&passphrase);
    }
}

/// The passphrase that the environment gave, if it did.
#[must_use]
pub fn passphrase() -> Option<Zeroizing<String>> {
    if let Some(given) = GIVEN.get() {
        return Some(given.clone());
    }
    std::env::var_os(VARIABLE).map(|text| Zeroizing::new(text.to_string_lossy().into_owned()))
}

fn begin_anew(passphrase: &str) -> std::io::Result<()> {
    let (reader, mut writer) = std::io::pipe()?;
    let place = format!("/dev/fd/{}", reader.as_raw_fd());
    // Without it the other end could not be read, and the passphrase would be lost.
    std::fs::metadata(&place)?;
    writer.write_all(passphrase.as_bytes())?;
    rustix::io::fcntl_setfd(&reader, rustix::io::FdFlags::empty())?;
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env_remove(VARIABLE);
    command.env(PIPE, format!("{}:{}", std::process::id(), reader.as_raw_fd()));
    Err(command.exec())
}

fn read_pipe() -> Option<Zeroizing<String>> {
    let told = std::env::var(PIPE).ok()?;
    let (process, descriptor) = told.split_once(':')?;
    if process.parse() != Ok(std::process::id()) {
        return None;
    }
    let descriptor: u32 = descriptor.parse().ok()?;
    let mut pipe = std::fs::File::open(format!("/dev/fd/{descriptor}")).ok()?;
    let mut passphrase = Zeroizing::new(String::with_capacity(LONGEST));
    pipe.read_to_string(&mut passphrase).ok()?;
    Some(passphrase)
}
