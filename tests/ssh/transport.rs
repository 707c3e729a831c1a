//! What the transport promises: answers where there are answers, and errors that name the host where there are none.

use crate::bed::{Bed, PASSWORD, address, eventually};
use crate::inside::Test;
use elenchus::host::ssh::{Access, Config, Purpose, SshError, SshHost, Trouble, Us};
use elenchus_core::process::NodeId;
use elenchus_systems::described::hosts::{Ssh, Trust, Variable};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

pub const TESTS: &[Test] = &[
    ("commands_answer_with_code_signal_and_both_streams", commands_answer),
    ("big_output_is_cut_and_counted", big_output),
    ("a_deadline_ends_the_command_on_the_host_too", deadline),
    ("a_held_up_connection_does_not_hold_up_healing", two_lines),
    ("keys_agents_and_passwords_let_us_in", logins),
    ("host_keys_are_known_unknown_new_or_changed", host_keys),
    ("sudo_makes_root_of_whoever_may", sudo),
    ("a_jump_host_leads_to_a_host", jump),
    ("folders_go_there_and_come_back_with_their_modes", folders),
    ("a_file_is_replaced_whole_or_not_at_all", replaced),
    ("a_full_disk_is_named", full_disk),
    ("a_stream_carries_both_ways_and_tells_why_it_ended", stream),
    ("a_pulled_cable_ends_in_an_error_in_time_and_heals", cable),
    ("a_dead_sshd_is_an_error_and_comes_back", dead_sshd),
    ("a_host_without_power_is_an_error_and_comes_back", power),
    ("an_sshd_that_answers_nothing_is_an_error_in_time", mute_sshd),
    ("all_hosts_are_asked_at_once", all_at_once),
];

const LIMIT: Duration = Duration::from_secs(30);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

fn access(bed: &Bed, i: usize, ssh: &Ssh) -> Access {
    let home = bed.folder.join("home");
    let us = Us { home: &home, user: "root", folder: &bed.folder };
    Access::of(&bed.node(i), &bed.place(i), ssh, &Config::default(), &us).expect("it is complete")
}

