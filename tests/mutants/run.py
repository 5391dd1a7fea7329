#!/usr/bin/env python3
"""Mutation tests: changes one small thing in the code at a time and asks whether a test notices.

`cargo mutants` (a tool, no dependency: `cargo install cargo-mutants`) lists the mutants and writes each as a diff. All that
can be are built into one program (schemata.py); each is then tried with the tests of its crate that reach it (tree.py). A
run can be stopped at any time and goes on where it was: a mutant keeps its outcome as long as the file that it changes
stays as it is and, if it survived, the tests do too.

    tests/mutants/run.py anon                  all mutants of anon
    tests/mutants/run.py rest                  300 of what decides in node and ua, drawn with the seed in SCOPES
    tests/mutants/run.py anon --count 40 --seed 5 --gate   a bounded sample; exits 1 if an unlisted one survives
    tests/mutants/run.py rest --files 'node/src/garbage' --scenarios 'garbage::'
                                               the survivors in these files once more, with scenarios over processes
    tests/mutants/run.py changed --base REV    those of the lines that changed since REV, at most --count of them

Outcomes are written to tests/mutants/SCOPE.tsv: outcome, mutant, what tells, hash of its file. The lines before them say
at which commit, with which seed, and how many. A survivor that no test has to kill has its reason in docs/mutants.md.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time

import tree
from tree import ROOT, git

HERE = ROOT / "tests" / "mutants"
# What decides in the node and in the agent, by the issue that asked for this.
DECIDES = (
    r"^node/src/(service|server|store|channel|dht|directory|garbage)(/(?!tests).*)?\.rs$"
    r"|^ua/src/(receive|send|replica_client|certificates|evidence|scheme)(/(?!tests).*)?\.rs$"
)
SCOPES = {
    "anon": {"packages": ["anon"], "files": r"^anon/src/", "count": None, "seed": 0},
    "rest": {"packages": ["node", "ua"], "files": DECIDES, "count": 300, "seed": 12},
    "changed": {"packages": ["anon", "net", "node", "ua"], "files": r"^anon/src/|" + DECIDES, "count": 20, "seed": 12},
}


def say(text):
    print(text, file=sys.stderr, flush=True)


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
    mutants = [mutant for mutant in json.loads(out or "[]") if re.search(scope["files"], mutant["file"])]
    return sorted(mutants, key=lambda mutant: mutant["name"])


def plain(name):
    """A mutant's name without line and column: what it is called in docs/mutants.md."""
    return re.sub(r":\d+:\d+:", ":", name, count=1)


def hash_of(paths):
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def package_of(mutant):
    return mutant["file"].split("/", 1)[0]


def draw(mutants, count, seed, before):
    """At least so many mutants: all that were drawn before, wherever they are now, and others by the seed."""
    kept = [mutant for mutant in mutants if plain(mutant["name"]) in before]
    others = [mutant for mutant in mutants if plain(mutant["name"]) not in before]
    fresh = random.Random(seed).sample(others, max(0, min(count - len(kept), len(others))))
    return sorted(kept + fresh, key=lambda mutant: mutant["name"])


def is_quick(mutant):
    """Whether it is tried in one build with all others; for CI."""
    functions, _ = tree.schemata.functions_of((ROOT / mutant["file"]).read_text(), [mutant])
    return bool(functions)


class Record:
    """The outcomes of a scope, and which of them still hold."""

    def __init__(self, path, packages, is_kept):
        self.path, self.outcomes, self.told = path, {}, {}
        # Of all that could notice a mutant of a package: a survivor is tried again when this changes.
        self.tests = {package: hash_of((ROOT / package).rglob("*.rs")) for package in packages}
        for line in path.read_text().splitlines() if path.exists() else ():
            if line and not line.startswith("#"):
                outcome, name, why, *hashes = line.split("\t")
                if is_kept:
                    self.outcomes[name] = (outcome, why, hashes)
                if outcome == "caught":
                    self.told[name] = self.told[plain(name)] = why

    def hashes(self, mutant, outcome):
        hashes = [hash_of([ROOT / mutant["file"]])]
        return hashes + [self.tests[package_of(mutant)]] if outcome == "survived" else hashes

    def told_by(self, name):
        """Which test told of a mutant before, or of one like it on another line."""
        return self.told.get(name, self.told.get(plain(name), ""))

    def holds(self, mutant):
        known = self.outcomes.get(mutant["name"])
        return known is not None and known[2] == self.hashes(mutant, known[0])

    def add(self, mutant, outcome, why):
        why = " ".join(why.split())[:120]
        self.outcomes[mutant["name"]] = (outcome, why, self.hashes(mutant, outcome))

    def write(self, scope, seed, drawn):
        counts = {}
        for mutant in drawn:
            outcome = self.outcomes.get(mutant["name"], ("not run",))[0]
            counts[outcome] = counts.get(outcome, 0) + 1
        lines = [
            f"# mutants of {scope}, written by tests/mutants/run.py",
            f"# commit {git('rev-parse', '--short=12', 'HEAD')}, seed {seed}, {len(drawn)} mutants: "
            + ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())),
        ]
        for mutant in drawn:
            if mutant["name"] in self.outcomes:
                outcome, why, hashes = self.outcomes[mutant["name"]]
                lines.append("\t".join([outcome, mutant["name"], why, *hashes]))
        temporary = self.path.with_suffix(".new")
        temporary.write_text("\n".join(lines) + "\n")
        os.replace(temporary, self.path)

    def survivors(self, drawn):
        return [mutant["name"] for mutant in drawn if self.outcomes.get(mutant["name"], ("",))[0] == "survived"]


