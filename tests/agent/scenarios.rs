//! What happens to agents: each scenario is the body of a controller whose nodes are hosts.

use crate::bed::{Bed, EVER, SOON, eventually, try_ask};
use elenchus::agent::{AgentHost, AgentMachines, Connect, Right, Step};
use elenchus::host::{Ground, Spawn, Status};
use elenchus::live::{DataFolder, Machines};
use elenchus_core::fault::{Ailment, FaultId, Harm, Limit, Loss, Skew, Trouble};
use elenchus_core::random::Seed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::Cell;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

type Scenario = (&'static str, fn(Ground, &Path));

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    ("nodes_start_stand_go_on_and_die", |g, f| Bed::run(g, f, nodes)),
    ("a_cut_is_one_way_mends_and_counts", |g, f| Bed::run(g, f, links)),
    ("packets_suffer_until_they_are_calmed", |g, f| Bed::run(g, f, packets)),
    ("packets_suffer_by_netem_until_somebody_heals", |g, f| Bed::run(g, f, by_netem)),
    ("iptables_cut_as_well", |g, f| Bed::run(g, f, iptables)),
    ("a_lapsed_lease_takes_everything_back", |g, f| Bed::run(g, f, lapse)),
    ("a_killed_agent_is_healed_by_whoever_is_left", |g, f| Bed::run(g, f, killed)),
    ("a_disk_fails_and_is_unmounted_by_whoever_is_left", |g, f| Bed::run(g, f, disks)),
    ("lines_come_and_go", |g, f| Bed::run(g, f, lines)),
    ("garbage_and_silence_harm_nobody", |g, f| Bed::run(g, f, garbage)),
    ("whatever_was_asked_nothing_stays", |g, f| Bed::run(g, f, sequences)),
    ("a_full_disk_is_told_and_everything_is_taken_back", |g, f| Bed::run(g, f, full_disk)),
    ("a_host_does_what_an_installation_needs", |g, f| Bed::run(g, f, installation)),
    ("services_that_stop_slowly_delay_nobody", |g, f| Bed::run(g, f, slow_services)),
];

fn no_trouble_with(result: Result<(), elenchus_core::outcome::Cause>) {
    result.unwrap_or_else(|cause| panic!("{}", cause.0));
}

