//! A machine that is as it should be, and what is seen when one thing on it is not.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt as _, symlink},
};

use node::{Limits, NodeConfig};
use tempfile::TempDir;
use ua::vault::{KdfCost, Vault};

use super::*;
use crate::outcome::{Outcome, Verdict};

/// An agent, a node that "runs" as process 7, a log, and a kernel and services that are fixtures.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        let network = "name = 'demo.alt'\n";
        machine.write("home/network.toml", network);
        let vault =
            Vault::create(&machine.at("home/vault"), &passphrase(), KdfCost::new(8, 1).unwrap());
        let network = toml::from_str::<NetworkFile>(network).unwrap().network().unwrap();
        let account = ua::account::Account::self_certifying(&network, net::now());
        account.write(&vault.unwrap()).unwrap();
        machine.write("node/store.redb", "");
        node::Identity::create(&machine.at("node")).unwrap();
        machine.write("log", "2026-11-24T20:41:16Z  WARN node::server: [scrubbed] took too long\n");
        let directory = machine.at("node").display().to_string();
        let words =
            ["cutout", "node", "run", "--dir", &directory, "--listen", "/ip4/127.0.0.1/tcp/4001"];
        machine.write("proc/7/cmdline", &words.map(|word| format!("{word}\0")).concat());
        machine.write("proc/7/environ", "PATH=/bin\0");
        machine
            .write("proc/7/limits", "Limit  Soft  Hard  Units\nMax core file size  0  0  bytes\n");
        machine.write("proc/7/net/tcp", &socket(4001, 70));
        fs::create_dir_all(machine.at("proc/7/fd")).unwrap();
        symlink("socket:[70]", machine.at("proc/7/fd/3")).unwrap();
        machine.write("proc/swaps", "Filename Type Size Used Priority\n");
        machine.write("proc/sys/kernel/yama/ptrace_scope", "1\n");
        machine.write("run/systemd/timesync/synchronized", "");
        machine
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.at(path);
        for above in path.ancestors().skip(1).take_while(|above| *above != self.root.path()) {
            fs::create_dir_all(above).unwrap();
            fs::set_permissions(above, Permissions::from_mode(0o700)).unwrap();
        }
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    }

    fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).unwrap();
    }

    fn look(&self) -> Findings {
        run(&Scope {
            profile: self.at("home"),
            passphrase: Some(passphrase()),
            nodes: vec![self.at("node")],
            logs: vec![self.at("log")],
            proc: self.at("proc"),
            run: self.at("run"),
            now: net::now(),
        })
    }

    /// What is worse than a note, but for what an unprivileged user of a machine would not see.
    fn worse(&self) -> Vec<(Area, Severity, String)> {
        let findings = self.look().findings.into_iter();
        let findings =
            findings.filter(|f| f.severity > Severity::Note && !f.seen.contains("as root"));
        findings.map(|f| (f.area, f.severity, format!("{}: {}", f.subject, f.seen))).collect()
    }
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse".to_owned()).unwrap()
}

fn socket(port: u16, inode: u32) -> String {
    let local = u32::from_ne_bytes([127, 0, 0, 1]);
    format!(
        "sl local rem st\n 0: {local:08X}:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 {inode} 1\n"
    )
}

#[test]
fn a_machine_as_it_should_be_passes() {
    let machine = Machine::new();
    assert_eq!(machine.worse(), []);
    let verdicts: Vec<_> =
        outcomes(&machine.look()).into_iter().map(|o| (o.check, o.verdict)).collect();
    assert_eq!(verdicts, AREAS.map(|area| (format!("host.{area}"), Verdict::Holds)));
}

