//! Of every recorded history that is not linearizable, where they are at hand, the witness is one, and minimal.

use super::evidence::release_all_but;
use crate::linearizability::judge::decide;
use crate::linearizability::meter::Meter;
use crate::linearizability::search::{Answer as Found, Effort, Order};
use crate::linearizability::{Answer, Insight, Shortcut, Task, evidence, judge};
use crate::models::kv::{Kv, KvVocabulary};
use crate::models::register::{NilReads, Register, RegisterVocabulary, failed_cas_is_refused};
use elenchus_core::budget::Budget;
use elenchus_core::format;
use elenchus_core::operation::Operation;
use elenchus_core::value::Value;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

/// Far more than is needed: what a busy machine takes is no matter of this test.
fn budget() -> Budget {
    Budget::new(Duration::from_secs(60), 1 << 30)
}

/// Whether these operations of one key are linearizable: by search, and by the model's shortcut if it knows. Where
/// the budget ends the search, the shortcut alone says it.
#[track_caller]
fn says<M: Insight>(name: &str, model: &M, key: &M::Key, operations: &[Operation<M::Op, M::Ret>]) -> bool {
    let tasks: Vec<_> = Task::all(operations).collect();
    let shortcut = model.shortcut(&tasks).map(|shortcut| shortcut == Shortcut::Linearizable);
    let (budget, memory) = (Budget::new(Duration::from_secs(2), 1 << 28), AtomicUsize::new(0));
    let meter = &mut Meter::new(&budget, &memory);
    let found = match decide(model, key, tasks, Order::InTurns, meter, &mut Effort::default()) {
        Found::Linearizable => true,
        Found::Refuted(_) => false,
        Found::Unknown(spent, _) => {
            println!("{name}: the search ended: {}", spent.why());
            return shortcut.expect("the shortcut knows where the search does not");
        }
    };
    assert!(
        shortcut.is_none_or(|shortcut| shortcut == found),
        "{name}: the shortcut and the search disagree"
    );
    found
}

/// Checks the witness of every key that is refuted; how many operations each has.
fn check<M: Insight>(name: &str, model: &M, operations: &[Operation<M::Op, M::Ret>]) -> Vec<usize> {
    let mut sizes = Vec::new();
    for finding in judge(model, operations, &budget()) {
        let Answer::Refuted { failed, .. } = finding.answer else { continue };
        let found = evidence(model, operations, &finding.operations, failed, &budget());
        let own: Vec<_> = finding.operations.iter().map(|i| operations[*i].clone()).collect();
        let place = |i: &usize| finding.operations.partition_point(|other| other < i);
        let witness: Vec<usize> = found.witness.iter().map(place).collect();
        assert!(found.minimal && found.witness.contains(&found.guilty), "{name}: {found:?}");
        assert!(!says(name, model, &finding.key, &release_all_but(&own, &witness)), "{name}: no witness");
        for member in &witness {
            let less: Vec<usize> = witness.iter().copied().filter(|other| other != member).collect();
            assert!(says(name, model, &finding.key, &release_all_but(&own, &less)), "{name}: not minimal");
        }
        sizes.push(witness.len());
    }
    assert!(!sizes.is_empty(), "{name} is not refuted");
    sizes
}

#[test]
fn the_witness_of_every_recorded_history_is_one_and_minimal() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories");
    let Ok(manifest) = std::fs::read_to_string(folder.join("manifest.tsv")) else {
        println!("skipped: no recorded histories in {}", folder.display());
        return;
    };
    let mut sizes = Vec::new();
    for line in manifest.lines().filter(|line| line.ends_with("\tinvalid")) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (name, format, model) = (columns[0], columns[1], columns[2]);
        let bytes = std::fs::read(folder.join(name)).expect("the manifest names files that exist");
        let history = format::read(&bytes, None).expect("a recorded history is readable").history;
        let registers = || history.operations(&RegisterVocabulary).expect("it is a register's");
        sizes.extend(match (model, format) {
            ("cas-register", "jepsen-log") => {
                let mut operations = registers();
                operations.iter_mut().for_each(failed_cas_is_refused);
                check(name, &Register::default(), &operations)
            }
            ("cas-register", _) => {
                let model = Register { initial: Value::Int(0), nil_reads: NilReads::SawNothing };
                check(name, &model, &registers())
            }
            ("kv", _) => {
                let model = Kv { initial: Value::str(""), ..Kv::default() };
                check(name, &model, &history.operations(&KvVocabulary).expect("it is a store's"))
            }
            _ => panic!("{name}: a model {model} that nobody knows"),
        });
    }
    sizes.sort_unstable();
    println!("{} witnesses of {sizes:?} operations", sizes.len());
    assert!(sizes.len() >= 48);
}
