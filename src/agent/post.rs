//! The controller's line to one agent, or rather two: one for work, one kept free for healing.
//!
//! A request is sent on the line that it prefers, again on a new one when that breaks, and on the other one
//! too when no answer comes for a while: the agent carries it out once all the same. So what matters is only
//! that one of them works before the deadline. Exits are told on both and heard once.

use super::protocol::{Answer, Hello, Notice, Numbered, Request, VERSION, line};
use crate::host::Exit;
use elenchus_core::LocalFuture;
use elenchus_core::process::NodeId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

/// A stream of bytes to `agent attach` on a host.
pub struct Stream {
    /// What the agent says.
    pub reader: Box<dyn AsyncRead + Unpin>,
    /// What the agent hears.
    pub writer: Box<dyn AsyncWrite + Unpin>,
}

/// Opens a new stream, each time it is called. Errors name the host.
pub type Connect = Rc<dyn Fn() -> LocalFuture<'static, io::Result<Stream>>>;

/// How long one line may leave a request unanswered before the other is tried too.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an agent may take to say who it is, on a stream that is open.
const HELLO_LIMIT: Duration = Duration::from_secs(5);
/// The longest line that is read, in bytes: what a program printed fits many times.
const ANSWER_MAX: u64 = 8 << 20;
/// How long to wait before a stream is opened again.
const PAUSE: Duration = Duration::from_millis(200);

/// Which of the two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Faults, starts, installation.
    Work,
    /// Healing.
    Heal,
}

/// The lines to one agent.
pub(super) struct Post {
    node: NodeId,
    session: String,
    lines: [Slot; 2],
    last: Cell<u64>,
    hello: RefCell<Option<Hello>>,
    heard: Rc<Ears>,
}

/// One of the lines, if it is open.
struct Slot {
    connect: Connect,
    /// The mutex is held while a line is opened, so that nobody opens a second one.
    line: tokio::sync::Mutex<Option<Rc<Line>>>,
}

/// Who hears of exits.
struct Ears {
    /// The last one heard of.
    last: Cell<u64>,
    exits: mpsc::UnboundedSender<Exit>,
}

impl Post {
    /// Lines to the agent of this node that are opened when they are needed. `session` is a word that no
    /// other controller uses.
    pub fn new(
        node: NodeId,
        session: String,
        work: Connect,
        heal: Connect,
        exits: mpsc::UnboundedSender<Exit>,
    ) -> Post {
        let slot = |connect| Slot { connect, line: tokio::sync::Mutex::default() };
        Post {
            node,
            session,
            lines: [slot(work), slot(heal)],
            last: Cell::new(0),
            hello: RefCell::default(),
            heard: Rc::new(Ears { last: Cell::new(0), exits }),
        }
    }

    /// The node that runs there.
    pub fn node(&self) -> &NodeId {
        &self.node
    }

    /// Who the agent is, once a line was open.
    pub fn hello(&self) -> Option<Hello> {
        self.hello.borrow().clone()
    }

    /// The agent's answer; the outer error says why there is none within the limit, the inner one why the
    /// agent did not do it.
    pub async fn ask(
        &self,
        request: Request,
        purpose: Purpose,
        limit: Duration,
    ) -> Result<Result<Answer, String>, String> {
        let id = self.number();
        let text = line(&Numbered { id, request });
        let trouble = RefCell::new(String::from("it says nothing"));
        let other = if purpose == Purpose::Work { Purpose::Heal } else { Purpose::Work };
        let first = self.persist(purpose, id, &text, &trouble);
        let second = async {
            tokio::time::sleep(PATIENCE).await;
            self.persist(other, id, &text, &trouble).await
        };
        let answered = tokio::time::timeout(limit, async {
            tokio::select! { answer = first => answer, answer = second => answer }
        });
        let answer = answered.await;
        answer.map_err(|_| format!("no answer within {limit:?}: {}", trouble.borrow()))
    }

