//! Who somebody is: a personal token from where it lies, and the name by which workers know it.

use std::path::Path;

use usher_producer::submit::Signer;
use usher_shared::{
    config::Config,
    identity::{IdentityError, PersonalToken},
};

use crate::{
    console,
    exit::{Exit, Failure},
    signals::Stop,
};

/// Where a token is looked for first. Never the command line: everybody on a machine can read those.
const VARIABLE: &str = "USHER_TOKEN";

/// The token in the environment, where there is one.
fn in_environment() -> Result<Option<PersonalToken>, Failure> {
    match std::env::var(VARIABLE) {
        Ok(text) if !text.trim().is_empty() => text
            .parse()
            .map(Some)
            .map_err(|error| unusable(&format!("the environment variable {VARIABLE}"), &error)),
        _ => Ok(None),
    }
}

/// The token in this file; without one in the environment; else it is asked for, unseen.
pub async fn token(file: Option<&Path>, stop: &Stop) -> Result<PersonalToken, Failure> {
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(
                Exit::InvalidInput,
                format!("the token file {} can't be read: {error}", path.display()),
            )
        })?;
        return text.parse().map_err(|error| unusable(&format!("the file {}", path.display()), &error));
    }
    if let Some(token) = in_environment()? {
        return Ok(token);
    }
    let text = console::hidden("Your personal token: ", VARIABLE, stop).await?;
    text.parse().map_err(|error| unusable("what was typed", &error))
}

/// Proves who submits, where a token is in the environment.
pub fn signer(config: &Config, given: Option<&str>) -> Result<Option<Signer>, Failure> {
    let Some(token) = in_environment()? else {
        return match given {
            None => Ok(None),
            Some(name) => Err(Failure::new(
                Exit::InvalidInput,
                format!("--as {name} needs the token that proves it: put it into {VARIABLE}"),
            )),
        };
    };
    let by = name(config, &token, given)?;
    Ok(Some(Signer { by, token }))
}

/// The name by which workers know this token: as given, or that of the configured token with the same key.
pub fn name(config: &Config, token: &PersonalToken, given: Option<&str>) -> Result<String, Failure> {
    let key = token.key().map_err(|error| unusable("the token", &error))?;
    match given {
        Some(name) => match config.tokens.get(name) {
            Some(known) if known.key != key => Err(Failure::new(
                Exit::Configuration,
                format!("{} knows another token as {name}: use that one, or leave --as out", config.place()),
            )),
            // The workers' configuration decides; this machine need not have it.
            _ => Ok(name.to_owned()),
        },
        None => {
            let mut names = config.tokens.iter().filter(|(_, known)| known.key == key).map(|(name, _)| name);
            names.next().cloned().ok_or_else(|| {
                Failure::new(
                    Exit::Configuration,
                    format!(
                        "{} has no [tokens.NAME] with the key of your token, {key}: say the name by which the workers know it \
                         with --as NAME",
                        config.place()
                    ),
                )
            })
        }
    }
}

fn unusable(place: &str, error: &IdentityError) -> Failure {
    Failure::new(Exit::InvalidInput, format!("{place}: {error}"))
}
