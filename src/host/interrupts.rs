//! The user's wish to stop, as it reaches the controller.
//!
//! The terminal's Ctrl-C reaches the outer process only; it forwards each signal as one byte through a
//! pipe. So the controller is never torn out of an action, and hears of it where it waits anyway.

use std::io;
use std::os::fd::OwnedFd;
use tokio::net::unix::pipe::Receiver;

/// How urgently the user wants the trial to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interrupt {
    /// The first signal: heal, finish, judge what was recorded.
    Finish,
    /// The second: as quickly as possible. (The third ends everything without asking the controller.)
    Hurry,
}

/// The signals that the outer process forwards.
#[derive(Debug)]
pub struct Interrupts {
    pipe: Pipe,
    seen: usize,
}

#[derive(Debug)]
enum Pipe {
    Raw(OwnedFd),
    Attached(Receiver),
    Closed,
}

impl Interrupts {
    /// Listens to the reading end of the outer process's pipe.
    pub fn new(pipe: OwnedFd) -> Interrupts {
        Interrupts { pipe: Pipe::Raw(pipe), seen: 0 }
    }

    /// The next signal; waits for ever if none comes. To be called in one tokio runtime only. Dropping the
    /// future loses nothing.
    pub async fn next(&mut self) -> io::Result<Interrupt> {
        loop {
            let receiver = match std::mem::replace(&mut self.pipe, Pipe::Closed) {
                Pipe::Raw(fd) => Receiver::from_owned_fd(fd)?,
                Pipe::Attached(receiver) => receiver,
                Pipe::Closed => std::future::pending().await,
            };
            let Pipe::Attached(receiver) = self.keep(receiver) else { unreachable!("it was just kept") };
            receiver.readable().await?;
            let mut byte = [0];
            match receiver.try_read(&mut byte) {
                // The outer process is gone, and with it soon everything else.
                Ok(0) => self.pipe = Pipe::Closed,
                Ok(_) => {
                    self.seen += 1;
                    return Ok(if self.seen == 1 { Interrupt::Finish } else { Interrupt::Hurry });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn keep(&mut self, receiver: Receiver) -> &Pipe {
        self.pipe = Pipe::Attached(receiver);
        &self.pipe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_first_signal_asks_and_the_second_hurries() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (reader, mut writer) = io::pipe().unwrap();
        let mut interrupts = Interrupts::new(reader.into());
        runtime.block_on(async {
            let soon = std::time::Duration::from_millis(1);
            assert!(tokio::time::timeout(soon, interrupts.next()).await.is_err());
            writer.write_all(b"!!").unwrap();
            assert_eq!(interrupts.next().await.unwrap(), Interrupt::Finish);
            assert_eq!(interrupts.next().await.unwrap(), Interrupt::Hurry);
            drop(writer);
            assert!(tokio::time::timeout(soon, interrupts.next()).await.is_err());
        });
    }
}
