//! Patterns of host names, as OpenSSH has them: `*`, `?`, and `!` for what is not meant.

/// Whether a list of patterns means `name`: one of them fits and none with `!` does.
pub(super) fn list_matches<'a>(patterns: impl IntoIterator<Item = &'a str>, name: &str) -> bool {
    let mut is_meant = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(excluded) if matches(excluded, name) => return false,
            Some(_) => {}
            None => is_meant |= matches(pattern, name),
        }
    }
    is_meant
}

/// Whether one pattern fits the whole name, letters of either case being the same.
///
/// Takes time in the product of both lengths at most: a failed guess only moves the last `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&name[n]) => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((after, from)) = retry else { return false };
                retry = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_letters() {
        for (pattern, name) in
            [("*", ""), ("n?", "n1"), ("*.example.org", "A.Example.org"), ("a*b*c", "aXbXbXc"), ("", "")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("n?", "n"), ("n?", "n12"), ("a*b", "abc"), ("", "x"), ("[n1]", "n1")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_excluded_is_not_meant_wherever_it_stands() {
        assert!(list_matches(["n*", "!n9"], "n1"));
        assert!(!list_matches(["n*", "!n9"], "n9"));
        assert!(!list_matches(["!n9", "n*"], "n9"));
        assert!(!list_matches(["!n9"], "n1"));
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_exponential_time() {
        assert!(!matches(&"*a".repeat(200), &"b".repeat(2000)));
    }
}
