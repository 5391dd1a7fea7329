//! Odd mails, each through what takes, lists, shows and saves mail: `tests/cases/*.eml` (small ones, as they were found)
//! and those that are made here because they are large. Every case has its line in [`expectations`].

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use ua::compose::Message;

use crate::support::{program, text};

/// How long a command may take for the worst of them, in a debug build on a machine that has other work.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What is expected of one case.
struct Expected {
    name: &'static str,
    /// Whether `cutout send FILE` takes it.
    is_taken: bool,
    /// A part of the subject that `list` shows.
    subject: &'static str,
    /// Parts of what `read` shows.
    shown: &'static [&'static str],
}

const fn expected(
    name: &'static str,
    subject: &'static str,
    shown: &'static [&'static str],
) -> Expected {
    Expected { name, is_taken: true, subject, shown }
}

fn expectations() -> Vec<Expected> {
    vec![
        expected("01-one-line-20000", "one long line", &["word word word"]),
        expected(
            "02-broken-attached-message",
            "attached message",
            &["see the attachment", "[attachment: kept.eml"],
        ),
        expected("03-empty-disposition", "disposition without", &["text", "[attachment: "]),
        expected("08-raw-8bit-headers", "in UTF-8", &["naïve", "body"]),
        expected(
            "09-cjk-charsets",
            "件名の試験",
            &["テストの本文です", "测试正文", "проверка текста", "plain after all"],
        ),
        expected("10-bcc-in-file", "nobody may see", &["text"]),
        expected(
            "11-group-addresses",
            "groups",
            &[
                "To:      Gardeners: bob@demo.alt, \"Doe, Ann\" <ann@demo.alt>;",
                "undisclosed-recipients:",
            ],
        ),
        expected(
            "13-two-from-two-subject",
            "first subject / second subject",
            &["From:    alice@demo.alt", "From:    mallory@demo.alt", "body"],
        ),
        expected("14a-nested-5000-multiparts", "deep", &[]),
        expected("14b-nested-100000-messages", "messages in messages", &["too deep to be shown"]),
        expected("14c-200000-empty-parts", "many parts", &[]),
        expected("14d-200000-texts", "many texts", &["more texts: --raw"]),
        expected("15a-100000-headers", "where is it", &["body"]),
        expected("15b-one-megabyte-header", "long references", &["body"]),
        expected("15c-one-megabyte-subject", "ssss", &["body"]),
        expected(
            "16a-from-lines-in-body",
            "from lines",
            &[
                "From here the road",
                ">From there",
                "From somebody@demo.alt Thu",
                "still the same mail",
            ],
        ),
        expected(
            "17-attachment-names",
            "names",
            &[
                "names of attachments",
                "[attachment: report�fdp.sh",
                "[attachment: ../../.ssh/authorized_keys",
            ],
        ),
        expected(
            "18a-signed-pgp-mime",
            "signed",
            &["From the first line", "signature.asc", "Signature not checked"],
        ),
        expected(
            "18b-signed-smime",
            "signed by certificate",
            &["[attachment: data.bin", "smime.p7s"],
        ),
        expected(
            "19-format-flowed",
            "flowed",
            &["> quoted line that goes", "From stuffed", "name"],
        ),
        expected("20a-date", "date 0", &["Date:    Thu, 10 Jul 1997 14:53:31 EST5EDT", "body"]),
        expected("20b-date", "date 1", &["Date:    Mon, 31 Feb 2026 25:61:61 +9999", "body"]),
        expected("20c-date", "date 2", &["Date:    Fri, 25 Dec 2020 08:57:44 Z", "body"]),
        expected(
            "20d-date",
            "date 3",
            &["Date:    Thu, 6 Oct 2022 12:27:13 +0200 (GMT+02:00)", "body"],
        ),
        expected("20e-date", "date 4", &["Date:    Tue, 12 May 20 12:08 UT", "body"]),
        expected("21-terminal-escapes", "over�zero", &["clipboard", "reversed", "overwrites"]),
        expected("23-mixed-line-ends", "three kinds", &["unix\nmac\ndos", "end"]),
        expected(
            "24-identifying-headers",
            "who wrote this",
            &["Am 26.11.26 um 09:12 schrieb Bob:"],
        ),
        expected("27-only-bcc", "only blind", &["body"]),
        expected("30-html-only-and-empty-body", "html only", &["Hello", "x"]),
        Expected { name: "31-empty", is_taken: false, subject: "", shown: &[] },
        expected("32-header-only", "no blank line", &[]),
        expected("33-nul-bytes", "nul", &["before�after"]),
        expected("34-only-an-unknown-field", "", &["text"]),
        Expected { name: "35-no-header", is_taken: false, subject: "", shown: &[] },
        expected("36-encoded-words", "", &["body"]),
        expected("identifying", "bcc", &["b"]),
        expected("own-ansi-in-encoded-word", "", &["b"]),
        expected("own-bidi", "invoice�gpj.exe", &["Abc �dcba", "zero�width"]),
        expected("own-htmlonly", "html only", &["Hello", "B&b", "good.example"]),
        expected("own-longsubject-wide", "漢", &["b"]),
        expected("own-spoof-signed", "x signed by czx", &["Signature not checked"]),
        expected("spoofed-from", "pay mallory", &["please", "Signature not checked"]),
    ]
}

