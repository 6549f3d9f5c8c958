//! A Hub on this machine and a home of its own for the binary.

use std::fs;
use std::process::Command;

use mpama_tests::hub_server::HubServer;
use tempfile::TempDir;

use super::{Ran, clip, mpama};

/// A Hub with the tiny CLIP, and a home of Hugging Face's tools.
pub struct Ground {
    /// Its user `me` has the token `hf_secret`.
    pub server: HubServer,
    /// `HF_HOME`.
    pub home: TempDir,
}

impl Ground {
    /// A Hub and a home, both new.
    pub fn new() -> Self {
        let server = HubServer::start().unwrap();
        server
            .state()
            .users
            .insert("hf_secret".to_owned(), "me".to_owned());
        let files: Vec<(String, Vec<u8>)> = fs::read_dir(clip())
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_file())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        let files: Vec<_> = files.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
        server.model("lab/tiny", &files);
        Self {
            server,
            home: TempDir::new().unwrap(),
        }
    }

    /// The binary, with them.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = mpama();
        command.env("HF_ENDPOINT", self.server.endpoint());
        command.env("HF_HOME", self.home.path()).args(arguments);
        command
    }

    /// Runs it as nobody.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Runs it with the token.
    pub fn run_as_me(&self, arguments: &[&str]) -> Ran {
        let mut command = self.command(arguments);
        Ran::of(command.env("HF_TOKEN", "hf_secret").output().unwrap())
    }

    /// How many requests have come.
    pub fn requests(&self) -> usize {
        self.server.state().seen.len()
    }
}
