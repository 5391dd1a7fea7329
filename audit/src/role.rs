//! Roles: the places that a process may have in one mail. Coalitions: roles that link who sent it with who received it.

use std::{collections::BTreeSet, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place in one mail. The string is the anonymizer of the channel that it belongs to: `Z1`, `W1`, `Z2`, `W2`, `Z3`;
/// `R1` and `R2` for the recipient's own, to bodies and to the inbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub enum Role {
    /// Asked by the sender, over a link of its own, who is closest to keyX or keyY.
    Bootstrap(String),
    /// The sender, or with `R` the reader, compared its roster with it.
    Member(String),
    /// X.
    GoBetween(String),
    /// X, where it is the same for all channels.
    Guard,
    /// M.
    Middle(String),
    /// Y.
    Witness(String),
    /// Z, W: the anonymizer or the verifier itself.
    Anonymizer(String),
    /// The k nodes of the body, the inbox or the certificate.
    Replicas(String),
    /// Nodes asked on a lookup: of which key, for which channel.
    PathNodes(String, String),
}

/// Where the body is kept.
pub(crate) const BODY: &str = "body";
/// Where the notification is.
pub(crate) const INBOX: &str = "inbox";
/// Where the recipient's certificate is.
pub(crate) const CERTIFICATE: &str = "certificate";

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bootstrap(end) => write!(f, "entrance({end})"),
            Self::Member(end) if end.is_empty() => f.write_str("member"),
            Self::Member(_) => f.write_str("Bob's member"),
            Self::GoBetween(end) => write!(f, "X({end})"),
            Self::Guard => f.write_str("X"),
            Self::Middle(end) => write!(f, "M({end})"),
            Self::Witness(end) => write!(f, "Y({end})"),
            Self::Anonymizer(end) => f.write_str(end),
            Self::Replicas(of) => write!(f, "{of} nodes"),
            Self::PathNodes(key, end) => write!(f, "path {key}({end})"),
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.to_string()
    }
}

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unknown = || format!("{text} is no role");
        match text.as_str() {
            "member" => return Ok(Self::Member(String::new())),
            "Bob's member" => return Ok(Self::Member("R".to_owned())),
            "X" => return Ok(Self::Guard),
            "body nodes" => return Ok(Self::Replicas(BODY.to_owned())),
            "inbox nodes" => return Ok(Self::Replicas(INBOX.to_owned())),
            "certificate nodes" => return Ok(Self::Replicas(CERTIFICATE.to_owned())),
            _ => {}
        }
        let Some((name, end)) = text.split_once('(') else {
            return if is_anonymizer(&text) { Ok(Self::Anonymizer(text)) } else { Err(unknown()) };
        };
        let end = end.strip_suffix(')').filter(|end| is_anonymizer(end)).ok_or_else(unknown)?;
        let end = end.to_owned();
        match name {
            "entrance" => Ok(Self::Bootstrap(end)),
            "X" => Ok(Self::GoBetween(end)),
            "M" => Ok(Self::Middle(end)),
            "Y" => Ok(Self::Witness(end)),
            _ => {
                let looked_up = ["keyX", "keyY", "keyZ", BODY, INBOX, CERTIFICATE];
                let key = name.strip_prefix("path ").ok_or_else(unknown)?;
                let key = looked_up.into_iter().find(|known| *known == key);
                Ok(Self::PathNodes(key.ok_or_else(unknown)?.to_owned(), end))
            }
        }
    }
}

impl Role {
    /// The role without the channel: the row of a table.
    #[must_use]
    pub(crate) fn function(&self) -> String {
        let whose = |end: &String, name: &str| {
            if end.starts_with('R') { format!("Bob's {name}") } else { name.to_owned() }
        };
        match self {
            Self::Bootstrap(end) => whose(end, "entrance"),
            Self::GoBetween(end) => whose(end, "X"),
            Self::Middle(end) => whose(end, "M"),
            Self::Witness(end) => whose(end, "Y"),
            Self::PathNodes(key, end) => whose(end, &format!("path {key}")),
            Self::Anonymizer(end) if end.starts_with('R') => {
                format!("Bob's {}", end.replace('R', "Z"))
            }
            other => other.to_string(),
        }
    }
}

fn is_anonymizer(text: &str) -> bool {
    ["Z1", "W1", "Z2", "W2", "Z3", "R1", "R2"].contains(&text)
}

/// How members of a coalition know that they speak of one mail.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Strength {
    /// By values that nobody else's mail has.
    Value,
    /// By a node that they have in common; it serves others too, so how much that says depends on how many.
    Node,
}

/// A coalition that connects sender and recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coalition {
    /// Its members.
    pub roles: BTreeSet<Role>,
    /// How.
    pub strength: Strength,
    /// In how many mails it did, and in how many all its roles were there.
    pub mails: (usize, usize),
    /// The chain of values that does it, in one of them.
    pub chain: Vec<String>,
}
