//! What the hosts of a campaign allow: each is reached as a trial would reach it, and asked, all at once.
//!
//! Nothing is started or changed there, but that our own program is sent where it is not yet: it alone knows what
//! it could do on that host.

use super::Finding;
use crate::agent::Right;
use crate::host::ssh::{Purpose, SshError, SshHost, Trouble, quoted};
use crate::hosts::{ANSWER_MAX, Helper, accesses};
use crate::plan::TrialPlan;
use elenchus_nemeses::FaultName;
use elenchus_systems::described::description::Description;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long logging in may take: less than a trial allows, for somebody sits and waits.
const LOGIN_MAX: Duration = Duration::from_secs(10);
/// How long a host may keep us waiting, our program's way there included.
const LOOK_MAX: Duration = Duration::from_secs(180);
/// What nodes need at the very least beside our program, in bytes.
const ROOM_MIN: u64 = 64 << 20;
/// How far a host's clock may be off ours.
const STEP_MAX_MS: i64 = 1000;

/// Looks at every host of the plan; at none, if it has none.
pub fn examine(plan: &TrialPlan) -> Vec<Finding> {
    let on_hosts = |description: &&Description| description.hosts.is_some();
    let Some(description) = plan.cluster.as_ref().filter(on_hosts) else { return vec![] };
    look_at_all(plan, description).unwrap_or_else(|why| {
        vec![Finding::no("hosts", why, "the campaign", "what the reason says").needed()]
    })
}

fn look_at_all(plan: &TrialPlan, description: &Description) -> Result<Vec<Finding>, String> {
    let ssh = description.ssh.clone().unwrap_or_default();
    let is_named = |fault: &FaultName| {
        plan.schedule.iter().any(|strike| strike.fault.name() == fault.as_str())
            || plan.nemesis_named && plan.nemesis.contains(fault)
    };
    let look = Look {
        helper: Helper::new(&ssh)?,
        sudo: ssh.sudo,
        clock: if ssh.host_clock { "host" } else { "processes" },
        named: FaultName::ALL.into_iter().filter(is_named).collect(),
        programs: super::needs::node_programs(description),
        has_units: description.has_units(),
    };
    let accesses = accesses(description, &plan.nodes)?;
    let hosts = accesses.into_iter().map(|access| SshHost::new(access, ssh.sudo));
    let hosts = hosts.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no asynchronous runtime can be built: {error}"))?;
    runtime.block_on(async {
        let looks: Vec<_> = hosts.into_iter().map(|host| tokio::spawn(look.clone().at(host))).collect();
        let mut findings = vec![];
        for look in looks {
            findings.extend(look.await.map_err(|error| format!("a look broke: {error}"))?);
        }
        Ok(findings)
    })
}

/// What is looked for on each host.
#[derive(Clone)]
struct Look {
    helper: Helper,
    sudo: bool,
    /// Whose clock faults would set.
    clock: &'static str,
    /// The faults that the campaign cannot do without.
    named: Vec<FaultName>,
    /// What its nodes run.
    programs: BTreeSet<String>,
    /// Whether nodes are units of systemd.
    has_units: bool,
}

/// What was found on one host.
struct Found<'a> {
    host: &'a SshHost,
    findings: Vec<Finding>,
}

impl Found<'_> {
    fn what(&self, what: &str) -> String {
        format!("{} {what}", self.host.node())
    }

    fn yes(&mut self, what: &str, how: impl Into<String>) {
        self.findings.push(Finding::yes(self.what(what), how));
    }

    fn no(&mut self, what: &str, why: impl Into<String>, lost: &str, remedy: &str) {
        self.findings.push(Finding::no(self.what(what), why, lost, remedy));
    }

    /// As [`Found::no`], of what the campaign cannot do without.
    fn lacks(&mut self, what: &str, why: impl Into<String>, remedy: &str) {
        self.findings.push(Finding::no(self.what(what), why, "the campaign", remedy).needed());
    }
}

/// That there is no more to be seen on a host; the reason has been found already.
struct Enough;

impl Look {
    async fn at(self, host: SshHost) -> Vec<Finding> {
        let mut found = Found { host: &host, findings: vec![] };
        if tokio::time::timeout(LOOK_MAX, self.look(&mut found)).await.is_err() {
            let why = format!("it did not answer everything within {LOOK_MAX:?}");
            found.lacks("answers", why, "a host or a network that is quicker");
        }
        found.findings
    }

    /// Looks until there is no use in going on.
    async fn look(&self, found: &mut Found<'_>) -> Result<(), Enough> {
        reached(found).await?;
        system(found).await?;
        let is_root = self.root(found).await?;
        transfer(found).await?;
        self.room(found).await?;
        self.sent(found).await?;
        in_step(found).await?;
        self.programs(found).await?;
        // What it would allow by sudo nobody can say without it.
        if is_root || !self.sudo { self.rights(found).await } else { Err(Enough) }
    }