/// The bytes of a case.
fn mail(name: &str) -> Vec<u8> {
    let top = |subject: &str, kind: &str| {
        format!(
            "From: sender@demo.alt\r\nTo: bob@demo.alt\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n"
        )
    };
    let text = match name {
        "01-one-line-20000" => top("one long line", "text/plain; charset=us-ascii") + &"word ".repeat(4_000),
        "14a-nested-5000-multiparts" => {
            let part = |n| format!("--n{n}\r\nContent-Type: multipart/mixed; boundary=n{}\r\n\r\n", n + 1);
            top("deep", "multipart/mixed; boundary=n0") + &(0..5_000).map(part).collect::<String>()
        }
        "14b-nested-100000-messages" => {
            top("messages in messages", "message/rfc822")
                + &"Content-Type: message/rfc822\r\n\r\n".repeat(100_000)
                + "Subject: x\r\n\r\ntoo deep to be shown"
        }
        "14c-200000-empty-parts" => {
            top("many parts", "multipart/mixed; boundary=a") + &"--a\r\n\r\n\r\n".repeat(200_000) + "--a--\r\n"
        }
        "14d-200000-texts" => {
            top("many texts", "multipart/mixed; boundary=a") + &"--a\r\n\r\nx\r\n".repeat(200_000) + "--a--\r\n"
        }
        "15a-100000-headers" => {
            (0..100_000).map(|n| format!("X-H{n}: v\r\n")).collect::<String>()
                + "From: sender@demo.alt\r\nSubject: where is it\r\n\r\nbody\r\n"
        }
        "15b-one-megabyte-header" => {
            let ids: String = (0..60_000).map(|n| format!(" <{n:06}@demo.alt>\r\n")).collect();
            format!("From: sender@demo.alt\r\nReferences:{ids}Subject: long references\r\n\r\nbody\r\n")
        }
        "15c-one-megabyte-subject" => format!("Subject: {}\r\n\r\nbody\r\n", "s".repeat(1 << 20)),
        "31-empty" => String::new(),
        "33-nul-bytes" => "Subject: nul\0here\r\n\r\nbefore\0\0after\0".to_owned(),
        "34-only-an-unknown-field" => "X-Note: nothing else\n\ntext".to_owned(),
        "35-no-header" => "Dear Bob,\nhow are you?\n".to_owned(),
        // A character cut in two, no such encoding, no end, one in another, and an empty one.
        "36-encoded-words" => "Subject: =?utf-8?q?=e5=ad?= =?utf-8?q?=97?= =?x-none?q?a?= =?utf-8?q?open\r\n =?utf-8?b?=?utf-8?q?x?=?= =?utf-8?q??=\r\n\r\nbody".to_owned(),
        _ => {
            let file = format!("{}/tests/cases/{name}.eml", env!("CARGO_MANIFEST_DIR"));
            return std::fs::read(file).unwrap();
        }
    };
    text.into_bytes()
}

#[test]
fn every_file_of_the_folder_has_its_expectation() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cases");
    for file in std::fs::read_dir(folder).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".eml").unwrap_or_else(|| panic!("{name} is no case"));
        assert!(expectations().iter().any(|case| case.name == name), "{name} has no expectation");
    }
}

