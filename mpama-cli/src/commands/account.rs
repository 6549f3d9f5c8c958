//! `mpama login`, `logout`, `whoami`: the token that all Hugging Face tools share.

use std::io::{self, IsTerminal};

use anyhow::Context;
use mpama_hub::Token;
use serde_json::json;

use super::Outcome;
use crate::cli::Global;
use crate::hub::{connect, with};
use crate::interrupt;
use crate::output::{Output, shown};
use crate::problem::Mistake;

/// Takes a token, asks the Hub whose it is, and keeps it.
pub(crate) fn login(global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let hub = connect(global, output)?;
    let text = if io::stdin().is_terminal() {
        output.note(format_args!(
            "Make a token at {}/settings/tokens",
            hub.settings().endpoint
        ));
        rpassword::prompt_password("Token (it stays hidden): ")?
    } else {
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .context("cannot read the token from stdin")?;
        line
    };
    let token = Token::new(&text)?;
    let mut settings = hub.settings().clone();
    settings.token = Some(token.clone());
    let name = match settings.offline {
        true => None, // kept unseen
        false => with(settings.clone(), output).whoami(interrupt::flag())?,
    };
    settings.save_token(&token)?;
    let file = shown(&settings.token_file);
    output.record("login", json!({ "name": name, "token_file": file }))?;
    match &name {
        Some(name) => output.success(format_args!("Hello {name}: the token is kept in {file}")),
        None => output.success(format_args!("The token is kept in {file}, unchecked")),
    }
    if hub.settings().token_origin.as_deref() == Some("HF_TOKEN") {
        output.warn("HF_TOKEN is set and goes before the token that was kept");
    }
    Ok(Outcome::Done)
}

/// Removes the kept token.
pub(crate) fn logout(global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let hub = connect(global, output)?;
    let settings = hub.settings();
    let removed = settings.forget_token()?;
    output.record("logout", json!({ "removed": removed }))?;
    output.note(match removed {
        true => format!("Removed {}", shown(&settings.token_file)),
        false => "No token was kept".to_owned(),
    });
    if settings.token_origin.as_deref() == Some("HF_TOKEN") {
        output.warn("HF_TOKEN is still set");
    }
    Ok(Outcome::Done)
}

/// Asks the Hub whose token this is.
pub(crate) fn whoami(global: &Global, output: &Output) -> anyhow::Result<Outcome> {
    let hub = connect(global, output)?;
    if hub.settings().offline {
        return Err(Mistake::Offline.into());
    }
    let name = hub.whoami(interrupt::flag())?.ok_or(Mistake::Stopped)?;
    output.line(&name)?;
    output.record(
        "user",
        json!({ "name": name, "token_from": hub.settings().token_origin }),
    )?;
    Ok(Outcome::Done)
}
