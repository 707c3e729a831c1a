//! The ground of SSH hosts: reached, looked at, given our helper, and left as they were.
//!
//! Everything that a trial puts on a host lies in one folder there, `FOLDER/TRIAL`, and goes with it; only the
//! helper itself (this very program) stays in `FOLDER/bin`, under a name that says what it holds, so that the
//! next trial need not send it again. Where the hosts are is written down before anything is made there.
//!
//! | module | what it is |
//! |---|---|
//! | `reach` | from a description to how each host is reached |
//! | `helper` | our program as it lies on them |
//! | `ground` | the hosts of a running trial |
//! | `seat` | a host as a system sees it |
//! | [`undo`] | what `elenchus heal` does about a trial whose controller is gone |

mod ground;
mod helper;
mod reach;
mod seat;
pub mod undo;

pub use ground::HostGround;
pub use helper::Helper;
pub use reach::accesses;

use crate::host::ssh::{SshError, SshHost};
use std::time::Duration;

/// The folder on the hosts, unless the campaign names one. It outlives a power cut, unlike `/tmp`.
pub const FOLDER: &str = "/var/tmp/elenchus";

/// How long logging in may take, to a host that is well.
const LOGIN_MAX: Duration = Duration::from_secs(20);
/// How long a small question may take.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(20);
/// How long sending our helper may take.
const UPLOAD_MAX: Duration = Duration::from_secs(300);
/// How long undoing everything on a host may take.
const UNDO_MAX: Duration = Duration::from_secs(20);
/// How long a host may take to answer before its logs are given up.
const FETCH_MAX: Duration = Duration::from_secs(10);

/// Does the same with all hosts at once; what went wrong with all of them is told together.
async fn each<T, F>(hosts: &[SshHost], act: impl Fn(SshHost) -> F) -> Result<Vec<T>, String>
where
    T: Send + 'static,
    F: Future<Output = Result<T, SshError>> + Send + 'static,
{
    let asked: Vec<_> = hosts.iter().map(|host| tokio::spawn(act(host.clone()))).collect();
    let (mut done, mut wrong) = (vec![], vec![]);
    for (answer, host) in asked.into_iter().zip(hosts) {
        match answer.await {
            Ok(Ok(value)) => done.push(value),
            Ok(Err(error)) => wrong.push(error.to_string()),
            Err(_) => wrong.push(format!("{}: a task broke", host.node())),
        }
    }
    if wrong.is_empty() { Ok(done) } else { Err(wrong.join("\n")) }
}
