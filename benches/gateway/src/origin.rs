//! The server behind the proxies. It costs little, because it shares a core with the load.
//!
//! `/large` is answered with 64 KiB, `/echo` with the headers that came, everything else with a few bytes.

use std::net::SocketAddr;

use serde_json::{Map, Value};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

/// Bytes of a large answer.
pub(crate) const LARGE: usize = 64 * 1024;
const SMALL: &str = r#"{"order":"4711","state":"shipped","items":3,"total":"129.90"}"#;
const HEADERS: usize = 64;

/// Serves until the runtime ends.
pub(crate) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        let large = answer(&"x".repeat(LARGE));
        let small = answer(SMALL);
        while let Ok((stream, _)) = listener.accept().await {
            let (large, small) = (large.clone(), small.clone());
            // A connection that breaks is the proxy's affair.
            tokio::spawn(async move { serve(stream, &large, &small).await.is_ok() });
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream, large: &[u8], small: &[u8]) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4096);
    loop {
        let Some(end) = head_end(&bytes) else {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = bytes.get(..end).unwrap_or_default();
        if head.starts_with(b"GET /large") {
            stream.write_all(large).await?;
        } else if head.starts_with(b"GET /echo") {
            stream.write_all(&answer(&echo(head)?)).await?;
        } else {
            stream.write_all(small).await?;
        }
        bytes.drain(..end);
    }
}

/// Where the first head ends. Nobody here sends a body.
fn head_end(bytes: &[u8]) -> Option<usize> {
    if bytes.ends_with(b"\r\n\r\n") && bytes.len() < 2048 {
        return Some(bytes.len());
    }
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn answer(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The headers that came, names in lower case, those that came twice joined by a comma.
fn echo(head: &[u8]) -> anyhow::Result<String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head)?;
    let mut seen = Map::new();
    for header in request.headers.iter() {
        let value = String::from_utf8_lossy(header.value).into_owned();
        let entry = seen.entry(header.name.to_ascii_lowercase()).or_insert(Value::Null);
        *entry = match entry.as_str() {
            Some(first) => Value::String(format!("{first}, {value}")),
            None => Value::String(value),
        };
    }
    Ok(Value::Object(seen).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_shows_every_header() {
        let head = b"GET /echo HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\n\r\n";
        assert_eq!(echo(head).unwrap(), r#"{"host":"a","x-a":"1, 2"}"#);
        assert_eq!(head_end(head), Some(head.len()));
        assert_eq!(head_end(b"GET / HTTP/1.1\r\n"), None);
    }
}
