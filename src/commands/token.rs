//! `usher token new`: makes a personal token.

use usher_shared::{
    AccountName,
    config::Role,
    identity::{PersonalToken, TokenKey},
};

use super::secret_file;
use crate::{
    cli::TokenCommand,
    console,
    exit::{Exit, Failure, Outcome},
};

/// Makes a token, hands it over once, and prints the lines that make it known.
pub fn token(quiet: bool, command: &TokenCommand) -> Outcome {
    let TokenCommand::New { name, role, account, output } = command;
    secret_file::needs_terminal_or_file("a token", output.as_deref())?;
    let token = PersonalToken::generate().map_err(|error| Failure::new(Exit::Internal, error))?;
    let key = token.key().map_err(|error| Failure::new(Exit::Internal, error))?;
    match output {
        Some(path) => {
            secret_file::write(path, &token.reveal())?;
            console::hint(
                quiet,
                format_args!("The token is in {}; its holder alone should have it.", path.display()),
            );
        }
        None => {
            console::print(&format!("{}\n\n", token.reveal()))?;
            console::hint(
                quiet,
                "This is the token, shown once. Its holder keeps it and puts it into USHER_TOKEN.",
            );
        }
    }
    console::hint(quiet, "These lines belong into the usher.toml of every worker; they are no secret:\n");
    console::print(&lines(name, &key, role, account))?;
    Ok(Exit::Success)
}

fn lines(name: &str, key: &TokenKey, roles: &[Role], accounts: &[AccountName]) -> String {
    let list = |words: Vec<&str>| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let roles = match roles {
        [] => vec![Role::Submit.as_str(), Role::Approve.as_str()],
        roles => roles.iter().map(|role| role.as_str()).collect(),
    };
    let mut text = format!("[tokens.{name}]\nkey = \"{key}\"\nroles = [{}]\n", list(roles));
    if !accounts.is_empty() {
        text += &format!("accounts = [{}]\n", list(accounts.iter().map(AccountName::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    use usher_shared::config::TokenConfig;

    use super::*;

    #[test]
    fn the_lines_read_back_as_the_token_that_was_made() {
        let token = PersonalToken::generate().unwrap();
        let key = token.key().unwrap();
        let accounts = ["zoom-main".parse().unwrap()];
        for (roles, accounts) in [(&[][..], &[][..]), (&[Role::Approve, Role::Read][..], &accounts[..])] {
            let text = lines("bob", &key, roles, accounts).replace("[tokens.bob]\n", "");
            assert!(!text.contains(&token.reveal()));
            let read: TokenConfig = toml::from_str(&text).unwrap();
            assert_eq!(read.key, key);
            assert!(read.allows(Role::Approve, &"zoom-main".parse().unwrap()), "{text}");
            assert_eq!(read.accounts.is_some(), !accounts.is_empty());
        }
    }
}
