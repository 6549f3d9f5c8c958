//! The Hub as a whole: settings, cache and, once it is needed, a connection.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::id::ModelId;
use crate::remote::Remote;
use crate::settings::Settings;

/// Is told of a failure that is not the end, and after how long it is tried again.
pub(crate) type Tell = Arc<dyn Fn(&Error, Duration) + Send + Sync>;

/// The Hub. Nothing is sent before something is asked of it.
pub struct Hub {
    settings: Settings,
    cache: Cache,
    tell: Tell,
    remote: OnceLock<Remote>,
}

impl Hub {
    /// The Hub with these settings.
    pub fn new(settings: Settings) -> Self {
        Self {
            cache: Cache::new(&settings.cache),
            settings,
            tell: Arc::new(|_, _| {}),
            remote: OnceLock::new(),
        }
    }

    /// Has `tell` told of the first of failures in a row that are waited out, and of how long. It comes from the
    /// thread that asks.
    #[must_use]
    pub fn telling(mut self, tell: impl Fn(&Error, Duration) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self.remote = OnceLock::new();
        self
    }

    /// What it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where files are kept.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The name that the token stands for; `None` if `stop` was set meanwhile.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] without a token that the Hub accepts, or what the network says.
    pub fn whoami(&self, stop: &AtomicBool) -> Result<Option<String>> {
        let remote = self.remote()?;
        if !remote.with_token {
            return Err(Error::Unauthorized { with_token: false });
        }
        // Errors speak of a model, and this question is about none.
        let nobody: ModelId = "me/me"
            .parse()
            .map_err(|_| Error::Unauthorized { with_token: true })?;
        let user = remote.ask(&nobody, "read", stop, || remote.api.whoami().send())?;
        Ok(user.map(|user| user.username))
    }

    /// The connection, made when first asked for.
    pub(crate) fn remote(&self) -> Result<&Remote> {
        if self.remote.get().is_none() {
            let remote = Remote::new(&self.settings, Arc::clone(&self.tell))?;
            let _ = self.remote.set(remote); // another thread was faster: its connection is as good
        }
        self.remote.get().ok_or_else(|| Error::Unreachable {
            host: self.settings.endpoint.clone(),
            reason: "no connection".to_owned(),
        })
    }
}