fn why<T: std::fmt::Debug>(result: Result<T, elenchus_core::outcome::Cause>) -> String {
    result.expect_err("it is refused").0.into_owned()
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

async fn start_both(bed: &Bed, machines: &AgentMachines) {
    for place in [0, 1] {
        no_trouble_with(machines.start(&bed.nodes[place], &bed.toy(place)).await);
        eventually("the node listens", || try_ask(bed.address(place), "ping", EVER).is_some());
    }
}

/// Agents of both hosts, the toys on them, and the controller's side.
async fn ready(bed: &Bed, lease: &str) -> AgentMachines {
    bed.serve(0, lease, &[]).await;
    bed.serve(1, lease, &[]).await;
    let machines = bed.open().await.unwrap();
    start_both(bed, &machines).await;
    machines
}

async fn end(bed: &Bed, machines: AgentMachines) {
    assert_eq!(machines.end().await, []);
    for place in [0, 1] {
        bed.is_deserted(place).await;
    }
}

async fn nodes(bed: &Bed) {
    let machines = ready(bed, "60s").await;
    let mut exits = machines.exits().expect("they are taken once");
    assert!(machines.exits().is_none());
    let (n1, n2) = (&bed.nodes[0], &bed.nodes[1]);
    let hello = machines.hello(n1).unwrap();
    assert_eq!(hello.nodes, std::slice::from_ref(n1));
    assert!(matches!(hello.rights["partition"], Right::By(_)), "{hello:?}");
    assert!(hello.rights.contains_key("clock"), "{hello:?}");

    no_trouble_with(machines.start(n1, &bed.toy(0)).await);
    no_trouble_with(machines.pause(n1).await);
    no_trouble_with(machines.pause(n1).await);
    assert_eq!(try_ask(bed.address(0), "ping", SOON), None);
    no_trouble_with(machines.resume(n1).await);
    assert_eq!(bed.ask(0, "ping"), "pong");

    no_trouble_with(machines.kill(n1).await);
    no_trouble_with(machines.kill(n1).await);
    let exit = exits.recv().await.unwrap();
    assert_eq!((&exit.node, exit.status, exit.expected), (n1, Status::Killed(9), true));
    assert!(why(machines.pause(n1).await).contains("n1"));
    no_trouble_with(machines.start(n1, &bed.toy(0)).await);
    eventually("the node listens", || try_ask(bed.address(0), "ping", EVER).is_some());

    // It ends by itself: nobody expected that.
    assert_eq!(try_ask(bed.address(1), "exit 3", EVER), None);
    let exit = exits.recv().await.unwrap();
    assert_eq!((&exit.node, exit.status, exit.expected), (n2, Status::Exited(3), false));

    // What cannot be done names the node and the reason.
    let spawn = Spawn { argv: vec!["/no/such/program".into()], ..bed.toy(1) };
    let refusal = why(machines.start(n2, &spawn).await);
    assert!(refusal.contains("n2") && refusal.contains("/no/such/program"), "{refusal}");
    let spawn = Spawn { user: Some("no-such-user-here".into()), ..bed.toy(1) };
    assert!(why(machines.start(n2, &spawn).await).contains("no-such-user-here"));
    assert!(why(machines.kill(&bed.nodes[2]).await).contains("n3"));
    // The clock of its processes only, where that is possible at all; the host's was not asked for.
    match machines.skew(n1, Some(Skew::Bump { delta_ms: 5 })).await {
        Ok(_) => drop(machines.skew(n1, None).await.expect("it tells the truth again")),
        Err(cause) => assert!(cause.0.contains("n1"), "{}", cause.0),
    }
    let limit = Some(Limit::Cpu { percent: 50 });
    match &hello.rights["resources"] {
        Right::By(_) => {
            machines.restrict(n1, limit).await.unwrap();
            machines.restrict(n1, None).await.unwrap();
        }
        Right::No(_) => assert!(why(machines.restrict(n1, limit).await).contains("n1")),
    }
    let loss = Trouble::Loss { percent: 30 };
    assert!(why(machines.disturb(&bed.nodes[2], Some(loss)).await).contains("n3"));

    // The output of a node is in its host's folder, wherever the controller would have it.
    let log = bed.home(0).join("logs/n1/output.log");
    assert!(log.is_file(), "{}", log.display());
    end(bed, machines).await;
}

async fn links(bed: &Bed) {
    cuts(bed, &[]).await;
}

async fn iptables(bed: &Bed) {
    // The rules of a scenario are in its own network, so looking is harmless.
    let said = bed.on(0, &["iptables", "-w", "5", "-N", "trial-of-iptables"]).await;
    if !said.is_empty() {
        // In a user namespace the program may want a lock that it cannot have.
        return println!("not tried, for iptables does not work here: {said}");
    }
    cuts(bed, &["--filter", "iptables"]).await;
    let said = bed.on(0, &["iptables", "-w", "5", "-S"]).await;
    assert!(said.contains("trial-of-iptables"), "what others made stays: {said}");
    assert!(!said.contains("elenchus-"), "{said}");
    let said = bed.on(1, &["ip6tables", "-w", "5", "-S"]).await;
    assert!(!said.contains("elenchus-"), "{said}");
}

async fn cuts(bed: &Bed, filter: &[&str]) {
    bed.serve(0, "60s", filter).await;
    bed.serve(1, "60s", filter).await;
    bed.serve(2, "60s", filter).await;
    // To n3 it seems that the controller sits where n1 does.
    let n1 = bed.address(0).ip();
    let third = AgentHost { work: bed.connect(2, n1), heal: bed.connect(2, n1), ..bed.host(2) };
    // Rules for both versions of IP, though only one is spoken here.
    let mut first = bed.host(0);
    first.addresses.push("fd00::1".parse().unwrap());
    let machines = AgentMachines::open(vec![first, bed.host(1), third]).await.unwrap();
    start_both(bed, &machines).await;
    bed.reach_each_other();
    let tell = |from, to, word: &str| {
        assert_eq!(bed.ask(from, &format!("tell {} {word}", bed.address(to))), "told");
    };
    let has_heard = |node, word: &str| bed.ask(node, "heard").split(',').any(|heard| heard == word);
    tell(0, 1, "before");
    tell(1, 0, "before");
    eventually("words arrive", || has_heard(0, "before") && has_heard(1, "before"));

    // One way only: what n2 says arrives, what n1 says does not.
    no_trouble_with(machines.cut(FaultId(1), &[bed.link(0, 1)]).await);
    tell(0, 1, "held-back");
    tell(1, 0, "let-through");
    eventually("the other way is open", || has_heard(0, "let-through"));
    assert!(!has_heard(1, "held-back"));
    assert!(bed.dial(0, 1).starts_with("cut"));
    assert!(machines.mend(FaultId(1)).await.unwrap().count > 0);
    eventually("what was held back arrives", || has_heard(1, "held-back"));
    bed.reach_each_other();

    // Two faults on one link: the last one mends it. The controller is never cut off.
    let both = [bed.link(0, 1), bed.link(1, 0)];
    no_trouble_with(machines.cut(FaultId(2), &both).await);
    no_trouble_with(machines.cut(FaultId(3), &both[..1]).await);
    assert!(bed.dial(1, 0).starts_with("cut"));
    assert!(machines.mend(FaultId(2)).await.unwrap().count > 0);
    assert!(bed.dial(0, 1).starts_with("cut"));
    assert!(machines.mend(FaultId(3)).await.unwrap().count > 0);
    assert_eq!(machines.mend(FaultId(3)).await.unwrap().count, 0);
    bed.reach_each_other();

    // By resets, where the filter can: whoever dials is told at once.
    match machines.reset(FaultId(6), &both).await {
        Ok(()) => {
            assert!(bed.dial(0, 1).contains("refused"), "{}", bed.dial(0, 1));
            // What was told before went over a connection that is there still, though nobody speaks on it.
            if elenchus::host::connections::probe().is_ok() {
                let lasts = format!("lasts {}", bed.address(1));
                eventually("the idle connection ends", || bed.ask(0, &lasts) == "false");
            }
            assert!(machines.mend(FaultId(6)).await.unwrap().count > 0);
        }
        Err(cause) => {
            assert!(filter.contains(&"iptables") && cause.0.contains("nftables only"), "{}", cause.0)
        }
    }
    bed.reach_each_other();

    // What would cut the controller off is refused, and what was cut beside it is mended again.
    let refusal = why(machines.cut(FaultId(4), &[bed.link(0, 1), bed.link(0, 2)]).await);
    assert!(refusal.contains("n3") && refusal.contains("the controller's own connection"), "{refusal}");
    bed.reach_each_other();
    let loss = Some(Trouble::Loss { percent: 100 });
    let refusal = why(machines.disturb(&bed.nodes[2], loss).await);
    assert!(refusal.contains("n3") && refusal.contains("the controller's own connection"), "{refusal}");
    let refusal = why(machines.cut(FaultId(4), &[bed.link(1, 1)]).await);
    assert!(refusal.contains("n2") && refusal.contains("itself"), "{refusal}");
    assert_eq!(machines.mend(FaultId(4)).await.unwrap().count, 0);

    // A trial may end with links cut.
    no_trouble_with(machines.cut(FaultId(5), &both).await);
    end(bed, machines).await;
    bed.is_deserted(2).await;
}

async fn packets(bed: &Bed) {
    let machines = ready(bed, "60s").await;
    let (n1, loss) = (&bed.nodes[0], Some(Trouble::Loss { percent: 100 }));
    if let Right::No(reason) = &machines.hello(n1).unwrap().rights["packets"] {
        println!("not tried, for packets cannot suffer here: {reason}");
        assert!(why(machines.disturb(n1, loss).await).contains("n1"));
        return end(bed, machines).await;
    }
    bed.reach_each_other();
    assert_eq!(machines.disturb(n1, loss).await.unwrap().count, 0);
    assert!(bed.dial(1, 0).starts_with("cut"));
    // The controller is not touched, and one trouble follows another.
    assert_eq!(bed.ask(0, "ping"), "pong");
    let late = Some(Trouble::Delay { ms: 100, jitter_ms: 0 });
    assert!(machines.disturb(n1, late).await.unwrap().count > 0);
    let began = Instant::now();
    assert_eq!(bed.dial(1, 0), "reached");
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert!(machines.disturb(n1, None).await.unwrap().count > 0);
    assert_eq!(machines.disturb(n1, None).await.unwrap().count, 0);
    bed.reach_each_other();
    // A trial may end with packets in trouble.
    machines.disturb(n1, loss).await.unwrap();
    end(bed, machines).await;
    assert!(bed.log(0).contains("undone: Trouble"), "{}", bed.log(0));
}

/// What the kernel does by itself it goes on to do when its agent is killed, until somebody heals.
async fn by_netem(bed: &Bed) {
    packets(bed).await;
    let machines = ready(bed, "60s").await;
    let (n1, loss) = (&bed.nodes[0], Some(Trouble::Loss { percent: 100 }));
    if let Right::No(_) = &machines.hello(n1).unwrap().rights["packets"] {
        return end(bed, machines).await;
    }
    // What the host's card has found whole would be taken for whole: what is garbled never arrives.
    machines.disturb(n1, Some(Trouble::Corrupt { percent: 100 })).await.unwrap();
    assert!(bed.dial(1, 0).starts_with("cut"));
    assert!(machines.disturb(n1, loss).await.unwrap().count > 0);
    bed.kill_both(0);
    assert_eq!(bed.ask(1, "ping"), "pong");
    let said = bed.agent(0, &["heal"]).await;
    assert!(said.contains("Device"), "{said}");
    drop(machines);
    let said = bed.agent(1, &["heal", "--end"]).await;
    assert!(said.contains("\"healed\""), "{said}");
    for place in [0, 1] {
        bed.is_deserted(place).await;
    }
    let machines = ready(bed, "60s").await;
    bed.reach_each_other();
    end(bed, machines).await;
}

async fn lapse(bed: &Bed) {
    let machines = ready(bed, "1500ms").await;
    // It is renewed by itself, for longer than a lease.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    no_trouble_with(machines.cut(FaultId(1), &[bed.link(0, 1), bed.link(1, 0)]).await);
    no_trouble_with(machines.pause(&bed.nodes[0]).await);
    assert_eq!(bed.ask(1, "daemon"), "left one behind");
    assert_ne!(bed.rules(0).await, Some(vec![]));
    drop(machines);
    for place in [0, 1] {
        bed.is_deserted(place).await;
        let log = bed.log(place);
        assert!(log.contains("no controller has said anything for 1.5s"), "{log}");
        assert!(log.contains("undone: Cut") && log.contains("ended: n"), "{log}");
    }
    assert!(bed.log(0).contains("undone: Pause"));
}

async fn killed(bed: &Bed) {
    let both = [bed.link(0, 1), bed.link(1, 0)];
    // Agent and supervisor at once: the rules stay, and so does a daemon of the node, until somebody heals.
    let machines = ready(bed, "60s").await;
    no_trouble_with(machines.cut(FaultId(1), &both).await);
    assert_eq!(bed.ask(0, "daemon"), "left one behind");
    let agent = bed.agent_pid(0);
    let said = bed.agent(0, &["heal"]).await;
    assert!(said.contains(&format!("\"running\":{{\"pid\":{agent}}}")), "{said}");
    bed.kill_both(0);
    assert_ne!(bed.rules(0).await, Some(vec![]));
    let refusal = why(machines.pause(&bed.nodes[0]).await);
    assert!(refusal.contains("n1") && refusal.contains("no answer"), "{refusal}");
    let said = bed.agent(0, &["heal"]).await;
    assert!(said.contains("\"undone\":[\"Tables"), "{said}");
    bed.no_rules(0).await;
    assert!(bed.agent(0, &["heal"]).await.contains("\"already\""));

    // The agent of the other host alone: its supervisor heals.
    signal(bed.agent_pid(1), Signal::SIGKILL);
    bed.is_deserted(1).await;
    let log = bed.log(1);
    assert!(log.contains("killed by signal 9") && log.contains("undone: Tables"), "{log}");
    drop(machines);

    // The supervisor alone: the agent heals, daemons included. A new agent may live where one was killed.
    let machines = ready(bed, "60s").await;
    no_trouble_with(machines.cut(FaultId(1), &both).await);
    assert_eq!(bed.ask(0, "daemon"), "left one behind");
    signal(bed.supervisor_pid(0), Signal::SIGKILL);
    // SIGTERM to an agent is as good as asking it.
    signal(bed.agent_pid(1), Signal::SIGTERM);
    for place in [0, 1] {
        bed.is_deserted(place).await;
    }
    assert!(bed.log(1).contains("SIGTERM"), "{}", bed.log(1));
    drop(machines);

    // An agent starts where another was killed and nobody healed; a living one is ended by those who insist.
    bed.serve(0, "60s", &[]).await;
    bed.kill_both(0);
    bed.serve(0, "60s", &[]).await;
    let said = bed.agent(0, &["serve", "--node", "n1"]).await;
    assert!(said.contains("\"already\":true"), "{said}");
    let said = bed.agent(0, &["heal", "--end"]).await;
    assert!(said.contains("\"healed\""), "{said}");
    bed.is_deserted(0).await;
}

/// Whether we are root outside of any user namespace.
fn is_root() -> bool {
    fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().nth(2) != Some("1")
}

/// An agent of the first host with a disk under its data folder; `None`, with a word, where there can be none.
async fn with_disk(bed: &Bed, lease: &str) -> Option<AgentMachines> {
    bed.serve(0, lease, &[]).await;
    let machines = AgentMachines::open(vec![bed.host(0)]).await.unwrap();
    let node = &bed.nodes[0];
    let data = DataFolder { path: bed.data(0), ails: true, is_damaged: true, seed: Seed(7) };
    let stored = machines.store(node, &data).await;
    if let Right::No(why) = &machines.hello(node).unwrap().rights["disk"] {
        let refusal = stored.unwrap_err().to_string();
        assert!(refusal.contains("n1") && !bed.has_disk(0), "{refusal}");
        let required = std::env::var("ELENCHUS_REQUIRE").unwrap_or_default();
        let is_required = is_root() && required.split(',').any(|item| item == "fuse");
        assert!(!is_required, "ELENCHUS_REQUIRE names fuse, but {why}");
        println!("disks cannot fail here: {why}");
        end_first(bed, machines).await;
        return None;
    }
    assert_eq!((stored, bed.has_disk(0)), (Ok(()), true));
    // Once more changes nothing.
    machines.store(node, &data).await.unwrap();
    Some(machines)
}

async fn end_first(bed: &Bed, machines: AgentMachines) {
    assert_eq!(machines.end().await, []);
    bed.is_deserted(0).await;
    assert!(!bed.has_disk(0));
}

async fn disks(bed: &Bed) {
    let Some(machines) = with_disk(bed, "60s").await else { return };
    let (node, data) = (&bed.nodes[0], bed.data(0));
    fs::write(data.join("early"), "kept").unwrap();
    no_trouble_with(machines.settle().await);
    fs::write(data.join("late"), "lost").unwrap();
    let lost = machines.power_off(node, Loss::Unsynced).await.unwrap();
    assert_eq!((lost.bytes, lost.files), (4, 1));
    assert_eq!(fs::read(data.join("early")).unwrap(), b"kept");
    assert_eq!(fs::read(data.join("late")).unwrap(), b"");
    assert_eq!(machines.ail(node, Some(Ailment::Full)).await.unwrap().count, 0);
    assert!(fs::write(data.join("more"), "more").is_err());
    assert!(machines.ail(node, None).await.unwrap().count > 0);
    let said = machines.damage(node, Harm::Rollback).await.unwrap();
    assert!(said.contains("as it was") && !data.join("late").exists(), "{said}");
    // A file that somebody holds open keeps no mount.
    let held = fs::File::open(data.join("early")).unwrap();
    end_first(bed, machines).await;
    drop(held);

    // Agent and supervisor at once: a mount that nobody serves stays until somebody heals.
    let machines = with_disk(bed, "60s").await.unwrap();
    bed.kill_both(0);
    assert!(bed.has_disk(0));
    assert!(fs::read_dir(&data).is_err(), "nobody serves it");
    let said = bed.agent(0, &["heal"]).await;
    assert!(said.contains("Mount") && !bed.has_disk(0), "{said}");
    assert!(bed.agent(0, &["heal"]).await.contains("\"already\""));
    drop(machines);

    // A new agent undoes what a killed one left, too.
    drop(with_disk(bed, "60s").await.unwrap());
    bed.kill_both(0);
    let machines = with_disk(bed, "60s").await.unwrap();
    // The agent alone: its supervisor unmounts.
    signal(bed.agent_pid(0), Signal::SIGKILL);
    bed.is_deserted(0).await;
    assert!(!bed.has_disk(0) && bed.log(0).contains("undone: Mount"), "{}", bed.log(0));
    drop(machines);

    // A lease that lapses.
    let machines = with_disk(bed, "1s").await.unwrap();
    machines.ail(node, Some(Ailment::Full)).await.unwrap();
    drop(machines);
    bed.is_deserted(0).await;
    let log = bed.log(0);
    assert!(!bed.has_disk(0) && log.contains("undone: Ailment"), "{log}");
}

async fn lines(bed: &Bed) {
    let machines = ready(bed, "60s").await;
    let mut exits = machines.exits().unwrap();
    no_trouble_with(machines.cut(FaultId(1), &[bed.link(0, 1)]).await);
    assert!(bed.dial(0, 1).starts_with("cut"));
    // All bridges break: the agents, the nodes and the cut stay, and a request finds a new one.
    for bridge in bed.bridges.borrow_mut().iter_mut() {
        bridge.start_kill().unwrap();
    }
    assert_eq!(try_ask(bed.address(1), "exit 4", EVER), None);
    assert!(machines.mend(FaultId(1)).await.unwrap().count > 0);
    // What happened meanwhile is told.
    let exit = exits.recv().await.unwrap();
    assert_eq!((&exit.node, exit.status, exit.expected), (&bed.nodes[1], Status::Exited(4), false));
    no_trouble_with(machines.start(&bed.nodes[1], &bed.toy(1)).await);
    eventually("the node listens", || try_ask(bed.address(1), "ping", EVER).is_some());
    bed.reach_each_other();

    // A second controller of the same trial sees the same nodes; one of another trial is refused.
    let second = bed.open().await.unwrap();
    no_trouble_with(second.pause(&bed.nodes[0]).await);
    no_trouble_with(machines.resume(&bed.nodes[0]).await);
    let refusal = AgentMachines::open(vec![bed.host(0)]).await.map(drop).unwrap_err().to_string();
    assert!(refusal.contains("n1") && refusal.contains("other nodes"), "{refusal}");
    let stranger = AgentHost { work: bed.connect(1, [10, 77, 0, 254].into()), ..bed.host(0) };
    let refusal = AgentMachines::open(vec![stranger]).await.map(drop).unwrap_err().to_string();
    assert!(refusal.contains("n1") && refusal.contains("n2"), "{refusal}");
    drop(second);
    end(bed, machines).await;

    // Nobody lives there any more: that is told at once, with the node.
    let began = Instant::now();
    let refusal = bed.open().await.map(drop).unwrap_err().to_string();
    assert!(refusal.contains("agent of n"), "{refusal}");
    assert!(began.elapsed() < EVER);
}

/// Everything that an agent says until it closes the line.
async fn say(connect: &Connect, words: &[u8]) -> String {
    let mut stream = connect().await.unwrap();
    // It may have heard enough before the end.
    let _ = stream.writer.write_all(words).await;
    let _ = stream.writer.flush().await;
    let mut said = String::new();
    let all = tokio::time::timeout(EVER, stream.reader.read_to_string(&mut said)).await;
    all.expect("the line is closed").unwrap();
    said
}

async fn garbage(bed: &Bed) {
    bed.serve(0, "60s", &[]).await;
    let connect = bed.connect(0, IpAddr::from([10, 77, 0, 254]));
    let hello = "{\"id\":1,\"request\":{\"hello\":{\"version\":3,\"session\":\"s\",\"since\":0}}}\n";
    let long = vec![b'x'; 9 << 20];
    let cases: [(&[u8], &str); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n", "no request"),
        (b"{\"id\":1,\"request\":{\"ping\":{}}}\n", "says hello first"),
        (b"\xff\xfe\x00\n", "no request"),
        (
            b"{\"id\":1,\"request\":{\"hello\":{\"version\":9,\"session\":\"s\",\"since\":0}}}\n",
            "version 3, not 9",
        ),
        (&long, "a line of more than"),
    ];
    for (words, expect) in cases {
        let said = say(&connect, words).await;
        assert!(said.contains("closing") && said.contains(expect), "{said}");
    }
    let said =
        say(&connect, format!("{hello}{{\"id\":2,\"request\":{{\"explode\":{{}}}}}}\n").as_bytes()).await;
    assert!(said.contains("explode") && said.contains("closing"), "{said}");
    // A cut that comes after its mending, as from a slow line, is not carried out.
    let peer = |node, ip| format!("{{\"node\":\"{node}\",\"addresses\":[\"{ip}\"]}}");
    let peers = format!("{},{}", peer("n1", "10.77.0.1"), peer("n2", "10.77.0.2"));
    let late = format!(
        "{hello}{{\"id\":2,\"request\":{{\"peers\":{{\"peers\":[{peers}]}}}}}}\n\
         {{\"id\":9,\"request\":{{\"mend\":{{\"id\":1}}}}}}\n\
         {{\"id\":8,\"request\":{{\"cut\":{{\"id\":1,\"links\":[{{\"from\":\"n2\",\"to\":\"n1\"}}]}}}}}}\nover\n"
    );
    let said = say(&connect, late.as_bytes()).await;
    assert!(said.contains("\"id\":9,\"answer\"") && said.contains("overtaken"), "{said}");
    // Lines that say nothing, or half of something, keep nobody else waiting.
    let _silent = connect().await.unwrap();
    let mut half = connect().await.unwrap();
    half.writer.write_all(&hello.as_bytes()[..20]).await.unwrap();
    half.writer.flush().await.unwrap();
    bed.serve(1, "60s", &[]).await;
    let machines = bed.open().await.unwrap();
    no_trouble_with(machines.start(&bed.nodes[0], &bed.toy(0)).await);
    eventually("the node listens", || try_ask(bed.address(0), "ping", EVER).is_some());

    // An agent that stands still is an error in time, and goes on where it stood.
    let agent = bed.agent_pid(0);
    signal(agent, Signal::SIGSTOP);
    let began = Instant::now();
    let refusal = why(machines.pause(&bed.nodes[0]).await);
    assert!(refusal.contains("n1") && refusal.contains("no answer within"), "{refusal}");
    assert!(began.elapsed() < elenchus_core::fault::FAULT_TIMEOUT + EVER);
    signal(agent, Signal::SIGCONT);
    no_trouble_with(machines.resume(&bed.nodes[0]).await);
    assert_eq!(bed.ask(0, "ping"), "pong");
    end(bed, machines).await;
}

async fn sequences(bed: &Bed) {
    for round in 0..3 {
        let machines = ready(bed, "1s").await;
        let mut random = Seed(7).stream("requests").nth(round).rng();
        for _ in 0..25 {
            let draw = random.next_u64();
            let (node, id) = (&bed.nodes[(draw % 2) as usize], FaultId((draw >> 8) as u32 % 3));
            let links = [bed.link(0, 1), bed.link(1, 0)];
            // Some are refused, as pausing what does not run: that must leave nothing either.
            match draw >> 16 & 7 {
                0 | 1 => drop(machines.cut(id, &links[..1 + (draw >> 32 & 1) as usize]).await),
                2 => drop(machines.mend(id).await),
                3 => drop(machines.pause(node).await),
                4 => drop(machines.resume(node).await),
                5 => drop(machines.kill(node).await),
                6 => drop(machines.start(node, &bed.toy((draw % 2) as usize)).await),
                _ => drop(machines.disturb(node, Some(Trouble::Loss { percent: 10 })).await),
            }
        }
        drop(machines);
        for place in [0, 1] {
            bed.is_deserted(place).await;
            assert!(!bed.log(place).contains("not undone"), "{}", bed.log(place));
        }
    }
}

async fn full_disk(bed: &Bed) {
    let home = bed.home(0);
    fs::create_dir(&home).unwrap();
    // In the trial's own mount namespace: it goes with the trial.
    let (small, flags) = (Some("size=256k"), nix::mount::MsFlags::empty());
    nix::mount::mount(Some("none"), &home, Some("tmpfs"), flags, small).unwrap();
    let machines = ready(bed, "1500ms").await;
    no_trouble_with(machines.cut(FaultId(1), &[bed.link(1, 0)]).await);
    no_trouble_with(machines.kill(&bed.nodes[0]).await);
    let full = fs::write(home.join("filler"), vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let node = &bed.nodes[0];
    let refusal = machines.write(node, &home.join("conf"), "x = 1", 0o600).await.unwrap_err().to_string();
    assert!(refusal.contains("n1") && refusal.contains("conf") && refusal.contains("space"), "{refusal}");
    assert_eq!(machines.space(node, &home).await, Ok(0));
    no_trouble_with(machines.cut(FaultId(2), &[bed.link(1, 0)]).await);
    drop(machines);
    let began = Instant::now();
    while bed.rules(0).await.is_some_and(|rules| !rules.is_empty()) {
        assert!(began.elapsed() < EVER, "the rules stay");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    eventually("the agent is gone", || !Path::new(&format!("/proc/{}", bed.agent_pid(0))).exists());
    // With room again there is nothing to do but to say so.
    fs::remove_file(home.join("filler")).unwrap();
    let said = bed.agent(0, &["heal"]).await;
    assert!(said.contains("\"healed\""), "{said}");
    for place in [0, 1] {
        bed.is_deserted(place).await;
    }
}

async fn installation(bed: &Bed) {
    bed.serve(0, "60s", &[]).await;
    let host = bed.host(0);
    let node = &bed.nodes[0].clone();
    let machines = AgentMachines::open(vec![host]).await.unwrap();
    let folder = bed.home(0).join("data/deep");
    machines.folder(node, &folder).await.unwrap();
    let file = folder.join("conf");
    machines.write(node, &file, "name = \"λ\"\n", 0o640).await.unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "name = \"λ\"\n");
    assert!(machines.space(node, &folder).await.unwrap() > 0);
    let refusal = machines.write(node, &folder.join("none/conf"), "", 0o600).await.unwrap_err().to_string();
    assert!(refusal.contains("n1") && refusal.contains("none/conf"), "{refusal}");
    let step = |script: &str, limit_ms| Step {
        argv: vec!["sh".into(), "-c".into(), script.into()],
        env: vec![("WORD".into(), "said".into())],
        cwd: folder.clone(),
        limit_ms,
    };
    let ran = machines.run(node, &step("cat conf; echo $WORD >&2; exit 5", 20_000)).await.unwrap();
    assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (Some(5), "name = \"λ\"\n", "said\n"));
    let refusal = machines.run(node, &step("sleep 600", 200)).await.unwrap_err().to_string();
    assert!(refusal.contains("n1") && refusal.contains("within 200ms"), "{refusal}");
    assert_eq!(machines.end().await, []);

    // A node may run as another user, where we may become one and the machine has it.
    if is_root() && fs::read_to_string("/etc/passwd").unwrap().contains("nobody:") {
        bed.is_deserted(0).await;
        bed.serve(0, "60s", &[]).await;
        let host = AgentHost { user: Some("nobody".into()), ..bed.host(0) };
        let machines = AgentMachines::open(vec![host]).await.unwrap();
        let mut exits = machines.exits().unwrap();
        let argv = vec!["sh".into(), "-c".into(), "id -un; echo $HOME".into()];
        no_trouble_with(machines.start(node, &Spawn { argv, ..bed.toy(0) }).await);
        exits.recv().await.unwrap();
        let log = fs::read_to_string(bed.home(0).join("logs/n1/output.log")).unwrap();
        assert!(log.starts_with("nobody\n"), "{log}");
        machines.folder(node, &bed.home(0).join("own")).await.unwrap();
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(bed.home(0).join("own")).unwrap());
        assert_ne!(owner, 0);
        assert_eq!(machines.end().await, []);
    }
    bed.is_deserted(0).await;
}

