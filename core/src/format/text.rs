//! What all readers and writers of histories share: positions, complaints, digits.

use std::fmt;

/// A value inside of more collections than this is refused: readers, writers and destructors of values are
/// recursive. All formats count alike, so that what one can say the others can.
pub(crate) const DEPTH_MAX: usize = 512;

/// A file that cannot be read as a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct ReadError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub what: String,
}

impl ReadError {
    /// The error of a reader that stood at byte `at`.
    pub(crate) fn at(bytes: &[u8], at: usize, what: impl Into<String>) -> ReadError {
        let before = &bytes[..at.min(bytes.len())];
        let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
        let continues = |byte: u8| byte & 0xc0 == 0x80;
        ReadError {
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            column: 1 + before[start..].iter().filter(|&&byte| !continues(byte)).count(),
            what: what.into(),
        }
    }
}

/// Why a reader stopped, and at which byte.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub at: usize,
    pub what: String,
    /// Whether the text is no text of its format at all, as a torn line is; else it is, but says something
    /// that no history says.
    pub syntax: bool,
}

impl Trouble {
    /// Boxed, since troubles are rare and results are many.
    pub fn syntax(at: usize, what: impl Into<String>) -> Box<Trouble> {
        Box::new(Trouble { at, what: what.into(), syntax: true })
    }

    pub fn meaning(at: usize, what: impl Into<String>) -> Box<Trouble> {
        Box::new(Trouble { at, what: what.into(), syntax: false })
    }

    pub fn too_deep(at: usize) -> Box<Trouble> {
        Trouble::meaning(at, format!("nested more than {DEPTH_MAX} deep"))
    }

    /// `expected x, found y`, where y is what stands at `at`.
    pub fn expected(what: &str, bytes: &[u8], at: usize) -> Box<Trouble> {
        Trouble::syntax(at, format!("expected {what}, found {}", found(bytes, at)))
    }
}

/// What stands at `at`, for people.
fn found(bytes: &[u8], at: usize) -> String {
    let Some(&byte) = bytes.get(at) else { return "the end".into() };
    match byte {
        b'\n' => "the end of the line".into(),
        b'!'..=b'~' => format!("`{}`", char::from(byte)),
        0..=0x7f => format!("byte 0x{byte:02x}"),
        _ => {
            let rest = &bytes[at..bytes.len().min(at + 4)];
            let valid = rest.utf8_chunks().next().map_or("", |chunk| chunk.valid());
            valid.chars().next().map_or(format!("byte 0x{byte:02x}, no UTF-8"), |c| format!("`{c}`"))
        }
    }
}

/// The four hexadecimal digits at `at`.
pub(crate) fn hex4(bytes: &[u8], at: usize) -> Result<u32, Box<Trouble>> {
    let mut unit = 0;
    for i in at..at + 4 {
        let digit = bytes.get(i).and_then(|&byte| char::from(byte).to_digit(16));
        unit = unit * 16 + digit.ok_or_else(|| Trouble::expected("a hexadecimal digit", bytes, i))?;
    }
    Ok(unit)
}

/// The character of the escape whose four digits begin at `at` (a second escape may complete it), and the
/// byte after it.
pub(crate) fn unicode_escape(bytes: &[u8], at: usize) -> Result<(char, usize), Box<Trouble>> {
    let unit = hex4(bytes, at)?;
    if let Some(c) = char::from_u32(unit) {
        return Ok((c, at + 4));
    }
    if unit < 0xdc00 && bytes.get(at + 4..at + 6) == Some(b"\\u") {
        let low = hex4(bytes, at + 6)?;
        if (0xdc00..0xe000).contains(&low) {
            let c = char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
            return Ok((c.expect("a pair of surrogates is a character"), at + 10));
        }
    }
    Err(Trouble::syntax(at, "expected a character, found half of a surrogate pair"))
}

/// The first byte from `from` on that is a newline; the end if there is none.
pub(crate) fn line_end(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut at = from;
    while let Some(word) = bytes[at..].first_chunk::<8>() {
        // A byte of `x` is zero exactly where the word has a newline; the sum borrows from zero bytes only.
        let x = u64::from_ne_bytes(*word) ^ (ONES * u64::from(b'\n'));
        if x.wrapping_sub(ONES) & !x & HIGH != 0 {
            break;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len() - at)
}

/// A last line that was cut off, for people.
pub(crate) fn tell_torn(bytes: &[u8], line: &[u8]) -> String {
    const SHOWN: usize = 80;
    let number = ReadError::at(bytes, bytes.trim_ascii_end().len(), "").line;
    let text = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
    let more = if line.len() > SHOWN { "…" } else { "" };
    format!("line {number}, the last, is cut off after {} bytes and was dropped: {text}{more}", line.len())
}

/// Bytes that take formatted text.
pub(crate) struct Bytes<'a>(pub &'a mut Vec<u8>);

impl fmt::Write for Bytes<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Decimal digits, without the machinery of `fmt`: a runner logs hundreds of thousands of lines a second.
pub(crate) fn push_u64(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    while n >= 100 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(n % 100) as usize]);
        n /= 100;
    }
    if n >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[n as usize]);
    } else {
        at -= 1;
        digits[at] = b'0' + n as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// As [`push_u64`], with a sign.
pub(crate) fn push_i64(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    push_u64(out, n.unsigned_abs());
}

/// `00` to `99`.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut n = 0;
    while n < 100 {
        pairs[n] = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8];
        n += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_standard_library() {
        let mut numbers = vec![0, 9, 10, 99, 100, i64::MAX, i64::MIN, -1];
        numbers.extend((0..62).flat_map(|bit| [(1i64 << bit) - 1, 1 << bit, -(1 << bit)]));
        for n in numbers {
            let mut out = Vec::new();
            push_i64(&mut out, n);
            assert_eq!(String::from_utf8(out).unwrap(), n.to_string());
        }
        let mut out = Vec::new();
        push_u64(&mut out, u64::MAX);
        assert_eq!(String::from_utf8(out).unwrap(), u64::MAX.to_string());
    }

    #[test]
    fn the_end_of_a_line_is_its_first_newline() {
        for length in 0..40 {
            for newline in 0..=length {
                let mut bytes = vec![b'\x0b'; length];
                bytes.iter_mut().skip(newline).step_by(3).for_each(|byte| *byte = b'\n');
                for from in 0..=newline {
                    assert_eq!(line_end(&bytes, from), newline, "{bytes:?} from {from}");
                }
            }
        }
    }

    #[test]
    fn columns_count_characters() {
        let text = "a\näö§x";
        let error = ReadError::at(text.as_bytes(), text.find('x').unwrap(), "no");
        assert_eq!((error.line, error.column), (2, 4));
        assert_eq!(error.to_string(), "line 2, column 4: no");
    }
}
