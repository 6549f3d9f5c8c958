//! Publishing to a Hub on this machine: one commit, once, whatever happens on the way.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mpama_hub::{Error, Hub, ModelId, Publication, Settings, Token};
use mpama_tests::hub_server::{Access, Fault, HubServer};

static NEVER: AtomicBool = AtomicBool::new(false);

fn hub(server: &HubServer, token: Option<&str>) -> Hub {
    let folder = std::env::temp_dir();
    Hub::new(Settings {
        endpoint: server.endpoint(),
        cache: folder.join("no-cache-is-used"),
        token: token.map(|token| Token::new(token).unwrap()),
        token_origin: None,
        token_file: folder.join("no-token-is-kept"),
        offline: false,
    })
}

fn server() -> HubServer {
    let server = HubServer::start().unwrap();
    server
        .state()
        .users
        .insert("hf_me".to_owned(), "me".to_owned());
    server
}

fn publication(id: &str) -> Publication {
    Publication {
        id: id.parse::<ModelId>().unwrap(),
        private: true,
        message: "An adapter".to_owned(),
        files: vec![
            ("adapter_config.json".to_owned(), b"{}".to_vec()),
            ("adapter_model.safetensors".to_owned(), vec![5; 100_000]),
            ("README.md".to_owned(), b"---\n---\n".to_vec()),
        ],
    }
}

fn commits(server: &HubServer) -> usize {
    server.state().repositories["me/adapter"].commits.len()
}

#[test]
fn all_files_arrive_in_one_commit_and_only_once() {
    let server = server();
    let hub = hub(&server, Some("hf_me"));
    assert_eq!(hub.whoami(&NEVER).unwrap().as_deref(), Some("me"));
    let publication = publication("me/adapter");
    let published = hub.publish(&publication, &NEVER).unwrap().unwrap();
    assert!(!published.unchanged);
    {
        let state = server.state();
        let repository = &state.repositories["me/adapter"];
        assert_eq!(repository.access, Access::Private);
        let (commit, files) = repository.head().unwrap();
        assert_eq!(*commit, published.commit);
        for (name, bytes) in &publication.files {
            assert_eq!(files[name].as_slice(), bytes, "{name}");
        }
    }
    // The first one is the Hub's own.
    assert_eq!(commits(&server), 2);
    let again = hub.publish(&publication, &NEVER).unwrap().unwrap();
    assert!(again.unchanged && again.commit == published.commit);
    assert_eq!(commits(&server), 2);
}

#[test]
fn a_commit_whose_answer_was_lost_is_not_made_twice() {
    let server = server();
    let hub = hub(&server, Some("hf_me"));
    let publication = publication("me/adapter");
    server.fault("POST /api/models/me/adapter/commit", Fault::Mute);
    let first = hub.publish(&publication, &NEVER).unwrap().unwrap();
    assert!(!first.unchanged);
    let again = hub.publish(&publication, &NEVER).unwrap().unwrap();
    assert!(again.unchanged && again.commit == first.commit);
    assert_eq!(commits(&server), 2);
}

#[test]
fn what_somebody_else_published_meanwhile_is_not_overwritten() {
    let server = server();
    let publication = publication("me/adapter");
    let late = Fault::Late(Duration::from_secs(1));
    server.fault("POST /api/models/me/adapter/preupload", late);
    let error = std::thread::scope(|scope| {
        let publish = || hub(&server, Some("hf_me")).publish(&publication, &NEVER);
        let publishing = scope.spawn(move || publish().unwrap_err());
        while !server.has_seen("preupload") {
            std::thread::sleep(Duration::from_millis(5));
        }
        let theirs = [("adapter_config.json".to_owned(), Default::default())];
        let mut state = server.state();
        let repository = state.repositories.get_mut("me/adapter").unwrap();
        repository.commit(theirs.into(), &[]);
        drop(state);
        publishing.join().unwrap()
    });
    assert!(matches!(error, Error::Conflict { .. }), "{error}");
    assert_eq!(commits(&server), 2);
}

#[test]
fn who_may_not_write_is_told_so() {
    let server = server();
    let publish = |token, id: &str| {
        hub(&server, token)
            .publish(&publication(id), &NEVER)
            .unwrap_err()
    };
    assert!(matches!(
        publish(None, "me/adapter"),
        Error::Unauthorized { with_token: false }
    ));
    assert!(matches!(
        publish(Some("hf_no"), "me/adapter"),
        Error::Unauthorized { with_token: true }
    ));
    assert!(matches!(
        publish(Some("hf_me"), "you/adapter"),
        Error::Forbidden {
            action: "write to",
            ..
        }
    ));
    assert!(server.state().repositories.is_empty());
}

#[test]
fn a_server_that_fails_for_a_while_is_asked_again() {
    let server = server();
    for path in ["repos/create", "preupload", "commit"] {
        server.fault(path, Fault::Status(500, Vec::new()));
    }
    server.fault(
        "commit",
        Fault::Status(429, vec![("retry-after", "1".to_owned())]),
    );
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let hub = hub(&server, Some("hf_me")).telling(move |error, wait| {
        assert!(wait <= Duration::from_secs(1));
        heard.lock().unwrap().push(error.to_string());
    });
    let published = hub.publish(&publication("me/adapter"), &NEVER);
    assert!(!published.unwrap().unwrap().unchanged);
    assert_eq!(commits(&server), 2);
    let told = told.lock().unwrap();
    // The first failure of each row: creating; preparing the upload and committing, which are one.
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter()
            .all(|why| why.starts_with("the Hub answers 500"))
    );
}
