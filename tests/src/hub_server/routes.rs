//! What the server answers.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::repository::{Access, Files, LARGE, Repository, git_hash, sha256};
use super::{State, xet};

pub(super) fn answer(request: &Request, state: &mut State, here: SocketAddr) -> Answer {
    let path = request.path.clone();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let get = matches!(request.method.as_str(), "GET" | "HEAD");
    let post = request.method == "POST";
    match parts[..] {
        ["api", "whoami-v2"] if get => who(request, state),
        ["api", "validate-yaml"] if post => Answer::json(&json!({"errors": [], "warnings": []})),
        ["api", "repos", "create"] if post => create(request, state, here),
        ["api", "models", owner, name, ref rest @ ..] => {
            let id = format!("{owner}/{name}");
            if let Some(new) = state.moved.get(&id) {
                let to = request.raw_path.replacen(&id, new, 1);
                return Answer::status(307, vec![("location", to)]);
            }
            match (seeing(request, state, &id), rest) {
                (Err(refusal), _) => refusal,
                (Ok(()), []) if get => info(state, &id, "main"),
                (Ok(()), ["revision", revision]) if get => info(state, &id, revision),
                (Ok(()), ["tree", revision, ..]) if get => tree(state, &id, revision),
                (Ok(()), ["commits", _]) if get => history(state, &id),
                (Ok(()), ["preupload", _]) if post => modes(request),
                (Ok(()), ["xet-write-token", _]) if get => Answer::json(&json!({
                    "accessToken": "xet", "exp": u32::MAX, "casUrl": format!("http://{here}/xet"),
                })),
                (Ok(()), ["commit", _]) if post => commit(request, state, &id, here),
                _ => nothing("RepoNotFound"),
            }
        }
        ["storage", hash] if get => {
            let all = state.repositories.values().flat_map(|r| &r.commits);
            let bytes = all
                .flat_map(|(_, files)| files.values())
                .find(|b| sha256(b) == hash);
            bytes.map_or_else(|| nothing("EntryNotFound"), file)
        }
        ["upload", hash] if request.method == "PUT" => {
            let bytes = Arc::new(request.body.clone());
            if sha256(&bytes) != hash {
                return Answer::status(400, Vec::new());
            }
            state.uploads.insert(hash.to_owned(), bytes);
            Answer::status(200, Vec::new())
        }
        [_, name, "info", "lfs", "objects", "batch"] if post && name.ends_with(".git") => {
            batch(request, state, here)
        }
        [owner, name, "resolve", revision, ref rest @ ..] if get => {
            let id = format!("{owner}/{name}");
            match seeing(request, state, &id) {
                Err(refusal) => refusal,
                Ok(()) => resolve(state, &id, revision, &rest.join("/")),
            }
        }
        _ => nothing("RepoNotFound"),
    }
}

fn nothing(code: &'static str) -> Answer {
    Answer::status(404, vec![("x-error-code", code.to_owned())])
}

fn user<'a>(request: &Request, state: &'a State) -> Option<&'a str> {
    let token = request.header("authorization")?.strip_prefix("Bearer ")?;
    state.users.get(token).map(String::as_str)
}

fn who(request: &Request, state: &State) -> Answer {
    match user(request, state) {
        Some(name) => Answer::json(&json!({"type": "user", "name": name, "orgs": []})),
        None => Answer::status(401, Vec::new()),
    }
}

/// Whether whoever asks may see a model.
fn seeing(request: &Request, state: &State, id: &str) -> Result<(), Answer> {
    let user = user(request, state);
    if request.header("authorization").is_some() && user.is_none() {
        return Err(Answer::status(401, Vec::new()));
    }
    let hidden = || match user {
        Some(_) => nothing("RepoNotFound"),
        None => Answer::status(401, vec![("x-error-code", "RepoNotFound".to_owned())]),
    };
    let repository = state.repositories.get(id).ok_or_else(hidden)?;
    let owner = id.split('/').next();
    match repository.access {
        Access::Public => Ok(()),
        _ if owner == user => Ok(()),
        Access::Private => Err(hidden()),
        Access::Gated => Err(Answer::status(
            if user.is_some() { 403 } else { 401 },
            vec![("x-error-code", "GatedRepo".to_owned())],
        )),
    }
}

