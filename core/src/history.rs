//! A sealed log: paired, checked, columnar.
//!
//! A history of 10⁷ operations must fit in memory beside the checker that judges it, so events stand in
//! columns, names and keys once, a value that a completion repeats once, and what few events have (an
//! error, extra keys) in a table aside. Nobody sees a slice of events: [`History::event`] puts one
//! together on the stack.
//!
//! What makes a log a history is decided by the [`HistoryBuilder`], one event at a time. Deliberately
//! absent: any opinion on times, which may run backwards on somebody's clock. Order is position.

mod builder;

pub(crate) use builder::Draft;
pub use builder::HistoryBuilder;

use crate::event::{Event, Index, Kind};
use crate::operation::Operation;
use crate::outcome::{Cause, Failure, Outcome};
use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use crate::workload::Vocabulary;
use std::fmt;
use std::sync::Arc;

/// A log that cannot be a history: the trial is broken, and nothing is said about the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed history at event {index}: {what}")]
pub struct Malformed {
    /// The event at fault.
    pub index: Index,
    /// What is wrong with it.
    pub what: String,
}

/// A sealed history: events in the order of the log, invocations paired with completions.
#[derive(Clone)]
pub struct History {
    times: Vec<Time>,
    processes: Vec<Process>,
    /// Kind in the low two bits; [`RARE`] if the event has an entry in `rare`.
    marks: Vec<u8>,
    functions: Vec<u16>,
    /// Positions in `distinct_keys`, or [`NONE`].
    keys: Vec<u32>,
    /// Positions in `distinct_values`, the first of which is nil.
    values: Vec<u32>,
    /// Positions of the other end, or [`NONE`].
    partners: Vec<Index>,
    names: Vec<Arc<str>>,
    distinct_keys: Vec<Value>,
    distinct_values: Vec<Value>,
    /// By ascending index.
    rare: Vec<Rare>,
}

/// What few events have.
#[derive(Clone)]
struct Rare {
    index: Index,
    error: Option<Value>,
    extra: Box<[(Arc<str>, Value)]>,
}

/// The operations of a history in a workload's own types.
pub type Operations<V> = Vec<Operation<<V as Vocabulary>::Op, <V as Vocabulary>::Ret>>;

/// No position: no key, no partner, no open operation.
const NONE: u32 = u32::MAX;

/// The bit of a mark that says: there is an entry in the table of rare things.
const RARE: u8 = 0x80;

/// One event of a sealed history.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventRef<'h> {
    /// Position in the log.
    pub index: Index,
    /// When, on the trial's clock.
    pub time: Time,
    /// Who.
    pub process: Process,
    /// `type` on disk.
    pub kind: Kind,
    /// The function.
    pub f: &'h str,
    /// Which of many independent objects, if there are many.
    pub key: Option<&'h Value>,
    /// Arguments of an invocation, answer of a completion.
    pub value: &'h Value,
    /// Why a completion is `fail` or `info`.
    pub error: Option<&'h Value>,
    /// Whatever else the line said.
    pub extra: &'h [(Arc<str>, Value)],
}

impl EventRef<'_> {
    /// The event by itself, without its history.
    pub fn to_event(&self) -> Event {
        Event {
            time: self.time,
            process: self.process,
            kind: self.kind,
            f: self.f.into(),
            key: self.key.cloned(),
            value: self.value.clone(),
            error: self.error.cloned(),
            extra: self.extra.to_vec(),
        }
    }
}

impl Event {
    /// The event as it would stand at this position of a history.
    pub fn at(&self, index: Index) -> EventRef<'_> {
        EventRef {
            index,
            time: self.time,
            process: self.process,
            kind: self.kind,
            f: &self.f,
            key: self.key.as_ref(),
            value: &self.value,
            error: self.error.as_ref(),
            extra: &self.extra,
        }
    }
}

impl History {
    /// Seals events into a history: pairs each completion with its process's open invocation. Malformed
    /// is a completion without invocation, one of another function or key than its invocation, and an
    /// invocation while the process has one open. Events of the nemesis are kept and never paired. An
    /// invocation without completion is an operation in doubt.
    pub fn seal(events: impl IntoIterator<Item = Event>) -> Result<History, Malformed> {
        let mut builder = HistoryBuilder::new();
        for event in events {
            builder.push(event)?;
        }
        Ok(builder.seal())
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event at this position.
    ///
    /// # Panics
    /// When there is none.
    pub fn event(&self, index: Index) -> EventRef<'_> {
        let rare = self.rare(index);
        EventRef {
            index,
            time: self.time(index),
            process: self.process(index),
            kind: self.kind(index),
            f: &self.names[usize::from(self.functions[index as usize])],
            key: self.key_id(index).map(|id| &self.distinct_keys[id as usize]),
            value: self.value(index),
            error: rare.and_then(|rare| rare.error.as_ref()),
            extra: rare.map_or(&[], |rare| &rare.extra),
        }
    }

