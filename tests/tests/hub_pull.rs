//! Pulling from a Hub on this machine: what should work, and everything that may go wrong on the way.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mpama_hub::{Error, Hub, Kind, ModelId, PullEvent, Pulled, Settings, Token};
use mpama_tests::hub_server::{Access, Fault, HubServer};

const MEGABYTE: usize = 1 << 20;
static NEVER: AtomicBool = AtomicBool::new(false);

/// Bytes that no two places share by chance.
fn noise(count: usize) -> Vec<u8> {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

struct Rig {
    server: HubServer,
    folder: tempfile::TempDir,
    weights: Vec<u8>,
}

impl Rig {
    /// A server with one CLIP, whose weights have so many bytes.
    fn new(weights: usize) -> Self {
        let server = HubServer::start().unwrap();
        let weights = noise(weights);
        server.model(
            "lab/clip",
            &[
                ("config.json", b"{}"),
                ("tokenizer.json", b"[]"),
                ("model.safetensors", &weights),
                ("pytorch_model.bin", b"not needed"),
            ],
        );
        Self {
            server,
            folder: tempfile::tempdir().unwrap(),
            weights,
        }
    }

    fn settings(&self) -> Settings {
        Settings {
            endpoint: self.server.endpoint(),
            cache: self.folder.path().join("hub"),
            token: None,
            token_origin: None,
            token_file: self.folder.path().join("token"),
            offline: false,
        }
    }

    fn hub(&self) -> Hub {
        Hub::new(self.settings())
    }

    fn pull(&self) -> Result<Pulled, Error> {
        pull(&self.hub(), "lab/clip")
    }

    /// Bytes of the weights that the server has sent.
    fn sent(&self) -> usize {
        let state = self.server.state();
        let weights = state
            .seen
            .iter()
            .filter(|s| s.path.contains("model.safetensors"));
        weights.map(|seen| seen.sent).sum()
    }

    fn assert_whole(&self, pulled: &Pulled) {
        let found = fs::read(pulled.folder.join("model.safetensors")).unwrap();
        assert!(found == self.weights, "the weights differ");
        assert!(leftovers(&self.settings().cache).is_empty());
    }

    /// No weights are shown, whatever lies among the blobs.
    fn assert_nothing_counts(&self) {
        assert_eq!(self.hub().cached(&id("lab/clip")), None);
    }
}

fn id(text: &str) -> ModelId {
    text.parse().unwrap()
}

fn pull(hub: &Hub, name: &str) -> Result<Pulled, Error> {
    let pulled = hub.pull(&id(name), false, &NEVER, &mut |_| {})?;
    Ok(pulled.expect("nothing stopped it"))
}

fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|p| p.is_dir() && !p.is_symlink());
    let odd = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.ends_with(".incomplete") || name.ends_with(".new")
    };
    let below = folders.iter().flat_map(|folder| leftovers(folder));
    files.into_iter().filter(odd).chain(below).collect()
}

#[test]
fn what_is_needed_comes_once_and_stays() {
    let rig = Rig::new(3 * MEGABYTE);
    let mut done = Vec::new();
    let pulled = rig
        .hub()
        .pull(&id("lab/clip"), false, &NEVER, &mut |event| {
            if let PullEvent::Progress { done: bytes, .. } = event {
                done.push(bytes);
            }
        });
    let pulled = pulled.unwrap().unwrap();
    rig.assert_whole(&pulled);
    assert_eq!(pulled.kind, Kind::Backbone);
    let names: Vec<&str> = pulled.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(
        names,
        ["config.json", "model.safetensors", "tokenizer.json"]
    );
    assert!(done.is_sorted() && *done.last().unwrap() == 4 + rig.weights.len() as u64);

    let again = rig.pull().unwrap();
    assert!(again.files.iter().all(|file| !file.fetched));
    assert_eq!(rig.sent(), rig.weights.len());
    let offline = Hub::new(Settings {
        offline: true,
        endpoint: "http://127.0.0.1:1".to_owned(),
        ..rig.settings()
    });
    assert_eq!(pull(&offline, "lab/clip").unwrap().folder, pulled.folder);
    assert!(matches!(
        pull(&offline, "lab/other"),
        Err(Error::NotCached { .. })
    ));
}

/// Two hundred megabytes in eleven pieces.
#[test]
fn a_connection_that_breaks_ten_times_costs_nothing() {
    let rig = Rig::new(200 * MEGABYTE);
    for cut in [
        1, 7_000_001, 123, 40_000_000, 5, 19_999_999, 65_536, 33_333_333, 2, 30_000_000,
    ] {
        rig.server.fault("model.safetensors", Fault::Cut(cut));
    }
    rig.assert_whole(&rig.pull().unwrap());
    let (sent, whole) = (rig.sent(), rig.weights.len());
    // What was sent but still on the way when the connection ended is sent again.
    assert!(
        sent >= whole && sent - whole <= 10 * MEGABYTE / 4,
        "{sent} of {whole}"
    );
    assert!(rig.server.state().faults.is_empty());
}