fn info(state: &State, id: &str, revision: &str) -> Answer {
    let Some((commit, files)) = state.repositories.get(id).and_then(|r| r.at(revision)) else {
        return nothing("RevisionNotFound");
    };
    let siblings: Vec<Value> = files
        .keys()
        .map(|name| json!({"rfilename": name}))
        .collect();
    Answer::json(&json!({
        "_id": "0", "id": id, "modelId": id, "sha": commit, "private": false, "siblings": siblings,
        "tags": [], "downloads": 0, "likes": 0,
    }))
}

fn tree(state: &State, id: &str, revision: &str) -> Answer {
    let Some((_, files)) = state.repositories.get(id).and_then(|r| r.at(revision)) else {
        return nothing("RevisionNotFound");
    };
    let entry = |(name, bytes): (&String, &Arc<Vec<u8>>)| {
        let mut entry = json!({
            "type": "file", "path": name, "size": bytes.len(), "oid": git_hash(bytes),
        });
        if bytes.len() >= LARGE {
            entry["lfs"] = json!({"oid": sha256(bytes), "sha256": sha256(bytes),
                "size": bytes.len(), "pointerSize": 130});
        }
        entry
    };
    Answer::json(&files.iter().map(entry).collect())
}

fn history(state: &State, id: &str) -> Answer {
    let commits = state.repositories.get(id).into_iter();
    let commits = commits.flat_map(|repository| repository.commits.iter().rev());
    let entry = |(commit, _): &(String, Files)| json!({"id": commit, "title": "", "message": "", "authors": [], "date": "2026-01-01T00:00:00.000Z"});
    Answer::json(&commits.map(entry).collect())
}

fn file(bytes: &Arc<Vec<u8>>) -> Answer {
    Answer {
        status: 200,
        headers: vec![("accept-ranges", "bytes".to_owned())],
        body: Arc::clone(bytes),
        ranges: true,
    }
}

fn resolve(state: &State, id: &str, revision: &str, name: &str) -> Answer {
    let Some((commit, files)) = state.repositories.get(id).and_then(|r| r.at(revision)) else {
        return nothing("RevisionNotFound");
    };
    let Some(bytes) = files.get(name) else {
        let mut answer = nothing("EntryNotFound");
        answer.headers.push(("x-repo-commit", commit.clone()));
        return answer;
    };
    let large = bytes.len() >= LARGE;
    let hash = if large {
        sha256(bytes)
    } else {
        git_hash(bytes)
    };
    let mut answer = match &state.storage {
        Some(storage) if large => {
            Answer::status(302, vec![("location", format!("{storage}/storage/{hash}"))])
        }
        _ => file(bytes),
    };
    answer.headers.push(("x-repo-commit", commit.clone()));
    answer.headers.push(("etag", format!("\"{hash}\"")));
    if large {
        answer
            .headers
            .push(("x-linked-etag", format!("\"{hash}\"")));
        answer
            .headers
            .push(("x-linked-size", bytes.len().to_string()));
    }
    answer
}

fn create(request: &Request, state: &mut State, here: SocketAddr) -> Answer {
    let Some(user) = user(request, state).map(str::to_owned) else {
        return Answer::status(401, Vec::new());
    };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let owner = body["organization"].as_str().unwrap_or(&user).to_owned();
    if owner != user {
        return Answer::status(403, Vec::new());
    }
    let id = format!("{owner}/{}", body["name"].as_str().unwrap_or_default());
    let url = json!({"url": format!("http://{here}/{id}"), "name": id});
    if state.repositories.contains_key(&id) {
        return Answer {
            status: 409,
            ..Answer::json(&url)
        };
    }
    let private = body["private"] == true || body["visibility"] == "private";
    let access = if private {
        Access::Private
    } else {
        Access::Public
    };
    let mut repository = Repository::new(access);
    let attributes = Arc::new(b"*.safetensors filter=lfs\n".to_vec());
    repository.commit(
        Files::from([(".gitattributes".to_owned(), attributes)]),
        &[],
    );
    state.repositories.insert(id, repository);
    Answer::json(&url)
}