fn host(bed: &Bed, i: usize) -> SshHost {
    SshHost::new(access(bed, i, &bed.ssh()), false).expect("threads")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
fn names_host(error: &SshError, i: usize) {
    assert!(
        error.to_string().contains(&address(i)) && error.node == NodeId::new(&format!("n{i}")),
        "{error}"
    );
}

fn commands_answer(bed: &Bed) {
    let host = host(bed, 1);
    block_on(async {
        let said =
            host.run(Purpose::Work, "hostname; echo oops >&2; exit 7", LIMIT).await.expect("an answer");
        assert_eq!((said.code, said.signal.clone()), (Some(7), None));
        assert_eq!((text(&said.stdout), text(&said.stderr)), ("n1\n".into(), "oops\n".into()));
        assert_eq!(said.ending(), "exited with code 7: oops");
        let killed = host.run(Purpose::Work, "kill -KILL $$", LIMIT).await.expect("an answer");
        assert!(killed.signal.as_deref() == Some("KILL") || killed.code == Some(137), "{killed:?}");
        let quoted = host.run(Purpose::Work, "printf %s \"it's\" '$HOME'", LIMIT).await.expect("an answer");
        assert_eq!(text(&quoted.stdout), "it's$HOME");
        let survey = host.survey(LIMIT).await.expect("an answer");
        assert_eq!((survey.name.as_str(), survey.uid, survey.runs_us()), ("n1", 0, Ok(())));
    });
}

fn big_output(bed: &Bed) {
    block_on(async {
        let said = host(bed, 1).run(Purpose::Work, "head -c 3000000 /dev/zero; echo x >&2", LIMIT).await;
        let said = said.expect("an answer");
        assert_eq!((said.stdout.len(), said.dropped, said.stderr.len()), (1 << 20, 3_000_000 - (1 << 20), 2));
    });
}

fn deadline(bed: &Bed) {
    let host = host(bed, 1);
    block_on(async {
        host.connect(LIMIT).await.expect("it lets us in");
        let began = Instant::now();
        let error = host.run(Purpose::Work, "sleep 61", Duration::from_secs(1)).await.expect_err("too slow");
        assert!(matches!(error.trouble, Trouble::Deadline { .. }), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        names_host(&error, 1);
        assert!(error.to_string().contains("sleep 61"), "{error}");
        host.run(Purpose::Work, "true", LIMIT).await.expect("the host is well");
    });
    eventually("the command is gone", || !bed.processes(1).iter().any(|line| line.contains("sleep 61")));
}

fn two_lines(bed: &Bed) {
    let host = host(bed, 1);
    block_on(async {
        host.connect(LIMIT).await.expect("it lets us in");
        let slow = host.run(Purpose::Work, "sleep 5", LIMIT);
        let quick = async {
            let began = Instant::now();
            host.run(Purpose::Heal, "true", LIMIT).await.expect("an answer");
            began.elapsed()
        };
        tokio::select! {
            _ = slow => panic!("healing waited for a slow command"),
            took = quick => assert!(took < Duration::from_secs(5)),
        }
    });
}

/// What another process of ours says when it logs in there with these options and this environment.
fn login(bed: &Bed, place: &str, options: &Ssh, env: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["login", place, &serde_json::to_string(options).expect("plain")]);
    command.env_remove("SSH_AUTH_SOCK").env("HOME", bed.folder.join("home")).envs(env.iter().copied());
    let output = command.stdin(Stdio::null()).output().expect("this program");
    text(&output.stdout).trim().to_owned()
}

/// The other process.
pub fn log_in(place: &str, options: &str) -> ExitCode {
    let options: Ssh = serde_json::from_str(options).expect("our own options");
    let home = std::path::PathBuf::from(std::env::var_os("HOME").expect("it was set"));
    let us = Us { home: &home, user: "root", folder: Path::new("/mnt") };
    let place = place.parse().expect("a place");
    let access = Access::of(&NodeId::new("n1"), &place, &options, &Config::default(), &us).expect("complete");
    let host = SshHost::new(access, false).expect("threads");
    match block_on(host.run(Purpose::Work, "id -un; echo ${SSH_CONNECTION%% *}", Duration::from_secs(20))) {
        Ok(said) => println!("{}", said.text().replace('\n', " from ")),
        Err(error) => println!("{error}"),
    }
    ExitCode::SUCCESS
}

fn logins(bed: &Bed) {
    let at = |user: &str| format!("{user}@{}", address(1));
    let key = |name: &str| Ssh { key: Some(bed.folder.join(name)), ..Ssh::default() };
    let in_as = |user: &str| format!("{user} from 10.77.0.254");
    assert_eq!(login(bed, &at("root"), &key("user"), &[]), in_as("root"));
    let stranger = login(bed, &at("root"), &key("stranger"), &[]);
    assert!(stranger.contains("`root` is not admitted") && stranger.contains("stranger"), "{stranger}");

    let locked = Ssh { passphrase: Some(Variable { env: "BED_PHRASE".into() }), ..key("locked") };
    assert_eq!(login(bed, &at("root"), &locked, &[("BED_PHRASE", "a passphrase")]), in_as("root"));
    let wrong = login(bed, &at("root"), &locked, &[("BED_PHRASE", "a guess")]);
    assert!(wrong.contains("not admitted") && !wrong.contains("guess"), "{wrong}");
    assert!(login(bed, &at("root"), &locked, &[]).contains("BED_PHRASE is not set"));

    let password = Ssh { password: Some(Variable { env: "BED_WORD".into() }), ..key("stranger") };
    assert_eq!(login(bed, &at("tester"), &password, &[("BED_WORD", PASSWORD)]), in_as("tester"));
    let wrong = login(bed, &at("tester"), &password, &[("BED_WORD", "a guess")]);
    assert!(wrong.contains("the password is refused") && !wrong.contains("guess"), "{wrong}");

    let socket = bed.folder.join("agent");
    let socket = socket.to_str().expect("text");
    let mut agent = Command::new("ssh-agent");
    let mut agent = agent.args(["-D", "-a", socket]).stdout(Stdio::null()).spawn().expect("it is installed");
    eventually("the agent listens", || Path::new(socket).exists());
    assert!(login(bed, &at("root"), &Ssh::default(), &[("SSH_AUTH_SOCK", socket)]).contains("not admitted"));
    let added = Command::new("ssh-add").arg(bed.folder.join("user")).env("SSH_AUTH_SOCK", socket).output();
    assert!(added.expect("it is installed").status.success());
    let by_agent = login(bed, &at("root"), &Ssh::default(), &[("SSH_AUTH_SOCK", socket)]);
    agent.kill().and_then(|()| agent.wait()).expect("it is ours");
    assert_eq!(by_agent, in_as("root"));
}

fn host_keys(bed: &Bed) {
    let file = bed.folder.join("met");
    let met = |trust: Trust| {
        let ssh = Ssh { known_hosts_file: Some(file.clone()), known_hosts: Some(trust), ..bed.ssh() };
        let host = SshHost::new(access(bed, 2, &ssh), false).expect("threads");
        block_on(host.run(Purpose::Work, "true", LIMIT)).map(|_| ()).map_err(|e| e.to_string())
    };
    let unknown = met(Trust::Check).expect_err("nobody vouches for it");
    assert!(
        unknown.contains("unknown") && unknown.contains("accept-new") && unknown.contains("n2"),
        "{unknown}"
    );
    assert!(!file.exists(), "nothing was kept");
    met(Trust::Off).expect("any key will do");
    assert!(!file.exists(), "nothing was kept");
    met(Trust::AcceptNew).expect("it is new");
    met(Trust::Check).expect("it is known by now");
    let kept = fs::read_to_string(&file).expect("it was kept");
    let key = fs::read_to_string(bed.folder.join("host3.pub")).expect("another host's");
    let other = format!("{} {}\n", address(2), key.rsplit_once(' ').expect("a comment").0);
    fs::write(&file, &other).expect("our own file");
    for trust in [Trust::Check, Trust::AcceptNew] {
        let changed = met(trust).expect_err("it is another key");
        assert!(changed.contains("CHANGED") && changed.contains("met:1"), "{changed}");
    }
    fs::write(&file, format!("@revoked {kept}")).expect("our own file");
    assert!(met(Trust::Check).expect_err("it is revoked").contains("REVOKED"));
    fs::write(&file, &kept).expect("our own file");
    let hashed = Command::new("ssh-keygen").args(["-H", "-f"]).arg(&file).output().expect("it is installed");
    assert!(hashed.status.success() && fs::read_to_string(&file).expect("a file").starts_with("|1|"));
    met(Trust::Check).expect("OpenSSH hid its name, and it is still known");
    for rest in ["met", "met.old"] {
        let _ = fs::remove_file(bed.folder.join(rest));
    }
}

/// Whether `sudo` is there to be tested.
pub fn has_sudo() -> bool {
    let has = Path::new("/usr/bin/sudo").exists();
    let required = std::env::var("ELENCHUS_REQUIRE").unwrap_or_default();
    assert!(
        has || !required.split(',').any(|item| item == "sudo"),
        "ELENCHUS_REQUIRE names sudo; it is not here"
    );
    if !has {
        println!("skipped: sudo is not installed");
    }
    has
}

fn sudo(bed: &Bed) {
    if !has_sudo() {
        return;
    }
    let ssh = bed.ssh();
    let home = bed.folder.join("home");
    let us = Us { home: &home, user: "tester", folder: &bed.folder };
    let place = address(1).parse().expect("a place");
    let access = Access::of(&bed.node(1), &place, &ssh, &Config::default(), &us).expect("it is complete");
    let host = SshHost::new(access, true).expect("threads");
    block_on(async {
        let plain = host.run(Purpose::Work, "id -un", LIMIT).await.expect("an answer");
        assert_eq!(plain.text(), "tester");
        let root = host.run_as_root(Purpose::Work, "id -un; echo \"it's\" '$HOME'; exit 4", LIMIT).await;
        let root = root.expect("an answer");
        assert_eq!((root.text().as_str(), root.code), ("root\nit's $HOME", Some(4)));
        let mut stream = host.stream("id -un; echo ${1%% *}", LIMIT).await.expect("it starts");
        let mut said = String::new();
        stream.socket.read_to_string(&mut said).await.expect("an end");
        assert_eq!(said, "root\n10.77.0.254\n");
    });
    bed.shell(1, "rm /etc/sudoers.d/tester");
    let refused = block_on(host.run_as_root(Purpose::Work, "true", LIMIT)).expect("an answer");
    assert!(!refused.is_success() && refused.ending().contains("password"), "{}", refused.ending());
    bed.shell(
        1,
        "echo 'tester ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/tester; chmod 440 /etc/sudoers.d/tester",
    );
}

fn jump(bed: &Bed) {
    let ssh = Ssh { jump: Some(format!("root@{}", address(1))), ..bed.ssh() };
    let host = SshHost::new(access(bed, 2, &ssh), false).expect("threads");
    block_on(async {
        let said =
            host.run(Purpose::Work, "hostname; echo ${SSH_CONNECTION%% *}", LIMIT).await.expect("an answer");
        assert_eq!(said.text(), "n2\n10.77.0.1");
        let data = vec![7; 3_000_000];
        host.write(Path::new("/var/tmp/jumped"), data.clone(), 0o600, LIMIT).await.expect("there is room");
        let here = bed.folder.join("jumped");
        host.download(Path::new("/var/tmp/jumped"), &here, LIMIT).await.expect("it is there");
        assert!(fs::read(&here).expect("it came") == data, "it came back as it went");
        host.run(Purpose::Work, "rm /var/tmp/jumped", LIMIT).await.expect("an answer");
    });
    bed.kill_sshd(1);
    let began = Instant::now();
    let error =
        block_on(host.run(Purpose::Work, "true", Duration::from_secs(3))).expect_err("the way is gone");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    names_host(&error, 2);
}

fn folders(bed: &Bed) {
    let from = bed.folder.join("from");
    fs::create_dir_all(from.join("inner/empty")).expect("our own folder");
    fs::write(from.join("inner/data"), vec![42; 2_500_000]).expect("our own file");
    fs::write(from.join("a name with 'quotes'"), "x").expect("our own file");
    fs::set_permissions(from.join("inner/data"), fs::Permissions::from_mode(0o751)).expect("our own file");
    let host = host(bed, 1);
    block_on(async {
        host.upload(&from, Path::new("/var/tmp/there"), LIMIT).await.expect("there is room");
        let said =
            host.run(Purpose::Work, "cd /var/tmp/there; find . -type f; stat -c %a inner/data", LIMIT).await;
        let said = said.expect("an answer").text();
        assert!(said.contains("./a name with 'quotes'") && said.ends_with("751"), "{said}");
        assert!(!said.contains("part-"), "{said}");
        host.download(Path::new("/var/tmp/there"), &bed.folder.join("back"), LIMIT)
            .await
            .expect("it is there");
        let none = host.download(Path::new("/var/tmp/nowhere"), &bed.folder.join("x"), LIMIT).await;
        let none = none.expect_err("there is nothing");
        assert!(none.to_string().contains("/var/tmp/nowhere"), "{none}");
        names_host(&none, 1);
    });
    assert!(fs::read(bed.folder.join("back/inner/data")).expect("it came") == vec![42; 2_500_000]);
    assert!(bed.folder.join("back/inner/empty").is_dir());
}

fn replaced(bed: &Bed) {
    let host = host(bed, 1);
    let (path, missing) = (Path::new("/var/tmp/once"), Path::new("/var/tmp/no/such/folder"));
    block_on(async {
        for content in ["first", "second"] {
            host.write(path, content.into(), 0o640, LIMIT).await.expect("there is room");
            let said = host.run(Purpose::Work, "cat /var/tmp/once; stat -c ' %a' /var/tmp/once", LIMIT).await;
            assert_eq!(said.expect("an answer").text(), format!("{content} 640"));
        }
        let error = host.write(missing, vec![1], 0o600, LIMIT).await.expect_err("no folder");
        assert!(error.to_string().contains("not there"), "{error}");
        let over = host.write(Path::new("/var/tmp"), vec![1], 0o600, LIMIT).await.expect_err("a folder");
        names_host(&over, 1);
    });
    assert!(text(&bed.shell(1, "ls /var/tmp /var").stdout).find("part-").is_none());
}

fn full_disk(bed: &Bed) {
    let host = host(bed, 4);
    block_on(async {
        host.write(Path::new("/var/tmp/kept"), b"old".to_vec(), 0o600, LIMIT).await.expect("there is room");
        bed.fill_disk(4);
        let error = host.write(Path::new("/var/tmp/kept"), vec![1; 1 << 20], 0o600, LIMIT).await;
        let error = error.expect_err("there is no room");
        assert!(
            matches!(error.trouble, Trouble::Full(_)) && error.to_string().contains("/var/tmp/kept"),
            "{error}"
        );
        names_host(&error, 4);
        bed.empty_disk(4);
        let kept =
            host.run(Purpose::Work, "cat /var/tmp/kept; ls /var/tmp", LIMIT).await.expect("an answer").text();
        assert!(kept.starts_with("old") && !kept.contains("part-"), "{kept}");
    });
}

fn stream(bed: &Bed) {
    let host = host(bed, 3);
    block_on(async {
        let mut stream = host.stream("echo ready; exec cat", LIMIT).await.expect("it starts");
        let (reader, mut writer) = stream.socket.split();
        let mut lines = BufReader::new(reader).lines();
        assert_eq!(lines.next_line().await.expect("a line").as_deref(), Some("ready"));
        let long = "x".repeat(300_000);
        for line in ["one", &long, "three"] {
            writer.write_all(format!("{line}\n").as_bytes()).await.expect("it listens");
            assert!(lines.next_line().await.expect("a line").as_deref() == Some(line));
        }
        bed.kill_sshd(3);
        assert_eq!(lines.next_line().await.unwrap_or(None), None);
        eventually("the reason is known", || stream.ended.why().is_some());
        bed.start_sshd(3);
        let mut failing = host.stream("echo no such thing >&2; exit 3", LIMIT).await.expect("it starts");
        let mut rest = vec![];
        failing.socket.read_to_end(&mut rest).await.expect("an end");
        eventually("the reason is known", || failing.ended.why().is_some());
        assert!(failing.ended.why().expect("it ended").contains("no such thing"));
        drop(host.stream("sleep 62; cat", LIMIT).await.expect("it starts"));
    });
}

fn cable(bed: &Bed) {
    let host = host(bed, 3);
    block_on(async {
        host.connect(LIMIT).await.expect("it lets us in");
        let mut stream = host.stream("exec cat", LIMIT).await.expect("it starts");
        let began = Instant::now();
        let pulled = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            bed.cable(3, false);
        };
        let asked = host.run(Purpose::Work, "sleep 2; echo done", Duration::from_secs(4));
        let (asked, ()) = tokio::join!(asked, pulled);
        let error = asked.expect_err("nobody answers");
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        names_host(&error, 3);
        let again =
            host.run(Purpose::Work, "true", Duration::from_secs(2)).await.expect_err("nobody answers");
        assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
        names_host(&again, 3);
        let mut buffer = [0; 1];
        let end = tokio::time::timeout(Duration::from_secs(25), stream.socket.read(&mut buffer)).await;
        assert_eq!(end.expect("the stream ends in time").unwrap_or(0), 0);
        bed.cable(3, true);
        for purpose in [Purpose::Work, Purpose::Heal] {
            let healed = host.run(purpose, "echo back", LIMIT).await.expect("it is back");
            assert_eq!(healed.text(), "back");
        }
    });
}

