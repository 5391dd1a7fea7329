# One line each. `just check` is what CI runs.

# List the recipes
default:
    @just --list

# Everything that must pass before a change is taken
check:
    .ci/run

# All tests
test *ARGS:
    cargo test --locked --workspace {{ARGS}}

# The protocol's tests alone: no network, a few seconds
anon:
    cargo test --locked -p anon

# One scenario over real processes, by name
scenario NAME:
    cargo test --locked -p cutout --test scenarios -- {{NAME}} --nocapture

# One anonymous mail across a network of processes on this machine
demo *ARGS:
    ./start {{ARGS}}

fmt:
    cargo fmt --all

lint:
    cargo clippy --locked --workspace --all-targets -- -D warnings

# The rustdoc pages
doc:
    cargo doc --locked --workspace --no-deps --open

# Licences, bans, sources and advisories of all dependencies (needs cargo-deny, and the network for advisories)
deny:
    cargo deny check

# Are the known answers still what the second implementation computes? (needs PyNaCl and cryptography)
vectors:
    python3 tests/vectors/generate.py --check

# Mutants of anon, and 300 of what decides in node and ua: an hour; it goes on where it was (needs cargo-mutants)
mutants *ARGS:
    tests/mutants/run.py anon {{ARGS}}
    tests/mutants/run.py rest {{ARGS}}

# Searches the symbolic models for attacks, and notes that these models were examined (needs verifpal)
symbolic:
    CUTOUT_REQUIRE_VERIFPAL=1 cargo test --locked --workspace --lib -- symbolic:: --nocapture
    echo "$(audit/symbolic/digest) $(verifpal --version)" >audit/symbolic/examined

# What takes too long for CI: a thousand mails beside one of 15.7 MiB, and 5,000 announced mails that never existed
full:
    cargo test --locked --workspace --test scenarios -- reading::a_thousand --ignored --nocapture
