//! Trials whose nodes are units of systemd, on hosts that have a stand-in for it (`systemd.sh`): what a trial asks of
//! `systemctl`, and what it gives back. A true systemd is tried by hand (docs/acceptance.md).

use crate::bed::{Bed, address, eventually};
use crate::inside::Test;
use crate::trials::{Trial, begin_with, has_etcd, heal, nothing_left};
use std::fs;
use std::path::PathBuf;

pub const TESTS: &[Test] = &[
    ("units_are_valid_under_faults_and_given_back_as_they_were", given_back),
    ("units_whose_controller_and_helpers_are_killed_are_healed", healed),
    ("units_that_cannot_be_had_are_refused_with_the_reason", refused),
];

/// The hosts of these tests.
const HOSTS: [usize; 3] = [1, 2, 3];
const STAND_IN: &str = include_str!("systemd.sh");

/// Hosts on which systemd seems to run; it is gone when this is dropped.
struct Systemd<'b>(&'b Bed);

impl Systemd<'_> {
    fn begin(bed: &Bed) -> Systemd<'_> {
        fs::write(bed.folder.join("systemd.sh"), STAND_IN).expect("the bed's own folder");
        for i in HOSTS {
            let unit =
                format!("[Service]\nExecStart=/usr/bin/etcd {}\nRestart=always\n", arguments(i).join(" "));
            let place = "/usr/local/sbin";
            let laid = format!(
                "mount -t tmpfs -o mode=755 tmpfs {place} && install -m 755 /mnt/systemd.sh {place}/systemctl && \
                 ln -s systemctl {place}/journalctl && mkdir -p /etc/systemd/system /run/systemd/system && \
                 printf '{unit}' > /etc/systemd/system/db-n{i}.service && \
                 (setsid {place}/systemctl serve </dev/null >/dev/null 2>&1 & ) && \
                 while ! test -p /run/stand-in/requests; do sleep 0.02; done"
            );
            let said = bed.shell(i, &laid);
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        }
        Systemd(bed)
    }

    /// The main process of the unit there; 0: none.
    fn main(&self, i: usize) -> String {
        let said = self.0.shell(i, &format!("cat /run/stand-in/db-n{i}.service.main"));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    fn runs(&self, i: usize) -> bool {
        let main = self.main(i);
        !main.is_empty() && main != "0"
    }

    fn start(&self, i: usize) {
        assert!(
            self.0.shell(i, &format!("/usr/local/sbin/systemctl start db-n{i}.service")).status.success()
        );
        eventually("the unit runs", || self.runs(i));
    }

    /// No file of a trial's is left here, and nothing stands still.
    #[track_caller]
    fn is_as_it_was(&self, i: usize, ran: bool) {
        eventually("the unit is as it was", || self.runs(i) == ran);
        let said =
            self.0.shell(i, "ls -d /run/systemd/system/*; cat /run/stand-in/*.restart; ps -eo stat=,args=");
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.starts_with("always\n"), "n{i}: {said}");
        assert!(!said.lines().any(|line| line.starts_with('T')), "n{i}: {said}");
    }
}

impl Drop for Systemd<'_> {
    fn drop(&mut self) {
        for i in HOSTS {
            let gone = format!(
                "timeout 10 /usr/local/sbin/systemctl stop db-n{i}.service; \
                 kill $(cat /run/stand-in/serve.pid); umount /usr/local/sbin; \
                 rm -rf /run/stand-in /run/systemd /etc/systemd/system/db-* /var/tmp/db-n{i}"
            );
            self.0.shell(i, &gone);
        }
    }
}

fn arguments(i: usize) -> [String; 8] {
    let ip = address(i);
    let members: Vec<String> = HOSTS.iter().map(|i| format!("n{i}=http://{}:2380", address(*i))).collect();
    [
        format!("--name=n{i}"),
        format!("--data-dir=/var/tmp/db-n{i}"),
        format!("--listen-peer-urls=http://{ip}:2380"),
        format!("--initial-advertise-peer-urls=http://{ip}:2380"),
        format!("--listen-client-urls=http://{ip}:2379"),
        format!("--advertise-client-urls=http://{ip}:2379"),
        format!("--initial-cluster={}", members.join(",")),
        "--logger=zap".to_owned(),
    ]
}

fn campaign(bed: &Bed, unit: &str) -> PathBuf {
    let hosts: String = HOSTS.iter().map(|i| format!("n{i} = \"{}\"\n", address(*i))).collect();
    let text = format!(
        "workload = \"register\"\ntimeout = \"5s\"\n[cluster]\nunit = \"{unit}\"\nports = {{ client = 2379 }}\n\
         ready = {{ http = \"http://{{ip}}:{{port.client}}/health\" }}\nclient = {{ kind = \"etcd\" }}\n\
         [cluster.hosts]\n{hosts}[cluster.ssh]\nuser = \"root\"\n"
    );
    let path = bed.folder.join("units.toml");
    fs::write(&path, text).expect("the bed's own folder");
    path
}

