//! How many simulated seconds pass in a second of real time, trial and history on disk included.
//!
//! `cargo bench --bench simulation`: five nodes, `register`, a minute each; five seeds, the median. The figures to
//! hold on two cores are 100 under all faults at 150 operations a second, and 1,000 without faults at 10.

use elenchus::campaign::Campaign;
use elenchus::plan::Plan;
use elenchus::registry::Registry;
use elenchus::trial::Stage;
use std::time::Instant;

const SEEDS: u64 = 5;
const SECONDS: f64 = 60.0;

fn main() {
    for (name, campaign) in [
        ("all faults, 150 operations a second", "nemesis = \"all\"\nrate = 150\n"),
        ("no faults, 10 operations a second", "nemesis = []\nrate = 10\n"),
    ] {
        let mut paces: Vec<f64> = (1..=SEEDS).map(|seed| pace(campaign, seed)).collect();
        paces.sort_by(f64::total_cmp);
        println!("{name}: median {:.0} simulated seconds a second", paces[paces.len() / 2]);
    }
}

fn pace(campaign: &str, seed: u64) -> f64 {
    let folder = std::env::temp_dir().join(format!("elenchus-bench-sim-{}-{seed}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let text = format!("cluster = {{ kind = \"simulated\" }}\ntime-limit = \"{SECONDS}s\"\n{campaign}");
    let (registry, campaign) = (Registry::builtin(), Campaign::parse(&text).expect("a campaign"));
    let plan = Plan::of(&registry, &campaign, seed, None).expect("a plan").trials.remove(0);
    let trial = registry.trial(&plan, "").expect("a workload");
    let began = Instant::now();
    trial.run(&registry, &plan, "", Stage::Simulation { traced: false }, &folder).expect("a trial");
    let pace = SECONDS / began.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(&folder);
    pace
}
