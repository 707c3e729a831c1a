//! The history on disk, as it happens.
//!
//! Lines gather in memory for one turn of the loop and reach the kernel in one `write(2)` before the world
//! acts on them. A `kill -9` of the controller then loses completions at most, never an invocation that
//! took effect. There is no fsync: it is the controller that may die, not the machine.

use elenchus_core::event::{Index, Kind};
use elenchus_core::fault_log::Entry;
use elenchus_core::format::jsonl::{self, Header};
use elenchus_core::history::EventRef;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::time::Time;
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

/// An append-only `history.jsonl`, or the same in memory.
pub struct Log {
    file: Box<dyn Write>,
    buffer: Vec<u8>,
    index: Index,
}

impl Log {
    /// Creates the file, which must not exist, and writes its header.
    pub fn create(path: &Path, header: &Header) -> io::Result<Log> {
        let file = File::options().append(true).create_new(true).open(path)?;
        let mut log = Log::onto(file);
        jsonl::write_header(&mut log.buffer, header);
        log.flush()?;
        Ok(log)
    }

    /// A log in memory, with its header.
    pub fn kept(pages: &Pages, header: &Header) -> Log {
        let mut log = Log::onto(pages.clone());
        jsonl::write_header(&mut log.buffer, header);
        log
    }

    /// A log that goes on in a file, at its end.
    pub(super) fn onto(file: impl Write + 'static) -> Log {
        Log { file: Box::new(file), buffer: Vec::with_capacity(1 << 16), index: 0 }
    }

    /// How many events there are.
    pub fn len(&self) -> Index {
        self.index
    }

    /// Whether nothing happened yet.
    pub fn is_empty(&self) -> bool {
        self.index == 0
    }

    /// A client starts an operation.
    pub(super) fn invocation(&mut self, time: Time, process: Process, call: &Call) {
        self.line(time, process, Kind::Invoke, call, &call.value, None);
    }

    /// A client's operation ended.
    pub(super) fn completion<V: Vocabulary>(
        &mut self,
        time: Time,
        process: Process,
        vocabulary: &V,
        op: &V::Op,
        outcome: &Outcome<V::Ret>,
    ) {
        let call = vocabulary.encode_op(op);
        match outcome {
            Outcome::Ok(ret) => {
                let value = vocabulary.encode_ret(op, ret);
                self.line(time, process, Kind::Ok, &call, &value, None);
            }
            Outcome::Fail(Failure::NotDone(cause)) => {
                self.line(time, process, Kind::Fail, &call, &call.value, Some(&Value::str(&cause.0)));
            }
            Outcome::Fail(Failure::Refused(saw)) => {
                let saw = saw.as_ref().map(|ret| vocabulary.encode_ret(op, ret));
                let error = Value::vector([Value::str("refused")].into_iter().chain(saw));
                self.line(time, process, Kind::Fail, &call, &call.value, Some(&error));
            }
            Outcome::Info(cause) => {
                self.line(time, process, Kind::Info, &call, &call.value, Some(&Value::str(&cause.0)));
            }
        }
    }

    /// The nemesis did something, or something was observed.
    pub(super) fn entry(&mut self, time: Time, entry: &Entry) {
        let call = Call { f: entry.f, key: None, value: Value::Nil };
        self.line(time, Process::NEMESIS, Kind::Info, &call, &entry.value, entry.error.as_ref());
    }

    fn line(
        &mut self,
        time: Time,
        process: Process,
        kind: Kind,
        call: &Call,
        value: &Value,
        error: Option<&Value>,
    ) {
        let line = EventRef {
            index: self.index,
            time,
            process,
            kind,
            f: call.f,
            key: call.key.as_ref(),
            value,
            error,
            extra: &[],
        };
        jsonl::write_event(&mut self.buffer, &line);
        self.index += 1;
    }

    /// Hands everything to the kernel.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// A history in memory that somebody reads when its trial is over.
#[derive(Clone, Debug, Default)]
pub struct Pages(Rc<RefCell<Vec<u8>>>);

impl Pages {
    /// What was written, once.
    pub fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Pages {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