def excused():
    page = ROOT / "docs" / "mutants.md"
    names = re.findall(r"^\| `([^`]+)`", page.read_text(), re.M) if page.exists() else []
    # A table's cell has no bar in it.
    return {name.replace("\\|", "|") for name in names}


def side_by_side(work, names):
    """Does some work for each name, a few at once; yields each with what came of it."""
    with concurrent.futures.ThreadPoolExecutor(tree.WORKERS) as pool:
        running = {pool.submit(work, name): name for name in names}
        try:
            for done in concurrent.futures.as_completed(running):
                yield running[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def outcomes(waiting, packages, told_by):
    """Tries mutants, first with the test that told of each before; yields each with its outcome and what told."""
    choices = tree.Choices(waiting, packages, say)
    by_name = {mutant["name"]: mutant for mutant in waiting}
    for name in sorted(choices.unviable):
        yield by_name[name], "unviable", "it does not compile"
    before = {name: told_by(name) for name in sorted(choices.numbers)}
    left = [name for name, told in before.items() if not told]
    for name, again in side_by_side(lambda name: choices.caught_again(name, before[name]), filter(before.get, before)):
        if again:
            yield by_name[name], "caught", before[name]
        else:
            left.append(name)
    if left:
        choices.learn()
    for name, (outcome, why) in side_by_side(choices.outcome, sorted(left)):
        yield by_name[name], outcome, why
    if choices.alone:
        alone = tree.Alone()
    for name, mutant in sorted(choices.alone.items()):
        yield mutant, *alone.outcome(mutant)


def outcomes_over_processes(survivors, packages, pattern):
    """Tries survivors with the scenarios that fit a pattern; yields each with its outcome and what told."""
    choices = tree.Choices(survivors, packages, say, scenarios=True)
    by_name = {mutant["name"]: mutant for mutant in survivors}
    for name, (outcome, why) in side_by_side(
        lambda name: choices.outcome_over_processes(name, pattern), sorted(choices.numbers)
    ):
        yield by_name[name], outcome, why


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scope", choices=SCOPES)
    parser.add_argument("--base", help="with `changed`: mutants of the lines that differ from this revision")
    parser.add_argument("--count", type=int, help="how many, drawn with the seed")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float, help="stop after so long; the next run goes on from there")
    parser.add_argument("--gate", action="store_true", help="record nothing; fail if an unlisted mutant survives")
    parser.add_argument("--scenarios", help="try survivors of --files with the scenarios that fit this pattern")
    parser.add_argument("--files", default="", help="a pattern, with --scenarios")
    args = parser.parse_args()
    if not args.gate and git("status", "--porcelain", "--untracked-files=no"):
        sys.exit("error: uncommitted changes\ncause: mutants are tried at a commit\ntry:   commit first")
    scope = SCOPES[args.scope]
    count, seed = args.count or scope["count"], scope["seed"] if args.seed is None else args.seed
    drawn = listed(scope, args.base if args.scope == "changed" else None)
    if args.gate:
        drawn = [mutant for mutant in drawn if is_quick(mutant)]
    record = Record(HERE / f"{args.scope}.tsv", scope["packages"], not args.gate)
    if count and count < len(drawn):
        drawn = draw(drawn, count, seed, {plain(name) for name in record.outcomes})
    waiting = [mutant for mutant in drawn if not record.holds(mutant)]
    if args.scenarios:
        survivors = set(record.survivors(drawn))
        waiting = [m for m in drawn if m["name"] in survivors and re.search(args.files, m["file"])]
    say(f"{len(drawn)} mutants, {len(waiting)} to try")
    began = time.monotonic()
    if args.scenarios:
        tried = outcomes_over_processes(waiting, scope["packages"], args.scenarios)
    else:
        tried = outcomes(waiting, scope["packages"], record.told_by) if waiting else ()
    for number, (mutant, outcome, why) in enumerate(tried, 1):
        record.add(mutant, outcome, why)
        say(f"{number}/{len(waiting)} {outcome:9} {mutant['name']}  ({why})")
        if not args.gate:
            record.write(args.scope, seed, drawn)
        if args.minutes and time.monotonic() - began > args.minutes * 60:
            say("stopped; the next run goes on from here")
            break
    unlisted = sorted({plain(name) for name in record.survivors(drawn)} - excused())
    for name in unlisted:
        print(f"survived, and docs/mutants.md gives no reason: {name}")
    sys.exit(1 if args.gate and (unlisted or not drawn) else 0)


if __name__ == "__main__":
    main()
