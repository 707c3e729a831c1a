//! Trials in virtual time, through the command line.

#[path = "../common/mod.rs"]
mod common;
mod shrink;

use common::Store as Folder;
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found =
        vec![(PathBuf::from("history.jsonl"), std::fs::read(folder.join("history.jsonl")).unwrap())];
    for entry in std::fs::read_dir(folder.join("trace")).unwrap() {
        let path = entry.unwrap().path();
        found.push((path.file_name().unwrap().into(), std::fs::read(path).unwrap()));
    }
    found.sort();
    found
}

#[test]
fn a_minute_under_all_faults_is_valid_and_the_seed_brings_it_back() {
    let folder = Folder::new("again");
    let flags = "--nemesis all --time-limit 60s --rate 150 --seed 5";
    let (code, said) = folder.run(&format!("test --sim {flags}"));
    assert_eq!(code, Some(0), "{said}");
    let latest = folder.0.join("store/latest").canonicalize().unwrap();
    let first = files(&latest);
    assert_eq!(first.len(), 6, "a history and five traces");
    assert!(first.iter().all(|(_, bytes)| bytes.len() > 10_000));
    let (code, said) = folder.run(&format!("replay {}", latest.display()));
    assert!(code == Some(0) && said.contains("identical"), "{said}");
    let (code, said) = folder.run(&format!("replay {flags}"));
    assert!(code == Some(0) && said.contains("identical"), "{said}");
    folder.run("test --sim --nemesis all --time-limit 60s --rate 150 --seed 6");
    let other = files(&folder.0.join("store/latest").canonicalize().unwrap());
    assert_ne!(first, other);
}

#[test]
fn a_history_that_is_not_the_seeds_is_noticed() {
    let folder = Folder::new("forged");
    let (code, said) = folder.run("test --sim --time-limit 5s --seed 1");
    assert_eq!(code, Some(0), "{said}");
    let latest = folder.0.join("store/latest").canonicalize().unwrap();
    let history = latest.join("history.jsonl");
    let text = std::fs::read_to_string(&history).unwrap();
    std::fs::write(&history, text.replacen("\"type\":\"ok\"", "\"type\":\"info\"", 1)).unwrap();
    let (code, said) = folder.run(&format!("replay {}", latest.display()));
    assert!(code == Some(255) && said.contains("differs") && said.contains("history.jsonl"), "{said}");
}

#[test]
fn a_campaign_goes_on_where_it_was_and_its_shards_are_joined() {
    let folder = Folder::new("campaign");
    let flags = "campaign --sim --seed 3 --count 3 --time-limit 10s --workloads register,set --nemeses all --nemeses none";
    let (code, whole) = folder.run(flags);
    assert_eq!(code, Some(0), "{whole}");
    assert!(whole.contains("12 trials"), "{whole}");
    let (code, again) = folder.run(flags);
    assert!(code == Some(0) && again.contains("12 of them done before"), "{again}");
    let (_, refused) = folder.run(&flags.replace("10s", "11s"));
    assert!(refused.contains("another campaign"), "{refused}");
    let kept = std::fs::read_dir(folder.0.join("store/register/campaign-3")).unwrap().count();
    assert_eq!(kept, 2, "valid trials leave their line and what states they reached, and no folder");

    for shard in ["1/2", "2/2"] {
        let (code, said) = folder.run(&format!("{flags} --shard {shard}"));
        assert_eq!(code, Some(0), "{said}");
    }
    let at = "store/register/campaign-3";
    let (code, said) = folder.run(&format!("merge {at}-1of2 {at}-2of2"));
    assert!(code == Some(0) && said.contains("12 of 12"), "{said}");
    let (code, said) = folder.run(&format!("merge {at}-1of2"));
    assert!(
        code == Some(2) && said.contains("in none of these shards"),
        "a part alone decides nothing: {said}"
    );
}

#[test]
fn a_simulated_bug_is_found_and_its_folder_kept() {
    let folder = Folder::new("bug");
    let (code, said) = folder
        .run("campaign --sim --bug ack-before-commit --seed 1 --count 20 --time-limit 30s --rate 150 --stop-at-first");
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Invalid seed") && said.contains("--bug ack-before-commit"), "{said}");
    let at = folder.0.join("store/register/campaign-1");
    let kept =
        std::fs::read_dir(&at).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert!(kept >= 1, "what was found can be looked at");
}

