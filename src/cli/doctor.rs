//! `elenchus doctor`: what this machine allows, and what a campaign lacks.

use super::say::say;
use super::{PlanArgs, usage};
use crate::doctor::{Finding, hosts, is_well, machine, needs};
use crate::exit::Exit;
use crate::faults::Ground;
use crate::plan::Plan;
use crate::registry::Registry;
use clap::Args;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    plan: PlanArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks at the machine and, if there is one, at the campaign and its hosts. Exit 1 if something is missing that it needs.
pub fn run(args: &DoctorArgs, registry: &Registry) -> Exit {
    let campaign = match args.plan.campaign() {
        Ok((campaign, _)) => campaign,
        Err(why) => return usage(&why),
    };
    let mut findings = machine::examine();
    let planned = Plan::of(registry, &campaign, 0, None).map(|plan| plan.trials[0].clone());
    findings.extend(needs::isolation(&campaign, &findings));
    let ground = match &campaign.cluster {
        Some(description) if description.external || description.hosts.is_some() => None,
        Some(_) => Some(Ground::local()),
        None => Some(Ground::Bundled),
    };
    findings.extend(ground.into_iter().flat_map(machine::faults_on));
    if let Some(description) = &campaign.cluster {
        findings.extend(needs::cluster(description, &campaign.folder));
    }
    findings.extend(planned.iter().flat_map(hosts::examine));
    findings.push(needs::plan(&planned));
    let well = is_well(&findings);
    if args.json {
        say!("{}", serde_json::json!({ "ok": well, "findings": findings }));
    } else {
        show(&findings);
        let missing = findings.iter().filter(|finding| finding.needed && !finding.ok).count();
        match missing {
            0 => say!("\nNothing is missing that the campaign needs."),
            1 => say!("\nOne thing is missing that the campaign needs."),
            many => say!("\n{many} things are missing that the campaign needs."),
        }
    }
    if well { Exit::Valid } else { Exit::Invalid }
}

fn show(findings: &[Finding]) {
    let width = findings.iter().map(|finding| finding.what.chars().count()).max().unwrap_or(0);
    for finding in findings {
        let word = match (finding.ok, finding.needed) {
            (true, _) => " yes ",
            (false, false) => "  no ",
            (false, true) => "  NO ",
        };
        say!("{word} {:width$}  {}", finding.what, finding.why);
        if !finding.ok {
            say!("      {:width$}  lost: {}", "", finding.lost);
            say!("      {:width$}  get it: {}", "", finding.remedy);
        }
    }
}
