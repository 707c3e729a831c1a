//! A node's diary: single lines on standard error, each with the time since the node started.
//!
//! That time is the true one: a diary in which the lines jump with the clock that somebody sets would
//! help nobody. What must be judged by machines is in the trace, not here.

use std::fmt;
use std::io::Write;
use std::rc::Rc;
use std::time::Instant;

/// Where a node writes what people may want to know. Copies write the same diary.
#[derive(Clone, Debug)]
pub struct Diary {
    name: Rc<str>,
    start: Instant,
}

impl Diary {
    /// The diary of a node that starts now.
    pub fn begin(name: &str) -> Diary {
        Diary { name: name.into(), start: Instant::now() }
    }

    /// When the node started.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// Writes one line, in one piece. A diary that nobody can read any more stops no node.
    pub fn note(&self, text: fmt::Arguments<'_>) {
        let seconds = self.start.elapsed().as_secs_f64();
        let mut line = format!("{seconds:10.3} {}: {text}", self.name).replace('\n', " ");
        line.push('\n');
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }
}
