//! The secret that says who you are on the Hub.

use std::fmt;

/// A token of the Hub. It goes into the header of a request and into the standard token file, and
/// nowhere else: it is not displayed, not serialised, and hidden in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing but white space.
    #[error("the token is empty")]
    Empty,
    /// A character that no header can carry. The text itself is not repeated.
    #[error("the token has a character other than visible ASCII")]
    Character,
}

impl Token {
    /// A token from what was typed or read; white space around it is dropped.
    ///
    /// # Errors
    /// [`TokenError`], which never repeats the text.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Character);
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself, for a header or the token file.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn it_never_shows() {
        let token = Token::new(" hf_secret\n").unwrap();
        assert_eq!(token.reveal(), "hf_secret");
        assert_eq!(format!("{:?}", Some(token)), "Some(Token(hidden))");
        let error = Token::new("hf_\u{e9}").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hf_"));
        assert_eq!(Token::new(" \n"), Err(TokenError::Empty));
    }
}
