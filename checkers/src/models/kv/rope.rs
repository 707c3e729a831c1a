//! A text that grows by appending, cheap to keep in many versions.
//!
//! A search keeps every state that it met. Were each a string of its own, `n` appends would cost `n²` bytes,
//! so a text is the text before it and one more piece. Length and hash are those of the text, however it
//! was cut into pieces; equality compares bytes only where both agree, and stops where two texts share
//! what is left.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An immutable text, extended in constant time.
#[derive(Clone, Default)]
pub(super) struct Rope(Option<Arc<Node>>);

struct Node {
    before: Option<Arc<Node>>,
    piece: Box<str>,
    len: usize,
    hash: u64,
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Rope {
    pub(super) fn new(text: &str) -> Rope {
        Rope(None).with(text)
    }

    /// This text with one more piece at its end.
    pub(super) fn with(&self, piece: &str) -> Rope {
        if piece.is_empty() {
            return self.clone();
        }
        let step = |hash: u64, byte: u8| hash.wrapping_mul(MULTIPLIER).wrapping_add(u64::from(byte) + 1);
        let hash = piece.bytes().fold(self.hash(), step);
        let (before, len) = (self.0.clone(), self.len() + piece.len());
        Rope(Some(Arc::new(Node { before, piece: piece.into(), len, hash })))
    }

    /// Whether this is the text.
    pub(super) fn is(&self, text: &str) -> bool {
        let mut rest = text;
        self.len() == text.len()
            && self.pieces().all(|piece| match rest.strip_suffix(piece) {
                Some(before) => {
                    rest = before;
                    true
                }
                None => false,
            })
    }

    /// Whether it is the other one, or continues it.
    pub(super) fn starts_with(&self, other: &Rope) -> bool {
        if self.len() <= other.len() {
            return self == other;
        }
        let begins = |whole: &str| whole.get(..other.len()).is_some_and(|beginning| other.is(beginning));
        let mut pieces = self.pieces();
        match (pieces.next(), pieces.next()) {
            (Some(whole), None) => begins(whole),
            _ => begins(&self.to_string()),
        }
    }

    /// Bytes on the heap that this version holds beside those that it extends.
    pub(super) fn weight(&self) -> usize {
        self.0.as_ref().map_or(0, |node| size_of::<Node>() + 2 * size_of::<usize>() + node.piece.len())
    }

    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |node| node.len)
    }

    fn hash(&self) -> u64 {
        self.0.as_ref().map_or(0, |node| node.hash)
    }

    /// The pieces, the last one first.
    fn pieces(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(self.0.as_deref(), |node| node.before.as_deref()).map(|node| &*node.piece)
    }
}

impl PartialEq for Rope {
    fn eq(&self, other: &Rope) -> bool {
        if (self.len(), self.hash()) != (other.len(), other.hash()) {
            return false;
        }
        let (mut a, mut b) = (self.0.as_ref(), other.0.as_ref());
        // What is left of the piece of each side.
        let (mut left, mut right): (&[u8], &[u8]) = (&[], &[]);
        loop {
            if left.is_empty() && right.is_empty() {
                match (a, b) {
                    (Some(x), Some(y)) if Arc::ptr_eq(x, y) => return true,
                    (None, None) => return true,
                    _ => {}
                }
            }
            for (side, node) in [(&mut left, &mut a), (&mut right, &mut b)] {
                if let (true, Some(next)) = (side.is_empty(), *node) {
                    (*side, *node) = (next.piece.as_bytes(), next.before.as_ref());
                }
            }
            let common = left.len().min(right.len());
            let ((x, ends_x), (y, ends_y)) =
                (left.split_at(left.len() - common), right.split_at(right.len() - common));
            if ends_x != ends_y {
                return false;
            }
            (left, right) = (x, y);
        }
    }
}

impl Eq for Rope {}

impl Hash for Rope {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(Rope::hash(self));
    }
}

impl fmt::Display for Rope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces: Vec<&str> = self.pieces().collect();
        pieces.reverse();
        pieces.into_iter().try_for_each(|piece| f.write_str(piece))
    }
}

impl fmt::Debug for Rope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

/// A long text is freed in a loop: one piece after the other would exhaust the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.before.take();
        while let Some(node) = next {
            next = Arc::into_inner(node).and_then(|mut node| node.before.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_text_is_the_same_however_it_was_cut() {
        let cuts: [&[&str]; 6] = [
            &["abcdef"],
            &["a", "bcdef"],
            &["ab", "cd", "ef"],
            &["abc", "", "def"],
            &["abcde", "f"],
            &["", "abcd", "ef"],
        ];
        let ropes: Vec<Rope> =
            cuts.iter().map(|cut| cut.iter().fold(Rope::default(), |rope, piece| rope.with(piece))).collect();
        assert_eq!(ropes.iter().cloned().collect::<HashSet<_>>().len(), 1);
        for rope in &ropes {
            assert!(rope.is("abcdef") && !rope.is("abcdex") && !rope.is("xbcdef") && !rope.is("abcde"));
            assert_eq!(rope.to_string(), "abcdef");
        }
    }

    #[test]
    fn other_texts_differ() {
        let texts = ["", "a", "b", "ab", "ba", "aab", "aba"];
        for a in texts {
            for b in texts {
                let (x, y) = a.split_at(a.len() / 2);
                assert_eq!(Rope::new(x).with(y) == Rope::new(b), a == b, "{a} {b}");
            }
        }
    }

    #[test]
    fn a_text_starts_with_another_however_both_were_cut() {
        let texts = ["", "a", "b", "ab", "ba", "aab", "aba", "é", "éa", "è"];
        let cuts = |text: &'static str| {
            let at = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
            at.map(|at| Rope::new(&text[..at]).with(&text[at..]))
        };
        for a in texts {
            for b in texts {
                for (x, y) in cuts(a).flat_map(|x| cuts(b).map(move |y| (x.clone(), y))) {
                    assert_eq!(x.starts_with(&y), a.starts_with(b), "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn a_long_text_is_freed_and_compared_without_recursion() {
        let long = || (0..500_000).fold(Rope::default(), |rope, i| rope.with(["x", "yz"][i % 2]));
        let (a, b) = (long(), long());
        assert!(a == b && a != b.with("x"));
        assert!(a.with("x") == b.with("x") && a.with("x") != b.with("y"));
    }
}
