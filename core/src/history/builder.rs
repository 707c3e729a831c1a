//! Builds a history, one event at a time, and refuses the first event that cannot be part of one.

use super::{History, Malformed, NONE, RARE, Rare};
use crate::event::{Event, Index, Kind};
use crate::process::Process;
use crate::time::Time;
use crate::value::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A history in the making. Events need not be kept: each goes into its columns as it comes.
pub struct HistoryBuilder {
    history: History,
    open: Open,
    name_ids: HashMap<Arc<str>, u16>,
    key_ids: HashMap<Value, u32>,
    extra_names: HashSet<Arc<str>>,
    /// The event that is refused, whatever it is.
    refused: Option<Index>,
}

/// An event on its way into a history, with its function by reference.
pub(crate) struct Draft<'a> {
    pub time: Time,
    pub process: Process,
    pub kind: Kind,
    pub f: &'a str,
    pub key: Option<Value>,
    pub value: Value,
    pub error: Option<Value>,
    pub extra: Vec<(Arc<str>, Value)>,
}

impl HistoryBuilder {
    /// Nothing has happened yet.
    pub fn new() -> HistoryBuilder {
        HistoryBuilder {
            history: History {
                times: Vec::new(),
                processes: Vec::new(),
                marks: Vec::new(),
                functions: Vec::new(),
                keys: Vec::new(),
                values: Vec::new(),
                partners: Vec::new(),
                names: Vec::new(),
                distinct_keys: Vec::new(),
                distinct_values: vec![Value::Nil],
                rare: Vec::new(),
            },
            open: Open::default(),
            name_ids: HashMap::new(),
            key_ids: HashMap::new(),
            extra_names: HashSet::new(),
            refused: None,
        }
    }

    /// A builder that refuses the event at this position, so that its reader says where it stands.
    pub(crate) fn refusing(index: Index) -> HistoryBuilder {
        HistoryBuilder { refused: Some(index), ..HistoryBuilder::new() }
    }

    /// How many events it has.
    pub fn len(&self) -> usize {
        self.history.len()
    }

    /// Whether nothing has happened yet.
    pub fn is_empty(&self) -> bool {
        self.history.is_empty()
    }

    /// Adds the next event of the log. After an error the builder is as it was before.
    pub fn push(&mut self, event: Event) -> Result<(), Malformed> {
        let Event { time, process, kind, f, key, value, error, extra } = event;
        self.push_draft(Draft { time, process, kind, f: &f, key, value, error, extra })
    }

    /// The finished history.
    pub fn seal(self) -> History {
        let mut history = self.history;
        history.times.shrink_to_fit();
        history.processes.shrink_to_fit();
        history.marks.shrink_to_fit();
        history.functions.shrink_to_fit();
        history.keys.shrink_to_fit();
        history.values.shrink_to_fit();
        history.partners.shrink_to_fit();
        history.distinct_keys.shrink_to_fit();
        history.distinct_values.shrink_to_fit();
        history.rare.shrink_to_fit();
        history
    }

    pub(crate) fn push_draft(&mut self, draft: Draft<'_>) -> Result<(), Malformed> {
        let index = self.history.len() as Index;
        let malformed = |what: String| Malformed { index, what };
        if index == NONE {
            return Err(malformed(format!("expected at most {NONE} events")));
        }
        if self.refused == Some(index) {
            return Err(malformed(String::new()));
        }
        let partner = self.partner(&draft).map_err(malformed)?;
        let function = self.function(draft.f, partner).map_err(malformed)?;
        match (draft.process.is_nemesis(), partner) {
            (true, _) => {}
            (false, None) => self.open.insert(draft.process, index),
            (false, Some(call)) => {
                self.open.remove(draft.process);
                self.history.partners[call as usize] = index;
            }
        }
        let mut mark = draft.kind as u8;
        if draft.error.is_some() || !draft.extra.is_empty() {
            mark |= RARE;
            let rare = Rare { index, error: draft.error, extra: draft.extra.into() };
            self.history.rare.push(rare);
        }
        let key = self.key(draft.key, partner);
        let value = self.value(draft.value, partner);
        let history = &mut self.history;
        history.times.push(draft.time);
        history.processes.push(draft.process);
        history.marks.push(mark);
        history.functions.push(function);
        history.keys.push(key);
        history.values.push(value);
        history.partners.push(partner.unwrap_or(NONE));
        Ok(())
    }

