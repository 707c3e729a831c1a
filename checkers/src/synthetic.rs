//! Histories of objects that keep their promise: for tests, benchmarks and examples.
//!
//! Clients that are always busy call operations on one true object; each operation takes effect at one
//! moment between its call and its return. The same seed gives the same history, on every machine. What is
//! made here is linearizable by construction; whoever wants one that is not changes an answer in it.

use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};
use elenchus_core::process::Process;
use elenchus_core::random::{Rng, Seed};
use elenchus_core::time::Time;

/// What a history is drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulation {
    /// How many operations are called.
    pub operations: usize,
    /// How many of them are open at once: all clients call again as soon as they are answered.
    pub clients: usize,
    /// Of a thousand operations, how many end in doubt. Half of these took effect.
    pub doubt_permille: u64,
    /// The seed of all choices.
    pub seed: u64,
}

/// What a client's operation has come to.
#[derive(Clone, Copy)]
enum Stage {
    Called,
    Effective,
    Idle,
}

struct Client {
    process: u32,
    /// The number of its operation.
    number: usize,
    stage: Stage,
}

impl Simulation {
    /// The operations of one object, in the order of their calls. `choose` draws the operation of a number,
    /// and may look at the state so that it often succeeds; `answer` is what the object answers in a state.
    ///
    /// # Panics
    /// When the model does not admit such an answer in that state.
    pub fn run<M: Model>(
        &self,
        model: &M,
        initial: M::State,
        mut choose: impl FnMut(&mut Rng, usize, &M::State) -> M::Op,
        mut answer: impl FnMut(&M::State, &M::Op) -> Outcome<M::Ret>,
    ) -> Vec<Operation<M::Op, M::Ret>> {
        let mut rng = Seed(self.seed).rng();
        let mut state = initial;
        let mut log = Log { operations: Vec::with_capacity(self.operations), at: 0 };
        let count = self.clients.clamp(1, self.operations.max(1));
        let mut clients: Vec<Client> =
            (0..count).map(|i| Client { process: i as u32, number: 0, stage: Stage::Idle }).collect();
        let mut next_process = clients.len() as u32;
        for client in &mut clients {
            self.call(&mut log, client, &mut rng, &state, &mut choose);
        }
        while !clients.is_empty() {
            let at = rng.below(clients.len() as u64) as usize;
            let client = &mut clients[at];
            let number = client.number;
            let in_doubt = match client.stage {
                Stage::Called if rng.chance(self.doubt_permille, 2_000) => true,
                Stage::Called => {
                    let outcome = answer(&state, &log.operations[number].op);
                    if !matches!(outcome, Outcome::Fail(Failure::NotDone(_))) {
                        let after =
                            model.step(&state, &log.operations[number].op, &outcome).into_iter().next();
                        state = after.expect("the object's answer is one that the model admits");
                    }
                    log.operations[number].outcome = outcome;
                    client.stage = Stage::Effective;
                    continue;
                }
                Stage::Effective => rng.chance(self.doubt_permille, 2_000),
                Stage::Idle => {
                    clients.swap_remove(at);
                    continue;
                }
            };
            match in_doubt {
                true => {
                    log.operations[number].outcome = Outcome::info("timeout");
                    client.process = next_process;
                    next_process += 1;
                }
                false => log.answered(number),
            }
            self.call(&mut log, client, &mut rng, &state, &mut choose);
        }
        log.operations
    }

    /// The client calls its next operation, if there is one.
    fn call<S, O, R>(
        &self,
        log: &mut Log<O, R>,
        client: &mut Client,
        rng: &mut Rng,
        state: &S,
        choose: &mut impl FnMut(&mut Rng, usize, &S) -> O,
    ) {
        client.number = log.operations.len();
        client.stage = if client.number < self.operations { Stage::Called } else { Stage::Idle };
        if client.number < self.operations {
            let op = choose(rng, client.number, state);
            log.called(Process(client.process), op);
        }
    }
}

/// The log as it grows.
struct Log<O, R> {
    operations: Vec<Operation<O, R>>,
    at: u32,
}

impl<O, R> Log<O, R> {
    fn called(&mut self, process: Process, op: O) {
        let (call, done, called) = (self.at, Operation::<O, R>::OPEN, self.now());
        let outcome = Outcome::info("no completion");
        self.operations.push(Operation { process, op, outcome, call, done, called, ended: None });
        self.at += 1;
    }

    fn answered(&mut self, number: usize) {
        let now = self.now();
        let operation = &mut self.operations[number];
        (operation.done, operation.ended) = (self.at, Some(now));
        self.at += 1;
    }

    /// A microsecond an event.
    fn now(&self) -> Time {
        Time(u64::from(self.at) * 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizability::tests::oracle::is_linearizable;
    use crate::models::register::{Register, RegisterOp, RegisterRet};
    use elenchus_core::value::Value;

    fn history(operations: usize, seed: u64) -> Vec<Operation<RegisterOp, RegisterRet>> {
        let simulation = Simulation { operations, clients: 4, doubt_permille: 200, seed };
        let choose = |rng: &mut Rng, number: usize, _: &Value| match rng.chance(1, 2) {
            true => RegisterOp::Read { key: Value::Nil },
            false => RegisterOp::Write { key: Value::Nil, value: Value::Int(number as i64) },
        };
        let answer = |state: &Value, op: &RegisterOp| match op {
            RegisterOp::Read { .. } => Outcome::Ok(RegisterRet::Saw(state.clone())),
            _ => Outcome::Ok(RegisterRet::Done),
        };
        simulation.run(&Register::default(), Value::Nil, choose, answer)
    }

    #[test]
    fn what_is_simulated_is_linearizable_and_busy() {
        for seed in 0..500 {
            assert!(is_linearizable(&Register::default(), &history(8, seed)), "seed {seed}");
        }
        let long = history(2_000, 1);
        let open =
            |at: u32| long.iter().filter(|o| o.call <= at && o.done > at && !o.outcome.is_info()).count();
        assert!((100..2_000).step_by(100).all(|at| open(at) >= 2), "clients are idle");
        let doubtful = long.iter().filter(|o| o.outcome.is_info()).count();
        assert!((300..500).contains(&doubtful), "{doubtful} in doubt of 2,000");
        assert_eq!(long, history(2_000, 1));
    }
}
