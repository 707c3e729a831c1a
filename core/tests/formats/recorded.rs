//! Histories recorded by others, where they are at hand: every file is read, and keeps what is known of it.

use elenchus_core::event::Kind;
use elenchus_core::format::{Format, edn, jsonl, read};
use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
fn every_recorded_history_is_read_and_survives() {
    let Some(folder) = recorded() else { return };
    let manifest = fs::read_to_string(folder.join("manifest.tsv")).expect("the manifest is text");
    let mut files = 0;
    for line in manifest.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [name, format, ..] = columns[..] else { panic!("manifest: {line}") };
        let bytes = fs::read(folder.join(name)).expect("the manifest names files that exist");
        let recording = read(&bytes, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = if format == "jepsen-log" { Format::JepsenLog } else { Format::Edn };
        assert_eq!(read(&bytes, Some(expected)).as_ref(), Ok(&recording), "{name}");
        assert_eq!(recording.history.len(), count_types(&bytes), "{name}");
        assert!(recording.complaints.is_empty(), "{name}: {:?}", recording.complaints);
        survives(&recording.history, name);
        files += 1;
    }
    assert!(files > 0, "the manifest names no file");
}

/// How often a type occurs in the text: each event says its own once.
fn count_types(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let kinds = [Kind::Invoke, Kind::Ok, Kind::Fail, Kind::Info];
    kinds.map(|kind| text.matches(&format!(":{}", kind.name())).count()).iter().sum()
}

fn survives(history: &elenchus_core::history::History, name: &str) {
    let (mut as_edn, mut as_json) = (Vec::new(), Vec::new());
    edn::write_history(&mut as_edn, history);
    history.events().for_each(|event| jsonl::write_event(&mut as_json, &event));
    assert_eq!(&edn::read(&as_edn).unwrap().history, history, "{name}");
    assert_eq!(&jsonl::read(&as_json).unwrap().history, history, "{name}");
}
