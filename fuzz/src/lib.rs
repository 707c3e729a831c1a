//! What the fuzz targets share.

use elenchus_core::format::{Format, edn, jsonl, read};
use elenchus_core::model::Model;
use elenchus_core::operation::Operation;
use elenchus_core::outcome::{Failure, Outcome};

/// A reader never panics, names a place in the file, and reads only what can be written and read again.
pub fn reads_or_refuses(bytes: &[u8], format: Format) {
    let recording = match read(bytes, Some(format)) {
        Ok(recording) => recording,
        Err(error) => {
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error}");
            assert!(!error.what.is_empty());
            return;
        }
    };
    let (mut lines, mut edn_lines) = (Vec::new(), Vec::new());
    recording.history.events().for_each(|event| jsonl::write_event(&mut lines, &event));
    edn::write_history(&mut edn_lines, &recording.history);
    assert_eq!(jsonl::read(&lines).expect("just written").history, recording.history);
    assert_eq!(edn::read(&edn_lines).expect("just written").history, recording.history);
    assert_eq!(edn::read_lines(&edn_lines).expect("just written").history, recording.history);
}

/// Whether operations of one object are linearizable: Wing & Gong (1993), without any cleverness.
pub fn is_linearizable<M: Model>(model: &M, key: &M::Key, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    let happened = |o: &&Operation<M::Op, M::Ret>| !matches!(o.outcome, Outcome::Fail(Failure::NotDone(_)));
    let operations: Vec<_> = operations.iter().filter(happened).collect();
    place(model, &operations, 0, &model.init(key))
}

fn place<M: Model>(
    model: &M,
    operations: &[&Operation<M::Op, M::Ret>],
    placed: u32,
    state: &M::State,
) -> bool {
    let open = |i: usize| placed & (1 << i) == 0;
    let must_end = |i: usize| operations[i].done != Operation::<M::Op, M::Ret>::OPEN;
    if (0..operations.len()).all(|i| !open(i) || !must_end(i)) {
        return true;
    }
    (0..operations.len()).filter(|i| open(*i)).any(|i| {
        let is_first = (0..operations.len()).all(|j| !open(j) || !operations[j].precedes(operations[i]));
        let next = || model.step(state, &operations[i].op, &operations[i].outcome);
        is_first && next().into_iter().any(|state| place(model, operations, placed | 1 << i, &state))
    })
}
