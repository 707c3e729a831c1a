//! The gallery in short: bugs that show soon are found, and nothing is found in the correct build.

mod common;

use common::Store as Folder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn bugs_that_show_soon_are_found_and_the_correct_build_is_silent() {
    let folder = Folder::new("short");
    let bugs = "ack-before-commit,follower-read,vote-twice,commit-minority,append-skips-prev-check,restart-skips-entry";
    let (code, said) = folder.run(&format!(
        "gallery --bugs {bugs} --seeds 40 --finds 1 --correct 50 --time-limit 15s --markdown page.md"
    ));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("6 of 6 bugs were found"), "{said}");
    assert!(
        said.contains("In 50 trials of the correct build 0 things were found") && said.contains("0 broke"),
        "{said}"
    );
    let page = std::fs::read_to_string(folder.0.join("page.md")).unwrap();
    assert!(bugs.split(',').all(|bug| page.contains(&format!("### {bug}\n"))), "{page}");
    let left = std::fs::read_dir(folder.0.join("store")).unwrap().count();
    assert_eq!(left, 0, "what a seed brings back is not kept");
}

#[test]
fn what_a_seed_found_comes_back_by_the_command_that_is_shown() {
    let folder = Folder::new("again");
    let (code, said) =
        folder.run("gallery --bugs follower-read --seeds 40 --finds 1 --correct 1 --time-limit 15s");
    assert_eq!(code, Some(0), "{said}");
    let again = said.lines().find_map(|line| line.split_once("  elenchus ")).expect("a command").1;
    assert!(again.contains("--vary") && again.contains("--bug follower-read"), "{again}");
    let (code, said) = folder.run(again);
    assert_eq!(code, Some(1), "{said}");
}

#[test]
fn whoever_interrupts_it_is_told_what_is_left_and_nothing_else_is() {
    for (words, said, leaves) in [
        ("gallery --seeds 1000", "no table", 0),
        ("campaign --sim --nemesis all --count 10000 --seed 1", "the same command goes on from there", 1),
    ] {
        let folder = Folder::new("interrupted");
        let mut command = Command::new(common::program());
        command
            .args(words.split_whitespace())
            .current_dir(&folder.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let program = command.spawn().expect("the program starts");
        let store = folder.0.join("store");
        let began = Instant::now();
        let is_at_work = || std::fs::read_dir(&store).is_ok_and(|mut entries| entries.next().is_some());
        while !is_at_work() {
            assert!(began.elapsed() < Duration::from_secs(60), "{words}: it does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
        kill(Pid::from_raw(program.id() as i32), Signal::SIGTERM).expect("our own child");
        let output = program.wait_with_output().expect("our own child");
        let heard = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(255), "{heard}");
        assert!(heard.contains("interrupted") && heard.contains(said), "{heard}");
        assert_eq!(std::fs::read_dir(&store).unwrap().count(), leaves, "{words}");
    }
}

#[test]
fn a_gallery_of_nothing_is_refused() {
    let folder = Folder::new("nothing");
    for flags in ["--seeds 0", "--finds 0", "--jobs 0", "--bugs no-such-bug", "--time-limit 1ms"] {
        let (code, said) = folder.run(&format!("gallery {flags}"));
        assert_eq!(code, Some(254), "{flags}: {said}");
    }
}
