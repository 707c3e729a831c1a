//! Running other programs on a host, each with a deadline after which it and all that it started are killed.
//!
//! Short ones that change the host (`iptables`, `systemctl`) are waited for; steps of an installation run
//! beside whatever else the agent does. All of them end with whoever started them: what a killed agent began must
//! not be done after it was undone.

use super::protocol::{Ran, Step};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, getppid};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long a short program may take. `iptables` waits for others that change the rules.
const SHORT: Duration = Duration::from_secs(8);
/// How much of the end of an output is kept, in bytes.
const TAIL: usize = 16 << 10;

/// Runs a short program. An error names it and says what it complained of.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let named = |why: &dyn std::fmt::Display| format!("`{program} {}`: {why}", arguments.join(" "));
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    bind(&mut command);
    let mut child = command.process_group(0).spawn().map_err(|e| named(&e))?;
    let deadline = Instant::now() + SHORT;
    let status = loop {
        match child.try_wait().map_err(|e| named(&e))? {
            Some(status) => break status,
            None if Instant::now() > deadline => {
                end_group(child.id());
                let _ = child.wait();
                return Err(named(&format!("did not end within {SHORT:?}")));
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    // What these programs print fits into a pipe.
    let read = |stream: Option<&mut dyn Read>| {
        let mut text = vec![];
        stream.map_or(Ok(0), |stream| stream.read_to_end(&mut text)).map_err(|e| named(&e))?;
        Ok::<_, String>(String::from_utf8_lossy(&text).into_owned())
    };
    let stdout = read(child.stdout.as_mut().map(|s| s as &mut dyn Read))?;
    let stderr = read(child.stderr.as_mut().map(|s| s as &mut dyn Read))?;
    if status.success() {
        return Ok(stdout);
    }
    Err(named(&format!("{status}: {}", stderr.trim())))
}

/// Runs a step to its end. `token` marks it as ours.
pub(super) async fn run_step(step: &Step, token: (&str, &str)) -> Result<Ran, String> {
    let Some((program, arguments)) = step.argv.split_first() else {
        return Err("no program is named".into());
    };
    let named =
        |why: &dyn std::fmt::Display| format!("`{}` in {}: {why}", step.argv.join(" "), step.cwd.display());
    let mut command = Command::new(program);
    command.args(arguments).envs(step.env.iter().map(|(name, value)| (name, value)));
    command.env(token.0, token.1).current_dir(&step.cwd).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    bind(&mut command);
    let mut child = tokio::process::Command::from(command).spawn().map_err(|e| named(&e))?;
    let pid = child.id().expect("nobody has waited for it");
    let guard = Group(pid);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let work = async { tokio::join!(child.wait(), tail(out), tail(err)) };
    let limit = Duration::from_millis(step.limit_ms);
    match tokio::time::timeout(limit, work).await {
        Ok((status, stdout, stderr)) => {
            // Its number may be another's by now. What it left behind on purpose ends with the trial.
            std::mem::forget(guard);
            Ok(Ran { code: status.map_err(|e| named(&e))?.code(), stdout, stderr })
        }
        Err(_) => {
            drop(guard);
            let _ = child.wait().await;
            Err(named(&format!("did not end within {limit:?}")))
        }
    }
}

/// Makes a program end when the thread that starts it does, with its process at the latest.
fn bind(command: &mut Command) {
    let agent = Pid::this();
    // SAFETY: two system calls that allocate nothing.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            if getppid() == agent { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::ESRCH)) }
        });
    }
}

/// A process group that ends when nobody waits for it any more.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        end_group(self.0);
    }
}

fn end_group(leader: u32) {
    // Its leader has not been reaped, or others keep the number taken; otherwise there is nothing to end.
    let _ = killpg(Pid::from_raw(leader as i32), Signal::SIGKILL);
}

/// The end of what comes.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = vec![];
    let mut buffer = vec![0; 8 << 10];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..length]);
        if kept.len() > 2 * TAIL {
            kept.drain(..kept.len() - TAIL);
        }
    }
    let from = kept.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&kept[from..]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_is_named_with_what_it_said() {
        let why = run("sh", &["-c", "echo bad luck >&2; exit 3"]).unwrap_err();
        assert!(why.contains("exit 3") && why.contains("bad luck"), "{why}");
        assert!(run("/no/such/program", &[]).unwrap_err().contains("/no/such/program"));
        assert_eq!(run("sh", &["-c", "echo fine"]).unwrap(), "fine\n");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_step_ends_at_its_deadline_with_all_that_it_started() {
        let step = |script: &str, limit_ms| Step {
            argv: vec!["sh".into(), "-c".into(), script.into()],
            env: vec![("WORD".into(), "said".into())],
            cwd: "/".into(),
            limit_ms,
        };
        let ran = run_step(&step("echo $WORD $MARK; echo no >&2; exit 4", 20_000), ("MARK", "m")).await;
        assert_eq!(ran, Ok(Ran { code: Some(4), stdout: "said m\n".into(), stderr: "no\n".into() }));
        let mark = format!("step-{}", std::process::id());
        let began = Instant::now();
        let why = run_step(&step("sleep 600 & sleep 600", 200), ("MARK", &mark)).await.unwrap_err();
        assert!(why.contains("sleep 600") && why.contains("within 200ms"), "{why}");
        assert!(began.elapsed() < Duration::from_secs(60));
        let marked = format!("MARK={mark}");
        let left = || crate::host::processes::Process::all().iter().any(|p| p.has_environment(&marked));
        while left() {
            assert!(began.elapsed() < Duration::from_secs(60), "the step's children are left");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