    /// All events, in order.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = EventRef<'_>> + ExactSizeIterator {
        (0..self.len() as Index).map(|index| self.event(index))
    }

    /// The completion of an invocation, or the invocation of a completion.
    ///
    /// # Panics
    /// When there is no event at this position; so do the other accessors of one column.
    pub fn partner(&self, index: Index) -> Option<Index> {
        some(self.partners[index as usize])
    }

    /// When the event at this position happened.
    pub fn time(&self, index: Index) -> Time {
        self.times[index as usize]
    }

    /// Whose event this is.
    pub fn process(&self, index: Index) -> Process {
        self.processes[index as usize]
    }

    /// What kind of event this is.
    pub fn kind(&self, index: Index) -> Kind {
        kind_of(self.marks[index as usize])
    }

    /// The function of the event, as a position in [`History::names`].
    pub fn name_id(&self, index: Index) -> u16 {
        self.functions[index as usize]
    }

    /// The key of the event, as a position in [`History::keys`].
    pub fn key_id(&self, index: Index) -> Option<u32> {
        some(self.keys[index as usize])
    }

    /// The value of the event.
    pub fn value(&self, index: Index) -> &Value {
        &self.distinct_values[self.values[index as usize] as usize]
    }

    /// The functions that occur, each once, in the order of their first events.
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The keys that occur, each once, in the order of their first events.
    pub fn keys(&self) -> &[Value] {
        &self.distinct_keys
    }

    /// The positions of the clients' invocations, in order.
    pub fn invocations(&self) -> impl DoubleEndedIterator<Item = Index> {
        let of_client = |&index: &Index| !self.process(index).is_nemesis();
        (0..self.len() as Index).filter(|&index| self.kind(index) == Kind::Invoke).filter(of_client)
    }

    /// The clients' operations in the order of their calls, decoded by the workload's vocabulary.
    /// `fail` with an error `["refused", saw]` or `["refused"]` is a refusal, any other `fail` is
    /// not-done; `info` and missing completions are in doubt, with `done` = [`Operation::OPEN`].
    pub fn operations<V: Vocabulary>(&self, vocabulary: &V) -> Result<Operations<V>, Malformed> {
        let mut operations = Vec::with_capacity(self.invocations().count());
        for call in self.invocations() {
            operations.push(self.operation(vocabulary, call)?);
        }
        if !self.bears_times() {
            // Words about them must not speak of durations.
            operations.iter_mut().for_each(|operation| operation.ended = None);
        }
        Ok(operations)
    }

    /// Whether durations between events mean anything. Where nobody took times a reader put positions in their
    /// place, and some recorders count instead of looking at a clock: then events lie a few units apart, closer
    /// than those of any real system lie in nanoseconds.
    pub fn bears_times(&self) -> bool {
        const APART: u64 = 4;
        let (first, last) = (self.times.iter().min(), self.times.iter().max());
        let length = last.zip(first).map_or(0, |(last, first)| last.0.saturating_sub(first.0));
        length / APART > self.times.len() as u64
    }

    /// The operation invoked at this position.
    fn operation<V: Vocabulary>(
        &self,
        vocabulary: &V,
        call: Index,
    ) -> Result<Operation<V::Op, V::Ret>, Malformed> {
        let invocation = self.event(call);
        let op = vocabulary
            .decode_op(invocation.f, invocation.key, invocation.value)
            .map_err(|what| Malformed { index: call, what })?;
        let completion = self.partner(call).map(|done| self.event(done));
        let outcome = match &completion {
            None => Outcome::info("no completion in the log"),
            Some(completion) => self.outcome(vocabulary, &op, completion)?,
        };
        let certain = completion.filter(|_| !outcome.is_info());
        Ok(Operation {
            process: invocation.process,
            op,
            call,
            done: certain.map_or(Operation::<V::Op, V::Ret>::OPEN, |completion| completion.index),
            called: invocation.time,
            ended: completion.map(|completion| completion.time),
            outcome,
        })
    }

    fn outcome<V: Vocabulary>(
        &self,
        vocabulary: &V,
        op: &V::Op,
        completion: &EventRef<'_>,
    ) -> Result<Outcome<V::Ret>, Malformed> {
        let malformed = |what| Malformed { index: completion.index, what };
        let decode = |value| vocabulary.decode_ret(op, value).map_err(malformed);
        Ok(match completion.kind {
            Kind::Ok => Outcome::Ok(vocabulary.decode_ok(op, completion.value).map_err(malformed)?),
            Kind::Fail => Outcome::Fail(match refusal(completion.error) {
                Some(saw) => Failure::Refused(saw.map(decode).transpose()?),
                None => Failure::NotDone(cause(completion)),
            }),
            Kind::Invoke | Kind::Info => Outcome::Info(cause(completion)),
        })
    }

    fn rare(&self, index: Index) -> Option<&Rare> {
        if self.marks[index as usize] & RARE == 0 {
            return None;
        }
        let at = self.rare.binary_search_by_key(&index, |rare| rare.index);
        Some(&self.rare[at.expect("a marked event has an entry")])
    }
}

/// Histories are equal if their events are.
impl PartialEq for History {
    fn eq(&self, other: &History) -> bool {
        self.len() == other.len() && self.events().eq(other.events())
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.events()).finish()
    }
}

/// What a refusal saw: `Some(None)` is a refusal that does not say. Only the string counts: a keyword
/// `:refused` is some client's own error (a refused connection, say), and no observation of any state.
fn refusal(error: Option<&Value>) -> Option<Option<&Value>> {
    let Value::Vector(items) = error? else { return None };
    match items.as_ref() {
        [Value::Str(word)] if word.as_ref() == "refused" => Some(None),
        [Value::Str(word), saw] if word.as_ref() == "refused" => Some(Some(saw)),
        _ => None,
    }
}

fn cause(completion: &EventRef<'_>) -> Cause {
    match completion.error {
        None => "the log gives no reason".into(),
        Some(error) => error.as_text().map_or_else(|| error.to_string(), str::to_owned).into(),
    }
}

fn kind_of(mark: u8) -> Kind {
    match mark & 0x03 {
        0 => Kind::Invoke,
        1 => Kind::Ok,
        2 => Kind::Fail,
        _ => Kind::Info,
    }
}

fn some(position: u32) -> Option<u32> {
    (position != NONE).then_some(position)
}
