#!/usr/bin/env python3
"""Mutation tests: changes one small thing in the code at a time and asks whether a test notices.

`cargo mutants` (a tool, no dependency: `cargo install cargo-mutants`) lists the mutants and writes each as a diff. This
script applies one diff at a time in a worktree of its own, runs the tests of the crate that it changes, and records
what happened. It can be stopped at any time and goes on where it was: a mutant keeps its outcome as long as the file
that it changes stays as it is and, if it survived, the tests do too.

    tests/mutants/run.py anon                  all mutants of anon
    tests/mutants/run.py rest                  300 of what decides in node and ua, drawn with the seed in SCOPES
    tests/mutants/run.py changed --base REV    those of the lines that changed since REV, at most --count of them
    tests/mutants/run.py anon --count 8 --seed 5 --gate    a bounded sample; exits 1 if an unlisted one survives

Outcomes are written to tests/mutants/SCOPE.tsv: outcome, mutant, hash of its file. The lines before them say at which
commit, with which seed, and how many. A survivor that no test has to kill has its reason in docs/mutants.md.
"""

import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "mutants"
# A mutant that makes a test run for ever is caught by this, seconds: many times what the tests of a crate take.
TIMEOUT = 600
# How long the first build may take, seconds.
BASELINE = 3600
# What decides in the node and in the agent, by the issue that asked for this.
DECIDES = (
    r"node/src/(service|server|store|channel|substrate|directory|garbage)(/(?!tests).*)?\.rs$"
    r"|ua/src/(receive|send|courier|certificates|evidence|scheme)(/.*)?\.rs$"
)
SCOPES = {
    "anon": {"packages": ["anon"], "files": r"^anon/src/", "count": None, "seed": 0},
    "rest": {"packages": ["node", "ua"], "files": DECIDES, "count": 300, "seed": 12},
    "changed": {"packages": ["anon", "node", "ua"], "files": r"^anon/src/|" + DECIDES, "count": 20, "seed": 12},
}


def git(*args, cwd=ROOT):
    done = subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def listed(scope, base):
    """All mutants of a scope, in an order that depends on nothing but the code."""
    command = ["cargo", "mutants", "--list", "--json", "--colors", "never"]
    for package in scope["packages"]:
        command += ["--package", package]
    with tempfile.NamedTemporaryFile("w", suffix=".diff") as diff:
        if base:
            diff.write(git("diff", base, "--", "*.rs") + "\n")
            diff.flush()
            command += ["--in-diff", diff.name]
        out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    mutants = [m for m in json.loads(out or "[]") if re.search(scope["files"], m["file"])]
    return sorted(mutants, key=lambda mutant: mutant["name"])


def plain(name):
    """A mutant's name without line and column: what it is called in docs/mutants.md."""
    return re.sub(r":\d+:\d+:", ":", name, count=1)


def content_hash(path):
    return hashlib.sha256((ROOT / path).read_bytes()).hexdigest()[:16]


def tests_hash(package):
    """Of all that could notice a mutant of a package: a survivor is tried again when this changes."""
    files = sorted(
        path for folder in (ROOT / package / "tests", ROOT / package / "src") if folder.exists()
        for path in folder.rglob("*.rs")
    )
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def package_of(mutant):
    return mutant["file"].split("/", 1)[0]


class Tree:
    """A copy of the checkout in which mutants are tried, with a build directory that is kept."""

    def __init__(self):
        self.path = ROOT / "target" / "mutants" / "tree"
        if not self.path.exists():
            git("worktree", "prune")
            git("worktree", "add", "--detach", str(self.path), "HEAD")
        git("checkout", "--quiet", "--force", "--detach", git("rev-parse", "HEAD"), cwd=self.path)
        self.environment = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target" / "mutants" / "build"),
                                CARGO_INCREMENTAL="1", CARGO_PROFILE_DEV_DEBUG="0", PROPTEST_MAX_SHRINK_ITERS="0")

    def cargo(self, *args, timeout=TIMEOUT):
        """Runs cargo in the tree: its exit code, or None if it ran out of time, and what it said."""
        command = ["cargo", *args]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, cwd=self.path, env=self.environment, stdout=said,
                                       stderr=subprocess.STDOUT, start_new_session=True)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                code = None
            said.seek(0)
            return code, said.read().decode(errors="replace")

    def outcome(self, mutant):
        source = self.path / mutant["file"]
        original = source.read_bytes()
        patched = subprocess.run(["patch", "--quiet", "-p0", "--force", mutant["file"]], cwd=self.path,
                                 input=mutant["diff"], text=True, capture_output=True)
        if patched.returncode != 0:
            sys.exit(f"error: the diff of {mutant['name']} does not apply\n{patched.stdout}{patched.stderr}")
        try:
            test = ["test", "--quiet", "--locked", "--package", package_of(mutant), "--lib", "--tests"]
            code, _ = self.cargo(*test, "--no-run")
            if code != 0:
                return "unviable" if code else "timeout"
            code, _ = self.cargo(*test)
            return "survived" if code == 0 else "timeout" if code is None else "caught"
        finally:
            source.write_bytes(original)
            for left in (source.with_suffix(".rs.orig"), source.with_suffix(".rs.rej")):
                left.unlink(missing_ok=True)


