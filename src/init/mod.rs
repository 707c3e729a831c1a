//! Campaigns to start from: commented files, written once and then the user's.
//!
//! A test plans each of them, so that none can rot.

/// A campaign to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starter {
    /// Its name, as `elenchus init` takes it.
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    /// The file.
    pub text: &'static str,
}

/// All of them, the default first.
pub const STARTERS: [Starter; 4] = [
    Starter {
        name: "bundled",
        about: "the cluster that elenchus brings along",
        text: include_str!("bundled.toml"),
    },
    Starter { name: "etcd", about: "five etcd nodes on this machine", text: include_str!("etcd.toml") },
    Starter {
        name: "http",
        about: "a system of your own that speaks HTTP, its requests described",
        text: include_str!("http.toml"),
    },
    Starter {
        name: "exec",
        about: "a system of your own, with a client in any language",
        text: include_str!("exec.toml"),
    },
];

/// The one of this name.
pub fn named(name: &str) -> Option<Starter> {
    STARTERS.into_iter().find(|starter| starter.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Campaign;
    use crate::plan::Plan;
    use crate::registry::Registry;

    /// The lines that are comments only because they are choices: keys, and tables of them.
    fn with_choices(text: &str) -> String {
        let line = |line: &str| match line.strip_prefix("# ") {
            Some(rest) if is_toml(rest) => rest.to_owned(),
            _ => line.to_owned(),
        };
        text.lines().map(line).collect::<Vec<_>>().join("\n")
    }

    fn is_toml(line: &str) -> bool {
        let key = line.split_once(" = ").map(|(key, _)| key);
        line.starts_with('[')
            || key.is_some_and(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    }

    #[test]
    fn every_starter_can_be_planned_as_it_is() {
        for starter in STARTERS {
            let campaign = Campaign::parse(starter.text).unwrap_or_else(|e| panic!("{}: {e}", starter.name));
            let plan = Plan::of(&Registry::builtin(), &campaign, 1, None);
            let plan = plan.unwrap_or_else(|e| panic!("{}: {e}", starter.name));
            assert!(plan.trials[0].nodes.len() >= 3, "{}", starter.name);
        }
    }

    #[test]
    fn what_is_commented_out_is_well_formed_too() {
        let bundled = with_choices(named("bundled").expect("there is one").text);
        let campaign = Campaign::parse(&bundled).expect("well formed");
        assert_eq!((campaign.schedule.len(), campaign.seed, campaign.bug.len()), (1, Some(7), 1));
        Plan::of(&Registry::builtin(), &campaign, 1, None).expect("it can be planned");
        // A table in the middle of another ends it, so only these keys are tried.
        let etcd = with_choices(named("etcd").expect("there is one").text);
        let description = Campaign::parse(&etcd).expect("well formed").cluster.expect("a cluster");
        assert_eq!((description.user.as_deref(), description.node.len()), (Some("etcd"), 1));
        description.check().expect("nothing absurd");
    }
}