#[test]
fn bytes_that_are_not_those_listed_never_count() {
    for fault in [Fault::WrongBytes, Fault::TooLong] {
        let rig = Rig::new(MEGABYTE);
        rig.server.fault("model.safetensors", fault.clone());
        let error = rig.pull().unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{fault:?}: {error}");
        rig.assert_nothing_counts();
        rig.assert_whole(&rig.pull().unwrap());
    }
}

#[test]
fn a_part_that_is_not_ours_is_found_out() {
    let rig = Rig::new(MEGABYTE);
    rig.server
        .fault("model.safetensors", Fault::Status(403, Vec::new()));
    assert!(matches!(rig.pull(), Err(Error::Forbidden { .. })));
    let part = leftovers(&rig.settings().cache).pop().expect("a part");
    fs::write(&part, vec![7; MEGABYTE / 2]).unwrap();
    rig.assert_whole(&rig.pull().unwrap());
}

#[test]
fn an_answer_that_is_too_short_is_continued() {
    let rig = Rig::new(MEGABYTE);
    rig.server.fault("model.safetensors", Fault::TooShort);
    rig.assert_whole(&rig.pull().unwrap());
    assert_eq!(rig.sent(), rig.weights.len());
}

#[test]
fn a_server_that_knows_no_ranges_sends_all_again() {
    let rig = Rig::new(MEGABYTE);
    rig.server
        .fault("model.safetensors", Fault::Cut(MEGABYTE / 2));
    rig.server.fault("model.safetensors", Fault::NoRanges);
    rig.assert_whole(&rig.pull().unwrap());
    let rig = Rig::new(MEGABYTE);
    rig.server
        .fault("model.safetensors", Fault::Cut(MEGABYTE / 2));
    rig.server
        .fault("model.safetensors", Fault::Status(416, Vec::new()));
    rig.assert_whole(&rig.pull().unwrap());
}

#[test]
fn a_server_that_fails_for_a_while_is_asked_again() {
    let rig = Rig::new(MEGABYTE);
    for path in ["revision", "tree", "model.safetensors"] {
        rig.server.fault(path, Fault::Status(500, Vec::new()));
        rig.server.fault(path, Fault::Status(503, Vec::new()));
    }
    let wait = vec![("retry-after", "1".to_owned())];
    rig.server
        .fault("model.safetensors", Fault::Status(429, wait.clone()));
    rig.server.fault("tree", Fault::Status(429, wait));
    let drip = Fault::Drip(MEGABYTE / 4, Duration::from_millis(100));
    rig.server.fault("model.safetensors", drip);
    rig.assert_whole(&rig.pull().unwrap());
    assert!(rig.server.state().faults.is_empty());
}

#[test]
fn each_refusal_is_told_apart() {
    let rig = Rig::new(10_000);
    let with = |access: Access| {
        rig.server
            .state()
            .repositories
            .get_mut("lab/clip")
            .unwrap()
            .access = access
    };
    assert!(matches!(
        pull(&rig.hub(), "lab/none"),
        Err(Error::NoModel {
            with_token: false,
            ..
        })
    ));
    assert!(matches!(
        pull(&rig.hub(), "lab/clip@v9"),
        Err(Error::NoRevision { .. })
    ));
    with(Access::Gated);
    assert!(matches!(rig.pull(), Err(Error::Gated { .. })));
    with(Access::Private);
    assert!(matches!(rig.pull(), Err(Error::NoModel { .. })));
    let knocking = |token: &str| {
        Hub::new(Settings {
            token: Some(Token::new(token).unwrap()),
            ..rig.settings()
        })
    };
    let error = pull(&knocking("hf_wrong"), "lab/clip").unwrap_err();
    assert!(matches!(error, Error::Unauthorized { with_token: true }));
    assert!(!format!("{error} {error:?}").contains("hf_wrong"));
    rig.server
        .state()
        .users
        .insert("hf_lab".to_owned(), "lab".to_owned());
    rig.assert_whole(&pull(&knocking("hf_lab"), "lab/clip").unwrap());
    with(Access::Public);
    let wait = vec![("retry-after", "3600".to_owned())];
    rig.server.fault("revision", Fault::Status(429, wait));
    let error = rig.pull().unwrap_err();
    assert!(matches!(error, Error::RateLimited { wait: Some(wait) } if wait.as_secs() == 3600));
    let nobody = Hub::new(Settings {
        endpoint: "http://127.0.0.1:1".to_owned(),
        ..rig.settings()
    });
    assert!(matches!(
        pull(&nobody, "lab/clip"),
        Err(Error::Unreachable { .. })
    ));
}

