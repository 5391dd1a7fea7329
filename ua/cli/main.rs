//! `cutout`: anonymous peer-to-peer e-mail. See `cutout --help`.

use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// All memory is wiped as it is given back: a mail's text, a passphrase or an address passes through buffers of libraries
/// that do not wipe theirs, and through those that grew.
#[global_allocator]
static WIPED: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    cutout::cli::main()
}
