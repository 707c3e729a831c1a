//! The report, end to end: a folder in, a page and pictures out, looked at in a browser.

#[path = "report/browser.rs"]
mod browser;
#[path = "report/synthetic.rs"]
mod synthetic;

use elenchus::report::operations::{Outcome, Role};
use elenchus::report::{Built, Story, build, folder, pictures};
use elenchus_core::event::Kind;
use elenchus_core::value::Value;
use elenchus_core::verdict::{Anomaly, Exhibit, Validity, Verdict};
use std::path::Path;
use synthetic::{Folder, Trial, event};

fn story_of(folder: &Folder) -> Story {
    Story::tell(&folder::Folder::read(&folder.0).expect("the folder is whole"))
}

fn built(folder: &Folder) -> (Built, String) {
    let built = build(&folder.0).expect("the folder is whole");
    assert_eq!(built.troubles, Vec::<String>::new());
    let page = folder.read("report/index.html");
    assert_balanced(&page);
    for id in [
        "verdict",
        "why",
        "plots",
        "latency-raw",
        "latency-quantiles",
        "rate",
        "open",
        "timeline",
        "lanes",
        "overview",
        "detail",
        "filters",
        "faults",
        "cluster",
        "statistics",
        "again",
        "errors",
        "data",
        "stream",
    ] {
        assert!(page.contains(&format!("id=\"{id}\"")), "no element #{id}");
    }
    for outside in ["http://", "https://", "<link rel=\"stylesheet", "src=\"", "@import", "url("] {
        assert!(!page.contains(outside), "the page reaches outside: {outside}");
    }
    (built, page)
}

fn names(built: &Built) -> Vec<&str> {
    built.pictures.iter().filter_map(|path| path.file_name()?.to_str()).collect()
}

