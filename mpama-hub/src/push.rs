//! From a folder to the Hub.

use std::sync::atomic::AtomicBool;

use hf_hub::repository::{CommitInfo, CommitOperation, RepoTypeModel};

use crate::cache::is_commit;
use crate::download::is_same;
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::id::ModelId;
use crate::remote::{Found, Remote};

/// What is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub id: ModelId,
    /// Whether only its owner may see it, if it has to be created.
    pub private: bool,
    /// What the commit says.
    pub message: String,
    /// Every file: its name in the repository, and its bytes.
    pub files: Vec<(String, Vec<u8>)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The commit that has the files.
    pub commit: String,
    /// The address of the model's page.
    pub url: String,
    /// Whether the Hub had these very files already, so that nothing was sent.
    pub unchanged: bool,
}

impl Hub {
    /// Publishes files in one commit: all of them, or none. Creates the model if it is not there, and
    /// sends nothing if the Hub has the same bytes already, so a push that was killed may be repeated.
    /// `None` if `stop` was set before the commit.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] or [`Error::Forbidden`] without a token that may write,
    /// [`Error::Conflict`] if somebody else publishes at the same time, or what the network says.
    pub fn publish(
        &self,
        publication: &Publication,
        stop: &AtomicBool,
    ) -> Result<Option<Published>> {
        let remote = self.remote()?;
        if !remote.with_token {
            return Err(Error::Unauthorized { with_token: false });
        }
        let id = &publication.id;
        let name = format!("{}/{}", id.owner(), id.name());
        let url = format!("{}/{name}", self.settings().endpoint);
        let published = |commit, unchanged| Published {
            commit,
            url,
            unchanged,
        };
        let created = remote.ask(id, "write to", stop, || {
            let create = remote.api.create_repository().repo_id(&name);
            let create = create.repo_type(RepoTypeModel).exist_ok(true);
            create.private(publication.private).send()
        })?;
        if created.is_none() {
            return Ok(None);
        }
        let Some((parent, unchanged)) = has(remote, publication, stop)? else {
            return Ok(None);
        };
        if unchanged {
            return Ok(Some(published(parent, true)));
        }
        let repository = remote.api.model(id.owner(), id.name());
        let add =
            |(name, bytes): &(String, Vec<u8>)| CommitOperation::add_bytes(name, bytes.clone());
        let committed = remote.ask(id, "write to", stop, || {
            let commit = repository.create_commit();
            let commit = commit.operations(publication.files.iter().map(add).collect());
            // With its parent named, a commit that is sent twice is made once.
            let commit = commit.parent_commit(&parent);
            commit.commit_message(&publication.message).send()
        });
        let committed = match committed {
            Ok(Some(committed)) => committed,
            Ok(None) => return Ok(None),
            // Sent twice, because the answer to the first time was lost? Then it is our own.
            Err(Error::Conflict { id }) => {
                return match has(remote, publication, stop)? {
                    Some((commit, true)) => Ok(Some(published(commit, false))),
                    Some((_, false)) => Err(Error::Conflict { id }),
                    None => Ok(None),
                };
            }
            Err(error) => return Err(error),
        };
        let commit = commit_of(committed).ok_or_else(|| Error::Answer {
            about: format!("the commit to `{id}`"),
            reason: "it names no commit".to_owned(),
        })?;
        Ok(Some(published(commit, false)))
    }
}

/// The commit that was made, if the answer names one.
pub(crate) fn commit_of(made: CommitInfo) -> Option<String> {
    made.commit_oid.filter(|commit| is_commit(commit))
}

/// The newest commit, and whether it has these very files; `None` if stopped.
fn has(
    remote: &Remote,
    publication: &Publication,
    stop: &AtomicBool,
) -> Result<Option<(String, bool)>> {
    let id = &publication.id;
    let Some(Found { commit, .. }) = remote.find(id, stop)? else {
        return Ok(None);
    };
    let Some(listed) = remote.list(id, &commit, stop)? else {
        return Ok(None);
    };
    let same = publication.files.iter().all(|(name, bytes)| {
        let file = listed.iter().find(|file| file.name == *name);
        file.is_some_and(|file| is_same(file, bytes))
    });
    Ok(Some((commit, same)))
}