fn dead_sshd(bed: &Bed) {
    let host = host(bed, 5);
    block_on(async {
        host.connect(LIMIT).await.expect("it lets us in");
        bed.kill_sshd(5);
        let began = Instant::now();
        let error =
            host.run(Purpose::Work, "true", Duration::from_secs(2)).await.expect_err("nobody listens");
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        assert!(error.to_string().contains("refused"), "{error}");
        names_host(&error, 5);
        bed.start_sshd(5);
        host.run(Purpose::Work, "true", LIMIT).await.expect("it is back");
    });
}

fn power(bed: &Bed) {
    let host = host(bed, 5);
    block_on(async {
        host.connect(LIMIT).await.expect("it lets us in");
        let off = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            bed.power_off(5);
        };
        let (asked, ()) = tokio::join!(host.run(Purpose::Work, "sleep 20", Duration::from_secs(5)), off);
        names_host(&asked.expect_err("it is off"), 5);
        let error = host.run(Purpose::Work, "true", Duration::from_secs(2)).await.expect_err("it is off");
        names_host(&error, 5);
        bed.power_on(5);
        let said = host.run(Purpose::Work, "hostname", LIMIT).await.expect("it is back");
        assert_eq!(said.text(), "n5");
    });
}

fn mute_sshd(bed: &Bed) {
    bed.stop_sshd(2);
    let began = Instant::now();
    let error = block_on(host(bed, 2).connect(Duration::from_secs(2))).expect_err("it says nothing");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    names_host(&error, 2);
}

fn all_at_once(bed: &Bed) {
    block_on(async {
        let mut asked = tokio::task::JoinSet::new();
        for i in 1..=5 {
            let host = host(bed, i);
            asked.spawn(async move {
                host.run(Purpose::Work, "hostname", LIMIT).await.expect("an answer").text()
            });
        }
        let mut names = asked.join_all().await;
        names.sort();
        assert_eq!(names, ["n1", "n2", "n3", "n4", "n5"]);
    });
}
