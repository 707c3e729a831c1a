//! What the program's exit code says.

use elenchus_core::verdict::Validity;

/// The exit codes, in the order in which the first that occurred wins over many trials: 1, 255, 254, 2, 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything examined was kept.
    Valid,
    /// Not decided; the reason stands beside the verdict.
    Unknown,
    /// Bad arguments, campaign or input file; nothing was started.
    Usage,
    /// The trial itself broke, or the program did.
    Broken,
    /// A promise was broken.
    Invalid,
}

impl Exit {
    /// The code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Valid => 0,
            Exit::Invalid => 1,
            Exit::Unknown => 2,
            Exit::Usage => 254,
            Exit::Broken => 255,
        }
    }
}

impl From<Validity> for Exit {
    fn from(validity: Validity) -> Exit {
        match validity {
            Validity::Valid => Exit::Valid,
            Validity::Unknown => Exit::Unknown,
            Validity::Invalid => Exit::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_many_trials_a_violation_outranks_a_broken_trial_and_that_a_doubt() {
        let worst = |exits: &[Exit]| exits.iter().max().map(|exit| exit.code());
        assert_eq!(worst(&[Exit::Valid, Exit::Unknown, Exit::Broken, Exit::Invalid]), Some(1));
        assert_eq!(worst(&[Exit::Unknown, Exit::Usage, Exit::Broken]), Some(255));
        assert_eq!(worst(&[Exit::Unknown, Exit::Usage]), Some(254));
        assert_eq!(worst(&[Exit::Unknown, Exit::Valid]), Some(2));
    }
}