/// Every element that is opened is closed, in order; scripts and styles hold no markup.
#[track_caller]
fn assert_balanced(page: &str) {
    const VOID: [&str; 6] = ["meta", "link", "input", "br", "img", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let tag = &rest[..rest.find('>').expect("a tag ends")];
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(
                open.pop(),
                Some(name),
                "closed what was not open, before: {}",
                &rest[..rest.len().min(80)]
            );
        } else if !VOID.contains(&name) && !tag.ends_with('/') {
            open.push(name);
            if name == "script" || name == "style" {
                rest = &rest[rest.find(&format!("</{name}>")).expect("a script ends")..];
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

#[test]
fn a_valid_trial_is_told_without_an_anomaly() {
    let folder = Trial::eventful("calm", 3_000, 10).write();
    let story = story_of(&folder);
    assert_eq!(story.validity, Validity::Valid);
    assert_eq!(story.why, "6 checkers examined this history and found every promise kept.");
    assert_eq!(story.operations.functions.len(), 3);
    assert_eq!((story.operations.lanes, story.operations.keys.len()), (10, 40));
    assert_eq!(story.drawn.len(), story.operations.all.len());
    let told: Vec<(&str, bool)> = story.faults.iter().map(|f| (f.fault.as_str(), f.hit)).collect();
    let expected = [("partition", true), ("kill", true), ("pause", true), ("clock", true), ("kill", false)];
    assert_eq!(told, expected);
    assert_eq!(story.faults[0].target, "halves: n1, n2 ⇎ n3, n4, n5");
    assert_eq!(story.faults[0].proof, "12 links cut; healed: 1,204 packets dropped");
    assert_eq!(story.faults[2].target, "whoever leads: n3");
    assert!(story.faults[4].proof.contains("already exited"), "{}", story.faults[4].proof);
    let leaders: Vec<_> = story.leaders.iter().map(|l| (l.node.as_str(), l.term.as_str())).collect();
    assert_eq!(leaders, [("n1", "1"), ("n3", "2"), ("n4", "4")]);
    assert_eq!(
        story.statistics.iter().map(|(group, rows)| (*group, rows.len())).collect::<Vec<_>>(),
        [("all", 1), ("function", 3), ("node", 5)]
    );
    let all = &story.statistics[0].1[0];
    assert_eq!(all.count, all.ended.iter().sum::<u64>());
    assert_eq!(story.remarks, Vec::<String>::new());

    let (built, page) = built(&folder);
    assert_eq!(names(&built), ["latency-raw.png", "latency-quantiles.png", "rate.png", "timeline.png"]);
    assert!(page.contains("<div class=\"banner valid\">") && !page.contains("id=\"anomalies\""));
    assert!(page.contains("id=\"faults-hit\"") && page.contains("id=\"faults-missed\""));
    assert!(
        page.contains(
            "elenchus test --workload register --nemesis partition,kill,pause,clock --seed 20140317"
        )
    );
    assert!(page.contains("user namespaces work here"));
    built.pictures.iter().for_each(|path| assert_png(path));
}

#[test]
fn a_stale_read_is_shown_with_the_operations_that_prove_it() {
    let folder = Trial::stale("register under fire", 3_000, 10).write();
    let story = story_of(&folder);
    assert_eq!(story.validity, Validity::Invalid);
    assert!(story.why.starts_with("linearizability: 1 of 40 keys is not linearizable"), "{}", story.why);
    assert_eq!((story.anomalies.len(), story.anomalies_untold), (1, 0));
    let scene = story.anomalies[0].scene.as_ref().expect("it has operations");
    assert_eq!(scene.bars.iter().filter(|bar| bar.guilty).count(), 1);
    assert_eq!(scene.bars.iter().filter(|bar| bar.evidence).count(), 3);
    assert!(!scene.bands.is_empty(), "faults were in force meanwhile");
    let roles = |role| story.operations.all.iter().filter(|op| op.role == role).count();
    assert_eq!((roles(Role::Guilty), roles(Role::Evidence)), (1, 2));

    let (built, page) = built(&folder);
    assert_eq!(names(&built), pictures::NAMES);
    assert!(page.contains("<div class=\"banner invalid\">") && page.contains("id=\"scene-0\""));
    assert!(page.contains("class=\"bar guilty\"") && page.contains("<tr class=\"guilty\">"));
    built.pictures.iter().for_each(|path| assert_png(path));
}

#[test]
fn of_many_anomalies_the_first_is_open_and_the_rest_is_counted() {
    let mut trial = Trial::stale("many of them", 2_000, 5);
    let anomaly = trial.verdicts[0].anomalies[0].clone();
    trial.verdicts[0].anomalies = vec![anomaly; 12];
    let folder = trial.write();
    let story = story_of(&folder);
    assert_eq!((story.anomalies.len(), story.anomalies_untold), (8, 4));
    let (_, page) = built(&folder);
    let (first, rest) = page.split_once("id=\"anomalies-more\"").expect("the others are folded away");
    assert_eq!((first.matches("id=\"scene-").count(), rest.matches("id=\"scene-").count()), (2, 14));
    assert!(page.contains("Another 4 anomalies stand in"), "the others are counted");
}

#[test]
fn a_picture_of_an_old_anomaly_does_not_outlive_it() {
    let folder = Trial::stale("twice", 2_000, 5).write();
    built(&folder);
    assert!(folder.0.join("report/anomaly.png").exists());
    let valid = Trial::eventful("twice", 2_000, 5).write();
    std::fs::copy(valid.0.join("verdicts.json"), folder.0.join("verdicts.json")).expect("both are there");
    built(&folder);
    assert!(!folder.0.join("report/anomaly.png").exists());
}

#[test]
fn an_interrupted_trial_says_so_and_shows_what_was_open() {
    let folder = Trial::interrupted("cut short").write();
    let story = story_of(&folder);
    assert_eq!(story.validity, Validity::Unknown);
    assert_eq!(story.why, "linearizability: The trial was interrupted.");
    assert!(story.operations.all.iter().any(|op| op.outcome == Outcome::Open && op.ended.is_none()));
    assert!(!story.faults[0].healed);
    assert_eq!(story.faults[0].until, story.end);
    assert_eq!(story.remarks, ["The trial did not run to its end: it was interrupted: Ctrl-C."]);
    let (_, page) = built(&folder);
    assert!(page.contains("<div class=\"banner unknown\">") && page.contains("not healed"));
}

#[test]
fn a_history_recorded_elsewhere_needs_no_header_and_no_plan() {
    let mut trial = Trial::eventful("", 500, 4);
    (trial.plan, trial.trial) = (None, None);
    let folder = trial.write();
    let text = folder.read("history.jsonl");
    let (_, events) = text.split_once('\n').expect("there is a header");
    folder.write("history.jsonl", events);
    let story = story_of(&folder);
    assert_eq!(
        (story.name.as_str(), story.again.as_deref(), story.concurrency),
        ("recorded history", None, None)
    );
    // Retired processes share lanes with their successors, so there are fewer lanes than processes.
    let processes = story.operations.all.iter().map(|op| op.process).max().expect("there are operations");
    assert!(story.operations.lanes < processes, "{} lanes", story.operations.lanes);
    built(&folder);
}

#[test]
fn a_history_without_events_is_a_report_that_says_so() {
    let mut trial = Trial::new("nothing", 10);
    trial.verdicts = vec![Verdict::new("linearizability", Validity::Unknown, "There is nothing to examine.")];
    let folder = trial.write();
    let story = story_of(&folder);
    assert!(story.remarks[0].contains("no operation"), "{:?}", story.remarks);
    let (built, _) = built(&folder);
    assert_eq!(built.pictures.len(), 4);
}

#[test]
fn no_verdict_at_all_is_unknown_and_a_file_may_only_be_more_severe_than_its_verdicts() {
    let folder = Trial::new("nobody looked", 1).write();
    let story = story_of(&folder);
    assert_eq!(
        (story.validity, story.why.as_str()),
        (Validity::Unknown, "No checker ran, so nothing was examined.")
    );
    let mut trial = Trial::eventful("harsh", 200, 2);
    trial.verdicts.truncate(1);
    let folder = trial.write();
    let verdicts = folder.read("verdicts.json");
    folder
        .write("verdicts.json", &verdicts.replacen("\"validity\":\"valid\"", "\"validity\":\"invalid\"", 1));
    assert_eq!(story_of(&folder).validity, Validity::Invalid);
    let stale = Trial::stale("harsh", 2_000, 2).write();
    let verdicts = stale.read("verdicts.json");
    let at = verdicts.rfind("\"validity\":\"invalid\"").expect("the merged answer");
    let (head, tail) = verdicts.split_at(at);
    let lenient = head.to_owned() + &tail.replacen("invalid", "valid", 1);
    folder.write("verdicts.json", &lenient);
    assert_eq!(story_of(&folder).validity, Validity::Invalid);
}

#[test]
fn a_folder_that_cannot_be_told_is_an_error_that_names_the_file() {
    let folder = Folder::empty("broken");
    let error = |folder: &Folder| build(&folder.0).expect_err("it is not whole").to_string();
    assert!(error(&folder).contains("history.jsonl"), "{}", error(&folder));
    let whole = Trial::eventful("x", 100, 2).write();
    std::fs::copy(whole.0.join("history.jsonl"), folder.0.join("history.jsonl")).expect("it is there");
    assert!(error(&folder).contains("verdicts.json"), "{}", error(&folder));
    folder.write("verdicts.json", "{\"version\":2,\"validity\":\"valid\",\"verdicts\":[]}");
    assert!(error(&folder).contains("version 2 is newer"), "{}", error(&folder));
    folder.write("verdicts.json", "{");
    assert!(error(&folder).contains("verdicts.json"), "{}", error(&folder));
    folder.write(
        "history.jsonl",
        "{\"index\":0,\"time\":1,\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"value\":1}\n{}\n",
    );
    assert!(error(&folder).contains("history.jsonl"), "{}", error(&folder));
    assert!(!folder.0.join("report").exists(), "nothing is left behind");
}

#[test]
fn a_torn_line_and_a_damaged_plan_are_remarks() {
    let folder = Trial::eventful("torn", 200, 2).write();
    let text = folder.read("history.jsonl");
    folder.write("history.jsonl", &text[..text.len() - 9]);
    folder.write("plan.json", "[1, 2");
    let story = story_of(&folder);
    assert_eq!(story.remarks.len(), 2, "{:?}", story.remarks);
    assert!(
        story.remarks[0].contains("cut off") && story.remarks[1].contains("plan.json"),
        "{:?}",
        story.remarks
    );
    built(&folder);
}

#[test]
fn a_picture_that_cannot_be_written_is_told_and_the_rest_goes_on() {
    let folder = Trial::eventful("one picture short", 500, 5).write();
    std::fs::create_dir_all(folder.0.join("report/rate.png/in the way")).expect("the folder can be written");
    let built = build(&folder.0).expect("a picture is no reason to fail");
    assert_eq!(names(&built), ["latency-raw.png", "latency-quantiles.png", "timeline.png"]);
    assert!(built.troubles[0].starts_with("rate.png could not be drawn:"), "{:?}", built.troubles);
    let page = folder.read("report/index.html");
    assert!(page.contains("rate.png could not be drawn:") && page.contains("banner valid"));
}

/// A trial in which every text that a log can hold tries to break out of the page.
fn hostile() -> Trial {
    const BAD: &str = "</script><img src=x onerror=\"window.hacked=1\"><!-- '\u{202e}\u{0}\n${1} &lt;";
    let mut trial = Trial::new(BAD, 2);
    trial.header.workload = BAD.into();
    let text = || Value::str(BAD);
    let mut call = event(1_000_000, 0, Kind::Invoke, BAD, None, text());
    call.key = Some(text());
    let mut done = event(2_000_000, 0, Kind::Fail, BAD, None, text());
    (done.key, done.error) = (Some(text()), Some(text()));
    let mut note =
        event(3_000_000, u32::MAX, Kind::Info, BAD, None, Value::Map(Box::new([(text(), text())])));
    note.f = BAD.into();
    let mut fault = event(500_000, u32::MAX, Kind::Info, BAD, None, Value::Nil);
    let fields = [("fault", Value::Int(1)), ("phase", Value::str("injected"))];
    fault.value = Value::Map(fields.map(|(k, v)| (Value::str(k), v)).into());
    fault.error = Some(text());
    trial.events = vec![fault, call, done, note];
    let mut verdict = Verdict::new(BAD, Validity::Invalid, BAD).with_figure(BAD, BAD);
    verdict.class = Some(BAD.into());
    let time = elenchus_core::time::Time(1_000_000);
    verdict.anomalies.push(Anomaly {
        class: BAD.into(),
        key: Some(BAD.into()),
        sentence: BAD.into(),
        operations: vec![Exhibit {
            call: 1,
            done: Some(2),
            process: 0,
            text: BAD.into(),
            called: time,
            ended: Some(time),
            guilty: true,
        }],
        context: vec![],
    });
    trial.verdicts = vec![verdict];
    trial.plan = Some(serde_json::json!({ "again": BAD, BAD: BAD, "nested": { BAD: [BAD] } }));
    trial.trial = Some(serde_json::json!({ "isolation": BAD, "end": BAD, "why": BAD }));
    trial
}

#[test]
fn hostile_text_stays_text() {
    let folder = hostile().write();
    let (built, page) = built(&folder);
    assert_eq!(built.pictures.len(), 5);
    assert!(!page.contains("<img") && !page.contains("<!--") && !page.contains('\u{202e}'));
    assert_eq!(page.matches("</script>").count(), 3, "the page's own scripts");
    assert!(page.contains("&lt;/script&gt;&lt;img src=x"), "it is shown, not hidden");
}

#[test]
fn a_hundred_thousand_operations_are_told_within_bounds() {
    let folder = Trial::stale("many", 122_000, 20).write();
    let since = std::time::Instant::now();
    let story = story_of(&folder);
    println!("story: {:?}, {} operations", since.elapsed(), story.operations.all.len());
    assert!(story.operations.all.len() > 100_000);
    assert_eq!(story.drawn.len(), story.operations.all.len());
    let since = std::time::Instant::now();
    let (_, page) = built(&folder);
    println!("build: {:?}, {} bytes", since.elapsed(), page.len());
    assert!(page.len() < 60 * story.operations.all.len(), "{} bytes", page.len());
}

#[test]
fn beyond_the_cap_what_matters_is_drawn_and_the_page_says_how_many() {
    let folder = Trial::stale("sampled", 5_000, 10).write();
    let story = story_of(&folder);
    let all = &story.operations.all;
    let chosen = story.operations.choose(1_000);
    assert_eq!(chosen.len(), 1_000);
    assert!(chosen.is_sorted_by(|a, b| a < b), "each once, in order");
    let must = |op: &elenchus::report::operations::Op| op.role != Role::None || op.outcome >= Outcome::Info;
    let drawn: Vec<_> = chosen.iter().map(|&i| &all[i as usize]).collect();
    assert_eq!(drawn.iter().filter(|op| must(op)).count(), all.iter().filter(|op| must(op)).count());
    let half = all[all.len() / 2].called;
    let early = drawn.iter().filter(|op| op.called < half).count();
    assert!((300..700).contains(&early), "{early} of 1,000 in the first half");
    assert_eq!(story.operations.choose(all.len()).len(), all.len());
    assert_eq!(story.operations.choose(3).len(), 3);
}

/// A whole PNG: signature, chunks whose checksums hold, size, an end.
#[track_caller]
fn assert_png(path: &Path) {
    let bytes = std::fs::read(path).expect("the picture is there");
    let mut rest = bytes.strip_prefix(b"\x89PNG\r\n\x1a\n").expect("a PNG begins like one");
    let mut kinds = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        let (chunk, crc) = (&rest[4..8 + length], &rest[8 + length..12 + length]);
        assert_eq!(checksum(chunk).to_be_bytes(), crc, "{}: a damaged chunk", path.display());
        if &chunk[..4] == b"IHDR" {
            let size = |at: usize| u32::from_be_bytes(chunk[at..at + 4].try_into().expect("four bytes"));
            assert!(
                (1200..=4000).contains(&size(4)) && (300..=2400).contains(&size(8)),
                "{} x {}",
                size(4),
                size(8)
            );
        }
        kinds.push(chunk[..4].to_vec());
        rest = &rest[12 + length..];
    }
    assert_eq!(kinds.last().map(Vec::as_slice), Some(b"IEND".as_slice()));
}

/// CRC-32 as PNG has it, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

#[test]
fn pictures_hold_text_shades_and_marks() {
    let story = story_of(&Trial::stale("looked at", 3_000, 10).write());
    for name in pictures::NAMES {
        let picture =
            pictures::draw(&story, name).expect("it can be drawn").expect("there is something to draw");
        assert_eq!(picture.rgb.len(), (picture.width * picture.height * 3) as usize);
        let dark = |pixel: &[u8]| pixel.iter().all(|&c| c < 120);
        let pixels = |rows: std::ops::Range<usize>| {
            picture
                .rgb
                .chunks(3)
                .skip(rows.start * picture.width as usize)
                .take(rows.len() * picture.width as usize)
        };
        // The title: strokes of letters, not a block and not nothing.
        let title = if name == "anomaly.png" { 50..72 } else { 14..40 };
        let ink = pixels(title).filter(|p| dark(p)).count();
        assert!((150..8_000).contains(&ink), "{name}: {ink} dark pixels in its title");
        let white = pixels(0..picture.height as usize).filter(|p| *p == [255, 255, 255]).count();
        let share = white as f64 / f64::from(picture.width * picture.height);
        assert!((0.15..0.97).contains(&share), "{name}: {share} of it is blank");
        let colours: std::collections::BTreeSet<&[u8]> = pixels(0..picture.height as usize).collect();
        assert!(colours.len() > 50, "{name}: {} colours", colours.len());
    }
    let calm = story_of(&Trial::eventful("calm", 100, 2).write());
    assert!(pictures::draw(&calm, "anomaly.png").expect("it can be left out").is_none());
}

/// What the inspection script found in a page.
fn inspect(folder: &Folder, name: &str, size: (u32, u32), dark: bool) -> (serde_json::Value, browser::Look) {
    let page = folder.read("report/index.html");
    let script = include_str!("report/inspect.js");
    const AT_ONCE: &str = "window.requestAnimationFrame = (draw) => { draw(performance.now()); return 0; };";
    let copy = page.replacen("<head>", &format!("<head><script>{AT_ONCE}</script>"), 1).replacen(
        "</body>",
        &format!("<script>{script}</script></body>"),
        1,
    );
    // Chromium makes no window narrower than 500 pixels; a frame inside it may be.
    let whole = if size.0 >= 500 { copy } else { framed(&copy, size) };
    folder.write(&format!("report/{name}.html"), &whole);
    let look = browser::look(&folder.0.join(format!("report/{name}.html")), size, dark);
    let (_, rest) = look.dom.split_once("id=\"inspection\"").unwrap_or_else(|| {
        panic!(
            "{name}: the inspection did not run: {:?}\n{}",
            look.console,
            &look.dom[look.dom.len().saturating_sub(600)..]
        )
    });
    let coded = &rest[rest.find('>').expect("it is a tag") + 1..rest.find('<').expect("it is closed")];
    let found = serde_json::from_slice(&decode(coded)).expect("it is JSON");
    (found, look)
}

/// A page that shows another one in a frame of this size.
fn framed(page: &str, (width, height): (u32, u32)) -> String {
    let page = page.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        "<!DOCTYPE html><html><head><meta name=\"color-scheme\" content=\"light dark\"></head>\
         <body style=\"margin:0\"><iframe style=\"border:0;width:{width}px;height:{height}px\" srcdoc=\"{page}\">\
         </iframe></body></html>"
    )
}

fn decode(base64: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> =
        base64.bytes().filter(|&c| c != b'=' && !c.is_ascii_whitespace()).map(value).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0u32, |bits, &d| bits << 6 | u32::from(d)) << (6 * (4 - four.len()));
        let [_, a, b, c] = bits.to_be_bytes();
        [a, b, c].into_iter().take(four.len() - 1).collect::<Vec<u8>>()
    });
    bytes.collect()
}

