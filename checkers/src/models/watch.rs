//! Keys that are written and watched.
//!
//! There is no sequential model here: what watchers see is judged change by change ([`crate::watch`]).

use super::{key_column, key_of};
use elenchus_core::value::Value;
use elenchus_core::watch::{Change, End, Seen};
use elenchus_core::workload::{Call, Vocabulary};

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WatchOp {
    /// Hold this from now on.
    Write {
        /// Which key.
        key: Value,
        /// What it shall hold; each value is written once.
        value: Value,
    },
    /// Which changes of all keys were there?
    Watch {
        /// The first revision shown.
        from: i64,
        /// Of a trial's last watches, on which node (by number, from 0 on): they must reach the last write.
        last: Option<u32>,
    },
}

/// What it is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WatchRet {
    /// It is written, the store does not say at which revision.
    Done,
    /// It is written at this revision.
    Revision(i64),
    /// These changes.
    Seen(Seen),
}

/// Watches on disk: `write` with key and value, then `[value revision]` where the revision is known; `watch` with
/// `{"from": 5}`, then with `next`, `end` and `changes` as well, a change as `[revision key value]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchVocabulary;

impl Vocabulary for WatchVocabulary {
    type Op = WatchOp;
    type Ret = WatchRet;

    fn encode_op(&self, op: &WatchOp) -> Call {
        match op {
            WatchOp::Write { key, value } => Call { f: "write", key: key_column(key), value: value.clone() },
            WatchOp::Watch { from, last } => {
                let last = last.map(|node| (Value::str("last"), Value::Int(i64::from(node))));
                let fields = [(Value::str("from"), Value::Int(*from))].into_iter().chain(last);
                Call { f: "watch", key: None, value: Value::Map(fields.collect()) }
            }
        }
    }

    fn encode_ret(&self, op: &WatchOp, ret: &WatchRet) -> Value {
        let asked = self.encode_op(op).value;
        match ret {
            WatchRet::Done => asked,
            WatchRet::Revision(revision) => Value::vector([asked, Value::Int(*revision)]),
            WatchRet::Seen(seen) => {
                let Value::Map(asked) = asked else { unreachable!("only a watch has seen something") };
                let change = |change: &Change| {
                    Value::vector([Value::Int(change.revision), change.key.clone(), change.value.clone()])
                };
                let fields = [
                    (Value::str("next"), Value::Int(seen.next)),
                    (Value::str("end"), Value::str(seen.end.name())),
                    (Value::str("changes"), Value::vector(seen.changes.iter().map(change))),
                ];
                Value::Map(asked.iter().cloned().chain(fields).collect())
            }
        }
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<WatchOp, String> {
        match f {
            "write" => Ok(WatchOp::Write { key: key_of(key), value: value.clone() }),
            "watch" => {
                let from = field(value, "from").and_then(Value::as_int);
                let from =
                    from.ok_or_else(|| format!("a watch begins at a revision: {{\"from\" 5}}, not {value}"))?;
                let node = |last: &Value| last.as_int().and_then(|n| u32::try_from(n).ok());
                let last = field(value, "last").map(|last| {
                    node(last).ok_or_else(|| format!("`last` is the number of a node, not {last}"))
                });
                Ok(WatchOp::Watch { from, last: last.transpose()? })
            }
            _ => Err(format!("watched keys have no function {f:?}, only write and watch")),
        }
    }

    fn decode_ret(&self, op: &WatchOp, value: &Value) -> Result<WatchRet, String> {
        match op {
            WatchOp::Write { value: written, .. } => Ok(match value.as_items() {
                Some([value, Value::Int(revision)]) if value == written => WatchRet::Revision(*revision),
                _ => WatchRet::Done,
            }),
            WatchOp::Watch { .. } => seen(value).map(WatchRet::Seen).ok_or_else(|| {
                format!("a watch answers {{\"next\" 9, \"end\" \"complete\", \"changes\" [[8 key value]]}}, not {value}")
            }),
        }
    }
}

fn seen(value: &Value) -> Option<Seen> {
    let change = |change: &Value| match change.as_items()? {
        [Value::Int(revision), key, value] => {
            Some(Change { revision: *revision, key: key.clone(), value: value.clone() })
        }
        _ => None,
    };
    Some(Seen {
        changes: field(value, "changes")?.as_items()?.iter().map(change).collect::<Option<_>>()?,
        next: field(value, "next")?.as_int()?,
        end: End::named(field(value, "end")?.as_text()?)?,
    })
}

fn field<'v>(map: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(fields) = map else { return None };
    fields.iter().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = WatchVocabulary;
        let write = WatchOp::Write { key: Value::Int(3), value: Value::Int(7) };
        let change = Change { revision: 4, key: Value::Int(3), value: Value::Nil };
        let seen = |end| WatchRet::Seen(Seen { changes: vec![change.clone()], next: 5, end });
        let watch = WatchOp::Watch { from: 2, last: None };
        let all = [
            (write.clone(), WatchRet::Done),
            (write, WatchRet::Revision(9)),
            (watch.clone(), seen(End::Complete)),
            (watch, seen(End::Cut)),
            (WatchOp::Watch { from: 1, last: Some(2) }, seen(End::Compacted)),
        ];
        for (op, ret) in all {
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
        }
    }

    #[test]
    fn what_is_no_watch_is_an_error() {
        let v = WatchVocabulary;
        assert!(v.decode_op("watch", None, &Value::Nil).is_err());
        assert!(v.decode_op("read", None, &Value::Nil).is_err());
        let watch = WatchOp::Watch { from: 2, last: None };
        let garbage = [("next", Value::Int(1)), ("end", Value::str("odd")), ("changes", Value::vector([]))];
        let garbage = garbage.map(|(name, value)| (Value::str(name), value));
        assert!(v.decode_ret(&watch, &Value::Map(garbage.into())).is_err());
        assert!(v.decode_ret(&watch, &Value::Int(1)).is_err());
    }
}