#[test]
fn what_cannot_be_simulated_is_refused_by_name() {
    let folder = Folder::new("refused");
    for (flags, key) in [
        ("--nemesis resources", "resources"),
        ("--vary --nemesis resources", "resources"),
        ("--isolation proxy", "isolation"),
        ("--system memory", "sim"),
        ("--leave-running", "leave-running"),
        ("--priorities 0", "--priorities: "),
    ] {
        let (code, said) = folder.run(&format!("test --sim {flags}"));
        assert!(code == Some(254) && said.contains(key), "{flags}: {said}");
    }
    std::fs::write(folder.0.join("slow.toml"), "[cluster]\nkind = \"simulated\"\nelection-ms = 10\n")
        .unwrap();
    let (code, said) = folder.run("test slow.toml");
    assert!(code == Some(254) && said.contains("slow.toml: cluster: election-ms"), "{said}");
    let (code, said) = folder.run("test --vary");
    assert!(code == Some(254) && said.contains("--vary"), "{said}");
    let (code, said) = folder.run("campaign --jobs 2 --seed 1");
    assert!(code == Some(254) && said.contains("--jobs"), "{said}");
    let (code, said) = folder.run("campaign --sim --shard 3/2 --seed 1");
    assert!(code == Some(254) && said.contains("I/N"), "{said}");
    let (code, said) = folder.run("campaign --sim --shard 1/2");
    assert!(code == Some(254) && said.contains("--seed"), "{said}");
}

/// The results of a campaign without the times that they took.
fn rows(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("results.jsonl")).unwrap();
    let timeless = |line: &str| match (line.find("\"ms\":"), line.find(",\"again\"")) {
        (Some(from), Some(to)) => line[..from].to_owned() + &line[to..],
        _ => line.to_owned(),
    };
    text.lines().map(timeless).collect()
}

#[test]
fn a_guided_campaign_goes_on_as_if_it_had_not_stopped_and_its_plans_come_back() {
    let folder = Folder::new("guided");
    let flags = "campaign --sim --search guided --nemesis all --seed 8 --count 14 --time-limit 20s";
    let (code, said) = folder.run(&format!("{flags} --jobs 1"));
    assert!(code == Some(0) && said.contains("abstract states"), "{said}");
    let at = folder.0.join("store/register/campaign-8");
    let whole = rows(&at);
    let coverage = std::fs::read(at.join("coverage.jsonl")).unwrap();
    assert_eq!(whole.len(), 15);
    let plans: Vec<_> =
        std::fs::read_dir(at.join("plans")).unwrap().map(|plan| plan.unwrap().path()).collect();
    assert!((2..=7).contains(&plans.len()), "{plans:?}");
    let (code, said) = folder.run(&format!("replay {}", plans[0].display()));
    assert!(code == Some(0) && said.contains("identical"), "{said}");

    // The last trials are forgotten, and the line of the first of them is torn.
    let results = std::fs::read_to_string(at.join("results.jsonl")).unwrap();
    let kept: usize = results.split_inclusive('\n').take(9).map(str::len).sum();
    std::fs::write(at.join("results.jsonl"), &results[..kept + 10]).unwrap();
    let (code, said) = folder.run(&format!("{flags} --jobs 3"));
    assert!(code == Some(0) && said.contains("8 of them done before"), "{said}");
    assert_eq!(rows(&at), whole);
    assert_eq!(std::fs::read(at.join("coverage.jsonl")).unwrap(), coverage);

    let (code, said) = folder.run(&flags.replace("guided", "pct"));
    assert!(code == Some(254) && said.contains("another campaign"), "{said}");
    for (from, to) in [("--sim", "--sim --shard 1/2"), ("--sim", "--system memory")] {
        let flags = flags.replace(from, to).replace("--nemesis all", "--nemesis none");
        let (code, said) = folder.run(&flags);
        assert!(code == Some(254) && said.contains("guided"), "{flags}: {said}");
    }
}
