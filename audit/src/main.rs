//! `cutout-lab`: the demo, the audit, and the nodes that they run. See `cutout-lab --help`.

use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// All memory is wiped as it is given back, as in `cutout`: the lab's users have secrets, too.
#[global_allocator]
static WIPED: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    audit::command::main()
}
