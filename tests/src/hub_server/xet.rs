//! Large files in chunks: the Hub only hands out the address of a server that keeps them. Requests pass through
//! here on their way to it, and the shards among them tell which of its files is which of ours.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use super::http::Request;

/// Bytes of a shard's header, and of every record that follows it.
const RECORD: usize = 48;
/// Flags of a file: its chunks are repeated for verification; its SHA-256 follows.
const VERIFIED: u32 = 1 << 31;
const WITH_SHA256: u32 = 1 << 30;

/// Headers that belong to one connection.
const OF_CONNECTION: [&str; 5] = [
    "host",
    "connection",
    "expect",
    "content-length",
    "transfer-encoding",
];

/// Passes a request on, to `path` of the server at `address`, and its answer back as it comes.
pub(super) fn relay(
    request: &Request,
    address: &str,
    path: &str,
    to: &mut dyn Write,
) -> io::Result<()> {
    let mut server = TcpStream::connect(address)?;
    let mut head = format!("{} {path} HTTP/1.1\r\n", request.method);
    let kept = request.headers.iter();
    let kept = kept.filter(|(name, _)| !OF_CONNECTION.contains(&name.as_str()));
    for (name, value) in kept {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!(
        "host: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        request.body.len()
    );
    server.write_all(head.as_bytes())?;
    server.write_all(&request.body)?;
    io::copy(&mut server, to)?;
    Ok(())
}

/// The SHA-256 and the name among the chunks of every file of a shard.
pub(super) fn files_of(shard: &[u8]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut records = shard.chunks_exact(RECORD).skip(1);
    while let Some(header) = records.next() {
        if header[..32] == [0xff; 32] {
            break; // the end of the files
        }
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| header[at + i]));
        let (flags, entries) = (number(32), number(36) as usize);
        let chunks = entries * (1 + usize::from(flags & VERIFIED != 0));
        if chunks > 0 && records.nth(chunks - 1).is_none() {
            break;
        }
        if flags & WITH_SHA256 != 0
            && let Some(record) = records.next()
        {
            files.push((hex(record), hex(header)));
        }
    }
    files
}

/// The first 32 bytes as four numbers, least byte first: hashes are written so.
fn hex(record: &[u8]) -> String {
    let words = record[..32].chunks_exact(8);
    words
        .map(|word| {
            word.iter()
                .rev()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        })
        .collect()
}

/// The bytes of a file, by its name among the chunks.
pub(super) fn fetch(address: &str, name: &str) -> io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(address)?;
    let request = format!(
        "GET /v1/get_xorb/default/{name}/ HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    );
    server.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    match end {
        Some(end) if answer.get(9..12) == Some(b"200") => Ok(answer.split_off(end + 4)),
        _ => Err(io::Error::other("it does not have the file")),
    }
}
