//! Where a secret comes from: an environment variable or a file, never the configuration itself.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Where a secret comes from: `{ env = "ZOOM_CLIENT_SECRET" }` or `{ file = "/run/secrets/zoom" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// The value of this environment variable.
    Env(String),
    /// The content of this file, without the line end at its end.
    File(PathBuf),
}

/// A value that is no secret, written plainly or taken from where secrets come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// As written.
    Plain(String),
    /// From the environment or a file.
    From(SecretSource),
}

/// A secret that can't be read. Never retried; the user sets the variable or the file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or empty.
    #[error("the environment variable {0} is not set, or empty")]
    Variable(String),
    /// The file can't be read.
    #[error("the secret file {path} can't be read: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The file is empty.
    #[error("the secret file {0} is empty")]
    Empty(PathBuf),
}

impl SecretSource {
    /// Reads the secret.
    pub fn read(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(value.into()),
                _ => Err(SecretError::Variable(name.clone())),
            },
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| SecretError::File { path: path.clone(), source })?;
                match text.trim_end_matches(['\r', '\n']) {
                    "" => Err(SecretError::Empty(path.clone())),
                    secret => Ok(secret.to_owned().into()),
                }
            }
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

impl Value {
    /// Reads the value.
    pub fn read(&self) -> Result<String, SecretError> {
        use secrecy::ExposeSecret;
        match self {
            Self::Plain(text) => Ok(text.clone()),
            Self::From(source) => Ok(source.read()?.expose_secret().to_owned()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum SourceTable {
    Env(String),
    File(PathBuf),
}

impl From<SourceTable> for SecretSource {
    fn from(table: SourceTable) -> Self {
        match table {
            SourceTable::Env(name) => Self::Env(name),
            SourceTable::File(path) => Self::File(path),
        }
    }
}

// Written by hand so that a secret put where its source belongs is never repeated in an error message.
impl<'de> Deserialize<'de> for SecretSource {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Source;
        impl<'de> Visitor<'de> for Source {
            type Value = SecretSource;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ env = \"VARIABLE\" } or { file = \"/path\" }")
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<SecretSource, E> {
                Err(E::custom(
                    "a secret is never written into the configuration: \
                     use { env = \"VARIABLE\" } or { file = \"/path\" }",
                ))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SecretSource, A::Error> {
                SourceTable::deserialize(MapAccessDeserializer::new(map)).map(Into::into)
            }
        }
        from.deserialize_any(Source)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct PlainOrSource;
        impl<'de> Visitor<'de> for PlainOrSource {
            type Value = Value;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, { env = \"VARIABLE\" } or { file = \"/path\" }")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Plain(text.to_owned()))
            }
            // An id of digits alone, given through the environment, arrives as a number.
            fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Plain(number.to_string()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                SourceTable::deserialize(MapAccessDeserializer::new(map))
                    .map(|table| Value::From(table.into()))
            }
        }
        from.deserialize_any(PlainOrSource)
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_file_s_secret_comes_without_its_line_end_and_an_empty_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "s3cret \r\n").unwrap();
        assert_eq!(SecretSource::File(path.clone()).read().unwrap().expose_secret(), "s3cret ");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(SecretSource::File(path).read(), Err(SecretError::Empty(_))));
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = SecretSource::Env("USHER_TEST_NO_SUCH_VARIABLE".into()).read().unwrap_err();
        assert!(error.to_string().contains("USHER_TEST_NO_SUCH_VARIABLE"));
    }
}
