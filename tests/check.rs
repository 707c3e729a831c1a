//! `elenchus check` as its users meet it: files in, verdicts, exit codes and pages out.

mod common;

use common::{Store, elenchus, expect_code, json, program, required, text};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const STALE: &str = r#"{"process":0,"type":"invoke","f":"write","value":1}
{"process":0,"type":"ok","f":"write","value":1}
{"process":1,"type":"invoke","f":"write","value":2}
{"process":1,"type":"ok","f":"write","value":2}
{"process":2,"type":"invoke","f":"read","value":null}
{"process":2,"type":"ok","f":"read","value":1}
"#;

const FRESH: &str = r#"{"process":0,"type":"invoke","f":"write","value":1}
{"process":0,"type":"ok","f":"write","value":1}
{"process":2,"type":"invoke","f":"read","value":null}
{"process":2,"type":"ok","f":"read","value":1}
"#;

impl Store {
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("our own folder");
        path.to_str().expect("text").to_owned()
    }
}

/// Runs the program with this on its standard input.
fn fed(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that refuses its input early is no failure here.
    let _ = child.stdin.take().expect("piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn line_of(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(&output.stdout)))
}

#[track_caller]
fn refused(arguments: &[&str], words: &[&str]) {
    let output = elenchus(arguments);
    expect_code(&output, 254);
    let said = text(&output.stderr);
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

#[test]
fn a_history_that_lies_is_invalid_and_the_guilty_read_is_named() {
    let store = Store::new("lie");
    let output = elenchus(&["check", &store.file("h.jsonl", STALE)]);
    expect_code(&output, 1);
    assert!(text(&output.stdout).contains("process 2"), "{}", text(&output.stdout));
}

#[test]
fn what_is_malformed_is_told_with_file_line_and_column() {
    let store = Store::new("malformed");
    let ends = store.file("ends.jsonl", "{\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"value\":1}\n");
    refused(&["check", &ends], &["ends.jsonl", "line 1, column 1", "expected an invocation"]);
    let broken = store.file("broken.jsonl", STALE.replace("\"f\":\"read\"", "\"f\":"));
    refused(&["check", &broken], &["broken.jsonl", "line 5", "expected a value"]);
    // That a cas takes two values is the model's knowledge, not the format's.
    let cas = "{:process 0 :type :invoke :f :write :value 1}\n{:process 0 :type :ok :f :write :value 1}\n\n \
               {:process 0 :type :invoke :f :cas :value 5}\n";
    let cas = store.file("cas.edn", cas);
    refused(&["check", &cas, "--model", "cas-register"], &["cas.edn", "line 4, column 2", "[from to]"]);
    refused(&["check", "no-such-file"], &["no-such-file"]);
    refused(&["check", &cas, "--model", "poem"], &["poem", "register"]);
    refused(&["check", &cas, "--format", "xml"], &["xml", "porcupine-json"]);
    refused(&["check", &cas, "--initial", "("], &["--initial"]);
    refused(&["check", "-", "-"], &["only once"]);
}

#[test]
fn one_bad_file_among_many_does_not_silence_the_others() {
    let store = Store::new("many");
    let (stale, fresh) = (store.file("stale.jsonl", STALE), store.file("fresh.jsonl", FRESH));
    let broken = store.file("broken.jsonl", "{\n{}\n");
    let output = elenchus(&["check", &fresh, &broken, &stale, &fresh]);
    expect_code(&output, 1);
    let said = text(&output.stdout);
    assert_eq!(said.lines().count(), 3, "a line each: {said}");
    assert!(said.lines().nth(1).is_some_and(|line| line.contains("invalid")), "{said}");
    expect_code(&elenchus(&["check", &fresh, &broken]), 254);
    expect_code(&elenchus(&["check", &fresh, &fresh]), 0);
    let with_evidence = elenchus(&["check", &fresh, &stale, "--evidence"]);
    assert!(text(&with_evidence.stdout).lines().count() > 3, "{}", text(&with_evidence.stdout));
}

#[test]
fn every_format_is_recognised_by_its_content() {
    let store = Store::new("formats");
    let edn =
        "{:process 0, :type :invoke, :f :write, :value 1}\n{:process 0, :type :ok, :f :write, :value 1}\n";
    let log = "INFO  jepsen - 0\t:invoke\t:write\t1\nINFO  jepsen - 0\t:ok\t:write\t1\n";
    let porcupine = r#"[{"ClientId":0,"Input":{"op":"write","value":1},"Call":1,"Output":{},"Return":5}]"#;
    for (content, format) in
        [(FRESH, "jsonl"), (edn, "edn"), (log, "jepsen-log"), (porcupine, "porcupine-json")]
    {
        let file = store.file(format, content);
        let output = elenchus(&["check", &file, "--json"]);
        expect_code(&output, 0);
        let told = line_of(&output);
        assert_eq!(
            (told["format"].as_str(), told["model"].as_str()),
            (Some(format), Some("register")),
            "{told}"
        );
    }
    expect_code(&elenchus(&["check", &store.file("lines", edn), "--format", "edn-lines"]), 0);
}

#[test]
fn a_guessed_model_accuses_nobody_whom_another_would_acquit() {
    let store = Store::new("plain");
    let mut lines = String::new();
    for (f, asked, answered) in
        [("enqueue", "1", "1"), ("enqueue", "2", "2"), ("dequeue", "null", "2"), ("dequeue", "null", "1")]
    {
        lines += &format!("{{\"process\":0,\"type\":\"invoke\",\"f\":\"{f}\",\"value\":{asked}}}\n");
        lines += &format!("{{\"process\":0,\"type\":\"ok\",\"f\":\"{f}\",\"value\":{answered}}}\n");
    }
    let unordered = store.file("unordered.jsonl", &lines);
    let output = elenchus(&["check", &unordered]);
    expect_code(&output, 2);
    let said = text(&output.stdout);
    assert!(said.contains("as a fifo-queue it is invalid, as a bag valid"), "{said}");
    expect_code(&elenchus(&["check", &unordered, "--model", "fifo-queue"]), 1);
    expect_code(&elenchus(&["check", &unordered, "--model", "bag"]), 0);
    let doubled = store.file(
        "doubled.jsonl",
        lines.replace("\"ok\",\"f\":\"dequeue\",\"value\":1", "\"ok\",\"f\":\"dequeue\",\"value\":2"),
    );
    let output = elenchus(&["check", &doubled]);
    expect_code(&output, 1);
    let said = text(&output.stdout);
    assert!(said.contains("taken for a fifo-queue"), "what was guessed is named: {said}");
}

#[test]
fn who_acquires_thrice_may_have_had_a_semaphore() {
    let store = Store::new("permits");
    let op = |process: u32, f: &str| {
        ["invoke", "ok"]
            .map(|kind| {
                format!("{{\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":null}}\n")
            })
            .concat()
    };
    let thrice = store.file("thrice.jsonl", [op(0, "acquire"), op(1, "acquire"), op(2, "acquire")].concat());
    let output = elenchus(&["check", &thrice]);
    expect_code(&output, 2);
    let said = text(&output.stdout);
    assert!(said.contains("as a semaphore of enough permits valid"), "{said}");
    expect_code(&elenchus(&["check", &thrice, "--model", "mutex"]), 1);
    expect_code(&elenchus(&["check", &thrice, "--model", "semaphore", "--initial", "3"]), 0);
    // No number of permits explains a release of what nobody acquired.
    let early = store.file("early.jsonl", [op(0, "release"), op(1, "acquire")].concat());
    expect_code(&elenchus(&["check", &early]), 1);
}

/// What a trial of the map in memory recorded: the line that says what it is of, and the events.
fn recorded(workload: &[&str]) -> (String, Vec<serde_json::Value>) {
    let store = Store::new(&format!("recorded-{}", workload.concat()));
    let path = store.0.to_str().expect("text");
    let how = ["--system", "memory", "--nodes", "3", "--rate", "200", "--time-limit", "2s", "--seed", "3"];
    expect_code(&elenchus(&[&["test", "--store", path, "-w"], workload, &how[..]].concat()), 0);
    let lines = std::fs::read_to_string(store.latest().join("history.jsonl")).expect("a history");
    let (header, events) = lines.split_once('\n').expect("a header");
    (format!("{header}\n"), events.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

fn lines(events: &[serde_json::Value]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect()
}

/// The events of this kind that have a completion's value.
fn answered<'e>(
    events: &'e mut [serde_json::Value],
    f: &'e str,
) -> impl Iterator<Item = &'e mut serde_json::Value> {
    events.iter_mut().filter(move |event| event["type"] == "ok" && event["f"] == f)
}

/// Judges these events by the model that is guessed and by the model that is named; both say the same.
fn expect_both(
    store: &Store,
    (header, events): &(String, Vec<serde_json::Value>),
    model: &str,
    code: i32,
    word: &str,
) {
    // Without its header nothing but the operations says what it is of.
    for header in [header, ""] {
        let file = store.file("h.jsonl", header.to_owned() + &lines(events));
        for more in [&[][..], &["--model", model]] {
            let output = elenchus(&[&["check", &file], more].concat());
            expect_code(&output, code);
            assert!(text(&output.stdout).contains(word), "{}", text(&output.stdout));
        }
        let told = line_of(&elenchus(&["check", &file, "--json"]));
        assert_eq!(told["model"], model, "{told}");
    }
}

#[test]
fn recorded_watches_are_judged_and_a_change_that_one_did_not_show_is_a_gap() {
    let (store, mut history) = (Store::new("watches"), recorded(&["watch"]));
    expect_both(&store, &history, "watch", 0, "watch");
    let long = answered(&mut history.1, "watch")
        .find(|watch| watch["value"]["changes"].as_array().is_some_and(|changes| changes.len() > 2));
    long.expect("a watch of several changes")["value"]["changes"].as_array_mut().expect("a list").remove(1);
    expect_both(&store, &history, "watch", 1, "gap");
}

#[test]
fn recorded_locks_are_judged_by_whether_two_held_them_at_once() {
    let (store, mut history) = (Store::new("locks"), recorded(&["lock"]));
    expect_both(&store, &history, "guarded-set", 0, "mutual-exclusion");
    // Somebody else is granted the lock while its holder has it.
    let events = &mut history.1;
    let at = events.iter().position(|event| event["type"] == "ok" && event["f"] == "acquire");
    let at = at.expect("somebody acquires");
    let (asked, granted) = {
        let (mut asked, mut granted) = (events[at].clone(), events[at].clone());
        for event in [&mut asked, &mut granted] {
            event["process"] = 9999.into();
            event.as_object_mut().expect("an event").remove("index");
        }
        (asked["type"], asked["value"]) = ("invoke".into(), serde_json::Value::Null);
        granted["value"] = serde_json::Value::Null;
        (asked, granted)
    };
    events.splice(at + 1..=at, [asked, granted]);
    events.iter_mut().for_each(|event| drop(event.as_object_mut().map(|event| event.remove("index"))));
    expect_both(&store, &history, "guarded-set", 1, "9999");
}

#[test]
fn recorded_fenced_locks_are_judged_by_their_tokens_and_what_they_guard() {
    let (store, mut history) = (Store::new("fenced"), recorded(&["lock", "--fencing"]));
    expect_both(&store, &history, "fenced-guarded-set", 0, "fencing-tokens");
    refused(
        &["check", &store.file("f.jsonl", lines(&history.1)), "--model", "guarded-set"],
        &["fenced-guarded-set"],
    );
    let lost = answered(&mut history.1, "add").next().expect("somebody adds")["value"]["element"].clone();
    for read in answered(&mut history.1, "read") {
        read["value"].as_array_mut().expect("elements").retain(|element| *element != lost);
    }
    expect_both(&store, &history, "fenced-guarded-set", 1, "set-full");
}

#[test]
fn what_would_examine_nothing_is_refused() {
    let store = Store::new("nothing");
    let header = store.file("none.tsv", "file\tmodel\n");
    refused(&["check", "--manifest", &header], &["none.tsv", "nothing would be examined"]);
    refused(&["check", &store.file("h.jsonl", FRESH), "--memory", "10"], &["--memory", "1MiB"]);
}

#[test]
fn a_table_of_transitions_is_a_model() {
    let store = Store::new("table");
    let row =
        |f: &str, from: &str, then: &str| format!("[[transition]]\nf = \"{f}\"\nfrom = \"{from}\"\n{then}\n");
    let rows = [
        row("press", "off", "to = \"on\""),
        row("press", "on", "to = \"off\""),
        row("look", "on", "answer = \"on\""),
        row("look", "off", "answer = \"off\""),
    ];
    let light = store.file("light.toml", format!("initial = \"off\"\n{}", rows.concat()));
    let history = |seen: &str| {
        format!(
            r#"{{"process":0,"type":"invoke","f":"press","value":null}}
{{"process":0,"type":"ok","f":"press","value":null}}
{{"process":0,"type":"invoke","f":"look","value":null}}
{{"process":0,"type":"ok","f":"look","value":"{seen}"}}
"#
        )
    };
    let (on, off) = (store.file("on.jsonl", history("on")), store.file("off.jsonl", history("off")));
    expect_code(&elenchus(&["check", &on, "--model", &light]), 0);
    expect_code(&elenchus(&["check", &off, "--model", &light]), 1);
    expect_code(&elenchus(&["check", &off, "--model", &light, "--initial", "\"on\""]), 0);
    let manifest = store.file("m.tsv", "file\tmodel\tverdict\noff.jsonl\tlight.toml\tinvalid\n");
    expect_code(&elenchus(&["check", "--manifest", &manifest]), 0);
    let broken = store.file("broken.toml", "initial = \"off\"\ntransition = 5\n");
    refused(&["check", &on, "--model", &broken], &["broken.toml", "line 2"]);
}

#[test]
fn registers_can_be_judged_by_weaker_conditions() {
    let store = Store::new("conditions");
    let stale = store.file("stale.jsonl", STALE);
    expect_code(&elenchus(&["check", &stale, "--condition", "sequential"]), 0);
    let both =
        elenchus(&["check", &stale, "--condition", "sequential", "--condition", "linearizability", "--json"]);
    expect_code(&both, 1);
    assert_eq!(line_of(&both)["verdicts"].as_array().map(Vec::len), Some(2));
    refused(&["check", &stale, "--condition", "eventual"], &["eventual", "sequential", "linearizability"]);
    refused(&["check", &stale, "--condition", "sequential", "--model", "set"], &["registers"]);
}

#[test]
fn standard_input_and_compressed_files_are_read() {
    expect_code(&fed(&["check", "-"], STALE.as_bytes()), 1);
    expect_code(&fed(&["check", "-"], FRESH.as_bytes()), 0);
    let store = Store::new("packed");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(STALE.as_bytes()).expect("memory");
    let gzip = packer.finish().expect("memory");
    let raw =
        ruzstd::encoding::compress_to_vec(STALE.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    expect_code(&elenchus(&["check", &store.file("h.gz", &gzip)]), 1);
    expect_code(&elenchus(&["check", &store.file("h.zst", &raw)]), 1);
    expect_code(&fed(&["check", "-"], &raw), 1);
    // Two frames are one history; half of one is an error.
    let (first, second) = STALE.split_at(STALE.len() / 2);
    let frames = [first, second].map(|part| {
        ruzstd::encoding::compress_to_vec(part.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
    });
    expect_code(&elenchus(&["check", &store.file("two.zst", frames.concat())]), 1);
    refused(&["check", &store.file("cut.zst", &raw[..raw.len() - 9])], &["cut.zst", "zstd"]);
    refused(&["check", &store.file("cut.gz", &gzip[..gzip.len() - 9])], &["cut.gz", "gzip"]);
}

#[test]
fn only_the_keys_asked_for_are_judged() {
    let store = Store::new("keys");
    let keyed = |key: &str, text: &str, offset: u32| {
        let mut lines = text.replace("\"f\"", &format!("\"key\":\"{key}\",\"f\""));
        for process in 0..3 {
            let (from, to) =
                (format!("\"process\":{process},"), format!("\"process\":{},", process + offset));
            lines = lines.replace(&from, &to);
        }
        lines
    };
    let file = store.file("k.jsonl", keyed("good", FRESH, 10) + &keyed("bad", STALE, 20));
    expect_code(&elenchus(&["check", &file]), 1);
    expect_code(&elenchus(&["check", &file, "--key", "good"]), 0);
    expect_code(&elenchus(&["check", &file, "--key", "\"bad\""]), 1);
    expect_code(&elenchus(&["check", &file, "--key", "good", "--key", "bad"]), 1);
    refused(&["check", &file, "--key", "ugly"], &["ugly", "\"good\""]);
}

#[test]
fn tuples_of_independent_keys_are_taken_apart() {
    let store = Store::new("tuples");
    // As one register, the read of key 2 would be a violation.
    let tuples = "{:process 0 :type :invoke :f :write :value [1 7]}\n{:process 0 :type :ok :f :write :value [1 7]}\n\
                  {:process 1 :type :invoke :f :read :value [2 nil]}\n{:process 1 :type :ok :f :read :value [2 5]}\n\
                  {:process 1 :type :invoke :f :read :value [1 nil]}\n{:process 1 :type :ok :f :read :value [1 7]}\n";
    let file = store.file("t.edn", tuples);
    let output = elenchus(&["check", &file, "--initial", "5"]);
    expect_code(&output, 0);
    assert!(text(&output.stderr).contains("--tuples no"), "{}", text(&output.stderr));
    expect_code(&elenchus(&["check", &file, "--initial", "5", "--key", "1"]), 0);
    expect_code(&elenchus(&["check", &file, "--initial", "5", "--tuples", "no"]), 1);
    expect_code(&elenchus(&["check", &file, "--initial", "4", "--tuples", "yes"]), 1);
}

#[test]
fn an_empty_history_is_no_pass() {
    let store = Store::new("empty");
    expect_code(&elenchus(&["check", &store.file("e.jsonl", "")]), 2);
    let strange = "{\"process\":0,\"type\":\"invoke\",\"f\":\"dance\",\"value\":1}\n";
    let output = elenchus(&["check", &store.file("s.jsonl", strange)]);
    expect_code(&output, 2);
    assert!(text(&output.stdout).contains("dance"), "{}", text(&output.stdout));
}

#[test]
fn a_manifest_says_what_agrees_and_disagreement_is_a_failure_of_its_own() {
    let store = Store::new("manifest");
    store.file("stale.jsonl", STALE);
    store.file("fresh.jsonl", FRESH);
    let good = "file\tformat\tmodel\tinitial\tverdict\nstale.jsonl\tjsonl\tregister\tnil\tinvalid\nfresh.jsonl\t\t\t\tvalid\n";
    let good = store.file("good.tsv", good);
    let output = elenchus(&["check", "--manifest", &good]);
    expect_code(&output, 0);
    let said = text(&output.stdout);
    let last = "2 histories: 1 valid, 1 invalid; all 2 as expected";
    assert_eq!(said.lines().last(), Some(last), "{said}");
    let bad = store.file("bad.tsv", "file\tverdict\nstale.jsonl\tinvalid\nfresh.jsonl\tinvalid\n");
    let output = elenchus(&["check", "--manifest", &bad]);
    expect_code(&output, 255);
    assert!(text(&output.stdout).contains("fresh.jsonl: valid (DISAGREES: expected invalid)"));
    let silent = store.file("silent.tsv", "file\nstale.jsonl\n");
    expect_code(&elenchus(&["check", "--manifest", &silent]), 1);
    let output = elenchus(&["check", "--manifest", &good, "--json"]);
    let last = text(&output.stdout).lines().last().map(serde_json::from_str::<serde_json::Value>);
    assert_eq!(last.expect("lines").expect("JSON")["summary"]["agree"], 2);
    refused(
        &["check", "--manifest", &store.file("no.tsv", "file\tcolour\n")],
        &["no.tsv", "line 1", "colour"],
    );
}

#[test]
fn the_report_of_a_recorded_history_is_the_page_of_live_trials() {
    let store = Store::new("page");
    let (stale, folder) = (store.file("h.jsonl", STALE), store.0.join("page"));
    let into = folder.to_str().expect("text");
    let output = elenchus(&["check", &stale, "--report", into]);
    expect_code(&output, 1);
    assert!(text(&output.stdout).contains("page/report/index.html"), "{}", text(&output.stdout));
    let page = std::fs::read_to_string(folder.join("report/index.html")).expect("a page");
    assert!(page.contains("id=\"anomaly-0\"") && page.contains("bears no times"), "{page}");
    assert_eq!(json(&folder.join("verdicts.json"))["validity"], "invalid");
    // Again into the same folder; never over what no check left.
    expect_code(&elenchus(&["check", &stale, "--report", into]), 1);
    let own = store.0.join("own");
    std::fs::create_dir(&own).expect("our own folder");
    std::fs::write(own.join("history.jsonl"), FRESH).expect("our own folder");
    let output = elenchus(&["check", &stale, "--report", own.to_str().expect("text")]);
    assert!(text(&output.stderr).contains("choose another folder"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(own.join("history.jsonl")).expect("it is there"), FRESH);
    // What a check left can be checked again.
    expect_code(&elenchus(&["check", into]), 1);
    let foreign = store.0.join("foreign");
    std::fs::create_dir(&foreign).expect("our own folder");
    std::fs::write(foreign.join("verdicts.json"), "precious").expect("our own folder");
    let output = elenchus(&["check", &stale, "--report", foreign.to_str().expect("text")]);
    assert!(text(&output.stderr).contains("choose another folder"), "{}", text(&output.stderr));
    assert_eq!(std::fs::read_to_string(foreign.join("verdicts.json")).expect("it is there"), "precious");
    let many = store.0.join("pages");
    expect_code(&elenchus(&["check", &stale, &stale, "--report", many.to_str().expect("text")]), 1);
    assert!(many.join("001-h/report/index.html").is_file() && many.join("002-h/report/index.html").is_file());
}

#[test]
fn a_likely_mistake_of_the_recording_is_told_beside_the_verdict() {
    let store = Store::new("lint");
    let aborted = r#"{"process":0,"type":"invoke","f":"write","value":1}
{"process":0,"type":"fail","f":"write","value":1,"error":"timeout"}
{"process":2,"type":"invoke","f":"read","value":null}
{"process":2,"type":"ok","f":"read","value":1}
"#;
    let output = elenchus(&["check", &store.file("h.jsonl", aborted), "--json"]);
    expect_code(&output, 1);
    let told = line_of(&output);
    assert_eq!(told["lints"][0]["mistake"], "doubt-as-fail");
    let output = elenchus(&["check", &store.file("h.jsonl", aborted)]);
    assert!(text(&output.stderr).contains("warning: event 1"), "{}", text(&output.stderr));
    assert_eq!(
        text(&output.stdout).matches("the client may be at fault").count(),
        1,
        "{}",
        text(&output.stdout)
    );
}

/// A history of one register a key, each valid by itself unless its name says otherwise. The key `stuck` is
/// the shortest, so that it is examined last even where there is only one thread.
fn history_with(keys: &[(&str, usize, bool)]) -> String {
    let mut lines = String::new();
    let mut event = |kind: &str, f: &str, key: &str, value: String| {
        lines += &format!(
            "{{\"process\":0,\"type\":\"{kind}\",\"f\":\"{f}\",\"key\":\"{key}\",\"value\":{value}}}\n"
        );
    };
    for (key, writes, lies) in keys {
        for value in 0..*writes {
            event("invoke", "write", key, value.to_string());
            event("ok", "write", key, value.to_string());
        }
        let seen = if *lies { 0 } else { writes - 1 };
        event("invoke", "read", key, "null".into());
        event("ok", "read", key, seen.to_string());
    }
    lines
}

/// Judges a history whose key `stuck` meets an adversary; the verdict, and how long it took.
fn against(adversary: &str, file: &str, more: &[&str]) -> (Output, Duration) {
    let began = Instant::now();
    let output = elenchus(&[&["check", file, "--model", adversary, "--json"], more].concat());
    (output, began.elapsed())
}

#[test]
fn a_step_that_never_returns_ends_in_time_and_the_other_keys_are_kept() {
    let store = Store::new("sleeps");
    let good =
        store.file("good.jsonl", history_with(&[("a", 9, false), ("b", 9, false), ("stuck", 1, false)]));
    let (output, took) = against("adversary-sleeps", &good, &["--timeout", "1s"]);
    expect_code(&output, 2);
    // Starting two processes on a busy machine takes time as well.
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
    let verdict = &line_of(&output)["verdicts"][0];
    let why = verdict["why"].as_str().expect("a reason");
    assert!(why.starts_with("1 of 3 keys were not decided: the time allowed (1s) ran out"), "{why}");
    assert_eq!(verdict["figures"]["keys_unknown"], 1);
    let bad = store.file("bad.jsonl", history_with(&[("a", 9, true), ("b", 9, false), ("stuck", 1, false)]));
    let (output, _) = against("adversary-sleeps", &bad, &["--timeout", "1s"]);
    expect_code(&output, 1);
    let verdict = &line_of(&output)["verdicts"][0];
    assert_eq!(verdict["anomalies"][0]["key"], "\"a\"", "{verdict}");
}

#[test]
fn a_step_that_allocates_for_ever_ends_and_the_other_keys_are_kept() {
    let store = Store::new("allocates");
    let keys = [("a", 9, false), ("b", 9, false), ("stuck", 1, false)];
    let file = store.file("h.jsonl", history_with(&keys));
    let (output, took) = against("adversary-allocates", &file, &["--memory", "64MiB", "--timeout", "60s"]);
    expect_code(&output, 2);
    assert!(took < Duration::from_secs(30), "{took:?}");
    let told = line_of(&output);
    let why = told["verdicts"][0]["why"].as_str().expect("a reason");
    assert!(why.contains("of 3 keys were not decided: the memory allowed (64MiB) ran out"), "{why}");
}

#[test]
fn a_check_that_dies_leaves_the_next_file_its_own() {
    let store = Store::new("aborts");
    let stuck = store.file("stuck.jsonl", history_with(&[("stuck", 1, false)]));
    let free = store.file("free.jsonl", history_with(&[("a", 2, true)]));
    let output = elenchus(&["check", &stuck, &free, &stuck, "--model", "adversary-aborts"]);
    expect_code(&output, 1);
    let said = text(&output.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].contains("unknown") && lines[0].contains("SIGABRT"), "{said}");
    assert!(lines[1].contains("invalid") && lines[2].contains("unknown"), "{said}");
}

#[test]
fn a_key_that_kills_the_check_costs_no_other_key_its_verdict() {
    let store = Store::new("kills");
    // The longest key is examined first, so that nothing is decided when the process dies.
    let keys = [("stuck", 40, false), ("a", 30, false), ("b", 20, true), ("stuck-too", 10, false)];
    for (adversary, words) in [
        ("adversary-aborts", "the check crashed (killed by SIGABRT)"),
        ("adversary-allocates", "the memory allowed (64MiB) ran out"),
    ] {
        let good = [&keys[..2], &keys[3..], &[("b", 20, false)]].concat();
        let good = store.file("good.jsonl", history_with(&good));
        let (output, _) = against(adversary, &good, &["--memory", "64MiB"]);
        expect_code(&output, 2);
        let verdict = &line_of(&output)["verdicts"][0];
        assert_eq!(
            (&verdict["figures"]["keys"], &verdict["figures"]["keys_unknown"]),
            (&4.into(), &2.into())
        );
        let why = verdict["why"].as_str().expect("a reason");
        assert!(why.starts_with(&format!("2 of 4 keys were not decided: {words}")), "{why}");
        let bad = store.file("bad.jsonl", history_with(&keys));
        let (output, _) = against(adversary, &bad, &["--memory", "64MiB"]);
        expect_code(&output, 1);
        let verdict = &line_of(&output)["verdicts"][0];
        let figures = &verdict["figures"];
        assert_eq!((&figures["keys_invalid"], &figures["keys_unknown"]), (&1.into(), &2.into()), "{verdict}");
        let anomaly = &verdict["anomalies"][0];
        assert_eq!((&anomaly["key"], &anomaly["class"]), (&"\"b\"".into(), &"nonlinearizable".into()));
        // The evidence is worked out as well: the write of what was read, the last one, and the read.
        assert_eq!(anomaly["operations"].as_array().map(Vec::len), Some(3), "{anomaly}");
    }
}

#[test]
fn standard_input_is_judged_between_files_and_not_read_twice() {
    let store = Store::new("between");
    let (fresh, stale) = (store.file("fresh.jsonl", FRESH), store.file("stale.jsonl", STALE));
    let output = fed(&["check", &fresh, "-", &stale], FRESH.as_bytes());
    expect_code(&output, 1);
    assert_eq!(text(&output.stdout).lines().filter(|line| line.contains(": valid")).count(), 2);
    // What a process died of cannot be tried again where it cannot be read again.
    let stuck = history_with(&[("stuck", 9, false), ("a", 1, false)]);
    expect_code(&fed(&["check", "-", "--model", "adversary-aborts"], stuck.as_bytes()), 2);
}

/// The folder of a trial whose history holds these keys and whose judge is an adversary.
fn trial_against(store: &Store, adversary: &str, keys: &[(&str, usize, bool)]) -> PathBuf {
    let path = store.0.to_str().expect("text");
    let limits = ["--time-limit", "200ms", "--check-timeout", "1s", "--check-memory", "64MiB"];
    expect_code(&elenchus(&[&["test", "--system", "memory", "--store", path], &limits[..]].concat()), 0);
    let folder = store.latest();
    let plan = std::fs::read_to_string(folder.join("plan.json")).expect("a plan");
    let mut plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    plan["workload"] = adversary.into();
    std::fs::write(folder.join("plan.json"), plan.to_string()).expect("our own folder");
    std::fs::write(folder.join("history.jsonl"), history_with(keys)).expect("our own folder");
    std::fs::remove_file(folder.join("verdicts.json")).expect("it was there");
    folder
}

#[test]
fn the_folder_of_a_trial_is_judged_in_time_whatever_its_judge_does() {
    for (adversary, words) in [
        ("adversary-sleeps", "the time allowed (1s) ran out"),
        ("adversary-allocates", "the memory allowed (64MiB) ran out"),
    ] {
        let store = Store::new(adversary);
        let keys = [("a", 9, false), ("b", 9, false), ("stuck", 1, false)];
        let folder = trial_against(&store, adversary, &keys);
        let began = Instant::now();
        expect_code(&elenchus(&["check", folder.to_str().expect("text")]), 2);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        let kept = json(&folder.join("verdicts.json"));
        let verdicts = kept["verdicts"].as_array().expect("verdicts");
        let why = verdicts[0]["why"].as_str().expect("a reason");
        assert!(why.contains(&format!("1 of 3 keys were not decided: {words}")), "{why}");
        // Those who only observe have spoken.
        assert_eq!(verdicts.len(), 6, "{kept}");
        assert_eq!((&verdicts[1]["checker"], &kept["validity"]), (&"stats".into(), &"unknown".into()));
        std::fs::remove_file(folder.join("verdicts.json")).expect("it was there");
        expect_code(&elenchus(&["report", folder.to_str().expect("text")]), 0);
        assert_eq!(json(&folder.join("verdicts.json"))["validity"], "unknown");
    }
}

#[test]
fn a_trial_that_lied_is_invalid_whatever_its_judge_does() {
    let store = Store::new("lied");
    let folder =
        trial_against(&store, "adversary-aborts", &[("stuck", 20, false), ("a", 9, true), ("b", 9, false)]);
    expect_code(&elenchus(&["check", folder.to_str().expect("text")]), 1);
    assert_eq!(json(&folder.join("verdicts.json"))["verdicts"][0]["anomalies"][0]["key"], "\"a\"");
}

#[test]
fn where_nobody_took_times_words_speak_of_order_only() {
    let store = Store::new("order");
    let lines: String = [("write", 1, 1), ("write", 2, 2), ("read", 0, 1)]
        .iter()
        .flat_map(|(f, asked, answered)| {
            let asked = if *asked == 0 { "nil".to_owned() } else { asked.to_string() };
            [("invoke", asked), ("ok", answered.to_string())]
                .map(|(kind, value)| format!("{{:process 0 :type :{kind} :f :{f} :value {value}}}\n"))
        })
        .collect();
    let porcupine = r#"[{"ClientId":0,"Input":{"op":"write","value":1},"Call":1,"Output":{},"Return":2},
        {"ClientId":0,"Input":{"op":"write","value":2},"Call":3,"Output":{},"Return":4},
        {"ClientId":0,"Input":{"op":"read"},"Call":5,"Output":{"value":1},"Return":6}]"#;
    for (name, content) in [("h.edn", lines.as_str()), ("h.jsonl", STALE), ("h.json", porcupine)] {
        let folder = store.0.join(format!("{name}-page"));
        let file = store.file(name, content);
        let output = elenchus(&["check", &file, "--report", folder.to_str().expect("text")]);
        expect_code(&output, 1);
        let said = text(&output.stdout);
        assert!(said.contains("was acknowledged before that read began"), "{said}");
        let page = std::fs::read_to_string(folder.join("report/index.html")).expect("a page");
        let card = page.split("id=\"anomaly-0\"").nth(1).and_then(|rest| rest.split("</article>").next());
        let card = card.expect("an anomaly");
        assert!(card.contains("event 0") && !card.contains("0.000") && !card.contains(" ns"), "{card}");
    }
}

/// Histories that others recorded, each with its verdict. They are not part of the project.
#[test]
fn recorded_histories_get_their_known_verdicts() {
    let manifest: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/histories/manifest.tsv");
    if !manifest.is_file() {
        assert!(!required("histories"), "{} is missing", manifest.display());
        return eprintln!("skipped: there are no recorded histories at {}", manifest.display());
    }
    let output = elenchus(&["check", "--manifest", manifest.to_str().expect("text"), "--json"]);
    expect_code(&output, 0);
    let said = text(&output.stdout);
    let last: serde_json::Value = serde_json::from_str(said.lines().last().expect("lines")).expect("JSON");
    let summary = &last["summary"];
    assert_eq!((&summary["disagree"], &summary["unknown"]), (&0.into(), &0.into()), "{summary}");
    assert_eq!(summary["agree"], summary["files"], "{summary}");
    assert!(summary["files"].as_u64().is_some_and(|files| files > 100), "{summary}");
}
