//! What to do when the Hub, or the way to it, says no.

use mpama_hub::Error;

use super::Mistake;

/// What to do about an error of the Hub.
pub(super) fn hint(error: &Error) -> String {
    match error {
        Error::Variable { name, .. } => format!("set {name} to another value, or unset it"),
        Error::NoModel { with_token: false, id } => format!(
            "check the id, and that there is no folder of this name meant; if `{id}` is private, say who \
             you are: `mpama login`"
        ),
        Error::NoModel { with_token: true, .. } => {
            "check the id; if the model is private, its owner has to let you in".into()
        }
        Error::NoRevision { .. } => {
            "check what follows `@`: a branch, a tag or a full commit; without it, `main` is meant".into()
        }
        Error::NoFile { .. } => {
            "a backbone has config.json, tokenizer.json and model.safetensors or pytorch_model.bin; an \
             adapter has adapter_config.json and adapter_model.safetensors. `mpama pull --list` names \
             backbones that work"
                .into()
        }
        Error::Gated { id } => format!(
            "ask for access on the model's page (https://huggingface.co/{id}), then `mpama login` and \
             repeat the command"
        ),
        Error::Unauthorized { with_token: false } => "`mpama login`, or set HF_TOKEN".into(),
        Error::Unauthorized { with_token: true } => {
            "make a new token and `mpama login` again; HF_TOKEN goes before the kept one".into()
        }
        Error::Forbidden { action: "read", .. } => "use a token that may read this model".into(),
        Error::Forbidden { .. } => {
            "use a token with the right to write, and a name that begins with your own or that of your \
             organisation: `mpama whoami` tells"
                .into()
        }
        Error::RateLimited { .. } => {
            "wait, then repeat the command: what has come is kept. With a token (`mpama login`) more is \
             allowed"
                .into()
        }
        Error::Unreachable { .. } => {
            "check the network and HTTPS_PROXY; HF_ENDPOINT names a mirror; `--offline` uses what the \
             cache has"
                .into()
        }
        Error::Broken { .. } => {
            "repeat the command: it goes on where it stopped".into()
        }
        Error::Server { .. } => "the Hub has a problem: try again later".into(),
        Error::Answer { .. } => "check HF_ENDPOINT: what answers there is no Hub".into(),
        Error::Damaged { .. } => {
            "repeat the command; if it happens again, a proxy or the disk changes bytes".into()
        }
        Error::Name { .. } => "do not use this model: its listing tries to write elsewhere".into(),
        Error::NotCached { id, .. } => {
            format!("fetch it where there is a network: `mpama pull {id}`")
        }
        Error::NoSpace { .. } => {
            "free some space (`mpama cache list` and `remove`) and repeat the command: it goes on \
             where it stopped; HF_HOME moves the cache to another disk"
                .into()
        }
        Error::Conflict { .. } => "look at what changed there, then repeat the command".into(),
        Error::Io { .. } => "check the path and your rights there; HF_HOME moves the cache".into(),
        _ => String::new(),
    }
}

/// What to do about a mistake with the Hub's commands; `None` for other mistakes.
pub(super) fn of_mistake(mistake: &Mistake) -> Option<&'static str> {
    Some(match mistake {
        Mistake::Stopped => "repeat the command: it goes on where it stopped",
        Mistake::Offline => "leave out `--offline`, and unset HF_HUB_OFFLINE",
        Mistake::NotCached { .. } => "`mpama cache list` shows what is there",
        Mistake::OtherAdapter { .. } => {
            "give the report.json that `mpama eval --adapter` wrote for this very adapter"
        }
        Mistake::NoReportPicture { .. } => {
            "keep the folder `pictures` beside report.json, or say `--no-pictures`"
        }
        Mistake::NotPicture { .. } => "give a png, jpg or webp file",
        Mistake::Unasked => "look at `--dry-run`, then say `--yes`",
        _ => return None,
    })
}
