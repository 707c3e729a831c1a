//! Models that never let go, to prove that the command line does: hidden, and of no use to anybody.
//!
//! They are registers where the steps of every key whose name begins with `stuck` sleep for ever, allocate for
//! ever, or kill their process; all other keys are judged as usual.

use elenchus_checkers::Linearizability;
use elenchus_checkers::linearizability::{Insight, Subject};
use elenchus_checkers::models::register::{Register, RegisterOp, RegisterRet, RegisterVocabulary};
use elenchus_core::checker::Checker;
use elenchus_core::model::Model;
use elenchus_core::outcome::Outcome;
use elenchus_core::value::Value;
use std::time::Duration;

/// The checker of the adversary of this name.
pub fn named(name: &str) -> Option<Box<dyn Checker>> {
    let malice = match name {
        "adversary-sleeps" => Malice::Sleep,
        "adversary-allocates" => Malice::Allocate,
        "adversary-aborts" => Malice::Abort,
        _ => return None,
    };
    let adversary = Adversary { register: Register::default(), malice };
    Some(Box::new(Linearizability::new(adversary, RegisterVocabulary).of(Subject::History)))
}

enum Malice {
    Sleep,
    Allocate,
    Abort,
}

struct Adversary {
    register: Register,
    malice: Malice,
}

impl Adversary {
    fn act(&self) -> ! {
        match self.malice {
            // A step that never returns is what the watchdog must end: it kills this process long before.
            Malice::Sleep => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
            Malice::Allocate => loop {
                std::mem::forget(vec![1u8; 1 << 20]);
            },
            Malice::Abort => std::process::abort(),
        }
    }
}

impl Model for Adversary {
    type Op = RegisterOp;
    type Ret = RegisterRet;
    type Key = Value;
    type State = Value;

    fn init(&self, key: &Value) -> Value {
        self.register.init(key)
    }

    fn step(
        &self,
        state: &Value,
        op: &RegisterOp,
        outcome: &Outcome<RegisterRet>,
    ) -> impl IntoIterator<Item = Value> {
        if op.key().as_text().is_some_and(|key| key.starts_with("stuck")) {
            self.act();
        }
        self.register.step(state, op, outcome).into_iter().collect::<Vec<_>>()
    }

    fn key(&self, op: &RegisterOp) -> Value {
        op.key().clone()
    }

    fn describe(&self, op: &RegisterOp, outcome: &Outcome<RegisterRet>) -> String {
        self.register.describe(op, outcome)
    }
}

/// No shortcut: every answer is the search's.
impl Insight for Adversary {
    fn key_text(&self, key: &Value) -> Option<String> {
        Some(key.to_string())
    }
}