def read_outcomes(path):
    known = {}
    if path.exists():
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                outcome, name, *hashes = line.split("\t")
                known[name] = (outcome, hashes)
    return known


def write_outcomes(path, scope, seed, drawn, known):
    counts = {}
    for mutant in drawn:
        outcome = known.get(mutant["name"], ("not run",))[0]
        counts[outcome] = counts.get(outcome, 0) + 1
    lines = [
        f"# mutants of {scope}, written by tests/mutants/run.py",
        f"# commit {git('rev-parse', '--short=12', 'HEAD')}, seed {seed}, {len(drawn)} mutants: "
        + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())),
    ]
    for mutant in drawn:
        if mutant["name"] in known:
            outcome, hashes = known[mutant["name"]]
            lines.append("\t".join([outcome, mutant["name"], *hashes]))
    path.write_text("\n".join(lines) + "\n")


def excused():
    page = ROOT / "docs" / "mutants.md"
    return set(re.findall(r"^\| `([^`]+)`", page.read_text(), re.M)) if page.exists() else set()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scope", choices=SCOPES)
    parser.add_argument("--base", help="with `changed`: mutants of the lines that differ from this revision")
    parser.add_argument("--count", type=int, help="how many, drawn with the seed")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float, help="stop after so long; the next run goes on from there")
    parser.add_argument("--gate", action="store_true", help="record nothing; fail if an unlisted mutant survives")
    args = parser.parse_args()
    if git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("error: uncommitted changes\ncause: mutants are tried at a commit\ntry:   commit first")
    scope = SCOPES[args.scope]
    count, seed = args.count or scope["count"], scope["seed"] if args.seed is None else args.seed
    drawn = listed(scope, args.base if args.scope == "changed" else None)
    if count and count < len(drawn):
        drawn = sorted(random.Random(seed).sample(drawn, count), key=lambda mutant: mutant["name"])
    path = HERE / f"{args.scope}.tsv"
    known = {} if args.gate else read_outcomes(path)
    tests = {package: tests_hash(package) for package in scope["packages"]}

    def is_settled(mutant):
        outcome, hashes = known.get(mutant["name"], ("", []))
        expected = [content_hash(mutant["file"])]
        if outcome == "survived":
            expected.append(tests[package_of(mutant)])
        return bool(outcome) and hashes == expected

    tree, began, survived = Tree(), time.monotonic(), []
    waiting = [mutant for mutant in drawn if not is_settled(mutant)]
    print(f"{len(drawn)} mutants, {len(waiting)} to run", file=sys.stderr)
    for package in sorted({package_of(mutant) for mutant in waiting}):
        test = ["test", "--quiet", "--locked", "--package", package, "--lib", "--tests"]
        tree.cargo(*test, "--no-run", timeout=BASELINE)
        code, said = tree.cargo(*test)
        if code != 0:
            sys.exit(f"{said}\nerror: the tests of {package} fail, or last too long, without any mutant")
    for number, mutant in enumerate(waiting, 1):
        if args.minutes and time.monotonic() - began > args.minutes * 60:
            break
        outcome = tree.outcome(mutant)
        hashes = [content_hash(mutant["file"])]
        if outcome == "survived":
            hashes.append(tests[package_of(mutant)])
            survived.append(plain(mutant["name"]))
        known[mutant["name"]] = (outcome, hashes)
        print(f"{number}/{len(waiting)} {outcome:9} {mutant['name']}", file=sys.stderr, flush=True)
        if not args.gate:
            write_outcomes(path, args.scope, seed, drawn, known)
    unlisted = sorted(set(survived) - excused())
    for name in unlisted:
        print(f"survived, and docs/mutants.md gives no reason: {name}")
    sys.exit(1 if args.gate and unlisted else 0)


if __name__ == "__main__":
    main()
