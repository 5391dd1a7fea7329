"""All mutants of a program in one build.

A mutant is one small change of one function. To compile the program anew for each takes longer than to run its tests, so
each function here becomes a choice: by the number in the environment variable MUTANT it is one of its mutants or itself.

    fn is_small(n: u64) -> bool { n < 10 }
    fn is_small(n: u64) -> bool { match crate::mutants::on(7, 9) { 7 => { true } 8 => { n > 10 } _ => { n < 10 } } }

What each mutant looks like is the diff that `cargo mutants` wrote. A choice is never `const`, nor is a function that calls
one: no function is in this build, but those that constants are made with. What cannot be a choice is left for a build of
its own: constants, functions that constants are made with, functions that return `impl Trait`, and functions inside others.
"""

import re

MODULE = "mutants"

# The module that chooses. A test that is run once with MUTANTS_REACHED set tells there which functions it reaches.
RUNTIME = """
//! Which mutant is on. Written by tests/mutants/schemata.py into a copy of the sources.
#![allow(missing_docs, clippy::all)]

use std::{io::Write as _, sync::OnceLock, sync::atomic::{AtomicBool, Ordering}};

static ON: OnceLock<u32> = OnceLock::new();
static FILE: OnceLock<Option<String>> = OnceLock::new();
static REACHED: [AtomicBool; %d] = [const { AtomicBool::new(false) }; %d];

/// The number of the mutant that is on; `first` is the first of the function that asks.
pub fn on(first: u32) -> u32 {
    if let Some(path) = FILE.get_or_init(|| std::env::var("MUTANTS_REACHED").ok())
        && !REACHED[first as usize].swap(true, Ordering::Relaxed)
        && let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(path)
    {
        let _ = file.write_all(format!("{first}\\n").as_bytes());
    }
    *ON.get_or_init(|| std::env::var("MUTANT").ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX))
}
"""

# What is not code: comments, strings, characters (and not lifetimes).
NOT_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|b?r(#*)\".*?\"\1|b?\"(?:\\.|[^\"\\])*\"|b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'", re.S
)


def blanked(text):
    """The text with spaces for what is not code: every index stays what it is."""
    return NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def body_span(text, start):
    """Where the braces of the first function from `start` open and end (one past); `None` if it has no body."""
    code = blanked(text)
    head = re.compile(r"\bfn\b").search(code, start)
    depth, opened = 0, None
    for index in range(head.start(), len(code)):
        char = code[index]
        if opened is None and depth == 0 and char == ";":
            return None
        if opened is None and depth == 0 and char == "{":
            opened = index
        if char in "([{":
            depth += 1
        elif char in ")]}":
            depth -= 1
            if opened is not None and depth == 0:
                return opened, index + 1
    return None


def patched(text, diff):
    """The text with a diff of one hunk applied."""
    lines, out, at = text.split("\n"), [], None
    for line in diff.split("\n")[2:]:
        hunk = re.match(r"@@ -(\d+)", line)
        if hunk:
            at = int(hunk[1]) - 1
            out = lines[:at]
        elif line[:1] in (" ", "-") and at is not None:
            if lines[at] != line[1:]:
                raise ValueError(f"the diff does not apply at line {at + 1}")
            if line[0] == " ":
                out.append(lines[at])
            at += 1
        elif line[:1] == "+":
            out.append(line[1:])
    return "\n".join(out + lines[at:])


def offset(text, position):
    lines = text.split("\n")
    return sum(len(line) + 1 for line in lines[: position["line"] - 1]) + position["column"] - 1


class Function:
    """A function with the mutants that change its body."""

    def __init__(self, text, mutants):
        self.start = offset(text, mutants[0]["function"]["span"]["start"])
        self.span = body_span(text, self.start)
        self.mutants = mutants

    def name(self):
        return self.mutants[0]["function"]["function_name"].rsplit("::", 1)[-1] if self.mutants else ""

    def can_be_a_choice(self, text):
        head = blanked(text)[self.start : self.span[0]] if self.span else ""
        return bool(head) and not re.search(r"->\s*impl\b", head)


def functions_of(text, mutants):
    """The functions of a file that can be choices, without any that lies in or around another one, and what is left."""
    groups, alone = {}, []
    for mutant in mutants:
        if mutant["function"]:
            start = mutant["function"]["span"]["start"]
            groups.setdefault((start["line"], start["column"]), []).append(mutant)
        else:
            alone.append(mutant)
    functions = [Function(text, group) for _, group in sorted(groups.items())]
    chosen = []
    for function in functions:
        others = (other.span for other in functions if other is not function and other.span)
        nested = function.span and any(
            a < function.span[1] and function.span[0] < b for a, b in others
        )
        if nested or not function.can_be_a_choice(text):
            alone += function.mutants
        else:
            chosen.append(function)
    return chosen, alone


def rewritten(text, functions, numbers, path):
    """The file's text with each function a choice of its mutants, and for each line the mutant that it belongs to."""
    pieces, owners, at = [], [], 0
    crate = "crate" if path.startswith("anon/") else "::anon"

    def add(piece, owner=None):
        pieces.append(piece)
        owners.extend([owner] * piece.count("\n"))

    for function in functions:
        start, end = function.span
        first = numbers[function.mutants[0]["name"]]
        add(text[at : function.start])
        add(text[function.start : start])
        add(f"{{ match {crate}::{MODULE}::on({first}) {{\n")
        for mutant in function.mutants:
            changed = patched(text, mutant["diff"])
            a, b = body_span(changed, function.start)
            add(f"{numbers[mutant['name']]} => {changed[a:b]}\n", mutant["name"])
        add(f"_ => {text[start:end]}\n}} }}")
        at = end
    add(text[at:])
    return "".join(pieces), owners


def without_const(text, but):
    """The text without `const` before `fn`, but for functions of these names; every index stays what it is."""
    code, pieces, at = blanked(text), [], 0
    for match in re.finditer(r"\bconst(?=\s+fn\s+(\w+))", code):
        if match[1] not in but:
            pieces += [text[at : match.start()], " " * len("const")]
            at = match.end()
    return "".join(pieces) + text[at:]


def runtime(count):
    return RUNTIME % (count, count)