    /// A name of an extra key, shared between the events that have it.
    pub(crate) fn extra_name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.extra_names.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.extra_names.insert(new.clone());
        new
    }

    /// The invocation that a client's event completes; an error if the event cannot stand here.
    fn partner(&self, draft: &Draft<'_>) -> Result<Option<Index>, String> {
        let process = draft.process;
        if process.is_nemesis() {
            return Ok(None);
        }
        let call = match (draft.kind, self.open.get(process)) {
            (Kind::Invoke, None) => return Ok(None),
            (Kind::Invoke, Some(call)) => {
                return Err(format!(
                    "process {process} invokes `{}`, expected a completion of its `{}` of event {call}",
                    draft.f,
                    self.history.event(call).f
                ));
            }
            (kind, None) => {
                let kind = kind.name();
                return Err(format!(
                    "process {process} ends `{}` with `{kind}`, expected an invocation: it has none open",
                    draft.f
                ));
            }
            (_, Some(call)) => call,
        };
        let invocation = self.history.event(call);
        if invocation.f != draft.f {
            return Err(format!(
                "process {process} ends `{}`, expected the end of its `{}` of event {call}",
                draft.f, invocation.f
            ));
        }
        match (invocation.key, &draft.key) {
            (Some(asked), Some(ended)) if asked != ended => Err(format!(
                "process {process} ends `{}` of key {ended}, expected key {asked} as in event {call}",
                draft.f
            )),
            _ => Ok(Some(call)),
        }
    }

    fn function(&mut self, f: &str, partner: Option<Index>) -> Result<u16, String> {
        if let Some(call) = partner {
            return Ok(self.history.functions[call as usize]);
        }
        if let Some(&id) = self.name_ids.get(f) {
            return Ok(id);
        }
        let id = u16::try_from(self.history.names.len())
            .map_err(|_| format!("`{f}` is one more function than the 65536 that a history can hold"))?;
        let name: Arc<str> = f.into();
        self.history.names.push(name.clone());
        self.name_ids.insert(name, id);
        Ok(id)
    }

    fn key(&mut self, key: Option<Value>, partner: Option<Index>) -> u32 {
        let Some(key) = key else { return NONE };
        if let Some(call) = partner {
            let id = self.history.keys[call as usize];
            if id != NONE {
                return id;
            }
        }
        if let Some(&id) = self.key_ids.get(&key) {
            return id;
        }
        let id = self.history.distinct_keys.len() as u32;
        self.history.distinct_keys.push(key.clone());
        self.key_ids.insert(key, id);
        id
    }

    /// Most completions of writes repeat the invocation's value, most invocations of reads have none.
    fn value(&mut self, value: Value, partner: Option<Index>) -> u32 {
        if value.is_nil() {
            return 0;
        }
        let values = &mut self.history.distinct_values;
        if let Some(call) = partner {
            let id = self.history.values[call as usize];
            if values[id as usize] == value {
                return id;
            }
        }
        values.push(value);
        (values.len() - 1) as u32
    }
}

impl Default for HistoryBuilder {
    fn default() -> HistoryBuilder {
        HistoryBuilder::new()
    }
}

/// The open invocation of each process. Numbers are small unless somebody else chose them.
#[derive(Default)]
struct Open {
    small: Vec<Index>,
    large: HashMap<u32, Index>,
}

impl Open {
    const SMALL: u32 = 1 << 16;

    fn get(&self, process: Process) -> Option<Index> {
        if process.0 < Open::SMALL {
            return self.small.get(process.0 as usize).copied().filter(|&call| call != NONE);
        }
        self.large.get(&process.0).copied()
    }

    fn insert(&mut self, process: Process, call: Index) {
        if process.0 >= Open::SMALL {
            self.large.insert(process.0, call);
            return;
        }
        let at = process.0 as usize;
        if at >= self.small.len() {
            self.small.resize(at + 1, NONE);
        }
        self.small[at] = call;
    }

    fn remove(&mut self, process: Process) {
        if process.0 >= Open::SMALL {
            self.large.remove(&process.0);
        } else if let Some(call) = self.small.get_mut(process.0 as usize) {
            *call = NONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind_of;
    use super::*;

    #[test]
    fn a_mark_holds_its_kind() {
        for kind in [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info] {
            assert_eq!(kind_of(kind as u8), kind);
            assert_eq!(kind_of(kind as u8 | RARE), kind);
        }
    }
}
