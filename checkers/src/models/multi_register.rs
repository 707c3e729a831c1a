//! Many registers that are read and written together, in one transaction (Knossos' multi-register).
//!
//! All registers are one object: a transaction that touches two of them ties their histories together, so
//! there is nothing to partition by. Inside a transaction the steps happen in their order, and a read sees
//! what the same transaction wrote before. A linearizable history of transactions is a strictly
//! serializable one (Herlihy & Wing 1990, section 3.3).

use super::heap;
use super::register::NilReads;
use elenchus_core::model::Model;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::value::Value;
use elenchus_core::workload::{Call, Vocabulary};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// What does it hold?
    Read {
        /// Which register.
        register: Value,
    },
    /// Hold this from now on.
    Write {
        /// Which register.
        register: Value,
        /// What it shall hold.
        value: Value,
    },
}

/// A transaction: its steps, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MultiRegisterOp(pub Box<[Access]>);

/// What a transaction answers: what each of its reads saw, in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MultiRegisterRet(pub Box<[Value]>);

/// The sequential registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiRegister {
    /// What registers hold at first; those that are not named hold nil.
    pub initial: BTreeMap<Value, Value>,
    /// How an `ok` read of nil counts. As in Knossos it says nothing, unless chosen otherwise.
    pub nil_reads: NilReads,
}

impl Default for MultiRegister {
    fn default() -> MultiRegister {
        MultiRegister { initial: BTreeMap::new(), nil_reads: NilReads::SawNothing }
    }
}

/// What the registers hold: those that hold something else than nil. Reading it costs no copy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Registers(Arc<BTreeMap<Value, Value>>);

impl MultiRegister {
    /// Registers that hold at first what this map says.
    pub fn starting_as(initial: &Value) -> Result<MultiRegister, String> {
        let Value::Map(pairs) = initial else {
            return Err(format!("registers start as a map such as {{:x 0 :y 0}}, not {initial}"));
        };
        let mut registers = MultiRegister::default();
        for (register, value) in pairs {
            if registers.initial.insert(register.clone(), value.clone()).is_some() {
                return Err(format!("the register {register} starts twice"));
            }
        }
        Ok(registers)
    }

    /// The state after these steps; `None` if a read among them cannot have seen what it says. Without
    /// `seen`, reads say nothing.
    fn after(&self, state: &Registers, steps: &[Access], seen: Option<&[Value]>) -> Option<Registers> {
        let mut registers = Registers(state.0.clone());
        let mut reads = 0;
        for step in steps {
            match step {
                Access::Read { register } => {
                    let saw = seen.and_then(|seen| seen.get(reads));
                    reads += 1;
                    let says = |saw: &&Value| !(saw.is_nil() && self.nil_reads == NilReads::SawNothing);
                    if saw.filter(says).is_some_and(|saw| saw != registers.get(register)) {
                        return None;
                    }
                }
                Access::Write { register, value } => registers.set(register, value),
            }
        }
        Some(registers)
    }
}

impl Registers {
    fn get(&self, register: &Value) -> &Value {
        self.0.get(register).unwrap_or(&Value::Nil)
    }

    fn set(&mut self, register: &Value, value: &Value) {
        if self.get(register) == value {
            return;
        }
        let registers = Arc::make_mut(&mut self.0);
        match value {
            Value::Nil => registers.remove(register),
            value => registers.insert(register.clone(), value.clone()),
        };
    }
}

impl MultiRegisterOp {
    fn writes(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Access::Write { .. }))
    }
}

impl Model for MultiRegister {
    type Op = MultiRegisterOp;
    type Ret = MultiRegisterRet;
    type Key = ();
    type State = Registers;

    fn init(&self, (): &()) -> Registers {
        let held = self.initial.iter().filter(|(_, value)| !value.is_nil());
        Registers(Arc::new(held.map(|(register, value)| (register.clone(), value.clone())).collect()))
    }

    fn step(
        &self,
        state: &Registers,
        op: &MultiRegisterOp,
        outcome: &Outcome<MultiRegisterRet>,
    ) -> impl IntoIterator<Item = Registers> {
        match outcome {
            Outcome::Ok(MultiRegisterRet(seen)) => self.after(state, &op.0, Some(seen)),
            Outcome::Info(_) => self.after(state, &op.0, None),
            // A transaction that was declined changed nothing. What its reads saw, it may still say.
            Outcome::Fail(Failure::Refused(Some(MultiRegisterRet(seen)))) => {
                self.after(state, &op.0, Some(seen)).map(|_| state.clone())
            }
            Outcome::Fail(_) => Some(state.clone()),
        }
    }

    fn key(&self, _op: &MultiRegisterOp) {}