#[test]
fn one_thing_that_is_not_as_it_should_be_is_seen_and_nothing_else() {
    type Change = fn(&Machine);
    let cases: [(&str, Change, Area, Severity); 20] = [
        ("home: directory has mode 755", |m| m.chmod("home", 0o755), Area::Files, Severity::Bad),
        (
            "vault: directory has mode 750",
            |m| m.chmod("home/vault", 0o750),
            Area::Files,
            Severity::Warn,
        ),
        (
            "account: file has mode 644",
            |m| m.chmod("home/vault/account", 0o644),
            Area::Files,
            Severity::Warn,
        ),
        (
            "identity.key: file has mode 604",
            |m| m.chmod("node/identity.key", 0o604),
            Area::Files,
            Severity::Warn,
        ),
        (
            "notes: lies among the sealed",
            |m| m.write("home/vault/notes", "my secret"),
            Area::Files,
            Severity::Bad,
        ),
        (
            "outbox: lies among the sealed",
            |m| m.write("home/vault/outbox", &format!("\u{1}{}", "\0bob@demo.alt".repeat(9))),
            Area::Files,
            Severity::Bad,
        ),
        (
            "looks like the passphrase",
            |m| m.write("home/passphrase.txt", "x"),
            Area::Files,
            Severity::Bad,
        ),
        (
            "1 IP addresses, the first in line 1",
            |m| m.write("log", "dialled 192.0.2.7\n"),
            Area::Logs,
            Severity::Bad,
        ),
        (
            "2 e-mail addresses, the first in line 2",
            |m| m.write("log", "\na@b.alt\nc@d.alt"),
            Area::Logs,
            Severity::Bad,
        ),
        (
            "the passphrase is in its environment",
            |m| m.write("proc/7/environ", "A=b\0CUTOUT_PASSPHRASE=x\0"),
            Area::Exposure,
            Severity::Warn,
        ),
        (
            "the passphrase is on its command line",
            |m| m.write("proc/8/cmdline", "sh\0-c\0CUTOUT_PASSPHRASE=x cutout fetch\0"),
            Area::Exposure,
            Severity::Bad,
        ),
        (
            "may write a core dump (unlimited)",
            |m| m.write("proc/7/limits", "Max core file size  unlimited  unlimited  bytes\n"),
            Area::Exposure,
            Severity::Warn,
        ),
        (
            "listens at 127.0.0.1:4444, which",
            |m| {
                symlink("socket:[71]", m.at("proc/7/fd/4")).unwrap();
                m.write("proc/7/net/tcp6", &socket(4444, 71));
            },
            Area::Exposure,
            Severity::Bad,
        ),
        (
            "does not listen at 127.0.0.1:4001",
            |m| m.write("proc/7/net/tcp", ""),
            Area::Exposure,
            Severity::Warn,
        ),
        (
            "swap: on /dev/sda2",
            |m| m.write("proc/swaps", "Filename\n/dev/sda2 partition 1 0 -2\n"),
            Area::Exposure,
            Severity::Warn,
        ),
        (
            "ptrace: any",
            |m| m.write("proc/sys/kernel/yama/ptrace_scope", "0"),
            Area::Exposure,
            Severity::Warn,
        ),
        (
            "configuration is not valid",
            |m| m.write("node/node.toml", "limits = 1"),
            Area::Keys,
            Severity::Bad,
        ),
        (
            "a new one every 172800 s",
            |m| {
                let limits = Limits { channel_key_seconds: 172_800, ..Limits::default() };
                let config = NodeConfig { limits, ..NodeConfig::default() };
                m.write("node/node.toml", &toml::to_string(&config).unwrap());
            },
            Area::Keys,
            Severity::Warn,
        ),
        ("admission: no admission", |m| m.write("node/admission", "x"), Area::Keys, Severity::Bad),
        ("is damaged", |m| m.write("node/identity.key", "short"), Area::Keys, Severity::Bad),
    ];
    for (text, change, area, severity) in cases {
        let machine = Machine::new();
        change(&machine);
        let worse = machine.worse();
        let is_it = |(a, s, seen): &(Area, Severity, String)| {
            (*a, *s) == (area, severity) && seen.contains(text)
        };
        assert!(worse.iter().any(is_it), "{text}: {worse:#?}");
        // A node whose configuration cannot be read has no ports to compare with.
        let others = worse.iter().filter(|found| !is_it(found) && found.0 == area);
        assert_eq!(others.count(), 0, "{text}: {worse:#?}");
    }
}