#[test]
fn the_token_does_not_follow_to_another_host() {
    let rig = Rig::new(MEGABYTE);
    let _storage = rig.server.storage().unwrap();
    rig.server
        .state()
        .users
        .insert("hf_lab".to_owned(), "lab".to_owned());
    let hub = Hub::new(Settings {
        token: Some(Token::new("hf_lab").unwrap()),
        ..rig.settings()
    });
    rig.server.fault("/storage/", Fault::Cut(MEGABYTE / 3));
    rig.assert_whole(&pull(&hub, "lab/clip").unwrap());
    let state = rig.server.state();
    let (stored, asked): (Vec<_>, Vec<_>) = state
        .seen
        .iter()
        .partition(|seen| seen.path.starts_with("/storage/"));
    assert_eq!(stored.len(), 2);
    assert!(stored.iter().all(|seen| seen.authorization.is_none()));
    assert!(
        asked
            .iter()
            .all(|seen| seen.authorization.as_deref() == Some("Bearer hf_lab"))
    );
}

#[test]
fn names_that_lead_out_of_the_cache_are_refused() {
    for name in ["../../evil.json", "/etc/evil.json", "a/../../../evil"] {
        let rig = Rig::new(10_000);
        rig.server
            .model("lab/evil", &[("config.json", b"{}"), (name, b"x")]);
        let error = pull(&rig.hub(), "lab/evil").unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{error}");
        assert!(fs::read_dir(rig.folder.path()).unwrap().count() <= 1);
    }
}

#[test]
fn a_model_that_moved_is_found_and_said_to_have_moved() {
    let rig = Rig::new(10_000);
    let moved = ("old/clip".to_owned(), "lab/clip".to_owned());
    rig.server.state().moved.extend([moved]);
    let pulled = pull(&rig.hub(), "old/clip").unwrap();
    assert_eq!(pulled.moved, Some(id("lab/clip")));
    rig.assert_whole(&pulled);
    // The next time it is found under the name it was asked for.
    assert!(rig.hub().cached(&id("old/clip")).is_some());
}

#[test]
fn a_pull_that_is_stopped_goes_on_where_it_was() {
    let rig = Rig::new(8 * MEGABYTE);
    let stop = AtomicBool::new(false);
    let stopped = rig.hub().pull(&id("lab/clip"), false, &stop, &mut |event| {
        // Progress counts the small files before the weights too.
        if matches!(event, PullEvent::Progress { done, .. } if done > 4 * MEGABYTE as u64) {
            stop.store(true, Ordering::Relaxed);
        }
    });
    assert_eq!(stopped.unwrap(), None);
    rig.assert_nothing_counts();
    let part = leftovers(&rig.settings().cache).pop().expect("a part");
    let have = fs::metadata(part).unwrap().len();
    assert!(have > 3 * MEGABYTE as u64);
    rig.assert_whole(&rig.pull().unwrap());
    let state = rig.server.state();
    let last = state
        .seen
        .iter()
        .rfind(|s| s.path.contains("model.safetensors"))
        .unwrap();
    assert_eq!(last.range, Some(format!("bytes={have}-")));
}

#[test]
fn many_pulls_into_one_cache_fetch_each_byte_once() {
    for count in [2, 8] {
        let rig = Rig::new(4 * MEGABYTE);
        rig.server.fault(
            "model.safetensors",
            Fault::Drip(MEGABYTE / 2, Duration::from_millis(20)),
        );
        let pulled: Vec<Pulled> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count)
                .map(|_| scope.spawn(|| rig.pull().unwrap()))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        for pulled in pulled {
            rig.assert_whole(&pulled);
        }
        assert_eq!(rig.sent(), rig.weights.len());
    }
}

#[test]
fn shards_come_with_their_index() {
    let rig = Rig::new(10_000);
    let shards: [(&str, &[u8]); 5] = [
        ("config.json", b"{}"),
        ("vocab.json", b"{}"),
        ("merges.txt", b""),
        ("pytorch_model.bin.index.json", b"{}"),
        ("pytorch_model-00001-of-00001.bin", b"x"),
    ];
    rig.server.model("lab/sharded", &shards);
    let pulled = pull(&rig.hub(), "lab/sharded").unwrap();
    for (name, bytes) in shards {
        assert_eq!(fs::read(pulled.folder.join(name)).unwrap(), bytes, "{name}");
    }
    rig.server
        .model("lab/text", &[("config.json", b"{}"), ("README.md", b"")]);
    let error = pull(&rig.hub(), "lab/text").unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
}
