//! What a configuration says of Tor.
//!
//! ```toml
//! tor = "required"            # or "off"; the short form
//!
//! [tor]                       # the long form
//! mode = "required"           # which it is unless "off" is said
//! patience_seconds = 75       # how long nothing may move before Tor counts as unreachable
//! [tor.bridges]               # whatever else is here is arti's own (its `arti.toml`): bridges, pluggable transports,
//! bridges = '''…'''           # another Tor network, timeouts
//! ```

use std::{path::Path, time::Duration};

use arti_client::config::{CfgPath, TorClientConfigBuilder};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Seconds without any progress after which Tor counts as unreachable, unless a configuration says otherwise.
/// arti itself names a reason after a minute.
const TIMEOUT_SECONDS: u64 = 75;

/// When Tor is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Never.
    #[default]
    Off,
    /// Always: what cannot go through Tor does not go.
    Required,
}

/// A `tor = "…"` or `[tor]` of a configuration file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Form", into = "Form")]
pub struct TorConfig {
    /// When it is used.
    pub mode: Mode,
    /// Seconds without progress after which Tor counts as unreachable.
    pub timeout_seconds: Option<u64>,
    /// arti's own settings.
    arti: toml::Table,
}

/// How it is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Short(Mode),
    Long {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<Mode>,
        #[serde(default, rename = "patience_seconds", skip_serializing_if = "Option::is_none")]
        timeout_seconds: Option<u64>,
        #[serde(flatten)]
        arti: toml::Table,
    },
}

impl From<Form> for TorConfig {
    fn from(form: Form) -> Self {
        match form {
            Form::Short(mode) => Self { mode, ..Self::default() },
            // Whoever says how Tor is to be used wants it to be.
            Form::Long { mode, timeout_seconds, arti } => {
                Self { mode: mode.unwrap_or(Mode::Required), timeout_seconds, arti }
            }
        }
    }
}

impl From<TorConfig> for Form {
    fn from(config: TorConfig) -> Self {
        let TorConfig { mode, timeout_seconds, arti } = config;
        if timeout_seconds.is_none() && arti.is_empty() {
            return Self::Short(mode);
        }
        Self::Long { mode: Some(mode), timeout_seconds, arti }
    }
}

/// Why a configuration of Tor cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// arti has no such setting.
    #[error("Tor has no setting named {0}")]
    Unknown(String),
    /// A setting has a value that it cannot have.
    #[error(transparent)]
    Value(#[from] toml::de::Error),
    /// The settings do not fit together.
    #[error(transparent)]
    Build(#[from] arti_client::config::ConfigBuildError),
    /// The directory's name is no text.
    #[error("the directory's name is not UTF-8")]
    Directory,
}

impl TorConfig {
    /// How long nothing may move before Tor counts as unreachable.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.unwrap_or(TIMEOUT_SECONDS).max(1))
    }

    /// Checks it, without using it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        Ok(self.builder()?.build().map(|_| ())?)
    }

    fn builder(&self) -> Result<TorClientConfigBuilder, ConfigError> {
        let mut unknown = Vec::new();
        let settings = toml::Value::Table(self.arti.clone());
        // A misspelt setting would leave somebody without the bridge that they count on.
        let builder =
            serde_ignored::deserialize(settings, |path| unknown.push(format!("tor.{path}")))?;
        match unknown.into_iter().next() {
            Some(name) => Err(ConfigError::Unknown(name)),
            None => Ok(builder),
        }
    }

    /// arti's configuration, with state and cache in `directory` unless it says where.
    pub(crate) fn arti(
        &self,
        directory: &Path,
    ) -> Result<arti_client::TorClientConfig, ConfigError> {
        let mut builder = self.builder()?;
        let storage = self.arti.get("storage").and_then(toml::Value::as_table);
        let names = |key: &str| storage.is_some_and(|table| table.contains_key(key));
        if directory.to_str().is_none() {
            return Err(ConfigError::Directory);
        }
        // As it stands: a `$` in a directory's name is no variable.
        let path = |name: &str| CfgPath::new_literal(directory.join(name));
        if !names("state_dir") {
            builder.storage().state_dir(path("state"));
        }
        if !names("cache_dir") {
            builder.storage().cache_dir(path("cache"));
        }
        Ok(builder.build()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct File {
        #[serde(default)]
        tor: TorConfig,
    }

    fn parse(text: &str) -> TorConfig {
        toml::from_str::<File>(text).unwrap().tor
    }

    #[test]
    fn both_forms_are_read_and_written() {
        assert_eq!(parse("").mode, Mode::Off);
        assert_eq!(parse("tor = \"required\"").mode, Mode::Required);
        let long = parse(
            "[tor]\nmode = \"required\"\npatience_seconds = 5\n[tor.bridges]\nenabled = false\n",
        );
        assert_eq!((long.mode, long.timeout()), (Mode::Required, Duration::from_secs(5)));
        long.check().unwrap();
        for config in [parse("tor = \"off\""), long] {
            let text = toml::to_string(&File { tor: config.clone() }).unwrap();
            assert_eq!(parse(&text), config, "{text}");
        }
        assert_eq!(parse("[tor.bridges]\nenabled = true\n").mode, Mode::Required);
        assert!(toml::from_str::<File>("tor = \"maybe\"").is_err());
    }

    #[test]
    fn what_arti_does_not_know_is_refused_by_its_name() {
        let error = parse("[tor.bridges]\nenabeld = true\n").check().unwrap_err();
        assert_eq!(error.to_string(), "Tor has no setting named tor.bridges.enabeld");
        assert!(parse("[tor.bridges]\nenabled = 7\n").check().is_err());
        let bridge = "192.0.2.83:80 eD5F5B5C1E7D3F2A9C6B4E8F0A1B2C3D4E5F6A7B";
        let text = format!("[tor.bridges]\nenabled = true\nbridges = '''\n{bridge}\n'''\n");
        parse(&text).check().unwrap();
    }

    #[test]
    fn state_and_cache_go_where_they_are_told() {
        let inside = Path::new("/somewhere/$HOME");
        parse("").arti(inside).unwrap();
        parse("[tor.storage]\nstate_dir = \"/elsewhere\"\n").arti(inside).unwrap();
    }
}
