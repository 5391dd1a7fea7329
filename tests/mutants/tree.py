"""A copy of the sources in which mutants are built, and their test programs.

It lies in target/mutants, and has all mutants at once, or one at a time. Only files that differ are written, so cargo builds
anew what changed. There is one copy: cargo takes what was built of a second one, in the same target directory, for this
one's.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import tempfile
import time

import schemata

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = ROOT / "target" / "mutants"
# How long a build may take, seconds.
BUILD_TIMEOUT = 3600
# A mutant may make a test run for ever: it has this many seconds, and this many times what the test takes without it.
TEST_TIMEOUT, TIMES = 20, 10
# A scenario over processes has this many seconds.
SCENARIO_TIMEOUT = 300
# Or take all memory: a test has this much, bytes.
MEMORY = 8 << 30
# Tests that run at once, each on a mutant of its own.
WORKERS = 2


def git(*args):
    return subprocess.run(["git", *args], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def sources():
    """All files of the commit, by path; of a checkout that git does not know, all but what was built."""
    try:
        paths = [path for path in git("ls-files", "-z").split("\0") if path]
    except (subprocess.CalledProcessError, FileNotFoundError):
        files = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        paths = [str(path) for path in files if path.parts[0] not in ("target", ".git")]
    return {path: (ROOT / path).read_bytes() for path in paths}


class Cargo:
    """The copy of the sources, and what cargo says of it."""

    def __init__(self):
        self.path = PLACE / "tree"
        self.environment = dict(os.environ, CARGO_TARGET_DIR=str(PLACE / "build"), CARGO_INCREMENTAL="1")

    def write(self, files):
        for path, content in files.items():
            target = self.path / path
            if not target.exists() or target.read_bytes() != content:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        kept = set(files)
        for folder, _, names in os.walk(self.path):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), self.path)
                if path not in kept:
                    os.remove(self.path / path)

    def build(self, packages, scenarios=False):
        """Builds the tests of these packages, or the scenarios and their program: the test programs, or the errors."""
        # Of node and ua all tests are in the library; by name alone arti would be built with other features.
        scope = ["--package", "anon", "--lib", "--tests"] if packages == ["anon"] else ["--workspace", "--lib"]
        if scenarios:
            scope = ["--workspace"]
        # Tests of anon that count ten thousand draws take a tenth of the time where the code is optimized a little.
        quick = {"CARGO_PROFILE_DEV_OPT_LEVEL": "1"} if packages == ["anon"] else {}
        command = ["cargo", "test", "--locked", "--no-run", "--message-format=json", *scope]
        done = subprocess.run(command, cwd=self.path, env=self.environment | quick, capture_output=True, text=True,
                              timeout=BUILD_TIMEOUT)
        programs, errors = [], []
        for line in done.stdout.splitlines():
            said = json.loads(line)
            if said["reason"] == "compiler-artifact" and said.get("executable") and said["profile"]["test"]:
                home = pathlib.Path(said["manifest_path"]).parent
                programs.append(Program(said["target"]["name"], pathlib.Path(said["executable"]), home))
            if said["reason"] == "compiler-message" and said["message"]["level"].startswith("error"):
                errors.append(said["message"])
        if done.returncode != 0 and not errors:
            raise SystemExit(f"error: cargo fails\n{done.stderr[-4000:]}")
        if scenarios:
            return [program for program in programs if program.name == "scenarios"], errors
        return [program for program in programs if program.home.name in packages], errors


class Program:
    """A test program: a binary, and where its package is."""

    def __init__(self, name, binary, home):
        self.name, self.binary, self.home = name, binary, home

    def tests(self):
        listed = subprocess.run([self.binary, "--list", "--format", "terse"], check=True, capture_output=True, text=True)
        return [line[: -len(": test")] for line in listed.stdout.splitlines() if line.endswith(": test")]

    def run(self, tests, timeout, **environment):
        """Runs some tests: `True` if all passed, `False` if one failed, `None` if they ran out of time."""
        with tempfile.TemporaryDirectory(prefix="mutant-") as scratch:
            environment = dict(os.environ, CARGO_MANIFEST_DIR=str(self.home), TMPDIR=scratch, RUST_BACKTRACE="0",
                               PROPTEST_MAX_SHRINK_ITERS="0", PROPTEST_FAILURE_PERSISTENCE="off", **environment)
            process = subprocess.Popen(
                [self.binary, "--exact", *tests], cwd=self.home, env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY)),
            )
            try:
                return process.wait(timeout) == 0
            except subprocess.TimeoutExpired:
                return None
            finally:
                # With what the test started, and did not wait for.
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()


class Choices:
    """All mutants of some packages that can be, in one build, and which tests reach which of them."""

    def __init__(self, mutants, packages, say, scenarios=False):
        self.packages, self.say, self.scenarios = packages, say, scenarios
        self.unviable, self.constant, self.alone = set(), set(), {}
        files = collections.defaultdict(list)
        for mutant in mutants:
            files[mutant["file"]].append(mutant)
        self.functions, self.text = {}, {}
        for path, group in files.items():
            self.text[path] = (ROOT / path).read_text()
            self.functions[path], alone = schemata.functions_of(self.text[path], group)
            self.alone.update((mutant["name"], mutant) for mutant in alone)
        self.programs = self.build()

    def numbered(self):
        names = [mutant["name"] for path in sorted(self.functions) for function in self.functions[path]
                 for mutant in function.mutants]
        return {name: number for number, name in enumerate(names)}

    def build(self):
        """Builds; takes out what does not compile, until the rest does."""
        cargo = Cargo()
        while True:
            self.numbers = self.numbered()
            files, owners = sources(), {}
            for path, functions in self.functions.items():
                text, owners[path] = schemata.rewritten(self.text[path], functions, self.numbers, path)
                files[path] = text.encode()
            for path in files:
                if re.match(r"(anon|net|node|ua)/src/.*\.rs$", path):
                    files[path] = schemata.without_const(files[path].decode(), self.constant).encode()
            files[f"anon/src/{schemata.MODULE}.rs"] = schemata.runtime(len(self.numbers) + 1).encode()
            files["anon/src/lib.rs"] += f"\npub mod {schemata.MODULE};\n".encode()
            cargo.write(files)
            programs, errors = cargo.build(self.packages, self.scenarios)
            if not errors:
                return programs
            self.take_out(errors, owners)

    def take_out(self, errors, owners):
        unviable, other, constant = set(), [], set()
        for error in errors:
            # What a constant is made with has to be `const`, and so has what that calls.
            if (error["code"] or {}).get("code") == "E0015":
                constant.update(re.findall(r"`(?:[^`]*::)?(\w+)(?:::<[^`]*>)?`", error["message"]))
                continue
            places = [span for span in error["spans"] if span["is_primary"] and span["file_name"] in owners]
            names = {owners[span["file_name"]][span["line_start"] - 1] for span in places} - {None}
            unviable |= names
            if not names and error["spans"]:
                other.append(error["rendered"])
        if not unviable and not constant - self.constant:
            raise SystemExit("error: this does not compile, and no mutant is the cause\n" + "\n".join(other[:3]))
        self.say(f"{len(unviable)} mutants do not compile; constants are made with {sorted(constant)}")
        self.unviable |= unviable
        self.constant |= constant
        for path, functions in self.functions.items():
            for function in [function for function in functions if function.name() in constant]:
                self.alone.update((mutant["name"], mutant) for mutant in function.mutants)
                function.mutants = []
            for function in functions:
                function.mutants = [mutant for mutant in function.mutants if mutant["name"] not in unviable]
            self.functions[path] = [function for function in functions if function.mutants]

    def learn(self):
        """Runs each test once, alone, without a mutant: how long it takes and which functions it reaches."""
        jobs = [(program, test) for program in self.programs for test in program.tests()]
        self.took, self.reached_by = {}, collections.defaultdict(list)

        def run(job):
            with tempfile.TemporaryDirectory() as directory:
                record, began = pathlib.Path(directory) / "reached", time.monotonic()
                passed = job[0].run([job[1]], 600, MUTANTS_REACHED=str(record))
                lines = record.read_text().split() if record.exists() else []
                return job, passed, time.monotonic() - began, {int(line) for line in lines}

        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for job, passed, took, reached in pool.map(run, jobs):
                if not passed:
                    raise SystemExit(f"error: {job[1]} of {job[0].name} fails without any mutant")
                self.took[job] = took
                for first in reached:
                    self.reached_by[first].append(job)
        self.say(f"{len(jobs)} tests take {sum(self.took.values()):.0f} s, one after another")

    def caught_again(self, name, before):
        """Whether the test that told of a mutant before (`program: test`) does so again."""
        for program in self.programs:
            test = before.removeprefix(f"{program.name}: ")
            if test != before:
                return program.run([test], TIMES * TEST_TIMEOUT, MUTANT=str(self.numbers[name])) is False
        return False

    def outcome(self, name):
        """Runs the tests that reach a mutant, the quickest first, until one fails."""
        number = self.numbers[name]
        first = max(start for start in self.starts() if start <= number)
        for job in sorted(self.reached_by[first], key=self.took.get):
            passed = job[0].run([job[1]], TEST_TIMEOUT + TIMES * self.took[job], MUTANT=str(number))
            if not passed:
                return "timeout" if passed is None else "caught", f"{job[0].name}: {job[1]}"
        return "survived", f"{len(self.reached_by[first])} tests reach it"

    def outcome_over_processes(self, name, pattern):
        """Runs the scenarios whose name fits, one after another, until one fails."""
        program = self.programs[0]
        tests = [test for test in program.tests() if re.search(pattern, test)]
        for test in tests:
            passed = program.run([test], SCENARIO_TIMEOUT, MUTANT=str(self.numbers[name]))
            if not passed:
                return "timeout" if passed is None else "caught", f"{program.name}: {test}"
        return "survived", f"{len(tests)} scenarios: {pattern}"

    def starts(self):
        return [self.numbers[function.mutants[0]["name"]] for functions in self.functions.values()
                for function in functions]


class Alone:
    """Mutants that are built one at a time."""

    def __init__(self):
        self.cargo, self.files = Cargo(), sources()

    def outcome(self, mutant):
        path, package = mutant["file"], mutant["file"].split("/", 1)[0]
        changed = schemata.patched(self.files[path].decode(), mutant["diff"])
        self.cargo.write({**self.files, path: changed.encode()})
        programs, errors = self.cargo.build([package])
        if errors:
            return "unviable", errors[0]["message"]
        for program in programs:
            passed = program.run([], 600)
            if not passed:
                return "timeout" if passed is None else "caught", program.name
        return "survived", "built alone"

