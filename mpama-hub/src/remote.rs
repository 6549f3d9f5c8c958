//! Asking the Hub.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hf_hub::repository::ModelInfo;
use hf_hub::{HFClient, HFClientSync, HFError};
use reqwest::Url;
use reqwest::blocking::{Client, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RANGE};

use crate::cache::is_commit;
use crate::error::{Error, Result};
use crate::hub::Tell;
use crate::id::ModelId;
use crate::listing::{self, Listed};
use crate::settings::Settings;

/// How we introduce ourselves.
const AGENT: &str = concat!("mpama/", env!("CARGO_PKG_VERSION"));
/// Longest silence of a server.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a question is asked that gets no answer.
const TRIES: usize = 5;
/// Longest wait that a server may ask for; a person is told of longer ones.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A connection to the Hub.
pub(crate) struct Remote {
    pub(crate) api: HFClientSync,
    http: Client,
    endpoint: String,
    tell: Tell,
    pub(crate) with_token: bool,
}

/// A model as the Hub describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What it is called now.
    pub(crate) id: ModelId,
    /// The commit of the revision that was asked for.
    pub(crate) commit: String,
}

impl Found {
    /// Checks what the Hub says about `id`.
    pub(crate) fn read(id: &ModelId, info: ModelInfo) -> Result<Self> {
        let odd = |reason: String| Error::Answer {
            about: format!("`{id}`"),
            reason,
        };
        let commit = info.sha.unwrap_or_default();
        if !is_commit(&commit) {
            return Err(odd(format!("`{}` is no commit", short(&commit))));
        }
        let id = info.id.parse();
        let id = id.map_err(|_| odd(format!("`{}` is no id", short(&info.id))))?;
        Ok(Self { id, commit })
    }
}

impl Remote {
    /// Prepares to ask; nothing is sent yet.
    pub(crate) fn new(settings: &Settings, tell: Tell) -> Result<Self> {
        let broken = |error: &dyn std::fmt::Display| Error::Unreachable {
            host: settings.endpoint.clone(),
            reason: error.to_string(),
        };
        let mut headers = HeaderMap::new();
        if let Some(token) = &settings.token {
            let value = format!("Bearer {}", token.reveal());
            let mut value = HeaderValue::from_str(&value).map_err(|error| broken(&error))?;
            value.set_sensitive(true); // hidden in Debug
            headers.insert(AUTHORIZATION, value);
        }
        // reqwest drops the token from a request that is sent on to another host.
        let http = Client::builder()
            .user_agent(AGENT)
            .default_headers(headers)
            .connect_timeout(SILENCE)
            .timeout(SILENCE)
            .build()
            .map_err(|error| broken(&error))?;
        let mut api = HFClient::builder()
            .endpoint(&settings.endpoint)
            .user_agent(AGENT)
            .cache_dir(&settings.cache)
            .retry_max_attempts(0);
        if let Some(token) = &settings.token {
            api = api.token(token.reveal());
        }
        Ok(Self {
            api: api.build_sync().map_err(|error| broken(&error))?,
            http,
            endpoint: settings.endpoint.clone(),
            tell,
            with_token: settings.token.is_some(),
        })
    }

    /// What the Hub calls a model, and which commit its revision is.
    pub(crate) fn find(&self, id: &ModelId, stop: &AtomicBool) -> Result<Option<Found>> {
        let repository = self.api.model(id.owner(), id.name());
        let revision = id.revision().unwrap_or("main");
        let info = self.ask(id, "read", stop, || {
            repository.info().revision(revision).send()
        })?;
        info.map(|info| Found::read(id, info)).transpose()
    }