#[track_caller]
fn assert_sound(found: &serde_json::Value, look: &browser::Look) {
    assert_eq!(look.console, Vec::<String>::new(), "the console is silent");
    assert_eq!(found["error"], serde_json::Value::Null, "{found}");
    assert_eq!((found["ready"].as_str(), found["failed"].as_str()), (Some("1"), Some("")), "{found}");
    assert!(found["overflow"].as_i64().is_some_and(|px| px <= 0), "wider than its window: {found}");
    assert_eq!(found["hacked"], "undefined");
    assert_eq!(found["images"], 0);
    assert!(look.screenshot.metadata().is_ok_and(|file| file.len() > 10_000), "a screenshot was taken");
}

#[test]
fn a_browser_shows_and_explores_it_light_and_dark_wide_and_narrow() {
    if !browser::is_here() {
        return;
    }
    let folder = Trial::stale("register under fire", 3_000, 10).write();
    built(&folder);
    for (name, size, dark) in [
        ("desktop", (1280, 4300), false),
        ("desktop", (1280, 4300), true),
        ("phone", (360, 6200), false),
        ("phone", (360, 6200), true),
    ] {
        let (found, look) = inspect(&folder, name, size, dark);
        assert_sound(&found, &look);
        assert_eq!((found["dark"].as_bool(), found["width"].as_u64()), (Some(dark), Some(u64::from(size.0))));
        for canvas in ["scatter", "lanes"] {
            assert!(found[canvas].as_u64().is_some_and(|colours| colours > 4), "{canvas} is blank: {found}");
        }
        for act in ["zoomed", "panned", "wheeled", "anomaly"] {
            assert_eq!(found[act], true, "{act}: {found}");
        }
        assert!(found["detail"].as_u64() > Some(40) && found["readout"].as_u64() > Some(40), "{found}");
        assert_ne!(found["shown"], found["filtered"]);
        assert_ne!(found["shown"], found["process"]);
    }
    assert_pictures_open(&folder);
}

