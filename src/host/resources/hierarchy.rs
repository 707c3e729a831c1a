//! Where the kernel's control groups are: one hierarchy a controller (version 1), or one for all (version 2).
//!
//! The layout is read from the mounts and from this process's own place; nothing is made here. Follows
//! `cgroups(7)`.

use std::path::{Path, PathBuf};

/// What a group limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
}

impl Controller {
    /// Its name in the kernel's files.
    pub fn as_str(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Memory => "memory",
        }
    }
}

/// Which files a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    One,
    /// One hierarchy for all.
    Two,
}

/// Where groups of one controller can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Which files they have.
    pub version: Version,
    /// The folder in which a new group is made.
    pub parent: PathBuf,
    /// The group that processes came from and go back to.
    pub home: PathBuf,
}

/// The hierarchy of a controller, from the text of `/proc/mounts` and `/proc/self/cgroup`; an error says what is
/// missing. `enabled` reads the controllers that a version 2 group hands on to its children.
pub fn find(
    controller: Controller,
    mounts: &str,
    own: &str,
    enabled: impl Fn(&Path) -> String,
) -> Result<Hierarchy, String> {
    let name = controller.as_str();
    if let Some(mount) = mount(mounts, "cgroup", |options| options.split(',').any(|option| option == name)) {
        let place = place(own, |controllers| controllers.split(',').any(|one| one == name));
        let home = under(&mount, place.ok_or_else(|| format!("no place in the hierarchy of `{name}`"))?);
        return Ok(Hierarchy { version: Version::One, parent: home.clone(), home });
    }
    let unified = unified(mounts, own)?;
    // A group with processes of its own hands nothing on, but for the first of all: hence there.
    if enabled(&unified.parent).split_whitespace().any(|one| one == name) {
        return Ok(unified);
    }
    Err(format!(
        "{} hands the controller `{name}` on to nobody",
        unified.parent.join("cgroup.subtree_control").display()
    ))
}

/// The hierarchy of version 2, which freezes whatever it hands on, from the text of `/proc/mounts` and
/// `/proc/self/cgroup`; an error says what is missing.
pub fn unified(mounts: &str, own: &str) -> Result<Hierarchy, String> {
    let parent = mount(mounts, "cgroup2", |_| true).ok_or("no control groups of version 2 are mounted")?;
    let home = under(&parent, place(own, str::is_empty).ok_or("no place in the unified hierarchy")?);
    Ok(Hierarchy { version: Version::Two, parent, home })
}

/// Where a file system of this kind is mounted.
fn mount(mounts: &str, kind: &str, fits: impl Fn(&str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, at, its_kind, options, ..] = fields[..] else { return None };
        (its_kind == kind && fits(options)).then(|| PathBuf::from(at))
    })
}

/// The group of a process among those whose controllers fit (`3:cpu,cpuacct:/a/b`).
fn place(own: &str, fits: impl Fn(&str) -> bool) -> Option<&str> {
    own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        fits(controllers).then_some(path)
    })
}

fn under(mount: &Path, place: &str) -> PathBuf {
    let place = place.trim_start_matches('/');
    if place.is_empty() { mount.to_owned() } else { mount.join(place) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,relatime,cpu,cpuacct 0 0\n\
                       cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                       cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
    const TWO: &str = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nsdelegate 0 0\n";

    #[test]
    fn of_version_one_each_controller_has_its_own_place() {
        let own = "4:memory:/jobs/a:b\n1:cpu,cpuacct:/\n0::/\n";
        let found = |controller| find(controller, ONE, own, |_| String::new()).expect("it is there");
        assert_eq!(found(Controller::Cpu).parent, PathBuf::from("/sys/fs/cgroup/cpu,cpuacct"));
        let memory = found(Controller::Memory);
        assert_eq!(memory.home, PathBuf::from("/sys/fs/cgroup/memory/jobs/a:b"));
        assert_eq!((memory.version, &memory.parent), (Version::One, &memory.home));
    }

    #[test]
    fn of_version_two_groups_are_made_where_the_controller_is_handed_on() {
        let own = "0::/user.slice/session-1.scope\n";
        let found = find(Controller::Cpu, TWO, own, |_| "cpuset cpu io memory".into()).expect("it is there");
        assert_eq!((found.version, found.parent), (Version::Two, PathBuf::from("/sys/fs/cgroup")));
        assert_eq!(found.home, PathBuf::from("/sys/fs/cgroup/user.slice/session-1.scope"));
        let refused = find(Controller::Cpu, TWO, own, |_| "cpuset io".into());
        assert!(refused.expect_err("not handed on").contains("`cpu`"));
    }

    #[test]
    fn what_freezes_is_found_beside_groups_of_version_one() {
        let found = unified(ONE, "4:memory:/jobs\n0::/user/me\n").expect("it is there");
        assert_eq!(found.parent, PathBuf::from("/sys/fs/cgroup/unified"));
        assert_eq!(found.home, PathBuf::from("/sys/fs/cgroup/unified/user/me"));
        for (mounts, own) in [("", ""), (TWO, "1:cpu:/"), ("cgroup /x cgroup rw,freezer 0 0", "0::/")] {
            assert!(unified(mounts, own).is_err(), "{mounts:?} {own:?}");
        }
    }

    #[test]
    fn a_machine_without_groups_or_with_garbage_is_refused() {
        for (mounts, own) in [("", ""), ("x", "y"), (ONE, ""), (TWO, "0:"), ("a b cgroup", "1:cpu:/")] {
            assert!(find(Controller::Cpu, mounts, own, |_| String::new()).is_err(), "{mounts:?} {own:?}");
        }
    }
}
