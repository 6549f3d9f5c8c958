//! A Hub on this machine, for trying clients: `hub_server [ADDRESS]`. The user is `me`, the token `hf_me`;
//! each folder given with `--model owner/name=FOLDER` is a model there; with `--xet HOST:PORT` large files are
//! uploaded to that server of chunks. Prints its address and runs until stdin ends.
#![allow(clippy::print_stdout)] // an example is a program

use std::error::Error;
use std::io::Read;
use std::path::Path;

use mpama_tests::hub_server::HubServer;

fn main() -> Result<(), Box<dyn Error>> {
    let mut address = "127.0.0.1:0".to_owned();
    let mut models = Vec::new();
    let mut xet = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--model" => models.push(arguments.next().ok_or("--model owner/name=FOLDER")?),
            "--xet" => xet = Some(arguments.next().ok_or("--xet HOST:PORT")?),
            _ => address = argument,
        }
    }
    let server = HubServer::at(&address, Default::default())?;
    server
        .state()
        .users
        .insert("hf_me".to_owned(), "me".to_owned());
    server.state().xet = xet;
    for model in models {
        let (id, folder) = model.split_once('=').ok_or("--model owner/name=FOLDER")?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(Path::new(folder))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push((name, std::fs::read(entry.path())?));
        }
        let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), &b[..])).collect();
        server.model(id, &files);
    }
    println!("{}", server.endpoint());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
