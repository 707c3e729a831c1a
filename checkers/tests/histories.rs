//! Histories recorded by others, where they are at hand, are judged as their manifest says.

use elenchus_checkers::consistency::CONDITIONS;
use elenchus_checkers::linearizability::{Linearizability, Subject};
use elenchus_checkers::models::catalogue::{Choices, FailedCas};
use elenchus_checkers::models::kv::{Kv, KvVocabulary};
use elenchus_checkers::models::multi_register::{MultiRegister, MultiRegisterVocabulary};
use elenchus_checkers::models::register::{NilReads, Register, RegisterVocabulary, failed_cas_is_refused};
use elenchus_core::budget::Budget;
use elenchus_core::checker::Checker;
use elenchus_core::format;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Anomaly, Validity, Verdict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of recorded histories beside the workspace; `None`, with the reason printed, if it is missing.
fn recorded() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/histories");
    if folder.join("manifest.tsv").is_file() {
        return Some(folder);
    }
    let required =
        std::env::var("ELENCHUS_REQUIRE").is_ok_and(|list| list.split(',').any(|word| word == "histories"));
    assert!(!required, "ELENCHUS_REQUIRE names histories, but {} has none", folder.display());
    println!("skipped: no recorded histories in {}", folder.display());
    None
}

/// Jepsen's log of etcd, as Porcupine reads it: a cas that failed saw another value.
fn as_jepsen_log() -> Linearizability<Register, RegisterVocabulary> {
    Linearizability::new(Register::default(), RegisterVocabulary).with_reading(failed_cas_is_refused)
}

/// As Knossos reads it: an ok read of nil says nothing, a cas that failed is no operation.
fn as_knossos() -> Linearizability<Register, RegisterVocabulary> {
    let model = Register { initial: Value::Int(0), nil_reads: NilReads::SawNothing };
    Linearizability::new(model, RegisterVocabulary)
}

/// Registers in transactions, as Knossos reads them.
fn multi_register(initial: &Value) -> Linearizability<MultiRegister, MultiRegisterVocabulary> {
    let model = MultiRegister::starting_as(initial).expect("the manifest says how registers start");
    Linearizability::new(model, MultiRegisterVocabulary)
}

/// A store, where a missing key is what the manifest says.
fn kv(initial: Value) -> Linearizability<Kv, KvVocabulary> {
    Linearizability::new(Kv { initial, ..Kv::default() }, KvVocabulary)
}

/// Who judges a line of the manifest.
fn judge(format: &str, model: &str, initial: &Value) -> Box<dyn Checker> {
    match (model, format) {
        ("cas-register", "jepsen-log") => Box::new(as_jepsen_log().of(Subject::History)),
        ("cas-register", _) => Box::new(as_knossos().of(Subject::History)),
        ("multi-register", _) => Box::new(multi_register(initial).of(Subject::History)),
        ("kv", _) => Box::new(kv(initial.clone()).of(Subject::History)),
        _ => panic!("the manifest names a model {model} that nobody knows"),
    }
}

fn check(file: &Path, checker: &dyn Checker) -> Verdict {
    let bytes = std::fs::read(file).expect("the manifest names files that exist");
    let recording = format::read(&bytes, None).expect("a recorded history is readable");
    let budget = Budget::new(Duration::from_secs(60), 1 << 30);
    checker.check(&recording.history, &budget).expect("a recorded history is one of its model")
}

#[test]
fn every_recorded_history_is_judged_as_its_manifest_says() {
    let Some(folder) = recorded() else { return };
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).expect("the manifest is text");
    let mut judged: BTreeMap<String, usize> = BTreeMap::new();
    for line in manifest.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, format, model, initial, expected] = columns[..] else { panic!("manifest: {line}") };
        let initial = format::edn::read_value(initial).expect("initial values are EDN");
        let verdict = check(&folder.join(name), &*judge(format, model, &initial));
        let expected = if expected == "valid" { Validity::Valid } else { Validity::Invalid };
        assert_eq!(verdict.validity, expected, "{name}: {}", verdict.why);
        let guilty = |anomaly: &Anomaly| anomaly.operations.iter().filter(|shown| shown.guilty).count();
        assert!(
            verdict.anomalies.iter().all(|anomaly| guilty(anomaly) == 1),
            "{name}: {:?}",
            verdict.anomalies
        );
        assert!(!verdict.figures.contains_key("answers_unexamined"), "{name}: {}", verdict.why);
        *judged.entry(model.to_owned()).or_default() += 1;
    }
    for model in ["cas-register", "kv", "multi-register"] {
        assert!(judged.contains_key(model), "the manifest names no {model}");
    }
}

#[test]
fn what_is_recorded_as_linearizable_is_accused_by_no_weaker_condition() {
    let Some(folder) = recorded() else { return };
    let manifest = std::fs::read_to_string(folder.join("manifest.tsv")).expect("the manifest is text");
    let mut judged = 0;
    for line in manifest.lines().skip(1).filter(|line| line.contains("\tcas-register\t")) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, format, _, initial, expected] = columns[..] else { panic!("manifest: {line}") };
        let initial = Some(format::edn::read_value(initial).expect("initial values are EDN"));
        let choices = match format {
            "jepsen-log" => Choices { initial, failed_cas: FailedCas::Refused, ..Choices::default() },
            _ => Choices { initial, nil_reads: NilReads::SawNothing, ..Choices::default() },
        };
        for condition in CONDITIONS {
            let checker = (condition.checker)(&choices).expect("the choices are a register's");
            let bytes = std::fs::read(folder.join(name)).expect("the manifest names files that exist");
            let recording = format::read(&bytes, None).expect("a recorded history is readable");
            let budget = Budget::new(Duration::from_millis(500), 64 << 20);
            let began = std::time::Instant::now();
            let verdict = checker.check(&recording.history, &budget).expect("it is a register's");
            assert!(began.elapsed() < Duration::from_secs(30), "{name}: {} took too long", condition.name);
            assert!(
                expected == "invalid" || verdict.validity != Validity::Invalid,
                "{name}: {}: {}",
                condition.name,
                verdict.why
            );
            let decided = verdict.validity == Validity::Valid;
            assert!(
                condition.name != "sequential" || expected == "invalid" || decided,
                "{name}: {}",
                verdict.why
            );
            judged += 1;
        }
    }
    assert!(judged > CONDITIONS.len(), "the manifest names no register");
}