    /// Whether we are root there, one way or the other.
    async fn root(&self, found: &mut Found<'_>) -> Result<bool, Enough> {
        let said = found.host.run_as_root(Purpose::Work, "id -u", ANSWER_MAX).await;
        let said = answered(found, said)?;
        let is_root = said.is_success() && said.text() == "0";
        match (is_root, self.sudo) {
            (true, true) => found.yes("root", "by `sudo -n`"),
            (true, false) => found.yes("root", "by login"),
            (false, true) => {
                let why = format!("`sudo -n` did not make us root: {}", said.ending());
                found.lacks(
                    "root",
                    why,
                    "a line in sudoers with NOPASSWD, or leave `sudo` out of [cluster.ssh]",
                );
            }
            (false, false) => found.no(
                "root",
                format!("we are user {} there", said.text()),
                "`user` in [cluster], and the faults that say so below",
                "log in as root, or `sudo = true` in [cluster.ssh]",
            ),
        }
        Ok(is_root)
    }

    async fn room(&self, found: &mut Found<'_>) -> Result<(), Enough> {
        // The folder itself may not be there yet.
        let asked = format!(
            "d={}; while ! test -d \"$d\"; do d=${{d%/*}}; d=${{d:-/}}; done; df -Pk -- \"$d\" | tail -n 1",
            quoted(&self.helper.base)
        );
        let said = found.host.run(Purpose::Work, &asked, ANSWER_MAX).await;
        let said = answered(found, said)?;
        let (needs, base) = (self.helper.size() + ROOM_MIN, &self.helper.base);
        let remedy = "room there, or another folder by `folder` in [cluster.ssh]";
        match free(&said.text()) {
            Some(bytes) if bytes >= needs => found.yes("room", format!("{} MiB at {base}", bytes >> 20)),
            Some(bytes) => {
                let why = format!("{} MiB at {base}, and {} are needed at least", bytes >> 20, needs >> 20);
                found.lacks("room", why, remedy);
            }
            None => found.no(
                "room",
                format!("df: {}", said.ending()),
                "nobody knows what",
                "a df as POSIX has it",
            ),
        }
        Ok(())
    }

    async fn sent(&self, found: &mut Found<'_>) -> Result<(), Enough> {
        match self.helper.send(found.host).await {
            Ok(was_there) => {
                let how = if was_there { "lies there already" } else { "was sent, and stays for trials" };
                found.yes("helper", format!("{} {how}", self.helper.path));
                Ok(())
            }
            Err(error) => {
                found.lacks("helper", error.trouble.to_string(), "what the reason names");
                Err(Enough)
            }
        }
    }

    async fn programs(&self, found: &mut Found<'_>) -> Result<(), Enough> {
        for program in &self.programs {
            let asked = format!("command -v -- {}", quoted(program));
            let said = found.host.run_as_root(Purpose::Work, &asked, ANSWER_MAX).await;
            let said = answered(found, said)?;
            let what = format!("program {program}");
            match said.is_success() {
                true => found.yes(&what, said.text()),
                false => {
                    found.lacks(&what, "it is not there, or not in PATH", "install it, or name its path");
                }
            }
        }
        Ok(())
    }

    async fn rights(&self, found: &mut Found<'_>) -> Result<(), Enough> {
        let asked = format!("{} agent look --clock {}", quoted(&self.helper.path), self.clock);
        let said = found.host.run_as_root(Purpose::Work, &asked, ANSWER_MAX).await;
        let said = answered(found, said)?;
        let looked: Looked = match serde_json::from_str(&said.text()) {
            Ok(looked) => looked,
            Err(_) => {
                found.lacks("faults", format!("our helper there: {}", said.ending()), "what the reason says");
                return Err(Enough);
            }
        };
        if self.has_units {
            match looked.rights.get("unit") {
                Some(Right::No(why)) => found.lacks("units", why, "a host that systemd runs, and root there"),
                Some(Right::By(how)) => found.yes("units", how),
                None => {}
            }
        }
        for fault in FaultName::ALL {
            let what = format!("fault {fault}");
            match looked.rights.get(fault.as_str()) {
                Some(Right::By(how)) => found.yes(&what, how),
                Some(Right::No(why)) if self.named.contains(&fault) => found.lacks(&what, why, remedy(fault)),
                Some(Right::No(why)) => {
                    let lost = format!("`{fault}` is left out of `all`, and refused by name");
                    found.no(&what, why, &lost, remedy(fault));
                }
                // It takes nothing of the host's.
                None => {}
            }
        }
        Ok(())
    }
}

/// What our helper says on a host.
#[derive(Deserialize)]
struct Looked {
    rights: BTreeMap<String, Right>,
}

/// What a host said; a host that is lost meanwhile is the end of the look.
fn answered<T>(found: &mut Found<'_>, said: Result<T, SshError>) -> Result<T, Enough> {
    said.map_err(|error| {
        found.lacks("answers", error.trouble.to_string(), "a host that stays, and a network to it");
        Enough
    })
}

