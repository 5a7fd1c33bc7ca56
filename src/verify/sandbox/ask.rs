//! Whether something inside the sandbox answers, asked from the inside: its network may be one of its own.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    /// `127.0.0.1:8000`
    Tcp(String),
    Unix(PathBuf),
    /// `http://127.0.0.1:8000/health`
    Http(String),
}

/// For each step of one question.
const PATIENCE: Duration = Duration::from_secs(5);

/// The status of an HTTP answer, 0 for a bare connection.
pub(super) fn ask(ask: &Ask) -> io::Result<u16> {
    match ask {
        Ask::Tcp(address) => connect(address).map(|_| 0),
        Ask::Unix(path) => UnixStream::connect(path).map(|_| 0),
        Ask::Http(url) => get(url),
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn get(url: &str) -> io::Result<u16> {
    let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let rest = url.strip_prefix("http://").ok_or_else(|| invalid("no http:// URL"))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let address = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
    let mut stream = connect(&address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < 4096 {
        match stream.read(&mut buffer)? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    status(&answer).ok_or_else(|| invalid("no HTTP answer"))
}

/// 200 of `HTTP/1.1 200 OK`.
fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.split(|byte| *byte == b'\n').next()?).ok()?;
    let mut words = line.split_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/"))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_needed() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        assert_eq!(ask(&Ask::Tcp(address.clone())).unwrap(), 0);
        let answered = std::thread::spawn(move || {
            let _first = server.accept().unwrap();
            let (mut stream, _) = server.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.1 503 Not yet\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        assert_eq!(ask(&Ask::Http(format!("http://{address}/health?x=1"))).unwrap(), 503);
        assert!(answered.join().unwrap().starts_with("GET /health?x=1 HTTP/1.1\r\n"));
        assert!(ask(&Ask::Tcp(address)).is_err());
    }

    #[test]
    fn statuses() {
        assert_eq!(status(b"HTTP/1.0 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"SSH-2.0-x\r\n"), None);
    }
}
