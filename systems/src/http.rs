//! One HTTP/1.1 connection that sends a request once: no pool, no redirect, no silent retry.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// A longer answer is no answer to a question of ours.
const ANSWER_MAX: usize = 16 << 20;

/// A connection to one server. Closed when dropped.
#[derive(Debug)]
pub struct Connection {
    address: String,
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// Nothing was sent.
    #[error("nothing was sent: {0}")]
    Unsent(String),
    /// Whether the server acted on the request is unknown.
    #[error("{0}")]
    Doubt(String),
}

impl Connection {
    /// Connects to `host:port`. Must be called inside a `LocalSet`.
    pub async fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let driver = tokio::task::spawn_local(async move {
            // Whoever waits for an answer learns of the error there.
            let _ = connection.await;
        });
        Ok(Connection { address: address.into(), sender, driver })
    }

    /// Whether the other end is known to be gone, so that nothing can be sent any more.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks for `path`.
    pub async fn get(&mut self, path: &str) -> Result<Answer, NoAnswer> {
        self.send(Method::GET, path, String::new()).await
    }

    /// Posts JSON to `path`.
    pub async fn post(&mut self, path: &str, json: String) -> Result<Answer, NoAnswer> {
        self.send(Method::POST, path, json).await
    }

    async fn send(&mut self, method: Method, path: &str, body: String) -> Result<Answer, NoAnswer> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| NoAnswer::Unsent(error.to_string()))?;
        self.sender.ready().await.map_err(|error| NoAnswer::Unsent(error.to_string()))?;
        let doubt = |error: &dyn std::fmt::Display| NoAnswer::Doubt(error.to_string());
        let response = self.sender.try_send_request(request).await.map_err(|mut error| {
            match error.take_message() {
                // The connection never took it.
                Some(_) => NoAnswer::Unsent(error.error().to_string()),
                None => doubt(error.error()),
            }
        })?;
        let status = response.status().as_u16();
        let body =
            Limited::new(response.into_body(), ANSWER_MAX).collect().await.map_err(|error| doubt(&error))?;
        Ok(Answer { status, body: body.to_bytes() })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// An URL, cut into `host:port` and path. Only `http://`: what trials speak stays on this machine's own networks.
pub fn cut(url: &str) -> Result<(String, String), String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| format!("{url}: an URL begins with http://"))?;
    let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    if host.is_empty() {
        return Err(format!("{url}: no host is named"));
    }
    let address = if host.rsplit_once(':').is_some() { host.to_owned() } else { format!("{host}:80") };
    Ok((address, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::LocalSet;

    #[test]
    fn an_url_is_cut_into_where_and_what() {
        assert_eq!(cut("http://10.0.0.1:2379/health"), Ok(("10.0.0.1:2379".into(), "/health".into())));
        assert_eq!(cut("http://host"), Ok(("host:80".into(), "/".into())));
        assert!(cut("https://host/").is_err());
        assert!(cut("http:///x").is_err());
    }

    /// What a client sees of a server that reads one request and writes this.
    fn met(answer: &'static str) -> Result<Answer, NoAnswer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("it is bound").to_string();
            tokio::task::spawn_local(async move {
                let (mut stream, _) = listener.accept().await.expect("a client comes");
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            });
            let mut connection = Connection::open(&address).await.expect("it listens");
            connection.post("/x", "{}".into()).await
        })
    }

    #[test]
    fn what_was_answered_is_told_whatever_its_status() {
        let answer =
            met("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno").expect("it is an answer");
        assert_eq!((answer.status, &answer.body[..]), (503, &b"no"[..]));
    }

    #[test]
    fn a_server_that_hangs_up_after_the_request_leaves_a_doubt() {
        assert!(matches!(met(""), Err(NoAnswer::Doubt(_))));
        assert!(matches!(met("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Err(NoAnswer::Doubt(_))));
        assert!(matches!(met("garbage\r\n\r\n"), Err(NoAnswer::Doubt(_))));
    }
}
