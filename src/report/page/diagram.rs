//! How the violation came about: the Lamport diagram of a shrunk trial.
//!
//! It is shown as an image of its own, in which no script runs and which fetches nothing, whatever the file holds.

use super::put;
use crate::report::story::Story;

/// The section, if the folder has a diagram.
pub fn render(out: &mut String, story: &Story) {
    let Some(svg) = &story.diagram else { return };
    put!(
        out,
        "<section id=\"story\">\n<h2>How it came about</h2>\n<p class=\"soft\">Time goes down. Arrows are messages; \
         what contradicts each other is red. Only what led to it is shown.</p>\n\
         <div style=\"overflow-x:auto\"><img alt=\"A Lamport diagram; story.txt says the same in words\" \
         src=\"data:image/svg+xml,{}\"></div>\n</section>\n",
        percent(svg)
    );
}

/// Text as it may stand in a URI.
fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3 / 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b' '
            | b'/'
            | b'='
            | b':' => {
                out.push(char::from(byte));
            }
            _ => put!(&mut out, "%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_picture_can_end_its_attribute() {
        let uri = percent("<svg>\"'&\n#é</svg>");
        assert_eq!(uri, "%3Csvg%3E%22%27%26%0A%23%C3%A9%3C/svg%3E");
    }
}
