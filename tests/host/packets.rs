//! Packets in trouble, between two toy nodes.

use crate::scenarios::{Stage, eventually};
use elenchus::host::{Packets, PacketsError, packets};
use elenchus_core::fault::{FaultId, Trouble};
use elenchus_core::process::NodeId;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

impl Stage {
    /// Has `from` do something with the other node's address in it, and returns what it says.
    fn toward(&self, from: usize, words: &str) -> String {
        let peer = self.addresses.peer(&self.nodes[from], &self.nodes[1 - from]).to_string();
        self.ask(&self.nodes[from], &words.replace("{peer}", &peer))
    }

    /// The shortest and the longest of some round trips.
    fn round_trip(&self, from: usize) -> (Duration, Duration) {
        let answer = self.toward(from, "echo {peer} 10");
        let times: Vec<u64> = answer.split(' ').map(|word| word.parse().expect(&answer)).collect();
        (Duration::from_micros(times[0]), Duration::from_micros(times[1]))
    }

    /// The numbers of the datagrams that come to the second node of those that the first one sends.
    fn datagrams(&self, count: usize) -> Vec<String> {
        assert_eq!(self.toward(0, &format!("send {{peer}} {count} 200")), "sent");
        self.gathered()
    }

    /// The numbers of the datagrams that come to the second node until all is quiet.
    fn gathered(&self) -> Vec<String> {
        let mut came = vec![];
        let mut last = Instant::now();
        while last.elapsed() < QUIET {
            let gathered = self.ask(&self.nodes[1], "gathered");
            if !gathered.is_empty() {
                came.extend(gathered.split(',').map(str::to_owned));
                last = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        came
    }

    fn packets(&self) -> &Packets {
        self.packets.as_ref().expect("nobody has dropped them")
    }

    fn disturb(&self, node: usize, trouble: Trouble) {
        self.packets().disturb(&self.nodes[node], Some(trouble)).unwrap();
    }

    #[track_caller]
    fn calm(&self, node: usize) -> u64 {
        self.packets().disturb(&self.nodes[node], None).unwrap().count
    }
}

/// How long to wait for datagrams that may never come.
const QUIET: Duration = Duration::from_millis(600);

fn in_order(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

/// Where a proxy isolates: streams are late or slow, whole and in order all the same.
pub async fn slow_streams(stage: Stage) {
    stage.start_all().await;
    stage.reach_each_other();
    stage.disturb(1, Trouble::Delay { ms: 60, jitter_ms: 20 });
    for from in [0, 1] {
        let (least, most) = stage.round_trip(from);
        assert!(least >= Duration::from_millis(40), "{least:?}");
        assert!(most >= Duration::from_millis(60), "jitter: up to {most:?}");
    }
    eventually("the controller is answered at once", || {
        let began = Instant::now();
        assert_eq!(stage.ask(&stage.nodes[1], "ping"), "pong");
        began.elapsed() < Duration::from_millis(40)
    });
    stage.toward(0, "push {peer} 1024").parse::<u64>().expect("it arrives");
    // A refused trouble leaves the one in force as it was.
    let refused = stage.packets().disturb(&stage.nodes[1], Some(Trouble::Loss { percent: 10 }));
    assert_eq!(refused, Err(PacketsError::Streams));
    assert!(stage.round_trip(0).0 >= Duration::from_millis(40));
    assert!(stage.calm(1) >= 20);
    assert_eq!(stage.calm(1), 0);
    eventually("round trips are quick again", || stage.round_trip(0).0 < Duration::from_millis(40));

    // 256 KiB at 2 Mbit/s take a second.
    stage.disturb(1, Trouble::Rate { kbit: 2_000 });
    let took = stage.toward(0, "push {peer} 256").parse::<u64>().unwrap();
    assert!(took >= 1_000, "{took} ms");
    assert!(stage.calm(1) > 100);
    assert_eq!(stage.ask(&stage.nodes[1], "pushed"), "2 0");

    // What is on its way when all is well goes on at once; what is when a link is cut does not.
    stage.tell(0, 1, "before");
    eventually("words arrive", || stage.has_heard(1, "before"));
    stage.disturb(1, Trouble::Delay { ms: 5_000, jitter_ms: 0 });
    let began = Instant::now();
    stage.tell(0, 1, "late");
    stage.links.cut(FaultId(1), &[stage.link(0, 1)]).unwrap();
    stage.calm(1);
    eventually("it is held back", || stage.has_heard(1, "late") || began.elapsed() > QUIET);
    assert!(!stage.has_heard(1, "late"));
    stage.links.mend(FaultId(1)).unwrap();
    eventually("it arrives", || stage.has_heard(1, "late"));
    assert!(began.elapsed() < Duration::from_secs(4));
    unknown(&stage);
}

/// On the ground of the proxy there are streams, and what would break them is refused.
pub async fn refused(stage: Stage) {
    let refused = stage.packets().disturb(&stage.nodes[0], Some(Trouble::Loss { percent: 10 }));
    assert_eq!(refused, Err(PacketsError::Streams));
    assert_eq!(stage.calm(0), 0);
}

pub async fn late(stage: Stage) {
    stage.start_all().await;
    stage.reach_each_other();
    let (quick, _) = stage.round_trip(0);

    stage.disturb(1, Trouble::Delay { ms: 60, jitter_ms: 20 });
    // Both ways pass the troubled node's ear once: what it is told, and what it is answered.
    for from in [0, 1] {
        let (least, most) = stage.round_trip(from);
        assert!(least >= Duration::from_millis(40), "{least:?}");
        assert!(most >= Duration::from_millis(60), "jitter: up to {most:?}");
    }
    // The controller is not disturbed, nor is a node by itself.
    eventually("the controller is answered at once", || {
        let began = Instant::now();
        assert_eq!(stage.ask(&stage.nodes[1], "ping"), "pong");
        began.elapsed() < Duration::from_millis(40)
    });
    let own = stage.addresses.listen(&stage.nodes[1]);
    assert_eq!(stage.ask(&stage.nodes[1], &format!("dial {own}")), "reached");

    let touched = stage.calm(1);
    assert!(touched >= 20, "{touched}");
    assert_eq!(stage.calm(1), 0);
    eventually("round trips are quick again", || stage.round_trip(0).0 < Duration::from_millis(40));
    println!("a round trip takes {quick:?} in peace");

    // Order is kept in spite of jitter, and nothing is lost; in trouble or at its end. Before, let connections
    // take their leave, whose packets would be counted too.
    assert_eq!(stage.gathered(), [] as [String; 0]);
    stage.disturb(1, Trouble::Delay { ms: 100, jitter_ms: 100 });
    assert_eq!(stage.datagrams(200), in_order(200));
    assert_eq!(stage.toward(0, "send {peer} 50 0"), "sent");
    assert_eq!(stage.calm(1), 250);
    assert_eq!(stage.gathered(), in_order(50));
    unknown(&stage);
}

fn unknown(stage: &Stage) {
    let stranger = NodeId::new("n9");
    let refused = stage.packets().disturb(&stranger, Some(Trouble::Loss { percent: 1 }));
    assert_eq!(refused, Err(PacketsError::NoSuchNode(stranger)));
}

pub async fn mangled(stage: Stage) {
    stage.start_all().await;
    stage.reach_each_other();
    assert_eq!(stage.datagrams(200), in_order(200), "nothing is wrong");

    stage.disturb(1, Trouble::Loss { percent: 30 });
    let came = stage.datagrams(1000);
    assert!((620..780).contains(&came.len()), "{} of 1000", came.len());
    assert_eq!(stage.calm(1), 1000 - came.len() as u64);

    stage.disturb(1, Trouble::Duplicate { percent: 30 });
    let came = stage.datagrams(1000);
    assert_eq!(came.iter().collect::<BTreeSet<_>>().len(), 1000, "nothing is lost");
    assert!((1220..1380).contains(&came.len()), "{} of 1000", came.len());
    assert_eq!(stage.calm(1), came.len() as u64 - 1000);

    stage.disturb(1, Trouble::Reorder { percent: 20, ms: 20 });
    let came = stage.datagrams(500);
    let place = |number: &String| number.parse::<u32>().unwrap();
    let mut sorted = came.clone();
    sorted.sort_by_key(place);
    assert_eq!(sorted, in_order(500), "nothing is lost");
    let overtaken = came.windows(2).filter(|two| place(&two[0]) > place(&two[1])).count();
    assert!(overtaken > 5, "{overtaken}");
    assert!((50..150).contains(&stage.calm(1)));

    // One trouble follows another at once; each has its own count.
    stage.disturb(1, Trouble::Loss { percent: 100 });
    assert_eq!(stage.datagrams(10), [] as [String; 0]);
    let ended = stage.packets().disturb(&stage.nodes[1], Some(Trouble::Corrupt { percent: 50 })).unwrap();
    assert_eq!(ended.count, 10);
    let came = stage.datagrams(400);
    assert!(!came.contains(&"mangled".into()), "checksums tell");
    assert!((140..260).contains(&came.len()), "{} of 400", came.len());
    let (touched, lost) = (stage.calm(1), 400 - came.len() as u64);
    match by_netem() {
        // It flips bits of the frame's own header too, of which some tell nobody anything.
        true => assert!((lost..=lost + 40).contains(&touched), "{touched} touched, {lost} lost"),
        false => assert_eq!(touched, lost),
    }
    assert_eq!(stage.datagrams(200), in_order(200), "all is well again");
}

/// Whether the kernel's own disciplines bring troubles about, and not a queue.
fn by_netem() -> bool {
    packets::probe().is_ok_and(|how| how.starts_with("netem"))
}

/// Streams arrive byte for byte whatever their packets suffer.
pub async fn streams(stage: Stage) {
    stage.start_all().await;
    stage.reach_each_other();
    let mut whole = 0;
    // What the kernel has put together suffers as one there: it takes more of them for chance to strike.
    let more = if by_netem() { 4 } else { 1 };
    for (trouble, times, kib) in [
        (Trouble::Corrupt { percent: 20 }, more, 256),
        (Trouble::Duplicate { percent: 30 }, 1, 1024),
        (Trouble::Reorder { percent: 20, ms: 3 }, 1, 1024),
        (Trouble::Delay { ms: 5, jitter_ms: 5 }, 1, 1024),
        (Trouble::Loss { percent: 10 }, more, 256),
    ] {
        stage.disturb(1, trouble);
        let push = || stage.toward(0, &format!("push {{peer}} {kib}"));
        let took: u64 = (0..times).map(|_| push()).map(|said| said.parse::<u64>().expect(&said)).sum();
        let touched = stage.calm(1);
        assert!(touched > 0, "{trouble:?}");
        println!("{times} x {kib} KiB with {trouble:?} took {took} ms, {touched} packets touched");
        whole += times;
        assert_eq!(stage.ask(&stage.nodes[1], "pushed"), format!("{whole} 0"), "{trouble:?}");
    }

    // 256 KiB at 2 Mbit/s take a second; no more than the first kilobytes may come sooner.
    stage.disturb(1, Trouble::Rate { kbit: 2_000 });
    let took = stage.toward(0, "push {peer} 256").parse::<u64>().unwrap();
    assert!(stage.calm(1) > 100);
    assert!(took >= 1_000, "{took} ms");
    eventually("streams are quick once nothing limits them", || {
        stage.toward(0, "push {peer} 256").parse::<u64>().unwrap() < 900
    });
}

/// A cut link carries nothing, however late it is or often it comes.
pub async fn cut(mut stage: Stage) {
    stage.start_all().await;
    stage.reach_each_other();
    let link = [stage.link(0, 1)];
    assert_eq!(stage.gathered(), [] as [String; 0], "and connections have taken their leave");
    stage.disturb(1, Trouble::Delay { ms: 300, jitter_ms: 0 });
    assert_eq!(stage.toward(0, "send {peer} 20 0"), "sent");
    // On their way, and cut off from where they go.
    stage.links.cut(FaultId(1), &link).unwrap();
    assert_eq!(stage.gathered(), [] as [String; 0]);
    assert_eq!(stage.links.mend(FaultId(1)).unwrap().count, 20);
    assert_eq!(stage.calm(1), 20);

    stage.links.cut(FaultId(2), &link).unwrap();
    stage.disturb(1, Trouble::Duplicate { percent: 100 });
    assert_eq!(stage.datagrams(20), [] as [String; 0]);
    assert_eq!(stage.calm(1), 20);
    assert_eq!(stage.links.mend(FaultId(2)).unwrap().count, 40);
    stage.reach_each_other();

    // Nobody serves the queue any more, though its rules are there, or nothing leads through `netem`: everything passes.
    stage.disturb(1, Trouble::Loss { percent: 100 });
    assert!(stage.toward(0, "dial {peer}").starts_with("cut"));
    drop(stage.packets.take());
    stage.reach_each_other();
    assert_eq!(stage.datagrams(100), in_order(100));
}