fn begin(bed: &Bed, unit: &str, name: &str, more: &[&str]) -> Trial {
    begin_with(bed, campaign(bed, unit).to_str().expect("text"), name, more)
}

fn given_back(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    let systemd = Systemd::begin(bed);
    systemd.start(1);
    let faults = ["--nemesis", "kill,pause,clock,partition", "--nemesis-interval", "1500ms"];
    let (code, said, folder) =
        begin(bed, "db-{node}", "units", &[&["--time-limit", "15s"], &faults[..]].concat()).end();
    assert_eq!(code, Some(0), "{said}");
    let history = fs::read_to_string(folder.join("history.jsonl")).expect("a history");
    for fault in ["kill", "pause", "clock"] {
        assert!(history.contains(&format!("\"f\":\"{fault}\"")), "{fault}: {said}");
    }
    assert!(fs::read_to_string(folder.join("trial.json")).expect("a record").contains("\"wiped\": false"));
    let setup = fs::read_to_string(folder.join("setup.log")).expect("a log");
    assert!(
        setup.contains("n1: the unit is the trial's; it ran") && setup.contains("n2: the unit is"),
        "{setup}"
    );
    for i in HOSTS {
        systemd.is_as_it_was(i, i == 1);
        let log = fs::read_to_string(folder.join(format!("logs/n{i}/output.log"))).expect("the journal came");
        // A kill that the unit's own file had undone would be none.
        assert!(log.contains("etcd") && !log.contains("started again"), "{log}");
    }
    drop(systemd);
    HOSTS.into_iter().for_each(|i| nothing_left(bed, i));
}

fn healed(bed: &Bed) {
    if !has_etcd() {
        return;
    }
    let systemd = Systemd::begin(bed);
    systemd.start(2);
    let more = ["--time-limit", "60s", "--nemesis", "pause", "--nemesis-interval", "5s", "--rate", "50"];
    let mut trial = begin(bed, "db-{node}", "units-killed", &more);
    trial.is_working();
    let folder = trial.folder().expect("it runs");
    let died = || {
        let history = fs::read_to_string(folder.join("history.jsonl")).unwrap_or_default();
        history.lines().any(|line| line.contains("\"exit\"") && line.contains("n3"))
    };
    assert!(bed.shell(3, &format!("kill -SEGV {}", systemd.main(3))).status.success());
    eventually("the end of a unit is noted", died);
    let stands = |i: usize| {
        let said = bed.shell(i, &format!("ps -o stat= -p {}", systemd.main(i)));
        String::from_utf8_lossy(&said.stdout).starts_with('T')
    };
    eventually("a unit stands still", || stands(1) || stands(2));
    // The helper's controller and, on n1, n2, n3, both of its processes: nobody is left who would undo anything.
    trial.child.kill().and_then(|()| trial.child.wait()).expect("it is ours");
    for i in HOSTS {
        bed.shell(i, "for pid in $(pgrep -f '[a]gent serve'); do kill -9 $pid; done");
    }
    let said = heal(bed, &folder);
    assert!(said.contains("nothing is left on its 3 hosts"), "{said}");
    HOSTS.into_iter().for_each(|i| systemd.is_as_it_was(i, i == 2));
    drop(systemd);
    HOSTS.into_iter().for_each(|i| nothing_left(bed, i));
}

fn refused(bed: &Bed) {
    let (code, said, _) = begin(bed, "db-{node}", "units-none", &["--time-limit", "5s"]).end();
    assert!(code == Some(255) && said.contains("systemd does not run this host"), "{said}");
    let systemd = Systemd::begin(bed);
    let (code, said, _) = begin(bed, "other", "units-other", &["--time-limit", "5s"]).end();
    assert!(code == Some(255) && said.contains("systemd has no unit other.service"), "{said}");
    bed.shell(1, "echo db-n1.timer > /run/stand-in/db-n1.service.triggers");
    bed.shell(2, "mkdir -p /run/systemd/system/db-n2.service.d; : > /run/systemd/system/db-n2.service.d/zzz-elenchus-00.conf");
    let (code, said, _) = begin(bed, "db-{node}", "units-triggered", &["--time-limit", "5s"]).end();
    let is_told = said.contains("db-n1.timer would start") || said.contains("another trial has the unit");
    assert!(code == Some(255) && is_told, "{said}");
    bed.shell(2, "rm -r /run/systemd/system/db-n2.service.d");
    HOSTS.into_iter().for_each(|i| systemd.is_as_it_was(i, false));
    drop(systemd);
    HOSTS.into_iter().for_each(|i| nothing_left(bed, i));
}
