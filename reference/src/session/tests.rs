//! Tests of the client's session: a few stories, then every short script.

use super::*;

const DEADLINE: Time = Time(5_000_000_000);

fn get() -> Call {
    Call::Read(vec![Command::Get { key: "x".into() }])
}

fn put(n: i64) -> Call {
    Call::Write(vec![Command::Put { key: "x".into(), value: Datum::Int(n) }])
}

fn millis(n: u64) -> Time {
    Time(n * 1_000_000)
}

/// A session with a connection, and what it did.
struct Story {
    session: ClientSession,
    now: Time,
    effects: Vec<Effect>,
}

impl Story {
    fn connected() -> Story {
        let mut story =
            Story { session: ClientSession::new(Patience::default()), now: Time::ZERO, effects: Vec::new() };
        story.session.connected(Time::ZERO, &mut story.effects);
        story
    }

    fn begin(&mut self, call: Call) -> Vec<Effect> {
        self.session.begin(self.now, call, self.now + Duration::from_secs(5), &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn answer(&mut self, id: u64, answer: Answer) -> Vec<Effect> {
        let payload = serde_json::to_vec(&ToClient { id, answer }).unwrap();
        self.session.received(self.now, &payload, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    fn lose(&mut self) -> Vec<Effect> {
        self.session.disconnected(self.now, "reset", &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    /// Lets time pass until the session wants to be woken, and wakes it.
    fn wake(&mut self) -> Vec<Effect> {
        self.now = self.now.max(self.session.wake_at().expect("something is due"));
        self.session.elapsed(self.now, &mut self.effects);
        std::mem::take(&mut self.effects)
    }

    /// A story in which the session is open and the write of `n` has just been sent as request 2.
    fn writing(n: i64) -> Story {
        let mut story = Story::connected();
        assert_eq!(sent(&story.begin(put(n))), [ToNode::Register { id: 1 }]);
        let effects = story.answer(1, Answer::Session { session: 9 });
        assert!(matches!(sent(&effects)[..], [ToNode::Write { id: 2, session: 9, number: 1, .. }]));
        story
    }
}

fn sent(effects: &[Effect]) -> Vec<ToNode> {
    let parse = |effect: &Effect| match effect {
        Effect::Send(payload) => Some(serde_json::from_slice(payload).unwrap()),
        _ => None,
    };
    effects.iter().filter_map(parse).collect()
}

fn not_done() -> Answer {
    Answer::NotDone { why: "no leader".into() }
}

fn in_doubt() -> Answer {
    Answer::InDoubt { why: "deposed".into() }
}

fn done() -> Answer {
    Answer::Done { results: vec![None] }
}

#[test]
fn a_read_needs_no_session() {
    let mut story = Story::connected();
    assert!(matches!(sent(&story.begin(get()))[..], [ToNode::Read { id: 1, .. }]));
    let results = vec![Some(Datum::Int(3))];
    let effects = story.answer(1, Answer::Done { results: results.clone() });
    assert_eq!(effects, [Effect::Finish(End::Done(results))]);
    assert_eq!(story.session.wake_at(), None);
}

#[test]
fn a_session_is_opened_once_and_its_writes_are_numbered() {
    let mut story = Story::writing(1);
    assert_eq!(story.answer(2, done()), [Effect::Finish(End::Done(vec![None]))]);
    let effects = story.begin(put(2));
    assert!(matches!(sent(&effects)[..], [ToNode::Write { id: 3, session: 9, number: 2, .. }]));
}

#[test]
fn a_lost_connection_leads_to_the_same_command_again() {
    let mut story = Story::writing(1);
    assert_eq!(story.lose(), []);
    assert_eq!(story.wake(), [Effect::Connect]);
    story.session.connected(story.now, &mut story.effects);
    let effects = std::mem::take(&mut story.effects);
    assert!(matches!(sent(&effects)[..], [ToNode::Write { id: 3, session: 9, number: 1, .. }]));
    assert_eq!(story.answer(2, not_done()), [], "answers to the lost connection are nobody's");
    assert_eq!(story.answer(3, done()), [Effect::Finish(End::Done(vec![None]))]);
}

#[test]
fn what_is_not_answered_is_sent_again_ever_less_often_and_ends_in_doubt() {
    let mut story = Story::writing(1);
    let mut times = Vec::new();
    loop {
        let effects = story.wake();
        if let [Effect::Finish(end)] = &effects[..] {
            assert_eq!((end, story.now), (&End::InDoubt("no answer".into()), DEADLINE));
            break;
        }
        assert!(matches!(sent(&effects)[..], [ToNode::Write { session: 9, number: 1, .. }]));
        times.push(story.now);
    }
    assert_eq!(times, [250, 750, 1250, 1750, 2250, 2750, 3250, 3750, 4250, 4750].map(millis));
}

#[test]
fn a_write_that_was_always_declined_failed_for_certain() {
    let mut story = Story::writing(1);
    let mut id = 2;
    loop {
        assert_eq!(story.answer(id, not_done()), []);
        match &story.wake()[..] {
            [Effect::Finish(end)] => break assert_eq!(*end, End::NotDone("no leader".into())),
            effects => assert_eq!(sent(effects).len(), 1),
        }
        id += 1;
    }
    assert!((25..40).contains(&id), "it tried {id} times in 5 s");
}

#[test]
fn one_sending_in_doubt_outweighs_all_that_were_declined() {
    let mut story = Story::writing(1);
    assert_eq!(story.answer(2, in_doubt()), []);
    let mut id = 2;
    let end = loop {
        match &story.wake()[..] {
            [Effect::Finish(end)] => break end.clone(),
            effects => assert_eq!(sent(effects).len(), 1),
        }
        id += 1;
        assert_eq!(story.answer(id, not_done()), []);
    };
    assert_eq!(end, End::InDoubt("deposed".into()));
}

#[test]
fn a_refusal_says_what_was_seen() {
    let mut story = Story::writing(1);
    let saw = Some(Datum::Text("other".into()));
    let effects = story.answer(2, Answer::Refused { at: 0, saw: saw.clone() });
    assert_eq!(effects, [Effect::Finish(End::Refused { at: 0, saw })]);
}

#[test]
fn a_session_lost_on_the_first_sending_failed_for_certain_and_the_next_write_opens_another() {
    let mut story = Story::writing(1);
    assert!(matches!(story.answer(2, Answer::NoSession)[..], [Effect::Finish(End::NotDone(_))]));
    assert_eq!(sent(&story.begin(put(2))), [ToNode::Register { id: 3 }]);
    let effects = story.answer(3, Answer::Session { session: 10 });
    assert!(matches!(sent(&effects)[..], [ToNode::Write { id: 4, session: 10, .. }]));
}

#[test]
fn a_session_lost_after_an_earlier_sending_leaves_doubt() {
    let mut story = Story::writing(1);
    story.lose();
    assert_eq!(story.wake(), [Effect::Connect]);
    story.session.connected(story.now, &mut story.effects);
    story.effects.clear();
    assert!(matches!(story.answer(3, Answer::NoSession)[..], [Effect::Finish(End::InDoubt(_))]));

    let mut story = Story::writing(1);
    story.wake();
    assert!(matches!(story.answer(3, Answer::NoSession)[..], [Effect::Finish(End::InDoubt(_))]));
}

#[test]
fn a_session_that_cannot_be_opened_is_a_certain_failure() {
    let mut story = Story::connected();
    story.begin(put(1));
    loop {
        match &story.wake()[..] {
            [Effect::Finish(end)] => break assert_eq!(*end, End::NotDone("no answer".into())),
            effects => assert!(matches!(sent(effects)[..], [ToNode::Register { .. }])),
        }
    }
    // Its answer may come late: the next write uses the session.
    assert_eq!(story.answer(1, Answer::Session { session: 4 }), []);
    assert!(matches!(sent(&story.begin(put(2)))[..], [ToNode::Write { session: 4, number: 1, .. }]));
}

#[test]
fn a_read_without_an_answer_failed_for_certain() {
    for silence in [false, true] {
        let mut story = Story::connected();
        story.begin(get());
        if !silence {
            story.lose();
        }
        let end = loop {
            match &story.wake()[..] {
                [Effect::Finish(end)] => break end.clone(),
                [Effect::Connect] => drop(story.lose()),
                _ => {}
            }
        };
        assert!(matches!(end, End::NotDone(_)));
    }
}

#[test]
fn a_node_that_cannot_be_reached_fails_the_operation_soon() {
    let mut story = Story::connected();
    story.lose();
    assert_eq!(story.begin(put(1)), [Effect::Connect]);
    loop {
        story.lose();
        match &story.wake()[..] {
            [Effect::Finish(end)] => break assert_eq!(*end, End::NotDone("reset".into())),
            effects => assert_eq!(effects, [Effect::Connect]),
        }
    }
    assert_eq!(story.now, millis(1000));
}

#[test]
fn a_node_that_talks_nonsense_is_left_in_doubt() {
    let mut story = Story::writing(1);
    story.session.received(story.now, b"HTTP/1.1 400 Bad Request", &mut story.effects);
    assert_eq!(std::mem::take(&mut story.effects), [Effect::Disconnect]);
    assert_eq!(story.wake(), [Effect::Connect]);
    story.now = DEADLINE;
    assert!(matches!(story.wake()[..], [Effect::Finish(End::InDoubt(_))]));
}

/// One sending of a write, as an all-knowing observer sees it.
#[derive(Clone, Debug)]
struct Sending {
    id: u64,
    session: u64,
    number: u64,
    /// The node has said that this sending was not and will not be applied.
    certain: bool,
    /// It can still be answered: its connection stands.
    answerable: bool,
}

/// One script's state: the session, and what an all-knowing observer knows of it.
#[derive(Clone)]
struct Script {
    session: ClientSession,
    now: Time,
    up: bool,
    connecting: bool,
    registrations: Vec<u64>,
    sendings: Vec<Sending>,
    /// The largest number of an earlier operation.
    numbers_before: u64,
    ends: usize,
    trail: Vec<String>,
}

impl Script {
    /// Applies one event; then checks what the session did.
    fn step(&self, name: String, event: impl FnOnce(&mut Script, &mut Vec<Effect>)) -> Script {
        let mut script = self.clone();
        script.trail.push(name);
        let mut effects = Vec::new();
        event(&mut script, &mut effects);
        for effect in effects {
            script.observe(effect);
        }
        script
    }

    fn observe(&mut self, effect: Effect) {
        match effect {
            Effect::Connect => {
                assert!(!self.up && !self.connecting, "{:?}", self.trail);
                self.connecting = true;
            }
            Effect::Disconnect => self.cut(),
            Effect::Send(payload) => {
                assert!(self.up, "sent without a connection: {:?}", self.trail);
                self.observe_sending(serde_json::from_slice(&payload).unwrap());
            }
            Effect::Finish(end) => self.judge(&end),
        }
    }

    fn observe_sending(&mut self, message: ToNode) {
        match message {
            ToNode::Register { id } => {
                assert!(self.sendings.is_empty(), "a second session for one write: {:?}", self.trail);
                self.registrations.push(id);
            }
            ToNode::Write { id, session, number, .. } => {
                assert!(number > self.numbers_before, "{:?}", self.trail);
                if let Some(first) = self.sendings.first() {
                    assert_eq!((first.session, first.number), (session, number), "{:?}", self.trail);
                }
                self.sendings.push(Sending { id, session, number, certain: false, answerable: true });
            }
            other => panic!("{other:?} was not asked for: {:?}", self.trail),
        }
    }

    fn judge(&mut self, end: &End) {
        let doubtful = self.sendings.iter().any(|sending| !sending.certain);
        match end {
            End::Done(_) | End::Refused { .. } => assert!(doubtful, "{:?}", self.trail),
            End::NotDone(_) => assert!(!doubtful, "failed for certain, yet in doubt: {:?}", self.trail),
            End::InDoubt(_) => assert!(doubtful, "in doubt without reason: {:?}", self.trail),
        }
        self.ends += 1;
        self.numbers_before = self.sendings.iter().map(|s| s.number).max().unwrap_or(self.numbers_before);
        self.sendings.clear();
    }

    fn cut(&mut self) {
        self.up = false;
        self.connecting = false;
        self.registrations.clear();
        for sending in &mut self.sendings {
            sending.answerable = false;
        }
    }

    fn receive(&mut self, id: u64, answer: Answer, effects: &mut Vec<Effect>) {
        let payload = serde_json::to_vec(&ToClient { id, answer }).unwrap();
        self.session.received(self.now, &payload, effects);
    }

    /// All that can happen next.
    fn successors(&self) -> Vec<Script> {
        let mut next = Vec::new();
        if let Some(at) = self.session.wake_at() {
            next.push(self.step(format!("wake at {at}"), |script, effects| {
                script.now = script.now.max(at);
                script.session.elapsed(script.now, effects);
            }));
            next.push(self.step("deadline".into(), |script, effects| {
                script.now = script.now.max(DEADLINE);
                script.session.elapsed(script.now, effects);
            }));
        }
        if self.connecting {
            next.push(self.step("connected".into(), |script, effects| {
                (script.connecting, script.up) = (false, true);
                script.session.connected(script.now, effects);
            }));
        }
        if self.connecting || self.up {
            next.push(self.step("disconnected".into(), |script, effects| {
                script.cut();
                script.session.disconnected(script.now, "reset", effects);
            }));
        }
        if self.up {
            next.push(self.step("an answer to nobody".into(), |script, effects| {
                script.receive(u64::MAX, done(), effects);
            }));
            next.push(self.step("nonsense".into(), |script, effects| {
                script.session.received(script.now, b"?", effects);
            }));
            self.answers(&mut next);
        }
        next
    }

    fn answers(&self, next: &mut Vec<Script>) {
        for &id in &self.registrations {
            for answer in [Answer::Session { session: id }, not_done(), in_doubt()] {
                next.push(self.step(format!("{answer:?} to registration {id}"), |script, effects| {
                    script.registrations.retain(|&other| other != id);
                    script.receive(id, answer, effects);
                }));
            }
        }
        for at in (0..self.sendings.len()).filter(|&at| self.sendings[at].answerable) {
            let id = self.sendings[at].id;
            let refused = Answer::Refused { at: 0, saw: None };
            for answer in [done(), refused, not_done(), in_doubt(), Answer::NoSession] {
                let certain = matches!(answer, Answer::NotDone { .. } | Answer::NoSession);
                next.push(self.step(format!("{answer:?} to sending {id}"), |script, effects| {
                    script.sendings[at].certain = certain;
                    script.sendings[at].answerable = false;
                    script.receive(id, answer, effects);
                }));
            }
        }
    }
}

/// Follows every script of `depth` events; counts scripts and ends.
fn explore(script: &Script, depth: usize, scripts: &mut usize, ends: &mut usize) {
    if depth == 0 || script.session.wake_at().is_none() {
        *scripts += 1;
        *ends += script.ends;
        return;
    }
    for next in script.successors() {
        explore(&next, depth - 1, scripts, ends);
    }
}

#[test]
fn no_script_makes_a_write_claim_more_than_is_known() {
    let mut session = ClientSession::new(Patience::default());
    let mut effects = Vec::new();
    session.connected(Time::ZERO, &mut effects);
    let idle = Script {
        session,
        now: Time::ZERO,
        up: true,
        connecting: false,
        registrations: Vec::new(),
        sendings: Vec::new(),
        numbers_before: 0,
        ends: 0,
        trail: Vec::new(),
    };
    let begun = idle.step("begin".into(), |script, effects| {
        script.session.begin(script.now, put(1), DEADLINE, effects);
    });
    // The session is open and used once, so that the depth goes to what matters: sendings and their answers.
    let open = begun.step("registered".into(), |script, effects| {
        script.registrations.clear();
        script.receive(1, Answer::Session { session: 9 }, effects);
    });
    let (mut scripts, mut ends) = (0, 0);
    explore(&begun, 6, &mut scripts, &mut ends);
    explore(&open, 7, &mut scripts, &mut ends);
    assert!(scripts > 100_000 && ends > 40_000, "{scripts} scripts, {ends} ends");
}

#[test]
fn every_operation_ends_by_its_deadline_whatever_happens() {
    let mut rng = elenchus_core::random::Seed(5).stream("scripts").rng();
    for _ in 0..2000 {
        let mut script = Script {
            session: ClientSession::new(Patience::default()),
            now: Time::ZERO,
            up: false,
            connecting: false,
            registrations: Vec::new(),
            sendings: Vec::new(),
            numbers_before: 0,
            ends: 0,
            trail: Vec::new(),
        };
        for n in 0..3 {
            let begin = script.now;
            script = script.step("begin".into(), |script, effects| {
                script.session.begin(script.now, put(n), script.now + Duration::from_secs(5), effects);
            });
            let mut steps = 0;
            while script.session.wake_at().is_some() {
                steps += 1;
                let successors = script.successors();
                // After many events only time passes, so that the script ends.
                let chosen = if steps < 60 { rng.below(successors.len() as u64) as usize } else { 0 };
                script = successors[chosen].clone();
                assert!(script.now <= DEADLINE.max(begin + Duration::from_secs(5)), "{:?}", script.trail);
            }
        }
        assert_eq!(script.ends, 3);
    }
}
