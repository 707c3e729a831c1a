//! One HTTP/1.1 connection that sends a request once: no pool, no redirect, no silent retry.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::http::request::Builder;
use hyper::{Request, Response, header};
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

/// What is sent.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    /// `GET`, `POST`…
    pub method: &'a str,
    /// The path, with its query; escaped.
    pub path: &'a str,
    /// Names and values beside `Host`.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: String,
}

/// The header of a JSON body.
pub const JSON: (&str, &str) = ("content-type", "application/json");

/// An answer that comes line by line.
#[derive(Debug)]
pub struct Lines {
    status: u16,
    body: Incoming,
    held: Vec<u8>,
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
        self.send(Message { method: "GET", path, headers: &[JSON], body: String::new() }).await
    }

    /// Posts JSON to `path`.
    pub async fn post(&mut self, path: &str, json: String) -> Result<Answer, NoAnswer> {
        self.send(Message { method: "POST", path, headers: &[JSON], body: json }).await
    }

    /// Sends a message and reads the whole answer.
    pub async fn send(&mut self, message: Message<'_>) -> Result<Answer, NoAnswer> {
        let response = self.ask(message).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
        let body = body.map_err(|error| NoAnswer::Doubt(error.to_string()))?;
        Ok(Answer { status, body: body.to_bytes() })
    }

    /// Sends a message whose answer comes line by line, for as long as the server likes.
    pub async fn listen(&mut self, message: Message<'_>) -> Result<Lines, NoAnswer> {
        let response = self.ask(message).await?;
        Ok(Lines { status: response.status().as_u16(), body: response.into_body(), held: Vec::new() })
    }

    async fn ask(&mut self, message: Message<'_>) -> Result<Response<Incoming>, NoAnswer> {
        let request = self.request(message).map_err(|error| NoAnswer::Unsent(error.to_string()))?;
        self.sender.ready().await.map_err(|error| NoAnswer::Unsent(error.to_string()))?;
        self.sender.try_send_request(request).await.map_err(|mut error| match error.take_message() {
            // The connection never took it.
            Some(_) => NoAnswer::Unsent(error.error().to_string()),
            None => NoAnswer::Doubt(error.error().to_string()),
        })
    }

    fn request(&self, message: Message<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let request = Request::builder().method(message.method).uri(message.path);
        let request = request.header(header::HOST, &self.address);
        let with = |request: Builder, (name, value): &(&str, &str)| request.header(*name, *value);
        message.headers.iter().fold(request, with).body(Full::new(Bytes::from(message.body)))
    }
}

impl Lines {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The next line, without its end; `None` at the end of the answer. What was read of a line that is not over yet
    /// is kept if the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, NoAnswer> {
        loop {
            if let Some(at) = self.held.iter().position(|byte| *byte == b'\n') {
                let rest = self.held.split_off(at + 1);
                let mut line = std::mem::replace(&mut self.held, rest);
                line.truncate(at);
                return Ok(Some(line));
            }
            let broken = |why: String| Err(NoAnswer::Doubt(why));
            match self.body.frame().await {
                Some(Ok(frame)) => self.held.extend(frame.data_ref().into_iter().flatten()),
                Some(Err(error)) => return broken(error.to_string()),
                None if self.held.is_empty() => return Ok(None),
                None => return Ok(Some(std::mem::take(&mut self.held))),
            }
            if self.held.len() > ANSWER_MAX {
                return broken(format!("a line of more than {ANSWER_MAX} bytes"));
            }
        }
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
        served(answer, async |connection| connection.post("/x", "{}".into()).await)
    }

    /// What is done with a connection to a server that reads one request and writes this.
    fn served<T>(answer: &'static str, act: impl AsyncFnOnce(&mut Connection) -> T) -> T {
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
            act(&mut connection).await
        })
    }

    #[test]
    fn what_was_answered_is_told_whatever_its_status() {
        let answer =
            met("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno").expect("it is an answer");
        assert_eq!((answer.status, &answer.body[..]), (503, &b"no"[..]));
    }

    #[test]
    fn an_answer_may_come_line_by_line_and_break_in_the_midst() {
        let heard = served(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na\nb\r\n2\r\nc\n\r\n1\r\nd\r\n",
            async |connection| {
                let message = Message { method: "GET", path: "/x", headers: &[], body: String::new() };
                let mut lines = connection.listen(message).await.expect("an answer begins");
                [lines.next().await, lines.next().await, lines.next().await]
            },
        );
        assert_eq!(heard[..2], [Ok(Some(b"a".to_vec())), Ok(Some(b"bc".to_vec()))]);
        assert!(matches!(heard[2], Err(NoAnswer::Doubt(_))), "{heard:?}");
    }

    #[test]
    fn a_server_that_hangs_up_after_the_request_leaves_a_doubt() {
        assert!(matches!(met(""), Err(NoAnswer::Doubt(_))));
        assert!(matches!(met("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"), Err(NoAnswer::Doubt(_))));
        assert!(matches!(met("garbage\r\n\r\n"), Err(NoAnswer::Doubt(_))));
    }
}