/// The browser opens every picture: they are not only whole, they are pictures.
fn assert_pictures_open(folder: &Folder) {
    let images: String = pictures::NAMES.iter().map(|name| format!("<img src=\"{name}\">")).collect();
    let script = "addEventListener('load', () => { document.body.dataset.sizes = [...document.images].map((i) => \
                  i.naturalWidth + 'x' + i.naturalHeight).join(' '); });";
    folder.write(
        "report/all.html",
        &format!("<!DOCTYPE html><body>{images}<script>{script}</script></body></html>"),
    );
    let look = browser::look(&folder.0.join("report/all.html"), (1300, 3400), false);
    let sizes =
        look.dom.split("data-sizes=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("it ran");
    assert_eq!(sizes.matches("1200x").count(), 5, "{sizes}");
}

#[test]
fn a_browser_takes_no_harm_from_hostile_text_or_from_nothing() {
    if !browser::is_here() {
        return;
    }
    let folder = hostile().write();
    built(&folder);
    let (found, look) = inspect(&folder, "hostile", (600, 4000), false);
    assert_sound(&found, &look);
    let mut trial = Trial::new("nothing", 10);
    trial.verdicts = vec![Verdict::new("linearizability", Validity::Unknown, "There is nothing to examine.")];
    let folder = trial.write();
    built(&folder);
    let (found, look) = inspect(&folder, "nothing", (600, 3000), false);
    assert_sound(&found, &look);
}

#[test]
fn a_browser_stays_smooth_at_a_hundred_thousand_operations() {
    if !browser::is_here() {
        return;
    }
    let folder = Trial::stale("many", 122_000, 20).write();
    built(&folder);
    let (found, look) = inspect(&folder, "many", (1280, 4300), false);
    println!("a frame of the whole trial takes {} ms", found["frame"]);
    assert_sound(&found, &look);
    assert_eq!(found["zoomed"], true);
}
