//! Members that come and go, and an office handed over, through the sockets of real Raft nodes.

use super::*;

/// How long anything may take that an election may come between.
const PATIENCE: Duration = Duration::from_secs(30);

/// Raft nodes on threads of this process.
struct Cluster {
    nodes: Vec<Running>,
}

impl Cluster {
    fn start(options: &[NodeOptions]) -> Cluster {
        let start = |options: &NodeOptions| {
            let options = options.clone();
            Running::of(options.listen, move |stopped| run_until(&options, stopped))
        };
        Cluster { nodes: options.iter().map(start).collect() }
    }

    fn stop(self) {
        self.nodes.into_iter().for_each(|node| node.stop().expect("it stood till it was stopped"));
    }

    /// The first answer that will do, of whoever leads at the time.
    fn of_leader(&self, request: impl Fn(u64) -> ToNode, will_do: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        let mut last = None;
        while begun.elapsed() < PATIENCE {
            for node in &self.nodes {
                let mut client = node.client();
                if client.status().0 == "leader" {
                    last = client.ask(&request);
                    if let Some(answer) = last.take_if(|answer| will_do(answer)) {
                        return answer;
                    }
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no such answer in {PATIENCE:?}, the last: {last:?}");
    }

    fn leader(&self) -> Peer {
        let begun = Instant::now();
        loop {
            let leads = |node: &Running| node.client().status().0 == "leader";
            if let Some(at) = self.nodes.iter().position(leads) {
                return Peer(at as u16);
            }
            assert!(begun.elapsed() < PATIENCE, "nobody leads");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Changes the members, and sees that the change is committed.
    fn change(&self, voters: &[Peer], learners: &[Peer], joint: bool) {
        let change = |id| ToNode::Change { id, voters: voters.into(), learners: learners.into(), joint };
        let is_done = |answer: &Answer| match answer {
            Answer::Configuration { voters: v, outgoing, learners: l, committed, .. } => {
                v == voters && l == learners && outgoing.is_empty() && *committed
            }
            _ => false,
        };
        self.of_leader(change, is_done);
    }

    fn write(&self, value: i64) {
        let is_session = |answer: &Answer| matches!(answer, Answer::Session { .. });
        let Answer::Session { session } = self.of_leader(|id| ToNode::Register { id }, is_session) else {
            unreachable!("a session was waited for");
        };
        let put = Command::Put { key: "x".into(), value: Datum::Int(value) };
        let write = |id| ToNode::Write { id, session, number: 1, commands: vec![put.clone()] };
        self.of_leader(write, |answer| matches!(answer, Answer::Done { .. }));
    }

    fn read(&self) -> Vec<Option<Datum>> {
        let read = |id| ToNode::Read { id, commands: vec![Command::Get { key: "x".into() }] };
        match self.of_leader(read, |answer| matches!(answer, Answer::Done { .. })) {
            Answer::Done { results } => results,
            other => unreachable!("{other:?}"),
        }
    }
}

#[test]
fn a_member_leaves_and_comes_back_and_the_cluster_remembers_it() {
    let scratch = Scratch::new();
    let options = options(&scratch, 4);
    let cluster = Cluster::start(&options);
    let leader = cluster.leader();
    let others: Vec<Peer> = (0..4).map(Peer).filter(|peer| *peer != leader).collect();
    let gone = others[2];
    let mut staying = vec![leader, others[0], others[1]];
    staying.sort_unstable();
    let all: Vec<Peer> = (0..4).map(Peer).collect();

    cluster.write(1);
    cluster.change(&staying, &[], false);
    cluster.write(2);
    cluster.stop();

    let cluster = Cluster::start(&options);
    let members = |id| ToNode::Configuration { id };
    let remembers =
        |answer: &Answer| matches!(answer, Answer::Configuration { voters, .. } if *voters == staying);
    cluster.of_leader(members, remembers);
    assert_eq!(cluster.read(), [Some(Datum::Int(2))]);

    // Who comes back learns before it votes.
    cluster.change(&staying, &[gone], false);
    cluster.change(&all, &[], true);
    cluster.write(3);
    assert_eq!(cluster.read(), [Some(Datum::Int(3))]);
    cluster.stop();
}

#[test]
fn two_voters_at_once_leave_through_a_joint_configuration_only() {
    let scratch = Scratch::new();
    let cluster = Cluster::start(&options(&scratch, 4));
    cluster.write(1);
    let leader = cluster.leader();
    let other = Peer(u16::from(leader.0 == 0));
    let mut few = vec![leader, other];
    few.sort_unstable();
    let at_once = |joint: bool| {
        let few = few.clone();
        move |id| ToNode::Change { id, voters: few.clone(), learners: vec![], joint }
    };
    let is_refused =
        |answer: &Answer| matches!(answer, Answer::NotDone { why } if why.contains("only a joint change"));
    cluster.of_leader(at_once(false), is_refused);
    cluster.change(&few, &[], true);
    cluster.write(2);
    assert_eq!(cluster.read(), [Some(Datum::Int(2))]);
    cluster.stop();
}

#[test]
fn an_office_is_handed_over() {
    let scratch = Scratch::new();
    let cluster = Cluster::start(&options(&scratch, 3));
    cluster.write(1);
    let begun = Instant::now();
    loop {
        let leader = cluster.leader();
        let heir = Peer((leader.0 + 1) % 3);
        let handed =
            cluster.nodes[usize::from(leader.0)].client().ask(|id| ToNode::Transfer { id, to: heir });
        if matches!(handed, Some(Answer::Done { .. })) {
            assert_ne!(cluster.nodes[usize::from(leader.0)].client().status().0, "leader");
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{handed:?}");
    }
    cluster.write(2);
    assert_eq!(cluster.read(), [Some(Datum::Int(2))]);
    cluster.stop();
}
