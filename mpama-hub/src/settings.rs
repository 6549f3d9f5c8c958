//! Where the Hub is, where its files are kept and who asks, as every Hugging Face tool is told it.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::token::Token;

/// The Hub, unless `HF_ENDPOINT` says otherwise.
pub const HUB: &str = "https://huggingface.co";

/// Larger than any token file.
const LONGEST_TOKEN_FILE: u64 = 1 << 12;

/// What a connection to the Hub needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address of the Hub, without a slash at its end.
    pub endpoint: String,
    /// Folder of the cache that Hugging Face tools share.
    pub cache: PathBuf,
    /// Who asks; nobody in particular without one.
    pub token: Option<Token>,
    /// Where the token came from: `HF_TOKEN`, or the token file.
    pub token_origin: Option<String>,
    /// Where [`Settings::save_token`] leaves a token.
    pub token_file: PathBuf,
    /// Use what is in the cache and open no connection.
    pub offline: bool,
}

impl Settings {
    /// Reads the variables that the Python client reads, through `variable`: `HF_ENDPOINT`, `HF_HOME`,
    /// `HF_HUB_CACHE`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`, `HF_HUB_DISABLE_IMPLICIT_TOKEN`,
    /// `XDG_CACHE_HOME`, and `HOME` (`USERPROFILE` on Windows).
    ///
    /// # Errors
    /// [`Error::Variable`] for a value that cannot be meant; [`Error::Io`] for a token file that is
    /// there and cannot be read.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let path = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let text = |name: &'static str| -> Result<Option<String>> {
            match variable(name).filter(|value| !value.is_empty()) {
                None => Ok(None),
                Some(value) => value.into_string().map(Some).map_err(|_| Error::Variable {
                    name,
                    reason: "is not Unicode".to_owned(),
                }),
            }
        };
        let home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| {
                let home = path("HOME").or_else(|| path("USERPROFILE"))?;
                Some(home.join(".cache").join("huggingface"))
            })
            .ok_or(Error::Variable {
                name: "HOME",
                reason: "is not set, nor is HF_HOME: there is no place for the cache".to_owned(),
            })?;
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let refused = |error: crate::TokenError| Error::Variable {
            name: "HF_TOKEN",
            reason: error.to_string(),
        };
        let given = text("HF_TOKEN")?.filter(|token| !token.trim().is_empty());
        let (token, token_origin) = match given {
            Some(token) => {
                let token = Token::new(&token).map_err(refused)?;
                (Some(token), Some("HF_TOKEN".to_owned()))
            }
            None if is_on(text("HF_HUB_DISABLE_IMPLICIT_TOKEN")?) => (None, None),
            None => {
                let token = read_token(&token_file)?;
                let origin = token.is_some().then(|| token_file.display().to_string());
                (token, origin)
            }
        };
        let endpoint = text("HF_ENDPOINT")?.unwrap_or_else(|| HUB.to_owned());
        Ok(Self {
            endpoint: checked_endpoint(&endpoint)?,
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| home.join("hub")),
            token,
            token_origin,
            token_file,
            offline: is_on(text("HF_HUB_OFFLINE")?),
        })
    }

    /// Leaves a token in the token file, readable by nobody else, where every Hugging Face tool finds it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save_token(&self, token: &Token) -> Result<()> {
        let path = &self.token_file;
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let fresh = path.with_extension("new");
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&fresh).map_err(Error::io("create", &fresh))?;
        file.write_all(token.reveal().as_bytes())
            .map_err(Error::io("write", &fresh))?;
        fs::rename(&fresh, path).map_err(Error::io("write", path))
    }

    /// Removes the token file; `false` if there was none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn forget_token(&self) -> Result<bool> {
        match fs::remove_file(&self.token_file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", &self.token_file)(error)),
        }
    }
}

/// As the Python client reads a switch.
fn is_on(value: Option<String>) -> bool {
    value.is_some_and(|value| {
        matches!(
            value.to_ascii_uppercase().as_str(),
            "1" | "ON" | "YES" | "TRUE"
        )
    })
}

fn read_token(path: &Path) -> Result<Option<Token>> {
    let read = fs::metadata(path).and_then(|data| match data.len() {
        0..LONGEST_TOKEN_FILE => fs::read_to_string(path),
        _ => Err(io::Error::other("too long for a token")),
    });
    match read {
        // An empty or odd file is as good as none: the Hub will say that it wants a token.
        Ok(text) => Ok(Token::new(&text).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

fn checked_endpoint(endpoint: &str) -> Result<String> {
    let refuse = |reason: &str| Error::Variable {
        name: "HF_ENDPOINT",
        reason: format!("`{endpoint}` {reason}"),
    };
    let url = reqwest::Url::parse(endpoint).map_err(|_| refuse("is no address"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("is no http or https address"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Variable {
            name: "HF_ENDPOINT",
            reason: "has a user or a password in it".to_owned(),
        });
    }
    Ok(endpoint.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings> {
        Settings::read(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |pairs: &[(&str, &str)]| read(pairs).unwrap().cache;
        let home = ("HOME", "/none");
        assert_eq!(cache(&[home]), Path::new("/none/.cache/huggingface/hub"));
        let xdg = ("XDG_CACHE_HOME", "/x");
        assert_eq!(cache(&[home, xdg]), Path::new("/x/huggingface/hub"));
        let hf = ("HF_HOME", "/h");
        assert_eq!(cache(&[home, xdg, hf]), Path::new("/h/hub"));
        let hub = ("HF_HUB_CACHE", "/c");
        assert_eq!(cache(&[home, xdg, hf, hub]), Path::new("/c"));
        assert!(matches!(
            read(&[]),
            Err(Error::Variable { name: "HOME", .. })
        ));
    }

    #[test]
    fn a_token_is_given_or_kept_or_neither() {
        let folder = tempfile::tempdir().unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        let without = read(&[home]).unwrap();
        assert_eq!(without.token, None);
        without.save_token(&Token::new("kept").unwrap()).unwrap();
        let kept = read(&[home]).unwrap();
        assert_eq!(kept.token.unwrap().reveal(), "kept");
        let given = read(&[home, ("HF_TOKEN", "given")]).unwrap();
        assert_eq!(given.token.unwrap().reveal(), "given");
        let nobody = read(&[home, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).unwrap();
        assert_eq!(nobody.token, None);
        assert!(without.forget_token().unwrap() && !without.forget_token().unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_the_token_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let settings = read(&[("HF_HOME", folder.path().to_str().unwrap())]).unwrap();
        settings.save_token(&Token::new("secret").unwrap()).unwrap();
        let mode = fs::metadata(&settings.token_file)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn switches_and_addresses() {
        let home = ("HOME", "/none");
        assert!(read(&[home, ("HF_HUB_OFFLINE", "true")]).unwrap().offline);
        assert!(!read(&[home, ("HF_HUB_OFFLINE", "0")]).unwrap().offline);
        let endpoint = |value| read(&[home, ("HF_ENDPOINT", value)]).map(|s| s.endpoint);
        assert_eq!(endpoint("http://[::1]:8/").unwrap(), "http://[::1]:8");
        for wrong in ["hub", "ftp://x", "https://me:secret@x"] {
            let error = endpoint(wrong).unwrap_err().to_string();
            assert!(error.contains("HF_ENDPOINT") && !error.contains("secret"));
        }
    }
}
