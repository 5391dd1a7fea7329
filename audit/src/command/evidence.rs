//! `cutout audit evidence`.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use cutout::terminal::{Failure, say, say_json, tell};
use net::NetworkFile;
use node::NodeError;
use serde::Serialize;

use crate::evidence::{self, MAX_EVIDENCE, Proof};

/// Arguments of `cutout audit evidence`.
#[derive(Debug, Args)]
#[command(
    after_help = "Reads the files that are named, and those in the folders that are named. It asks nobody: signatures alone count.\n\nExit codes: 0 every file proves what the line says, also where there is no file; 1 one proves nothing; 66 a file is not there; 78 the network file names no keepers.\n\nExamples:\n  cutout audit evidence node1/evidence --network demo.alt.toml\n  cutout audit evidence two-views-20784 --network demo.alt.toml --json | jq '.[].proof.signers'"
)]
pub(crate) struct EvidenceArgs {
    /// Evidence, or a folder of it: the folder `evidence` in a keeper's directory
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The network file, which names the keepers
    #[arg(long, value_name = "FILE")]
    network: PathBuf,
    /// Report in JSON on stdout
    #[arg(long)]
    json: bool,
}

/// A file, by its path as it is shown, and what it proves.
#[derive(Debug, Serialize)]
struct Outcome {
    file: String,
    proof: Option<Proof>,
}

/// Runs `cutout audit evidence`.
///
/// # Errors
/// [`Failure`] with 1 if a file proves nothing.
pub(crate) fn run(args: &EvidenceArgs) -> Result<(), Failure> {
    let network = NetworkFile::read(&args.network).and_then(|file| file.network());
    let network = network.map_err(|error| {
        Failure::from(NodeError::from(error)).of("the evidence cannot be checked")
    })?;
    let Some(charter) = network.charter.as_ref() else {
        let what = format!("{} names no keepers", args.network.display());
        let remedy = "name the network file that the keepers run with";
        return Err(Failure::new(78, &what, "without keepers nobody can have lied as one", remedy));
    };
    let mut outcomes = Vec::new();
    for file in files(&args.paths)? {
        let bytes = read(&file).map_err(|error| unreadable(&file, error))?;
        let (file, proof) = (file.display().to_string(), evidence::check(&bytes, charter));
        outcomes.push(Outcome { file, proof });
    }
    if outcomes.is_empty() {
        tell("there is no evidence in it");
    }
    if args.json {
        say_json(&serde_json::json!(outcomes))?;
    } else {
        outcomes.iter().flat_map(lines).try_for_each(say)?;
    }
    match outcomes.iter().filter(|outcome| outcome.proof.is_none()).count() {
        0 => Ok(()),
        count => Err(Failure::new(
            1,
            &format!("{count} of {} files prove nothing", outcomes.len()),
            "no two signatures in them contradict each other by the keys of this network file",
            "ask whoever gave them to you for whole files, and for the network file of that epoch",
        )),
    }
}

/// All files that are named or lie in a folder that is named, in order.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let entries = entries.map_err(|error| unreadable(path, error))?;
            let mut inside: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
            inside.sort_unstable();
            files.append(&mut inside);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

/// One byte more than evidence can be long is read, and no more.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = u64::try_from(MAX_EVIDENCE).unwrap_or(u64::MAX);
    fs::File::open(file)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: io::Error) -> Failure {
    let code = if error.kind() == io::ErrorKind::NotFound { 66 } else { 74 };
    Failure::new(code, &format!("cannot read {}", path.display()), error, "check the path")
}

fn lines(outcome: &Outcome) -> Vec<String> {
    let file = &outcome.file;
    let Some(proof) = &outcome.proof else { return vec![format!("NOTHING  {file}")] };
    let mut lines = vec![format!("PROVES   {file}")];
    lines.extend(proof.signers.iter().map(|signer| {
        let who =
            signer.keeper.map_or_else(|| "node".to_owned(), |number| format!("keeper {number}"));
        format!("         {who} ({}) {} of epoch {}", signer.node, proof.kind, proof.epoch)
    }));
    lines
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn a_folder_without_evidence_is_well_and_one_of_junk_with_any_name_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (network, folder) =
            (directory.path().join("network.toml"), directory.path().join("evidence"));
        let keeper =
            "/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";
        let text =
            format!("name = 'a.alt'\nk = 1\n[[keepers]]\nfrom_epoch = 0\nnodes = ['{keeper}']");
        fs::write(&network, text).unwrap();
        fs::create_dir(&folder).unwrap();
        let look = |json| {
            let (paths, network) = (vec![folder.clone()], network.clone());
            run(&EvidenceArgs { paths, network, json })
        };
        assert!(look(false).is_ok() && look(true).is_ok());
        // A name that is no text, and one that would colour the terminal.
        for name in [&b"two-votes-\xff"[..], b"\x1b[31m"] {
            fs::write(folder.join(OsStr::from_bytes(name)), "junk").unwrap();
            assert!(look(false).is_err() && look(true).is_err());
        }
    }
}
