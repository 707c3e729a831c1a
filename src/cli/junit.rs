//! `--junit`: the trials as a build server reads them.

use crate::exit::Exit;
use std::fmt::Write;

/// One trial, as a test case.
pub struct Case {
    /// The campaign and the workload.
    pub name: String,
    /// The trial's seed.
    pub seed: u64,
    /// How it ended.
    pub exit: Exit,
    /// Why, in the words of the verdicts.
    pub why: String,
    /// How long it took.
    pub seconds: f64,
}

/// The trials as one test suite in JUnit's XML. A violation is a failure; a doubt and a broken trial are
/// errors, since nothing was shown.
pub fn render(cases: &[Case]) -> String {
    let count = |wanted: &dyn Fn(Exit) -> bool| cases.iter().filter(|case| wanted(case.exit)).count();
    let failures = count(&|exit| exit == Exit::Invalid);
    let errors = count(&|exit| !matches!(exit, Exit::Valid | Exit::Invalid));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        xml,
        "<testsuite name=\"elenchus\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\">",
        cases.len()
    );
    for case in cases {
        let (name, why) = (escaped(&case.name), escaped(&case.why));
        let _ = write!(
            xml,
            "  <testcase classname=\"{name}\" name=\"seed {}\" time=\"{:.3}\"",
            case.seed, case.seconds
        );
        let _ = match case.exit {
            Exit::Valid => writeln!(xml, "/>"),
            Exit::Invalid => writeln!(xml, "><failure message=\"{why}\"/></testcase>"),
            _ => writeln!(xml, "><error message=\"{why}\"/></testcase>"),
        };
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// Text as an attribute of XML 1.0 may hold it.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c < ' ' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_a_failure_and_a_doubt_an_error() {
        let case = |exit| Case { name: "a<b".into(), seed: 7, exit, why: "\"x\" & y".into(), seconds: 1.5 };
        let xml = render(&[case(Exit::Valid), case(Exit::Invalid), case(Exit::Unknown)]);
        assert!(xml.contains("tests=\"3\" failures=\"1\" errors=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"&quot;x&quot; &amp; y\"/>"), "{xml}");
        assert!(xml.contains("a&lt;b") && !xml.contains("a<b"), "{xml}");
    }
}
