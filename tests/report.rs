//! The report, end to end: a folder in, a page and pictures out, looked at in a browser.

#[path = "report/synthetic.rs"]
mod synthetic;

use elenchus::report::{Built, Story, build, folder};
use elenchus_core::verdict::Validity;
use synthetic::{Folder, Trial};

fn story_of(folder: &Folder) -> Story {
    Story::tell(&folder::Folder::read(&folder.0).expect("the folder is whole"))
}

fn built(folder: &Folder) -> (Built, String) {
    let built = build(&folder.0).expect("the folder is whole");
    (built, folder.read("report/index.html"))
}

#[test]
fn an_eventful_valid_trial_is_told() {
    let folder = Trial::stale("register under fire", 4_000, 10).write();
    let story = story_of(&folder);
    assert_eq!(story.validity, Validity::Invalid);
    let (built, _) = built(&folder);
    println!("{built:?}");
}
