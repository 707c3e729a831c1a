//! What this machine allows: what keeps nodes apart, and what can break them.

use super::Finding;
use crate::faults::{self, Ground};
use crate::host::isolation::Refusal;
use crate::host::resources::freezer;
use crate::host::{connections, disk, packets, probe, resources, vdso};
use elenchus_nemeses::FaultName;
use std::path::Path;
use std::time::Instant;

/// Looks at everything.
pub fn examine() -> Vec<Finding> {
    let mut findings = vec![rights()];
    findings.extend(namespaces());
    findings.extend(PROBES.iter().map(Probe::finding));
    findings.extend([clock(), faketime()]);
    findings
}

/// Which fault a described cluster, or the bundled one, can suffer here.
pub fn faults_on(ground: Ground) -> Vec<Finding> {
    let finding = |fault: FaultName| {
        let what = format!("fault {fault}");
        match faults::available(fault, ground) {
            Ok(how) => Finding::yes(what, how),
            Err(why) => {
                let lost = format!("`{fault}` is left out of `all`, and refused by name");
                let remedy = match faults::possible(fault, ground) {
                    Ok(_) => "what the reason names",
                    Err(_) => "docs/faults.md (`list --faults`) says where it is possible",
                };
                Finding::no(what, why, lost, remedy)
            }
        }
    };
    FaultName::ALL.into_iter().map(finding).collect()
}

/// Whether nodes can have a network each, one way or the other.
pub fn has_namespaces(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.what.starts_with(NAMESPACES) && finding.ok)
}

const NAMESPACES: &str = "namespaces";

fn rights() -> Finding {
    match nix::unistd::geteuid().is_root() {
        true => Finding::yes("root", "this user may do everything that the kernel does"),
        false => Finding::no(
            "root",
            "this user is not root",
            "`user` in [cluster], control groups, and whatever else says so below",
            "run as root, if one of them is needed; nothing else is",
        ),
    }
}

fn namespaces() -> impl Iterator<Item = Finding> {
    probe::namespaces().into_iter().map(|(way, tried)| {
        let what = format!("{NAMESPACES} {way}");
        match tried {
            Ok(()) => Finding::yes(what, "a network namespace a node, with nftables in it"),
            Err(refusal) => {
                let remedy = remedy(&refusal, way);
                Finding::no(
                    what,
                    refusal.to_string(),
                    "without both ways: described clusters on this machine; the bundled one then gets a proxy",
                    remedy,
                )
            }
        }
    })
}

fn remedy(refusal: &Refusal, way: &str) -> &'static str {
    let is_user = way.contains("user");
    match refusal.step.as_str() {
        step if step.contains("nftables") => "a kernel with nf_tables",
        step if step.starts_with("clone") && is_user => {
            "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0; in a container, a seccomp profile that lets them be"
        }
        step if step.starts_with("clone") => "root, or CAP_SYS_ADMIN in a container",
        _ if is_user => "what the errno says; some distributions forbid rights inside of user namespaces",
        _ => "what the errno says",
    }
}

/// Something that can be asked for with one call.
struct Probe {
    what: &'static str,
    /// How it is there, or why it is not. It changes nothing.
    ask: fn() -> Result<String, String>,
    lost: &'static str,
    remedy: &'static str,
}

const PROBES: &[Probe] = &[
    Probe {
        what: "ptrace",
        ask: || match probe::ptrace() {
            Ok(()) => Ok("processes of one's own can be traced".into()),
            Err(refusal) => Err(refusal.to_string()),
        },
        lost: "clocks of programs that have none of their own",
        remedy: "sysctl kernel.yama.ptrace_scope=1 or less; in a container, CAP_SYS_PTRACE",
    },
    Probe {
        what: "clocks of programs",
        ask: vdso::probe,
        lost: "clocks of programs that have none of their own",
        remedy: "x86_64 or aarch64, a vDSO, and ptrace as above",
    },
    Probe {
        what: "FUSE",
        ask: disk::probe,
        lost: "power loss and ailing disks",
        remedy: "a kernel with FUSE, and the right to open /dev/fuse (in a container: --device /dev/fuse)",
    },
    Probe {
        what: "packets",
        ask: packets::probe,
        lost: "packets that are late, lost, doubled, out of order, garbled or slow",
        remedy: "a kernel with NFQUEUE (nfnetlink_queue, xt_NFQUEUE or nft's queue), or with netem, tbf, ifb, cls_bpf \
                 and act_mirred",
    },
    Probe {
        what: "ends of connections",
        ask: connections::probe,
        lost: "a partition that resets ends only connections on which somebody speaks",
        remedy: "a kernel with CONFIG_INET_DIAG_DESTROY",
    },
    Probe {
        what: "freezer",
        ask: freezer::probe,
        lost: "pauses reach a node's process group by signals, and not those of its processes that left it",
        remedy: "root, and control groups of version 2",
    },
    Probe {
        what: "control groups",
        ask: resources::probe,
        lost: "limits on processor and memory",
        remedy: "root, or a delegated control group with cpu and memory",
    },
];

impl Probe {
    fn finding(&self) -> Finding {
        match (self.ask)() {
            Ok(how) => Finding::yes(self.what, how),
            Err(why) => Finding::no(self.what, why, self.lost, self.remedy),
        }
    }
}

/// How long a look at the clock takes: a history is no finer than that.
fn clock() -> Finding {
    const LOOKS: u32 = 1000;
    let began = Instant::now();
    let mut last = began;
    for _ in 0..LOOKS {
        last = std::hint::black_box(Instant::now());
    }
    let each = (last - began).as_nanos() / u128::from(LOOKS);
    Finding::yes(
        "clock",
        format!("all nodes share this machine's, so they are in step; a look takes {each} ns"),
    )
}

fn faketime() -> Finding {
    let folders =
        ["/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime", "/usr/lib/faketime"];
    match folders.iter().find(|folder| Path::new(folder).join("libfaketime.so.1").is_file()) {
        Some(folder) => Finding::yes("libfaketime", format!("in {folder}, for who sets it in `env` himself")),
        None => Finding::no(
            "libfaketime",
            "not found",
            "nothing that Elenchus does itself; a campaign may preload it through `env`",
            "Debian: apt install libfaketime",
        ),
    }
}
