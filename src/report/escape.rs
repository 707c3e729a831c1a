//! Text from a trial, made harmless for a page.
//!
//! Everything that a trial recorded (values, names, reasons, plans) is hostile until it went through here:
//! a value such as `</script><img onerror=…>` must show as that text, everywhere. Control characters and
//! the ones that reverse reading direction are shown by number, so that a page shows what a log holds.

use std::fmt::{self, Write};

/// Text as it may stand in an element or in a quoted attribute.
pub struct Escaped<'a>(pub &'a str);

/// Shorthand for [`Escaped`].
pub fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(' ')?,
                c if is_unseen(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// Whether a character is a control, or changes how its neighbours are ordered on screen.
fn is_unseen(c: char) -> bool {
    let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || reorders || c == '\u{feff}'
}

/// Text without controls, cut to `chars_max` characters with an ellipsis; for labels and hover texts.
pub fn shorten(text: &str, chars_max: usize) -> String {
    let mut short = String::with_capacity(text.len().min(chars_max * 4));
    for (i, c) in text.chars().enumerate() {
        if i + 1 == chars_max && text.chars().nth(i + 1).is_some() {
            short.push('…');
            break;
        }
        short.push(match c {
            '\n' | '\t' | '\r' => ' ',
            c if is_unseen(c) => '\u{fffd}',
            c => c,
        });
    }
    short
}

/// JSON as it may stand inside a `<script>` element: nothing in it can end the element or open a comment.
pub fn json_for_script(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 64);
    for c in json.chars() {
        match c {
            // All of these lie in the basic plane, where one escape is one character.
            c if is_unseen(c) || matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}') => {
                write!(out, "\\u{:04x}", u32::from(c)).expect("writing to a string cannot fail");
            }
            c => out.push(c),
        }
    }
    out
}

/// Bytes as base64 (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            out.push(if i <= chunk.len() { ALPHABET[sextet as usize] as char } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        let hostile = "</script><img src=x onerror='a(\"b\")'>&";
        let escaped = esc(hostile).to_string();
        assert!(!escaped.contains(['<', '>', '"', '\'']), "{escaped}");
        assert_eq!(escaped, "&lt;/script&gt;&lt;img src=x onerror=&#39;a(&quot;b&quot;)&#39;&gt;&amp;");
    }

    #[test]
    fn what_cannot_be_seen_is_shown_by_number() {
        assert_eq!(esc("a\u{202e}b\u{0}c").to_string(), "a\\u{202e}b\\u{0}c");
    }

    #[test]
    fn json_cannot_leave_its_script() {
        let json = serde_json::to_string("</script><!--\u{2028}").expect("text is JSON");
        let safe = json_for_script(&json);
        assert!(!safe.contains('<') && !safe.contains('>') && !safe.contains('\u{2028}'));
        let back: String = serde_json::from_str(&safe).expect("still JSON");
        assert_eq!(back, "</script><!--\u{2028}");
    }

    #[test]
    fn base64_agrees_with_the_examples_of_its_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn short_text_stays_and_long_text_ends_in_an_ellipsis() {
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abcd", 3), "ab…");
        assert_eq!(shorten("a\nb\u{7}", 9), "a b\u{fffd}");
    }
}