/// The findings on Tor, in words.
#[cfg(feature = "tor")]
fn on_tor(change: impl FnOnce(&Machine)) -> Vec<String> {
    let machine = Machine::new();
    change(&machine);
    let findings = machine.look().findings.into_iter();
    let on_tor = findings.filter(|finding| finding.area == Area::Tor);
    on_tor.map(|finding| format!("{} {}", finding.severity, finding.seen)).collect()
}

#[cfg(feature = "tor")]
#[test]
fn tor_is_seen_to_be_used_as_configured_or_not() {
    let has = |change: fn(&Machine), text: &str| {
        let findings = on_tor(change);
        assert!(findings.iter().any(|finding| finding.contains(text)), "{text}: {findings:#?}");
    };
    let onion = |m: &Machine, reached: &str| {
        m.write("node/node.toml", "onion = 'beside'\n");
        let status = "'address': '/onion3/x:1', 'state': 'running', 'published': true, 'tried': 7";
        let status = format!("{{{status}, 'reached': {reached}}}").replace('\'', "\"");
        m.write("node/onion.json", &status);
    };
    has(|_| {}, "note not over Tor unless");
    has(|_| {}, "note a node without an onion service");
    has(|m| m.write("home/config.toml", "tor = 'required'\n"), "ok every command goes over Tor");
    has(|m| m.write("home/config.toml", "tor = 'requierd'\n"), "WARN cannot be used");
    has(|m| m.write("home/config.toml", "[tor.brigdes]\n"), "WARN cannot be used");
    has(|m| m.write("node/node.toml", "onion = 'beside'\n"), "WARN is to have an onion service");
    has(|m| m.write("node/onion.json", "{"), "note a node without");
    assert!(on_tor(|m| onion(m, "7"))[1].starts_with("ok its onion service is reached"));
    assert!(on_tor(|m| onion(m, "6"))[1].starts_with("WARN its onion service is not reached"));

    // A node that is to be reached over Tor alone, and listens all the same.
    let machine = Machine::new();
    let directory = machine.at("node").display().to_string();
    let words = ["cutout", "node", "run", "--dir", &directory, "--onion-only"];
    machine.write("proc/7/cmdline", &words.map(|word| format!("{word}\0")).concat());
    let worse = machine.worse();
    let is_told = |(area, severity, seen): &(Area, Severity, String)| {
        (*area, *severity) == (Area::Exposure, Severity::Bad)
            && seen.contains("listens at 127.0.0.1:4001")
    };
    assert!(worse.iter().any(is_told), "{worse:#?}");
}

#[test]
fn what_is_sealed_stays_so_without_the_passphrase_and_nothing_installed_is_no_fault() {
    let machine = Machine::new();
    let scope = |profile: &str, nodes: &[&str]| Scope {
        profile: machine.at(profile),
        passphrase: None,
        nodes: nodes.iter().map(|node| machine.at(node)).collect(),
        logs: Vec::new(),
        proc: machine.at("nothing"),
        run: machine.at("nothing"),
        now: net::now(),
    };
    let sealed = run(&scope("home", &[]));
    assert!(sealed.findings.iter().any(|finding| finding.seen.starts_with("sealed")));
    let nothing = run(&scope("nowhere", &["nowhere"]));
    assert!(nothing.findings.iter().all(|finding| finding.severity <= Severity::Note));
    let keys = outcomes(&nothing).into_iter().find(|outcome| outcome.check == "host.keys");
    assert_eq!(keys.map(|outcome| outcome.verdict), Some(Verdict::NotRun));
}

