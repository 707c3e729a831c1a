//! Violations made small: each bug's result against a minimum made by hand.

use crate::Folder;
use elenchus::judge;
use elenchus::plan::TrialPlan;
use elenchus::registry::Registry;

use elenchus::script::{Script, Sought};
use elenchus::shrink::Performance;
use std::path::PathBuf;

/// A bug, a seed that shows it, and what a person needs to show it.
struct Minimum {
    bug: &'static str,
    seed: u64,
    strikes: usize,
    operations: usize,
    nodes: usize,
}

fn found(folder: &Folder, bug: &str, seed: u64) -> PathBuf {
    let words = format!("test --sim --bug {bug} --nemesis all --time-limit 30s --rate 100 --seed {seed}");
    let (code, said) = folder.run(&words);
    assert_eq!(code, Some(1), "{bug} is not found by {words}: {said}");
    folder.0.join("store/latest").canonicalize().unwrap()
}

/// At most twice the minimum, all parts together; it is there again, and gone with the bug.
fn is_shrunk(minimum: &Minimum) {
    let Minimum { bug, seed, strikes, operations, nodes } = *minimum;
    let folder = Folder::new(&format!("shrink-{bug}"));
    let trial = found(&folder, bug, seed);
    let (code, said) = folder.run(&format!("shrink {} --time 60s", trial.display()));
    assert_eq!(code, Some(0), "{bug}: {said}");
    let path = trial.join("shrunk/shrunk.json");
    let plan: TrialPlan = judge::read_json(&path).unwrap();
    let script = plan.script.as_ref().unwrap();
    let size = script.size(plan.nodes.len());
    let least = strikes + operations + nodes;
    assert!(size <= 2 * least, "{bug}: {size} is more than twice {least}: {said}");
    let (code, said) = folder.run(&format!("replay {}", path.display()));
    assert_eq!(code, Some(1), "{bug}: {said}");
    let (code, said) = folder.run(&format!("replay {}", trial.join("shrunk").display()));
    assert!(code == Some(1) && said.contains("identical"), "{bug}: {said}");
    let mended = folder.0.join("mended.json");
    let text = serde_json::to_string(&TrialPlan { bugs: Vec::new(), ..plan.clone() }).unwrap();
    std::fs::write(&mended, text).unwrap();
    let (code, said) = folder.run(&format!("replay {}", mended.display()));
    // A client that is no longer answered has shown nothing, and that is not called valid.
    let is_gone = code == Some(0) || (code == Some(2) && operations > 0);
    assert!(is_gone, "{bug}, mended: {said}");
    let story = std::fs::read_to_string(trial.join("shrunk/story.txt")).unwrap();
    assert!(story.contains("<-- contradicts"), "{bug}: {story}");
    let page = std::fs::read_to_string(trial.join("shrunk/report/index.html")).unwrap();
    assert!(page.contains("How it came about"), "{bug}");
}

#[test]
fn a_trial_written_out_as_a_script_is_the_same_run() {
    let folder = Folder::new("script");
    // In the third operators wait for answers, and some strikes are not done in time.
    let trials = [
        "--workload register --rate 50 --time-limit 20s --seed 4",
        "--workload bank --rate 50 --time-limit 20s --seed 4",
        "--bug vote-twice --priorities 3 --time-limit 20s --seed 3",
        "--bug forget-term --vary --time-limit 20s --seed 5",
        // A node dies in the midst of a step, in which a script's trace tells more.
        "--bug membership-before-commit --vary --workload set --nodes 4 --rate 150 --time-limit 60s --seed 67",
    ];
    for flags in trials {
        let (code, said) = folder.run(&format!("test --sim --nemesis all {flags}"));
        let is_known = code == Some(0) || (flags.contains("--bug") && code == Some(1));
        assert!(is_known, "{said}");
        let trial = folder.0.join("store/latest").canonicalize().unwrap();
        let mut plan = judge::plan(&trial).unwrap();
        let history = std::fs::read(trial.join("history.jsonl")).unwrap();
        let recording = elenchus_core::format::jsonl::read(&history).unwrap();
        let sought = Sought { checker: "linearizability".into(), class: "none".into() };
        plan.script = Some(Script::of(&plan, &recording.history, sought).unwrap());
        let again = Performance::whole(&Registry::builtin(), &plan).unwrap().rehearsal.history;
        // Faults that could not be brought about, and whose targets were chosen late, are told otherwise.
        let clients = |bytes: &[u8]| -> Vec<String> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let is_client = |line: &&str| line.contains("\"type\"") && !line.contains("\"nemesis\"");
            let without_index = |line: &str| line.split_once(',').map(|(_, rest)| rest.to_owned());
            text.lines().filter(is_client).filter_map(without_index).collect()
        };
        let (then, now) = (clients(&history), clients(&again));
        assert!(then.len() > 1_000, "{} events", then.len());
        let differs = then.iter().zip(&now).position(|(then, now)| then != now);
        assert_eq!(differs.map(|at| (&then[at], &now[at])), None);
        assert_eq!(then.len(), now.len());
    }
}

