use super::*;
use elenchus_core::client::{Connector, Request, Response};
use elenchus_core::cluster::Cluster;
use elenchus_core::fault::{FaultId, Link, Loss};
use elenchus_core::outcome::Outcome;
use elenchus_core::process::Process;
use elenchus_core::value::Value;
use elenchus_reference::replica::{Config, RaftReplica};
use std::rc::Rc;

fn simulated(seed: u64) -> Rc<Simulated> {
    let nodes = NodeId::numbered(3);
    let make = move |me| Box::new(RaftReplica::new(Config::new(me, 3, Seed(seed)))) as Box<_>;
    let simulation = Simulation::default();
    let simulated = Simulated::new(Seed(seed), &nodes, &simulation, Duration::from_secs(3), Box::new(make));
    simulated.start_all();
    Rc::new(simulated)
}

fn pass<T>(simulated: &Simulated, future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return done;
        }
        assert!(simulated.advance(Time::MAX, &mut Vec::new()), "something always happens");
    }
}

async fn elected(simulated: &Simulated) -> NodeId {
    while !simulated.has_leader() {
        simulated.sleep(Duration::from_millis(100)).await;
    }
    simulated.primaries().await.unwrap().remove(0)
}

#[test]
fn a_client_speaks_the_workloads_language() {
    let simulated = simulated(1);
    pass(&simulated, async {
        let leader = elected(&simulated).await;
        let mut client = SimulatedConnector(simulated.clone()).connect(&leader, Process(0)).await.unwrap();
        let key = || "x".to_owned();
        let put = Request::Put { key: key(), value: Value::Int(1) };
        assert_eq!(client.call(&put).await, Outcome::Ok(Response::Done));
        let get = Request::Get { key: key() };
        assert_eq!(client.call(&get).await, Outcome::Ok(Response::Value(Value::Int(1))));
        let peek = client.call(&Request::Peek { key: key() }).await;
        assert!(matches!(peek, Outcome::Fail(_)), "what it cannot do is not sent");
    });
}

#[test]
fn a_nemesis_breaks_and_mends_it() {
    let simulated = simulated(2);
    pass(&simulated, async {
        let leader = elected(&simulated).await;
        let others = simulated.nodes().iter().filter(|node| **node != leader);
        let links: Vec<Link> = others.map(|node| Link { from: leader.clone(), to: node.clone() }).collect();
        simulated.cut(FaultId(1), &links).await.unwrap();
        simulated.sleep(Duration::from_secs(5)).await;
        assert!(simulated.mend(FaultId(1)).await.unwrap().count > 0);
        for loss in [None, Some(Loss::Torn)] {
            match loss {
                None => simulated.kill(&leader).await.unwrap(),
                Some(loss) => drop(simulated.power_off(&leader, loss).await.unwrap()),
            }
            assert!(SimulatedConnector(simulated.clone()).connect(&leader, Process(0)).await.is_err());
            simulated.start(&leader).await.unwrap();
        }
        let nobody = NodeId::new("n9");
        assert!(simulated.kill(&nobody).await.is_err() && simulated.clock(&nobody).await.is_err());
    });
}

#[test]
fn who_leads_and_who_ends_by_himself_is_noted() {
    let simulated = simulated(3);
    let mut notes = Vec::new();
    while !simulated.has_leader() {
        simulated.advance(Time::MAX, &mut notes);
    }
    let [Note { f: "leader", fields }] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((fields[0].0, fields[1].0), ("node", "term"));
}

#[test]
fn a_member_leaves_and_comes_back_however_its_operator_goes_about_it() {
    for seed in 1..12 {
        let simulated = simulated(seed);
        pass(&simulated, async {
            elected(&simulated).await;
            let node = simulated.nodes()[1].clone();
            simulated.leave(&node).await.unwrap();
            let connector = SimulatedConnector(simulated.clone());
            assert!(connector.connect(&node, Process(0)).await.is_err(), "who is no member has ended");
            let other = elected(&simulated).await;
            assert_ne!(other, node, "seed {seed}");
            simulated.join(&node).await.unwrap();
            let mut client = connector.connect(&node, Process(0)).await.unwrap();
            let put = Request::Put { key: "x".into(), value: Value::Int(1) };
            assert_eq!(client.call(&put).await, Outcome::Ok(Response::Done), "seed {seed}");
        });
    }
}