#[test]
fn what_is_a_message_is_taken_byte_for_byte_and_what_is_none_is_not() {
    for case in expectations() {
        let bytes = mail(case.name);
        let taken = Message::from_rfc5322(bytes.clone());
        assert_eq!(taken.is_ok(), case.is_taken, "{}", case.name);
        if let Ok(message) = taken {
            assert!(message.bytes == bytes, "{} was changed", case.name);
        }
    }
}

#[test]
fn every_case_is_listed_shown_saved_and_handed_out_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let maildir = directory.path().join("maildir");
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    let cases = expectations();
    for (number, case) in cases.iter().enumerate() {
        let name = format!("{}.{}", 1_700_000_000 + number, case.name);
        std::fs::write(maildir.join("new").join(name), mail(case.name)).unwrap();
    }
    let listed = run(&maildir, &["list", "--json"]);
    let lines: Vec<serde_json::Value> =
        text(&listed.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), cases.len());
    let table = run(&maildir, &["list"]);
    assert_eq!(
        text(&table.stdout).lines().count(),
        cases.len() + 1,
        "one line each, and the header"
    );

    for (index, case) in cases.iter().enumerate() {
        let number = (index + 1).to_string();
        println!("{number}: {}", case.name);
        let shown = text(&run(&maildir, &["read", &number]).stdout);
        for part in case.shown {
            assert!(shown.contains(part), "{} lacks {part:?}:\n{shown:.2000}", case.name);
        }
        let subject = lines[index]["subject"].as_str().unwrap();
        let listed = cutout::printable::line(subject);
        assert!(listed.contains(case.subject), "{}: {listed:.200}", case.name);
        assert_eq!(lines[index]["signed_by"], serde_json::Value::Null, "{}", case.name);
        let raw = command(&maildir, &["read", &number, "--raw"]).output().unwrap();
        assert!(raw.stdout == mail(case.name), "{} came out changed", case.name);
    }
}

#[test]
fn attachments_are_saved_beside_each_other_whatever_they_are_called() {
    let directory = tempfile::tempdir().unwrap();
    let maildir = directory.path().join("maildir");
    for folder in ["cur", "new", "tmp"] {
        std::fs::create_dir_all(maildir.join(folder)).unwrap();
    }
    std::fs::write(maildir.join("new/1.names"), mail("17-attachment-names")).unwrap();
    let saved = directory.path().join("a/b/saved");
    let output = run(&maildir, &["read", "1", "--save", saved.to_str().unwrap()]);
    let told = text(&output.stdout).lines().count();
    let mut names: Vec<String> = std::fs::read_dir(&saved)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len(), told, "{names:?}");
    for name in ["authorized_keys", "x", "x.bat", "report_fdp.sh"] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
    }
    assert!(
        names.iter().all(|name| name.len() <= 210 && !name.starts_with(['.', '-'])),
        "{names:?}"
    );
    assert_eq!(std::fs::read(saved.join("authorized_keys")).unwrap(), b"1");
    let beside: Vec<_> = std::fs::read_dir(directory.path().join("a")).unwrap().collect();
    assert_eq!(beside.len(), 1, "nothing is written outside");
    // Once more: nothing is overwritten.
    run(&maildir, &["read", "1", "--save", saved.to_str().unwrap()]);
    assert_eq!(std::fs::read_dir(&saved).unwrap().count(), 2 * told);
    assert!(saved.join("authorized_keys-2").exists());
}

fn command(maildir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(args).arg("--maildir").arg(maildir).env("CUTOUT_HOME", maildir.join("nobody"));
    command.stdin(Stdio::null()).env_remove("COLUMNS").env("LC_ALL", "C");
    command
}

/// Runs a command that must succeed in time, and print nothing harmful.
fn run(maildir: &Path, args: &[&str]) -> Output {
    let started = Instant::now();
    let output = command(maildir, args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {:?} {}", output.status, text(&output.stderr));
    assert!(started.elapsed() < TIMEOUT, "{args:?} took {:?}", started.elapsed());
    super::bad_input::outputs::assert_harmless(&output);
    output
}
