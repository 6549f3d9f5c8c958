//! One request, one answer, one connection.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{Fault, Seen, State, lock, routes, xet};

/// A request.
pub(super) struct Request {
    pub(super) method: String,
    /// Decoded, without the query.
    pub(super) path: String,
    pub(super) raw_path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// The header of this name, in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Arc<Vec<u8>>,
    /// Whether a part of the body may be asked for.
    pub(super) ranges: bool,
}

impl Answer {
    pub(super) fn json(value: &serde_json::Value) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", "application/json".to_owned())],
            body: Arc::new(value.to_string().into_bytes()),
            ranges: false,
        }
    }

    pub(super) fn status(status: u16, headers: Vec<(&'static str, String)>) -> Self {
        Self {
            status,
            headers,
            body: Arc::default(),
            ranges: false,
        }
    }
}

pub(super) fn serve(stream: TcpStream, state: &Mutex<State>, here: SocketAddr) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let Some(mut request) = read_head(&mut reader)? else {
        return Ok(());
    };
    let label = format!("{} {}", request.method, request.raw_path);
    let (number, fault) = {
        let mut state = lock(state);
        state.seen.push(Seen {
            method: request.method.clone(),
            path: request.raw_path.clone(),
            authorization: request.header("authorization").map(str::to_owned),
            range: request.header("range").map(str::to_owned),
            received: 0,
            sent: 0,
        });
        let hit = state
            .faults
            .iter()
            .position(|(what, _)| label.contains(what.as_str()));
        let fault = hit
            .and_then(|at| state.faults.remove(at))
            .map(|(_, fault)| fault);
        (state.seen.len() - 1, fault)
    };
    request.body = read_body(&request, &mut reader, &stream, &fault, |received| {
        lock(state).seen[number].received = received;
    })?;
    let chunks = lock(state).xet.clone();
    if let (Some(path), Some(address)) = (request.raw_path.strip_prefix("/xet"), chunks) {
        xet::relay(&request, &address, path, &mut &stream)?;
        if path.ends_with("/shards") {
            lock(state).xet_files.extend(xet::files_of(&request.body));
        }
        return Ok(());
    }
    let answer = match &fault {
        Some(Fault::Status(status, headers)) => Answer::status(*status, headers.clone()),
        _ => routes::answer(&request, &mut lock(state), here),
    };
    match fault {
        Some(Fault::Mute) => return Ok(()),
        Some(Fault::Late(wait)) => thread::sleep(wait),
        _ => {}
    }
    let mut sent = 0;
    let result = write(&stream, &request, &answer, fault, &mut sent);
    lock(state).seen[number].sent = sent;
    result
}

fn read_head(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if reader.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut fields);
    parsed.parse(&head).map_err(io::Error::other)?;
    let headers: Vec<(String, String)> = parsed
        .headers
        .iter()
        .map(|field| {
            let value = String::from_utf8_lossy(field.value).into_owned();
            (field.name.to_ascii_lowercase(), value)
        })
        .collect();
    let raw_path = parsed.path.unwrap_or_default().to_owned();
    let path = raw_path.split('?').next().unwrap_or_default();
    Ok(Some(Request {
        method: parsed.method.unwrap_or_default().to_owned(),
        path: decode(path),
        raw_path,
        headers,
        body: Vec::new(),
    }))
}

fn read_body(
    request: &Request,
    reader: &mut BufReader<TcpStream>,
    mut stream: &TcpStream,
    fault: &Option<Fault>,
    mut tell: impl FnMut(usize),
) -> io::Result<Vec<u8>> {
    if request.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let length = request.header("content-length");
    let Some(length) = length.and_then(|length| length.parse().ok()) else {
        return match request.header("transfer-encoding") {
            Some("chunked") => read_chunks(reader),
            _ => Ok(Vec::new()),
        };
    };
    let (step, pause) = match fault {
        Some(Fault::Sip(step, pause)) => (*step, *pause),
        _ => (1 << 20, Duration::ZERO),
    };
    let mut body = vec![0; length];
    let mut received = 0;
    for block in body.chunks_mut(step) {
        reader.read_exact(block)?;
        received += block.len();
        tell(received);
        thread::sleep(pause);
    }
    Ok(body)
}

fn read_chunks(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    use std::io::BufRead;
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first byte of `bytes=5-` or `bytes=5-9`, and the one after the last.
fn range(request: &Request, size: usize) -> Option<(usize, usize)> {
    let range = request.header("range")?.strip_prefix("bytes=")?;
    let (start, end) = range.split_once('-')?;
    let end = end.parse::<usize>().map_or(size, |end| (end + 1).min(size));
    Some((start.parse().ok()?, end))
}

fn write(
    mut stream: &TcpStream,
    request: &Request,
    answer: &Answer,
    fault: Option<Fault>,
    sent: &mut usize,
) -> io::Result<()> {
    let size = answer.body.len();
    let (mut status, mut headers) = (answer.status, answer.headers.clone());
    let wanted = range(request, size).filter(|_| answer.ranges && fault != Some(Fault::NoRanges));
    let mut body = match wanted {
        Some((start, end)) if start < end => {
            status = 206;
            headers.push(("content-range", format!("bytes {start}-{}/{size}", end - 1)));
            answer.body[start..end].to_vec()
        }
        Some(_) => {
            status = 416;
            headers.push(("content-range", format!("bytes */{size}")));
            Vec::new()
        }
        None => answer.body.to_vec(),
    };
    match fault {
        Some(Fault::WrongBytes) => body.iter_mut().for_each(|byte| *byte ^= 0x55),
        Some(Fault::TooLong) => body.extend([0; 100]),
        Some(Fault::TooShort) => body.truncate(body.len() / 2),
        _ => {}
    }
    let mut head = format!("HTTP/1.1 {status} -\r\nconnection: close\r\n");
    for (name, value) in &headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let (step, pause) = match fault {
        Some(Fault::Drip(step, pause)) => (step, Some(pause)),
        _ => (1 << 16, None),
    };
    let end = match fault {
        Some(Fault::Cut(end)) => end.min(body.len()),
        _ => body.len(),
    };
    for block in body[..end].chunks(step) {
        stream.write_all(block)?;
        *sent += block.len();
        if let Some(pause) = pause {
            thread::sleep(pause);
        }
    }
    Ok(())
}
