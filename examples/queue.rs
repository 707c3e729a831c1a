//! A queue that looks first and removes later: four threads find the race, and Elenchus proves it.
//!
//! `cargo run --release --example queue`
use elenchus_checkers::linearizability::check_operations;
use elenchus_checkers::models::queue::{Queue, QueueOp, QueueRet};
use elenchus_checkers::recorder::Recorder;
use elenchus_core::{budget::Budget, value::Value, verdict::Validity};
use std::collections::VecDeque;
use std::sync::Mutex;

/// Between looking and removing the lock is free: two threads may be given the same value.
#[derive(Default)]
struct Racy(Mutex<VecDeque<i64>>);

impl Racy {
    fn enqueue(&self, value: i64) {
        self.0.lock().unwrap().push_back(value);
    }

    fn dequeue(&self) -> Option<i64> {
        let first = self.0.lock().unwrap().front().copied();
        std::thread::yield_now();
        self.0.lock().unwrap().pop_front();
        first
    }
}

fn main() {
    let (queue, recorder, key) = (Racy::default(), Recorder::new(), Value::Nil);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (queue, key, mut client) = (&queue, &key, recorder.client());
            scope.spawn(move || {
                for i in 0..1_000 {
                    let value = thread * 1_000 + i;
                    let enqueue = QueueOp::Enqueue { key: key.clone(), value: Value::Int(value) };
                    client.perform(enqueue, || {
                        queue.enqueue(value);
                        QueueRet::Done
                    });
                    client.perform(QueueOp::Dequeue { key: key.clone() }, || {
                        queue.dequeue().map_or(QueueRet::Empty, |value| QueueRet::Value(Value::Int(value)))
                    });
                }
            });
        }
    });
    let verdict = check_operations(&Queue::default(), &recorder.operations(), &Budget::unlimited());
    println!("{:?}: {}", verdict.validity, verdict.why);
    for shown in verdict.anomalies.iter().flat_map(|anomaly| &anomaly.operations) {
        println!("  thread {} {}: from {} to {:?}", shown.process, shown.text, shown.call, shown.done);
    }
    assert_eq!(verdict.validity, Validity::Invalid, "the race did not show this time");
}