    fn describe(&self, op: &MultiRegisterOp, outcome: &Outcome<MultiRegisterRet>) -> String {
        let seen: &[Value] = match outcome {
            Outcome::Ok(ret) | Outcome::Fail(Failure::Refused(Some(ret))) => &ret.0,
            _ => &[],
        };
        let mut seen = seen.iter();
        let step = |step: &Access| match step {
            Access::Write { register, value } => format!("write {register} {value}"),
            Access::Read { register } => match seen.next() {
                Some(value) => format!("read {register} {value}"),
                None => format!("read {register}"),
            },
        };
        let what = op.0.iter().map(step).collect::<Vec<_>>().join(", ");
        match outcome {
            Outcome::Ok(_) => what,
            Outcome::Fail(Failure::Refused(_)) => format!("{what} refused"),
            Outcome::Fail(Failure::NotDone(_)) => format!("{what} failed"),
            Outcome::Info(_) => format!("{what} (in doubt)"),
        }
    }

    fn inert(&self, op: &MultiRegisterOp, outcome: &Outcome<MultiRegisterRet>) -> bool {
        !op.writes() || matches!(outcome, Outcome::Fail(_))
    }

    fn weight(&self, state: &Registers) -> usize {
        let entry =
            |(register, value): (&Value, &Value)| 2 * size_of::<Value>() + heap(register) + heap(value);
        size_of::<Registers>() + state.0.iter().map(entry).sum::<usize>()
    }
}

impl crate::linearizability::Insight for MultiRegister {
    fn key_text(&self, (): &()) -> Option<String> {
        None
    }
}

/// Transactions on disk: `txn` with a list of steps, `[:read x nil]` or `[:write x 3]` (`r` and `w` are
/// understood too); its completion repeats them with the values that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultiRegisterVocabulary;

impl Vocabulary for MultiRegisterVocabulary {
    type Op = MultiRegisterOp;
    type Ret = MultiRegisterRet;

    fn encode_op(&self, op: &MultiRegisterOp) -> Call {
        Call { f: "txn", key: None, value: encode(op, &[]) }
    }

    fn encode_ret(&self, op: &MultiRegisterOp, ret: &MultiRegisterRet) -> Value {
        encode(op, &ret.0)
    }

    fn decode_op(&self, f: &str, key: Option<&Value>, value: &Value) -> Result<MultiRegisterOp, String> {
        match (f, key.filter(|key| !key.is_nil())) {
            ("txn", None) => {
                Ok(MultiRegisterOp(steps(value)?.into_iter().map(|(access, _)| access).collect()))
            }
            ("txn", Some(key)) => {
                Err(format!("a transaction names its registers itself, so it has no key, not {key}"))
            }
            _ => Err(format!("registers in transactions have no function {f:?}, only txn")),
        }
    }

    fn decode_ret(&self, op: &MultiRegisterOp, value: &Value) -> Result<MultiRegisterRet, String> {
        let steps = steps(value)?;
        if !steps.iter().map(|(access, _)| access).eq(op.0.iter()) {
            return Err(format!("a completion repeats its transaction {}, not {value}", encode(op, &[])));
        }
        let seen = |(access, value)| matches!(access, Access::Read { .. }).then_some(value);
        Ok(MultiRegisterRet(steps.into_iter().filter_map(seen).collect()))
    }
}

/// The steps as a list, reads with what they saw, as far as that is known.
fn encode(op: &MultiRegisterOp, seen: &[Value]) -> Value {
    let mut seen = seen.iter();
    let step = |step: &Access| match step {
        Access::Read { register } => {
            let saw = seen.next().cloned().unwrap_or(Value::Nil);
            Value::vector([Value::str("read"), register.clone(), saw])
        }
        Access::Write { register, value } => {
            Value::vector([Value::str("write"), register.clone(), value.clone()])
        }
    };
    Value::vector(op.0.iter().map(step))
}