    /// Every file of a model at a commit.
    pub(crate) fn list(
        &self,
        id: &ModelId,
        commit: &str,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Listed>>> {
        let repository = self.api.model(id.owner(), id.name());
        let entries = self.ask(id, "read", stop, || {
            repository
                .list_tree()
                .revision(commit)
                .recursive(true)
                .send()
        })?;
        entries
            .map(|entries| listing::read(id, entries))
            .transpose()
    }

    /// Asks for the bytes of a file from `start` on.
    ///
    /// # Errors
    /// Those of the network only; the status is the caller's to judge.
    pub(crate) fn open(
        &self,
        id: &ModelId,
        commit: &str,
        name: &str,
        start: u64,
    ) -> std::result::Result<Response, reqwest::Error> {
        let address = format!(
            "{}/{}/{}/resolve/{commit}",
            self.endpoint,
            id.owner(),
            id.name()
        );
        let mut request = match Url::parse(&address) {
            Ok(mut url) => {
                if let Ok(mut path) = url.path_segments_mut() {
                    path.extend(name.split('/'));
                }
                self.http.get(url)
            }
            Err(_) => self.http.get(address), // says what is wrong with it when sent
        };
        if start > 0 {
            request = request.header(RANGE, format!("bytes={start}-"));
        }
        request.send()
    }

    /// Asks until there is an answer, waits as the Hub says, and gives up in the end; `None` if `stop`
    /// was set meanwhile.
    pub(crate) fn ask<T>(
        &self,
        id: &ModelId,
        action: &'static str,
        stop: &AtomicBool,
        question: impl Fn() -> std::result::Result<T, HFError>,
    ) -> Result<Option<T>> {
        let mut tries = 0;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            tries += 1;
            let error = match question() {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) => self.meaning(error, id, action),
            };
            match self.wait_out(error, tries, stop) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits before the next try after so many failures in a row, and tells of the first; `false` if `stop` was
    /// set.
    ///
    /// # Errors
    /// The error, if no wait will help.
    pub(crate) fn wait_out(
        &self,
        error: Error,
        failures: usize,
        stop: &AtomicBool,
    ) -> Result<bool> {
        let Some(wait) = worth_waiting(&error, failures) else {
            return Err(error);
        };
        if failures == 1 {
            (self.tell)(&error, wait);
        }
        Ok(sleep(wait, stop))
    }

    /// What the client library's error means to us.
    fn meaning(&self, error: HFError, id: &ModelId, action: &'static str) -> Error {
        let with_token = self.with_token;
        let id = id.clone();
        match error {
            // Listings come in pages, whose errors are not sorted by situation: hence the statuses.
            HFError::AuthRequired { context }
            | HFError::Forbidden { context }
            | HFError::Http { context }
                if matches!(context.status.as_u16(), 401 | 403) =>
            {
                let code = context.error_code.as_deref();
                refused(context.status.as_u16(), code, with_token, id, action)
            }
            HFError::Http { context } => match context.status.as_u16() {
                404 => Error::NoModel { id, with_token },
                412 => Error::Conflict { id },
                429 => Error::RateLimited { wait: None },
                status => Error::Server {
                    status,
                    url: plain(&context.url),
                    message: short(context.server_message.as_deref().unwrap_or_default()),
                },
            },
            HFError::RepoNotFound { .. } => Error::NoModel { id, with_token },
            HFError::RevisionNotFound { revision, .. } => Error::NoRevision { id, revision },
            HFError::EntryNotFound { path, .. } => Error::NoFile { id, file: path },
            HFError::Conflict { .. } => Error::Conflict { id },
            HFError::RateLimited { retry_after, .. } => Error::RateLimited { wait: retry_after },
            HFError::Request { source, .. } => self.unreachable(&source),
            HFError::Io(source) => Error::Io {
                action: "read or write for",
                path: id.to_string().into(),
                source,
            },
            other => Error::Answer {
                about: format!("`{id}`"),
                reason: short(&other.to_string()),
            },
        }
    }

    /// No connection.
    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> Error {
        let host = error.url().and_then(Url::host_str).map(str::to_owned);
        Error::Unreachable {
            host: host.unwrap_or_else(|| self.endpoint.clone()),
            reason: innermost(error),
        }
    }

    /// What a status that is no success means.
    pub(crate) fn judge(&self, response: &Response, id: &ModelId, name: &str) -> Error {
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let status = response.status().as_u16();
        match status {
            401 | 403 => refused(
                status,
                header("x-error-code"),
                self.with_token,
                id.clone(),
                "read",
            ),
            404 => Error::NoFile {
                id: id.clone(),
                file: name.to_owned(),
            },
            429 => Error::RateLimited {
                wait: header("retry-after")
                    .and_then(|wait| Some(Duration::from_secs(wait.parse().ok()?))),
            },
            _ => Error::Server {
                status,
                url: plain(response.url().as_str()),
                message: short(header("x-error-message").unwrap_or_default()),
            },
        }
    }
}

/// 401 and 403, with the Hub's word for the reason.
fn refused(
    status: u16,
    code: Option<&str>,
    with_token: bool,
    id: ModelId,
    action: &'static str,
) -> Error {
    match (code, status) {
        (Some("GatedRepo"), _) => Error::Gated { id },
        (Some("RepoNotFound"), _) => Error::NoModel { id, with_token },
        (_, 403) => Error::Forbidden { action, id },
        _ => Error::Unauthorized { with_token },
    }
}

/// How long to wait before the next try; `None` if no wait will help.
fn worth_waiting(error: &Error, tries: usize) -> Option<Duration> {
    let pause = Duration::from_millis(250) * 2u32.pow(tries.min(6) as u32);
    match error {
        _ if tries >= TRIES => None,
        Error::RateLimited { wait: Some(wait) } => (*wait <= LONGEST_WAIT).then_some(*wait),
        Error::RateLimited { wait: None } | Error::Unreachable { .. } | Error::Broken { .. } => {
            Some(pause)
        }
        Error::Server { status, .. } => (*status >= 500 || *status == 408).then_some(pause),
        _ => None,
    }
}

/// Sleeps; `false` as soon as `stop` is set.
fn sleep(time: Duration, stop: &AtomicBool) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        let left = end.saturating_duration_since(Instant::now());
        std::thread::sleep(left.min(Duration::from_millis(50)));
    }
    true
}

/// The cause at the bottom, which says most.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An address without what follows `?`: addresses of storage carry signatures there.
fn plain(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}

/// At most a line of what a server says.
fn short(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(200).collect()
}