async fn reached(found: &mut Found<'_>) -> Result<(), Enough> {
    let Err(error) = found.host.connect(LOGIN_MAX).await else {
        let place = found.host.place();
        found.yes("reached", format!("{place}, whose key is trusted"));
        return Ok(());
    };
    let why = format!("{}: {}", error.place, error.trouble);
    let (what, remedy) = match error.trouble {
        Trouble::NotTrusted(_) => {
            ("host key", "log in once with ssh and compare it, or known-hosts = \"accept-new\"")
        }
        Trouble::NotAdmitted(_) => ("login", "the right user, key or password in [cluster.ssh]"),
        _ => ("reached", "its address and port, its SSH server, a firewall between"),
    };
    found.lacks(what, why, remedy);
    Err(Enough)
}

async fn system(found: &mut Found<'_>) -> Result<(), Enough> {
    let said = found.host.survey(ANSWER_MAX).await;
    let survey = answered(found, said)?;
    match survey.runs_us() {
        Ok(()) => {
            let own = format!("{} on {}, called {}", survey.system, survey.architecture, survey.name);
            found.yes("system", own);
            Ok(())
        }
        Err(why) => {
            found.lacks("system", why, "hosts like the machine that Elenchus was built for");
            Err(Enough)
        }
    }
}

async fn transfer(found: &mut Found<'_>) -> Result<(), Enough> {
    match found.host.speaks_sftp(ANSWER_MAX).await {
        Ok(()) => found.yes("SFTP", "its server speaks it"),
        Err(error) => {
            let remedy = "`Subsystem sftp internal-sftp` in its sshd_config";
            found.lacks("SFTP", error.trouble.to_string(), remedy);
            return Err(Enough);
        }
    }
    let said = found.host.run(Purpose::Work, "command -v sha1sum", ANSWER_MAX).await;
    let said = answered(found, said)?;
    match said.is_success() {
        true => found.yes("sha1sum", said.text()),
        false => {
            found.lacks("sha1sum", "it is not in PATH", "coreutils, or busybox with sha1sum");
            return Err(Enough);
        }
    }
    Ok(())
}

/// How far its clock is ahead of ours: of some answers that which came soonest counts.
async fn in_step(found: &mut Found<'_>) -> Result<(), Enough> {
    let mut best: Option<(i64, i64)> = None;
    for _ in 0..3 {
        let before = now_ns();
        let said = found.host.run(Purpose::Work, "date +%s%N", ANSWER_MAX).await;
        let after = now_ns();
        let said = answered(found, said)?;
        // Where `date` knows no nanoseconds it leaves a letter.
        let Ok(theirs) = said.text().parse::<i64>() else { break };
        let (ahead, doubt) = (theirs - before.midpoint(after), (after - before) / 2);
        if best.is_none_or(|(_, least)| doubt < least) {
            best = Some((ahead, doubt));
        }
    }
    let lost = "what its log says beside others'; what rests on clocks that agree";
    match best {
        Some((ahead, doubt)) => {
            let (ahead, doubt) = (ahead / 1_000_000, doubt / 1_000_000 + 1);
            let how = format!("{ahead} ms ahead of ours, give or take {doubt} ms");
            match ahead.abs() - doubt > STEP_MAX_MS {
                false => found.yes("clock", how),
                true => found.no("clock", how, lost, "chrony or systemd-timesyncd, there and here"),
            }
        }
        None => found.no("clock", "its `date` knows no nanoseconds", lost, "coreutils"),
    }
    Ok(())
}

fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// How many bytes are free, by a line of `df -Pk`: the figure before the one with `%`.
fn free(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let percent = words.iter().rposition(|word| word.ends_with('%'))?;
    let kib: u64 = words.get(percent.checked_sub(1)?)?.parse().ok()?;
    kib.checked_mul(1024)
}

/// How to get what a fault needs of a host.
fn remedy(fault: FaultName) -> &'static str {
    match fault {
        FaultName::Partition => "root, and nftables or iptables",
        FaultName::Packets => {
            "root, and a kernel with NFQUEUE (nfnetlink_queue, xt_NFQUEUE or nft's queue), or with netem, tbf, ifb, \
             cls_bpf and act_mirred"
        }
        FaultName::Clock => {
            "x86_64 or aarch64, a vDSO, and sysctl kernel.yama.ptrace_scope=1 or less; for `host-clock` root, and \
             no corrector of clocks but systemd's services"
        }
        FaultName::Power | FaultName::Disk => {
            "root, and a kernel with FUSE (`modprobe fuse`; in a container: --device /dev/fuse)"
        }
        FaultName::Resources => "root, or a delegated control group with cpu and memory",
        _ => "what the reason names",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_room_is_read_whatever_the_file_system_is_called() {
        assert_eq!(free("/dev/sda1 1000 400 600 40% /var"), Some(600 << 10));
        assert_eq!(free("//nas/my share 1000 400 600 40% /var tmp"), Some(600 << 10));
        for garbage in ["", "%", "40% /", "a b c d e", "x -5 40% /", "x 99999999999999999999 1% /"] {
            assert_eq!(free(garbage), None, "{garbage:?}");
        }
    }
}