/// Stands in for `systemctl` on a host where a service keeps the clock right: it takes until it is told to go on to
/// stop, and then it does not. So the clock is never set.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$(dirname "$0")" || exit 9
case "$*" in
    "is-active --quiet chrony") exit 0 ;;
    "stop chrony")
        cp ../host-1/faults.jsonl listed
        : > stopping
        while [ ! -e go ]; do sleep 0.02; done
        exit 1 ;;
    "start chrony") : > started ;;
    *) exit 3 ;;
esac
"#;

async fn slow_services(bed: &Bed) {
    let tools = bed.folder.join("tools");
    fs::create_dir(&tools).unwrap();
    fs::write(tools.join("systemctl"), SYSTEMCTL).unwrap();
    fs::set_permissions(tools.join("systemctl"), PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("PATH={}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let (program, home) = (std::env::current_exe().unwrap(), bed.home(0));
    let mut argv = vec!["env", &path, program.to_str().unwrap(), "agent", "serve", "--clock", "host"];
    argv.extend(["--lease", "60s", "--node", "n1", "--folder", home.to_str().unwrap()]);
    let said = bed.on(0, &argv).await;
    assert!(said.contains("\"ready\""), "{said}");
    let machines = AgentMachines::open(vec![bed.host(0)]).await.unwrap();
    let node = &bed.nodes[0];
    no_trouble_with(machines.start(node, &bed.toy(0)).await);

    let is_answered = Cell::new(false);
    let slow = async {
        // Were the clock set after all, nobody would notice so little.
        let refusal = why(machines.skew(node, Some(Skew::Bump { delta_ms: 1 })).await);
        is_answered.set(true);
        assert!(refusal.contains("systemctl stop chrony"), "{refusal}");
    };
    let others = async {
        let deadline = Instant::now() + EVER;
        while !tools.join("stopping").exists() {
            assert!(Instant::now() < deadline, "chrony is never stopped: {}", bed.log(0));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        no_trouble_with(machines.pause(node).await);
        no_trouble_with(machines.resume(node).await);
        assert!(!is_answered.get(), "the others waited for chrony");
        fs::write(tools.join("go"), "").unwrap();
    };
    tokio::join!(slow, others);
    let listed = fs::read_to_string(tools.join("listed")).unwrap();
    assert!(listed.contains("chrony"), "what will be undone is listed before it is done: {listed}");
    assert!(tools.join("started").exists(), "what stands is started again");
    assert_eq!(machines.end().await, []);
    bed.is_deserted(0).await;
}
