//! What commands say: every help, and the errors that need no network, as files under `tests/texts`. A text that changes
//! shows in the difference. `TRYCMD=overwrite cargo test --test scenarios texts` writes the files anew.

use crate::support::program;

#[test]
fn helps_and_errors_are_what_the_files_say() {
    let directory = tempfile::tempdir().unwrap();
    let cases = trycmd::TestCases::new();
    for variable in ["CUTOUT_HOME", "CUTOUT_PASSPHRASE_FILE", "CUTOUT_SCHEME", "NO_COLOR"] {
        assert!(std::env::var_os(variable).is_none(), "{variable} is set: texts would differ");
    }
    cases
        .env("CUTOUT_PASSPHRASE", "correct horse")
        .env("HOME", directory.path().to_str().unwrap())
        .register_bin("cutout", program())
        .case("tests/texts/*.trycmd");
}