#[test]
fn what_is_left_is_the_fault_of_the_bug_and_not_of_what_was_asked() {
    // An element that is added twice is there twice, whoever keeps it.
    let folder = Folder::new("own-fault");
    let flags = "--vary --workload set --rate 150 --time-limit 20s --nemesis all --bug session-expires-early --seed 1";
    let (code, said) = folder.run(&format!("test --sim {flags}"));
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = folder.run("shrink store/latest --time 20s");
    assert_eq!(code, Some(0), "{said}");
    let shrunk = folder.0.join("store/latest/shrunk/shrunk.json");
    let plan: TrialPlan = judge::read_json(&shrunk).unwrap();
    let text = serde_json::to_string(&TrialPlan { bugs: Vec::new(), ..plan }).unwrap();
    std::fs::write(folder.0.join("mended.json"), text).unwrap();
    let (code, said) = folder.run("replay mended.json");
    assert!(code == Some(0) || code == Some(2), "{said}");
}

#[test]
fn shrinking_ends_at_its_time_even_in_the_midst_of_a_trial() {
    let folder = Folder::new("overdue");
    let (code, said) =
        folder.run("test --sim --bug follower-read --workload register --time-limit 10s --rate 100 --seed 1");
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = folder.run("shrink store/latest --time 1ms");
    assert!(code == Some(255) && said.contains("give it a longer --time"), "{code:?} {said}");
}

#[test]
fn what_is_no_script_or_not_invalid_is_refused_by_name() {
    let folder = Folder::new("no-script");
    for (text, what) in [("{", "EOF"), ("{}", "missing field"), ("[]", "invalid")] {
        std::fs::write(folder.0.join("bad.json"), text).unwrap();
        let (code, said) = folder.run("replay bad.json");
        assert!(code == Some(254) && said.contains("bad.json") && said.contains(what), "{said}");
    }
    let (code, said) = folder.run("test --sim --time-limit 2s --seed 1");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = folder.run("shrink store/latest");
    assert!(code == Some(254) && said.contains("nothing to shrink"), "{said}");
    let (code, said) = folder.run("shrink store/latest/history.jsonl");
    assert!(code == Some(254) && said.contains("history.jsonl"), "{said}");
    let plan = folder.0.join("store/latest/plan.json");
    let (code, said) = folder.run(&format!("replay {}", plan.display()));
    assert!(code == Some(0) && said.contains("identical"), "a plan is replayed as its folder is: {said}");
}

/// What a person needs; the reason stands above each. The seed is the first from 1 on that shows the bug.
const MINIMA: [Minimum; 10] = [
    // The leader counts itself as enough for its own first entry.
    Minimum { bug: "commit-minority", seed: 1, strikes: 0, operations: 0, nodes: 3 },
    // Somebody who has voted is killed and started again.
    Minimum { bug: "forget-vote", seed: 1, strikes: 1, operations: 0, nodes: 3 },
    // A write, and a read from a follower that has not heard of it.
    Minimum { bug: "follower-read", seed: 1, strikes: 0, operations: 2, nodes: 3 },
    // The leader cut off; a write to the others, a read from it.
    Minimum { bug: "stale-read", seed: 1, strikes: 1, operations: 2, nodes: 3 },
    // A write that is answered too early, and a read before it is applied.
    Minimum { bug: "ack-before-commit", seed: 1, strikes: 0, operations: 2, nodes: 3 },
    // A follower acknowledges the leader's first entry.
    Minimum { bug: "ack-before-sync", seed: 1, strikes: 0, operations: 0, nodes: 3 },
    // A write, and two that change what it wrote.
    Minimum { bug: "cas-decided-at-propose", seed: 1, strikes: 0, operations: 3, nodes: 3 },
    // A write to a leader that is cut off before it can say more than that it no longer leads, and a read.
    Minimum { bug: "doubt-as-failure", seed: 7, strikes: 1, operations: 2, nodes: 3 },
    // Two stand for election at once.
    Minimum { bug: "vote-twice", seed: 6, strikes: 0, operations: 0, nodes: 3 },
    // A leader that is cut off takes a write; it is back when the next leader's log is longer.
    Minimum { bug: "append-skips-prev-check", seed: 1, strikes: 1, operations: 1, nodes: 3 },
];

#[test]
fn three_bugs_shrink_to_at_most_twice_what_a_person_needs() {
    MINIMA[..3].iter().for_each(is_shrunk);
}

/// `cargo test --test sim -- --ignored shrink`: several minutes.
#[test]
#[ignore = "takes minutes"]
fn seven_more_bugs_shrink_to_at_most_twice_what_a_person_needs() {
    MINIMA[3..].iter().for_each(is_shrunk);
}