    /// Opens this line unless it is open, and has it proved: returns whether the agent answers on it in time.
    /// A line on which it does not is closed.
    pub async fn prove(&self, purpose: Purpose, limit: Duration) -> Result<(), String> {
        let id = self.number();
        let text = line(&Numbered { id, request: Request::Ping {} });
        let proved = tokio::time::timeout(limit, async {
            let line = self.line(purpose).await?;
            line.ask(id, &text).await.map_err(|()| line.why())?
        });
        match proved.await {
            Ok(answer) => answer.map(|_| ()),
            Err(_) => {
                let why = format!("no answer within {limit:?}");
                // Whoever waits on it tries a new one.
                if let Ok(mut place) = self.lines[purpose as usize].line.try_lock()
                    && let Some(line) = place.take()
                {
                    line.waiting.close(why.clone());
                }
                Err(why)
            }
        }
    }

    fn number(&self) -> u64 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// Sends until it is answered, on new lines when the old ones break.
    async fn persist(
        &self,
        purpose: Purpose,
        id: u64,
        text: &[u8],
        trouble: &RefCell<String>,
    ) -> Result<Answer, String> {
        loop {
            match self.line(purpose).await {
                Ok(line) => match line.ask(id, text).await {
                    Ok(answer) => return answer,
                    Err(()) => *trouble.borrow_mut() = line.why(),
                },
                Err(why) => *trouble.borrow_mut() = why,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The open line, or a new one on which the agent has said who it is.
    async fn line(&self, purpose: Purpose) -> Result<Rc<Line>, String> {
        let slot = &self.lines[purpose as usize];
        let mut place = slot.line.lock().await;
        if let Some(line) = place.as_ref().filter(|line| line.is_open()) {
            return Ok(line.clone());
        }
        *place = None;
        let stream = (slot.connect)().await.map_err(|error| error.to_string())?;
        let line = Rc::new(Line::open(stream, self.heard.clone()));
        let id = self.number();
        let since = self.heard.last.get();
        let hello = Request::Hello { version: VERSION, session: self.session.clone(), since };
        let text = super::protocol::line(&Numbered { id, request: hello });
        match tokio::time::timeout(HELLO_LIMIT, line.ask(id, &text)).await {
            Err(_) => Err(format!("the agent does not say who it is within {HELLO_LIMIT:?}")),
            Ok(Err(())) => Err(line.why()),
            Ok(Ok(Err(why))) => Err(why),
            Ok(Ok(Ok(Answer::Hello(hello)))) => {
                self.hello.replace(Some(*hello));
                *place = Some(line.clone());
                Ok(line)
            }
            Ok(Ok(Ok(other))) => Err(format!("the agent says {other:?} instead of who it is")),
        }
    }
}

/// One open line. Dropping it closes it.
struct Line {
    outgoing: mpsc::UnboundedSender<Vec<u8>>,
    waiting: Rc<Waiting>,
    tasks: [AbortHandle; 2],
}

#[derive(Default)]
struct Waiting {
    open: RefCell<BTreeMap<u64, oneshot::Sender<Result<Answer, String>>>>,
    /// Why nobody will be answered any more.
    closed: RefCell<Option<String>>,
}

impl Waiting {
    fn close(&self, why: String) {
        self.closed.borrow_mut().get_or_insert(why);
        self.open.borrow_mut().clear();
    }
}

impl Line {
    fn open(stream: Stream, heard: Rc<Ears>) -> Line {
        let waiting = Rc::new(Waiting::default());
        let (outgoing, lines) = mpsc::unbounded_channel();
        let listening = tokio::task::spawn_local(listen(stream.reader, waiting.clone(), heard));
        let speaking = tokio::task::spawn_local(speak(stream.writer, lines, waiting.clone()));
        Line { outgoing, waiting, tasks: [listening.abort_handle(), speaking.abort_handle()] }
    }

    fn is_open(&self) -> bool {
        self.waiting.closed.borrow().is_none()
    }

    /// Why it is closed.
    fn why(&self) -> String {
        self.waiting.closed.borrow().clone().unwrap_or_else(|| "the line broke".into())
    }

    /// The answer, or `Err(())` if the line breaks before there is one.
    async fn ask(&self, id: u64, text: &[u8]) -> Result<Result<Answer, String>, ()> {
        if !self.is_open() {
            return Err(());
        }
        let (answer, answered) = oneshot::channel();
        self.waiting.open.borrow_mut().insert(id, answer);
        self.outgoing.send(text.to_vec()).map_err(|_| ())?;
        answered.await.map_err(|_| ())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.waiting.close("the line was closed".into());
    }
}

async fn listen(reader: Box<dyn AsyncRead + Unpin>, waiting: Rc<Waiting>, heard: Rc<Ears>) {
    let mut reader = BufReader::new(reader);
    let mut text = vec![];
    let why = loop {
        text.clear();
        match (&mut reader).take(ANSWER_MAX).read_until(b'\n', &mut text).await {
            Ok(length) if length as u64 == ANSWER_MAX => break "a line that does not end".into(),
            Ok(0) => break "the agent, or what leads to it, closed the line".into(),
            Err(error) => break error.to_string(),
            Ok(_) => {}
        }
        match serde_json::from_slice(&text) {
            Ok(Notice::Done { id, answer }) => reply(&waiting, id, Ok(answer)),
            Ok(Notice::Failed { id, why }) => reply(&waiting, id, Err(why)),
            Ok(Notice::Exit { number, exit }) => heard.hear(number, exit),
            Ok(Notice::Closing { why }) => break why,
            Err(error) => {
                let seen = String::from_utf8_lossy(&text[..text.len().min(80)]).into_owned();
                break format!("this is no agent's answer: {seen:?}: {error}");
            }
        }
    };
    waiting.close(why);
}

fn reply(waiting: &Waiting, id: u64, result: Result<Answer, String>) {
    // Whoever asked may have given up.
    if let Some(answer) = waiting.open.borrow_mut().remove(&id) {
        let _ = answer.send(result);
    }
}

impl Ears {
    fn hear(&self, number: u64, exit: Exit) {
        if number > self.last.get() {
            self.last.set(number);
            // Whoever has no use for exits has dropped the receiver.
            let _ = self.exits.send(exit);
        }
    }
}

async fn speak(
    mut writer: Box<dyn AsyncWrite + Unpin>,
    mut lines: mpsc::UnboundedReceiver<Vec<u8>>,
    waiting: Rc<Waiting>,
) {
    while let Some(line) = lines.recv().await {
        let written = async {
            writer.write_all(&line).await?;
            writer.flush().await
        };
        if let Err(error) = written.await {
            return waiting.close(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use tokio::io::{DuplexStream, duplex};

    /// What stands at the far end of each new stream, by the count of streams opened before.
    type Far = Rc<dyn Fn(usize, DuplexStream) -> LocalFuture<'static, ()>>;

    fn connect(far: Far) -> Connect {
        let opened = Cell::new(0);
        Rc::new(move || {
            let (near, end) = duplex(1 << 12);
            tokio::task::spawn_local(far(opened.get(), end));
            opened.set(opened.get() + 1);
            let (reader, writer) = tokio::io::split(near);
            Box::pin(async move { Ok(Stream { reader: Box::new(reader), writer: Box::new(writer) }) })
        })
    }

    fn hello() -> Answer {
        Answer::Hello(Box::new(Hello {
            version: VERSION,
            program: "0".into(),
            arch: "any".into(),
            hostname: "h".into(),
            boot: "b".into(),
            pid: 1,
            nodes: vec![NodeId::new("n1")],
            lease_ms: 60_000,
            rights: BTreeMap::new(),
        }))
    }

    /// An agent that answers everything with its own count of requests.
    async fn answer(end: DuplexStream, count: Rc<Cell<u64>>) {
        let (reader, mut writer) = tokio::io::split(end);
        let mut lines = BufReader::new(reader).lines();
        while let Ok(Some(text)) = lines.next_line().await {
            let Numbered { id, request } = serde_json::from_str(&text).unwrap();
            let answer = match request {
                Request::Hello { .. } => hello(),
                _ => {
                    count.set(count.get() + 1);
                    Answer::HeldBack(count.get())
                }
            };
            if writer.write_all(&line(&Notice::Done { id, answer })).await.is_err() {
                return;
            }
        }
    }

    fn silent() -> Far {
        Rc::new(|_, mut end| Box::pin(async move { while let Ok(1..) = end.read(&mut [0; 512]).await {} }))
    }

    fn post(work: Far, heal: Far) -> Post {
        let (exits, _) = mpsc::unbounded_channel();
        Post::new(NodeId::new("n1"), "s".into(), connect(work), connect(heal), exits)
    }

    async fn in_local<T>(act: impl Future<Output = T>) -> T {
        tokio::task::LocalSet::new().run_until(act).await
    }

    const SHORT: Duration = Duration::from_millis(600);

    #[tokio::test(flavor = "current_thread")]
    async fn a_line_that_breaks_is_opened_again() {
        in_local(async {
            let count = Rc::new(Cell::new(0));
            let far: Far = Rc::new(move |opened, mut end| {
                let count = count.clone();
                Box::pin(async move {
                    match opened {
                        0 => drop(end),
                        1 => drop(end.write_all(b"what is this?\n").await),
                        _ => answer(end, count).await,
                    }
                })
            });
            let post = post(far, silent());
            let answer = post.ask(Request::Ping {}, Purpose::Work, Duration::from_secs(20)).await;
            assert_eq!(answer, Ok(Ok(Answer::HeldBack(1))));
            assert_eq!(post.hello().unwrap().hostname, "h");
        })
        .await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_other_line_helps_when_one_says_nothing() {
        in_local(async {
            let count = Rc::new(Cell::new(0));
            let far: Far = Rc::new(move |_, end| Box::pin(answer(end, count.clone())));
            let post = post(silent(), far);
            let answer = post.ask(Request::Ping {}, Purpose::Work, Duration::from_secs(20)).await;
            assert_eq!(answer, Ok(Ok(Answer::HeldBack(1))));
        })
        .await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn silence_garbage_and_refusals_are_errors_in_time() {
        in_local(async {
            let began = Instant::now();
            let dumb = post(silent(), silent());
            let why = dumb.ask(Request::Ping {}, Purpose::Work, SHORT).await.unwrap_err();
            assert!(why.contains("no answer within 600ms"), "{why}");
            assert!(dumb.prove(Purpose::Heal, SHORT).await.is_err());

            let mad: Far = Rc::new(|_, mut end| {
                Box::pin(async move {
                    let _ = end.write_all(b"bash: elenchus: command not found\n").await;
                    // It goes on hearing, as a shell does.
                    while let Ok(1..) = end.read(&mut [0; 512]).await {}
                })
            });
            let mad = post(mad, silent());
            let why = mad.ask(Request::Ping {}, Purpose::Work, SHORT).await.unwrap_err();
            assert!(why.contains("command not found"), "{why}");

            let endless: Far = Rc::new(|_, mut end| {
                Box::pin(async move { while end.write_all(&[b'x'; 1 << 12]).await.is_ok() {} })
            });
            let endless = post(endless, silent());
            let long = Duration::from_secs(30);
            let why = endless.prove(Purpose::Work, long).await.unwrap_err();
            assert!(why.contains("does not end"), "{why}");

            let refused: Connect = Rc::new(|| Box::pin(async { Err(io::Error::other("h: no route")) }));
            let (exits, _) = mpsc::unbounded_channel();
            let away = Post::new(NodeId::new("n1"), "s".into(), refused.clone(), refused, exits);
            let why = away.ask(Request::Ping {}, Purpose::Work, SHORT).await.unwrap_err();
            assert!(why.contains("h: no route"), "{why}");
            assert!(began.elapsed() < Duration::from_secs(60));
        })
        .await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_exit_told_twice_is_heard_once() {
        let (exits, mut heard) = mpsc::unbounded_channel();
        let ears = Ears { last: Cell::new(0), exits };
        let exit = |pid| Exit {
            node: NodeId::new("n1"),
            pid,
            status: crate::host::Status::Exited(0),
            expected: false,
        };
        for (number, pid) in [(1, 10), (1, 10), (2, 11), (1, 10)] {
            ears.hear(number, exit(pid));
        }
        assert_eq!(heard.recv().await.unwrap().pid, 10);
        assert_eq!(heard.recv().await.unwrap().pid, 11);
        assert!(heard.try_recv().is_err());
    }
}