#[test]
fn a_clock_that_differs_from_the_dates_that_others_signed_is_seen() {
    use anon::{
        certificate::{NodeCertificate, NodeClaims},
        keys::{ChannelSecret, IdentitySecret, SigningSecret as _},
        roster::{Roster, Source},
        time::Validity,
    };
    let machine = Machine::new();
    let network = toml::from_str::<NetworkFile>("name = 'demo.alt'\n").unwrap().network().unwrap();
    let identity = IdentitySecret::from_seed(&[3; 32]);
    let signed = net::now();
    let claims = NodeClaims {
        network: network.id,
        identity: anon::id::NodeId(identity.verify_key().0),
        channel_key: ChannelSecret::generate(&mut rand::rng()).agreement_key(),
        addresses: vec!["/ip4/127.0.0.1/tcp/1".to_owned()],
        family: String::new(),
        validity: Validity { not_before: signed, not_after: signed.after(100_000) },
        admission: None,
    };
    let certificate: NodeCertificate =
        NodeCertificate::issue(&identity, claims).verify(&network, signed).unwrap();
    let mut roster = Roster::default();
    roster.learn(certificate, Source::Contact, network.epoch(signed));
    let file = machine.at("node/roster.bin");
    fs::write(&file, anon::wire::encode(&roster.store())).unwrap();
    let nodes = [InstalledNode {
        directory: machine.at("node"),
        config: Ok(NodeConfig::default()),
        network: Some(network),
    }];
    for (now, severity) in [
        (signed.after(60), Severity::Ok),
        (signed.before(3_000), Severity::Bad),
        (signed.after(150_000), Severity::Warn),
    ] {
        let scope = Scope {
            profile: machine.at("nowhere"),
            passphrase: None,
            nodes: Vec::new(),
            logs: Vec::new(),
            proc: machine.at("proc"),
            run: machine.at("nothing"),
            now,
        };
        let found = clock::look(&scope, &nodes);
        assert_eq!(found.iter().map(|f| f.severity).collect::<Vec<_>>(), [severity], "{found:?}");
        // The same certificate proves nothing where it is the node's own.
        fs::write(machine.at("node/identity.key"), key_file(3)).unwrap();
        let found = clock::look(&scope, &nodes);
        assert!(found.iter().all(|f| f.seen.starts_with("unknown")), "{found:?}");
        fs::write(machine.at("node/identity.key"), key_file(4)).unwrap();
    }
}

/// A node's key file: a seed, and the first bytes of its digest.
fn key_file(seed: u8) -> Vec<u8> {
    use sha2::{Digest as _, Sha256};
    let seed = [seed; 32];
    [seed.as_slice(), &Sha256::digest(seed)[..8]].concat()
}

const AREAS: [Area; 7] =
    [Area::Files, Area::Keys, Area::Logs, Area::Exposure, Area::Clock, Area::Tor, Area::Build];

/// The findings as checks; one holds if nothing in it is bad.
fn outcomes(findings: &Findings) -> Vec<Outcome> {
    let of = |area: Area| {
        let own: Vec<&Finding> = findings.findings.iter().filter(|f| f.area == area).collect();
        let worst = own.iter().map(|finding| finding.severity).max();
        let Some(worst) = worst else {
            return Outcome::not_run(&format!("host.{area}"), "nothing of that kind is here");
        };
        let bad = own.iter().filter(|finding| finding.severity == Severity::Bad).count();
        let warned = own.iter().filter(|finding| finding.severity == Severity::Warn).count();
        let seen = format!("{} findings, {bad} bad, {warned} to be looked at", own.len());
        let details = own
            .iter()
            .map(|finding| format!("{}: {}: {}", finding.severity, finding.subject, finding.seen));
        Outcome::of(&format!("host.{area}"), worst < Severity::Bad, seen)
            .with_details(details.collect())
    };
    AREAS.into_iter().map(of).collect()
}