/// The steps of a list, each with the third item of its triple.
fn steps(value: &Value) -> Result<Vec<(Access, Value)>, String> {
    let expected = || format!("a transaction is a list of [read x nil] and [write x 3], not {value}");
    let step = |step: &Value| {
        let (f, register, argument) = match step.as_items() {
            Some([f, register, argument]) => (f, register.clone(), argument.clone()),
            Some([f, register]) => (f, register.clone(), Value::Nil),
            _ => return Err(expected()),
        };
        match f.as_text() {
            Some("read" | "r") => Ok((Access::Read { register }, argument)),
            Some("write" | "w") => Ok((Access::Write { register, value: argument.clone() }, argument)),
            _ => Err(expected()),
        }
    };
    value.as_items().ok_or_else(expected)?.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::check_operations;
    use elenchus_core::budget::Budget;
    use elenchus_core::format::edn::read_value;
    use elenchus_core::operation::Operation;
    use elenchus_core::process::Process;
    use elenchus_core::time::Time;
    use elenchus_core::verdict::Validity;

    type MultiRegisterOperation = Operation<MultiRegisterOp, MultiRegisterRet>;

    fn edn(text: &str) -> Value {
        read_value(text).expect("the test writes EDN")
    }

    fn op(text: &str) -> MultiRegisterOp {
        MultiRegisterVocabulary.decode_op("txn", None, &edn(text)).expect("the test writes transactions")
    }

    /// A completed transaction, given as its completion.
    fn operation(process: u32, call: u32, done: u32, text: &str) -> MultiRegisterOperation {
        let op = op(text);
        let ret = MultiRegisterVocabulary.decode_ret(&op, &edn(text)).expect("the test writes answers");
        let (process, called) = (Process(process), Time::ZERO);
        MultiRegisterOperation { process, op, outcome: Outcome::Ok(ret), call, done, called, ended: None }
    }

    fn judged(model: &MultiRegister, operations: &[MultiRegisterOperation]) -> Validity {
        check_operations(model, operations, &Budget::unlimited()).validity
    }

    fn both_zero() -> MultiRegister {
        MultiRegister::starting_as(&edn("{:x 0 :y 0}")).expect("a map")
    }

    #[test]
    fn a_read_sees_what_its_own_transaction_wrote() {
        let own = [
            operation(0, 0, 1, "[[:read :x 0] [:write :x 1] [:read :x 1]]"),
            operation(0, 2, 3, "[[:r :x 1]]"),
        ];
        assert_eq!(judged(&both_zero(), &own), Validity::Valid);
        let late = [operation(0, 0, 1, "[[:write :x 1] [:read :x 0]]"), operation(0, 2, 3, "[[:r :x 1]]")];
        assert_eq!(judged(&both_zero(), &late), Validity::Invalid);
    }

    #[test]
    fn two_registers_are_never_seen_half_written() {
        let write = operation(0, 0, 9, "[[:write :x 1] [:write :y 1]]");
        let last = operation(2, 10, 11, "[[:read :x 1] [:read :y 1]]");
        for (read, expected) in [
            ("[[:read :x 1] [:read :y 1]]", Validity::Valid),
            ("[[:read :x 0] [:read :y 0]]", Validity::Valid),
            ("[[:read :x 1] [:read :y 0]]", Validity::Invalid),
            ("[[:read :x nil] [:read :y 0]]", Validity::Valid),
        ] {
            let all = [write.clone(), operation(1, 1, 2, read), last.clone()];
            assert_eq!(judged(&both_zero(), &all), expected, "{read}");
        }
    }

    #[test]
    fn a_read_of_nil_says_nothing_unless_it_is_told_to() {
        let read = [operation(0, 0, 1, "[[:read :x nil]]")];
        assert_eq!(judged(&both_zero(), &read), Validity::Valid);
        let strict = MultiRegister { nil_reads: NilReads::SawNil, ..both_zero() };
        assert_eq!(judged(&strict, &read), Validity::Invalid);
        let other = [operation(0, 0, 1, "[[:read :z nil]]")];
        assert_eq!(judged(&strict, &other), Validity::Valid, "a register that is not named holds nil");
    }

    #[test]
    fn no_state_refutes_the_hints() {
        let model = both_zero();
        let texts = ["[[:read :x 0]]", "[[:write :x 1]]", "[[:read :y 1] [:write :x 0]]", "[]"];
        let mut states = vec![model.init(&())];
        for text in texts {
            let before = states.clone();
            let (op, lost) = (op(text), Outcome::info("lost"));
            states.extend(before.iter().flat_map(|state| model.step(state, &op, &lost)));
        }
        for text in texts {
            let op = op(text);
            let ret = MultiRegisterVocabulary.decode_ret(&op, &edn(text)).expect("an answer");
            let refused = [None, Some(ret.clone())].map(|saw| Outcome::Fail(Failure::Refused(saw)));
            for outcome in [Outcome::Ok(ret), Outcome::info("lost")].into_iter().chain(refused) {
                for state in &states {
                    let after: Vec<_> = model.step(state, &op, &outcome).into_iter().collect();
                    assert!(!model.inert(&op, &outcome) || after.iter().all(|s| s == state), "{op:?}");
                    assert!(outcome != Outcome::info("lost") || after.len() == 1, "{op:?} in {state:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let v = MultiRegisterVocabulary;
        for text in ["[]", "[[:read :x 3]]", "[[:write 1 2] [:read :x nil] [:r :y 4] [:w :z nil]]"] {
            let op = op(text);
            let call = v.encode_op(&op);
            assert_eq!(v.decode_op(call.f, call.key.as_ref(), &call.value).as_ref(), Ok(&op));
            let ret = v.decode_ret(&op, &edn(text)).expect("an answer");
            assert_eq!(v.decode_ret(&op, &v.encode_ret(&op, &ret)), Ok(ret));
        }
    }

    #[test]
    fn what_is_no_transaction_is_refused_with_what_was_expected() {
        let v = MultiRegisterVocabulary;
        for (f, value) in
            [("read", "nil"), ("txn", "3"), ("txn", "[[:cas :x 1]]"), ("txn", "[3]"), ("txn", "[[:read]]")]
        {
            assert!(v.decode_op(f, None, &edn(value)).is_err(), "{f} {value}");
        }
        assert!(v.decode_op("txn", Some(&Value::Int(1)), &edn("[]")).is_err());
        assert!(v.decode_ret(&op("[[:read :x nil]]"), &edn("[[:read :y 1]]")).is_err());
        assert!(MultiRegister::starting_as(&Value::Int(0)).is_err());
        assert!(MultiRegister::starting_as(&edn("{:x 0}")).is_ok());
    }
}
