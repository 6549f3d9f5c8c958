//! `owner/name@revision`: the name of a model on the Hub.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest owner or name that the Hub accepts, in characters.
const LONGEST: usize = 96;

/// A model on the Hugging Face Hub: `owner/name`, with `@revision` where one is pinned.
///
/// Only well-formed ids can be built, so a value of this type is safe to place in an address or in the
/// name of a folder. Serialises as the text that [`FromStr`] reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId {
    owner: String,
    name: String,
    revision: Option<String>,
}

/// Why a text is not the id of a model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// There is no `/`, or more than one.
    #[error("`{0}` is not `owner/name`")]
    Shape(String),
    /// The owner or the name breaks the Hub's rules for names.
    #[error("`{part}` in `{id}` {rule}")]
    Part {
        /// The text as given.
        id: String,
        /// The half that is wrong.
        part: String,
        /// What is wrong with it, as the end of a sentence.
        rule: &'static str,
    },
    /// The text after `@` cannot be a branch, a tag or a commit.
    #[error("`{revision}` in `{id}` is not a branch, a tag or a commit")]
    Revision {
        /// The text as given.
        id: String,
        /// The part after `@`.
        revision: String,
    },
}

impl ModelId {
    /// The user or the organisation, as `openai` in `openai/clip-vit-base-patch32`.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The model's name without its owner.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The branch, tag or commit that the id pins; `None` means whatever the Hub calls `main`.
    pub fn revision(&self) -> Option<&str> {
        self.revision.as_deref()
    }
}

impl FromStr for ModelId {
    type Err = IdError;

    /// Reads `owner/name` or `owner/name@revision`.
    ///
    /// # Errors
    /// [`IdError`] if the text has another shape or breaks the Hub's rules: letters, digits, `-`, `_`
    /// and `.`; at most 96 of them; no `-` or `.` at either end; no `--`, no `..`, no `.git` at the end.
    fn from_str(id: &str) -> Result<Self, IdError> {
        let (path, revision) = match id.split_once('@') {
            Some((path, revision)) => (path, Some(revision)),
            None => (id, None),
        };
        let shape = || IdError::Shape(id.to_owned());
        let (owner, name) = path.split_once('/').ok_or_else(shape)?;
        if name.contains('/') {
            return Err(shape());
        }
        for part in [owner, name] {
            if let Some(rule) = broken_rule(part) {
                return Err(IdError::Part {
                    id: id.to_owned(),
                    part: part.to_owned(),
                    rule,
                });
            }
        }
        if let Some(revision) = revision.filter(|revision| !is_revision(revision)) {
            return Err(IdError::Revision {
                id: id.to_owned(),
                revision: revision.to_owned(),
            });
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            revision: revision.map(str::to_owned),
        })
    }
}

/// The first of the Hub's rules that `part` breaks, as the end of a sentence about it.
fn broken_rule(part: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: char| matches!(c, '-' | '.');
    if part.is_empty() {
        Some("is empty")
    } else if !part.chars().all(allowed) {
        Some("has a character other than letters, digits, `-`, `_` and `.`")
    } else if part.len() > LONGEST {
        Some("is longer than 96 characters")
    } else if part.starts_with(edge) || part.ends_with(edge) {
        Some("begins or ends with `-` or `.`")
    } else if part.contains("--") || part.contains("..") {
        Some("contains `--` or `..`")
    } else if part.ends_with(".git") {
        Some("ends with `.git`")
    } else {
        None
    }
}

/// Whether git would take the text as a branch, a tag or a commit, and a web address as one piece.
fn is_revision(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    text.chars().all(allowed)
        && text
            .split('/')
            .all(|piece| !piece.is_empty() && !piece.starts_with('.'))
        && !text.starts_with('-')
        && !text.ends_with('.')
        && !text.contains("..")
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        match &self.revision {
            Some(revision) => write!(f, "@{revision}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for ModelId {
    type Error = IdError;

    fn try_from(id: String) -> Result<Self, IdError> {
        id.parse()
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for text in [
            "openai/clip-vit-large-patch14-336",
            "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
            "a/b",
            "me/adapter_2.1@main",
            "me/adapter@refs/pr/3",
            "me/adapter@9f0b1c2d",
        ] {
            assert_eq!(text.parse::<ModelId>().unwrap().to_string(), text);
        }
        let id: ModelId = "me/adapter@v1".parse().unwrap();
        assert_eq!(
            (id.owner(), id.name(), id.revision()),
            ("me", "adapter", Some("v1"))
        );
    }

    #[test]
    fn refuses_other_shapes() {
        for text in ["", "clip", "a/b/c", "./runs/adapter", "/abs/path/x"] {
            assert_eq!(
                text.parse::<ModelId>(),
                Err(IdError::Shape(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_names_that_the_hub_refuses() {
        let long = format!("me/{}", "x".repeat(97));
        for text in [
            "/b", "a/", "a b/c", "../x", "a/-b", "a/b.", "a--b/c", "a/b..c", "a/b.git", "ä/b",
            "~/x", &long,
        ] {
            assert!(
                matches!(text.parse::<ModelId>(), Err(IdError::Part { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn refuses_revisions_that_git_refuses() {
        for text in [
            "a/b@",
            "a/b@x y",
            "a/b@../x",
            "a/b@/x",
            "a/b@x//y",
            "a/b@-x",
            "a/b@x.",
            "a/b@v1@v2",
        ] {
            assert!(
                matches!(text.parse::<ModelId>(), Err(IdError::Revision { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn names_the_wrong_half() {
        let error = "good/ba d".parse::<ModelId>().unwrap_err().to_string();
        assert!(
            error.contains("`ba d`") && error.contains("good/ba d"),
            "{error}"
        );
    }
}
