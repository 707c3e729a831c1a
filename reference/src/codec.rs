//! Plain binary: integers of fixed width, little end first, and bytes after their length.
//!
//! Shared by the peers' messages, the write-ahead log and the state machine's snapshots. Reading never
//! panics and never reserves memory for what was only announced; what does not fit is `None`.

/// Appends values to bytes.
pub(crate) trait Write {
    /// One byte.
    fn u8(&mut self, value: u8);
    /// Two bytes.
    fn u16(&mut self, value: u16);
    /// Four bytes.
    fn u32(&mut self, value: u32);
    /// Eight bytes.
    fn u64(&mut self, value: u64);
    /// A length of four bytes, then the bytes.
    fn bytes(&mut self, value: &[u8]);
}

impl Write for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).expect("a frame or snapshot is shorter than 4 GiB"));
        self.extend_from_slice(value);
    }
}

/// Takes values from the front of bytes.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes` from their beginning.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes after their length.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Text after its length; not UTF-8 is `None`.
    pub fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    /// `count` values, each read by `item`. Stops at the first that does not fit, so that an absurd count
    /// ends with the bytes.
    pub fn many<T>(&mut self, count: u32, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Some(items)
    }

    /// `Some` when all was read: bytes left over mean that both sides do not speak of the same thing.
    pub fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        bytes.u8(1);
        bytes.u16(2);
        bytes.u32(3);
        bytes.u64(4);
        bytes.bytes("five".as_bytes());
        let mut reader = Reader::new(&bytes);
        assert_eq!(
            (reader.u8(), reader.u16(), reader.u32(), reader.u64()),
            (Some(1), Some(2), Some(3), Some(4))
        );
        assert_eq!(reader.text().as_deref(), Some("five"));
        assert_eq!(reader.end(), Some(()));
    }

    #[test]
    fn an_absurd_length_or_count_is_refused_without_memory() {
        let mut bytes = Vec::new();
        bytes.u32(u32::MAX);
        assert_eq!(Reader::new(&bytes).bytes(), None);
        assert_eq!(Reader::new(&bytes).many(u32::MAX, Reader::u64), None);
        assert_eq!(Reader::new(&[1, 0, 0, 0, 0xff]).text(), None);
    }
}
