//! A network's certificate authority, from its founding to taking back what it signed.

mod addresses;
mod invitation;
mod keepers;
mod nodes;
mod refusals;
mod replaced;

use std::path::{Path, PathBuf};

use net::NetworkFile;
use tempfile::TempDir;

use crate::support::{User, text};

/// An authority and whoever asks it for something, in one directory of files that are handed around.
struct Authority {
    user: User,
    directory: TempDir,
}

impl Authority {
    async fn found(name: &str, args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let user = User {
            profile: directory.path().join("nobody"),
            address: String::new(),
            scheme: None,
            host: Vec::new(),
        };
        let authority = Self { user, directory };
        let dir = authority.path("authority");
        let all = ["ca", "init", name, "--dir", &dir].into_iter().chain(args.iter().copied());
        let output = authority.user.run(all).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout).trim(), authority.network_path().to_str().unwrap());
        authority
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn path(&self, name: &str) -> String {
        self.file(name).to_str().unwrap().to_owned()
    }

    fn network_path(&self) -> PathBuf {
        self.file("authority").join("network.toml")
    }

    fn network(&self) -> NetworkFile {
        NetworkFile::read(&self.network_path()).unwrap()
    }

    /// Signs a request file: the exit code, and what was said.
    async fn sign(&self, request: &str, out: &str) -> (Option<i32>, String) {
        let (request, dir, out) = (self.path(request), self.path("authority"), self.path(out));
        let args = ["ca", "sign", &request, "--dir", &dir, "--out", &out, "--yes"];
        let output = self.user.run(args).await;
        (output.status.code(), text(&output.stderr))
    }

    async fn revoke(&self, what: &str, which: &str) {
        let dir = self.path("authority");
        let output = self.user.run(["ca", "revoke", "--dir", &dir, what, which]).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// A user with an address of its own choice who has asked for a certificate, in `NAME.request`.
    async fn applicant(&self, name: &str, address: &str, network: &Path) -> User {
        let user = User {
            profile: self.file(name),
            address: address.to_owned(),
            scheme: Some("paper"),
            host: Vec::new(),
        };
        let request = self.path(&format!("{name}.request"));
        let network = network.to_str().unwrap();
        let args = ["init", "--network", network, "--address", address, "--request", &request];
        let output = user.run(args).await;
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("Hand the request to the network's authority"));
        user
    }
}