fn modes(request: &Request) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let files = body["files"].as_array().into_iter().flatten();
    let files: Vec<Value> = files
        .map(|file| {
            let large = file["size"].as_u64().unwrap_or(0) >= LARGE as u64;
            let mode = if large { "lfs" } else { "regular" };
            json!({"path": file["path"], "uploadMode": mode, "shouldIgnore": false, "oid": null})
        })
        .collect();
    Answer::json(&json!({ "files": files }))
}

/// Large files are sent in chunks, or as one piece to an address of their own.
fn batch(request: &Request, state: &State, here: SocketAddr) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let objects = body["objects"].as_array().into_iter().flatten();
    let objects: Vec<Value> = objects
        .map(|object| {
            let href = format!(
                "http://{here}/upload/{}",
                object["oid"].as_str().unwrap_or_default()
            );
            json!({"oid": object["oid"], "size": object["size"], "authenticated": true,
                "actions": {"upload": {"href": href, "header": {}}}})
        })
        .collect();
    let transfer = if state.xet.is_some() { "xet" } else { "basic" };
    Answer::json(&json!({"transfer": transfer, "objects": objects}))
}

/// A large file by its hash, from here or from the server of chunks.
fn uploaded(state: &State, hash: &str) -> Option<Arc<Vec<u8>>> {
    if let Some(bytes) = state.uploads.get(hash) {
        return Some(Arc::clone(bytes));
    }
    let bytes = xet::fetch(state.xet.as_ref()?, state.xet_files.get(hash)?).ok()?;
    (sha256(&bytes) == hash).then(|| Arc::new(bytes))
}

fn commit(request: &Request, state: &mut State, id: &str, here: SocketAddr) -> Answer {
    match user(request, state) {
        None => return Answer::status(401, Vec::new()),
        Some(user) if id.split('/').next() != Some(user) => return Answer::status(403, Vec::new()),
        Some(_) => {}
    }
    let (mut add, mut remove, mut parent) = (Files::new(), Vec::new(), None);
    let lines = request
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    for line in lines {
        let line: Value = serde_json::from_slice(line).unwrap_or_default();
        let value = &line["value"];
        let path = value["path"].as_str().unwrap_or_default().to_owned();
        match line["key"].as_str() {
            Some("header") => parent = value["parentCommit"].as_str().map(str::to_owned),
            Some("file") => {
                let content = value["content"].as_str().unwrap_or_default();
                let Ok(bytes) = BASE64.decode(content) else {
                    return Answer::status(400, Vec::new());
                };
                add.insert(path, Arc::new(bytes));
            }
            Some("lfsFile") => {
                let hash = value["oid"].as_str().unwrap_or_default();
                let Some(bytes) = uploaded(state, hash) else {
                    return Answer::status(400, Vec::new());
                };
                add.insert(path, bytes);
            }
            Some("deletedFile") => remove.push(path),
            _ => return Answer::status(400, Vec::new()),
        }
    }
    let Some(repository) = state.repositories.get_mut(id) else {
        return nothing("RepoNotFound");
    };
    if parent.is_some() && parent.as_deref() != repository.head().map(|(commit, _)| commit.as_str())
    {
        return Answer::status(412, Vec::new());
    }
    let commit = repository.commit(add, &remove);
    let url = format!("http://{here}/{id}/commit/{commit}");
    Answer::json(&json!({"success": true, "commitUrl": url, "commitOid": commit, "hookOutput": ""}))
}
