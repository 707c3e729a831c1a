//! Frames: how a stream of bytes is cut into messages.
//!
//! A frame is its payload's length, four bytes, big end first, then the payload. Both ends of every
//! connection of a bundled cluster speak so, peers and clients alike. There is no checksum: TCP has one, and
//! what rests on disk has its own. What a payload means is not said here.

use thiserror::Error;

/// The longest payload, in bytes. Longer ones are a stray's or damage: nobody should wait for them.
pub const PAYLOAD_MAX: usize = 16 << 20;

/// The bytes before each payload.
const HEADER: usize = 4;

/// What cannot be a frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The payload is longer than [`PAYLOAD_MAX`].
    #[error("a frame of {length} bytes is longer than the {PAYLOAD_MAX} allowed")]
    TooLong {
        /// Its length, in bytes.
        length: usize,
    },
}

/// Appends the frame of `payload` to `out`, or nothing when it is too long.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    if payload.len() > PAYLOAD_MAX {
        return Err(FrameError::TooLong { length: payload.len() });
    }
    out.reserve(HEADER + payload.len());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// Cuts what arrives, in whatever chunks, into payloads.
///
/// Invariant: never holds more than one unfinished frame and the chunk that began it, so a peer that
/// announces much and sends little costs nothing.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the next frame begins in `buffer`.
    start: usize,
    /// Set by the first error: the boundaries are lost, so nothing after it can be trusted.
    broken: Option<FrameError>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Takes the next bytes of the stream.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole payload, `None` if it has not all arrived. An error is final.
    pub fn next_payload(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let rest = &self.buffer[self.start..];
        let Some((header, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let length = u32::from_be_bytes(*header) as usize;
        if length > PAYLOAD_MAX {
            let error = FrameError::TooLong { length };
            self.broken = Some(error.clone());
            self.buffer = Vec::new();
            self.start = 0;
            return Err(error);
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let payload = payload.to_vec();
        self.start += HEADER + length;
        Ok(Some(payload))
    }

    /// Whether the stream may end here: no frame has begun.
    pub fn at_boundary(&self) -> bool {
        self.broken.is_none() && self.start == self.buffer.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    fn drain(decoder: &mut Decoder) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut payloads = Vec::new();
        while let Some(payload) = decoder.next_payload()? {
            payloads.push(payload);
        }
        Ok(payloads)
    }

    #[test]
    fn payloads_survive_any_chunking() {
        for seed in 0..300 {
            let mut rng = Seed(seed).stream("frames").rng();
            let payloads: Vec<Vec<u8>> = (0..rng.below(20))
                .map(|_| (0..rng.below(400)).map(|_| rng.next_u64() as u8).collect())
                .collect();
            let mut stream = Vec::new();
            for payload in &payloads {
                encode(payload, &mut stream).unwrap();
            }
            let mut decoder = Decoder::new();
            let mut decoded = Vec::new();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(rng.between(1, rest.len().min(97) as u64) as usize);
                decoder.push(chunk);
                if rng.chance(2, 3) {
                    decoded.extend(drain(&mut decoder).unwrap());
                }
                rest = after;
            }
            decoded.extend(drain(&mut decoder).unwrap());
            assert_eq!(decoded, payloads);
            assert!(decoder.at_boundary());
        }
    }

    #[test]
    fn random_bytes_never_panic_and_never_yield_more_than_came() {
        for seed in 0..500 {
            let mut rng = Seed(seed).stream("noise").rng();
            let mut decoder = Decoder::new();
            let (mut came, mut yielded) = (0, 0);
            for _ in 0..rng.below(40) {
                // Small first bytes, so that lengths are often plausible.
                let chunk: Vec<u8> = (0..rng.below(64))
                    .map(|_| if rng.chance(3, 4) { rng.below(3) as u8 } else { rng.next_u64() as u8 })
                    .collect();
                came += chunk.len();
                decoder.push(&chunk);
                match drain(&mut decoder) {
                    Ok(payloads) => yielded += payloads.iter().map(|p| p.len() + HEADER).sum::<usize>(),
                    Err(error) => {
                        assert_eq!(drain(&mut decoder), Err(error), "an error is final");
                        assert!(!decoder.at_boundary());
                    }
                }
            }
            assert!(yielded <= came);
        }
    }

    #[test]
    fn a_frame_too_long_is_refused_before_its_payload_arrives() {
        let mut decoder = Decoder::new();
        decoder.push(&(PAYLOAD_MAX as u32 + 1).to_be_bytes());
        assert_eq!(decoder.next_payload(), Err(FrameError::TooLong { length: PAYLOAD_MAX + 1 }));

        let mut out = vec![7];
        assert!(encode(&vec![0; PAYLOAD_MAX + 1], &mut out).is_err());
        assert_eq!(out, [7], "nothing is half written");
    }

    #[test]
    fn the_longest_and_the_empty_payload_pass() {
        let mut stream = Vec::new();
        encode(&vec![5; PAYLOAD_MAX], &mut stream).unwrap();
        encode(b"", &mut stream).unwrap();
        let mut decoder = Decoder::new();
        for chunk in stream.chunks(1 << 20) {
            decoder.push(chunk);
        }
        assert_eq!(decoder.next_payload().unwrap().unwrap().len(), PAYLOAD_MAX);
        assert_eq!(decoder.next_payload().unwrap().unwrap(), b"");
        assert_eq!(decoder.next_payload(), Ok(None));
    }

    #[test]
    fn a_cut_frame_is_no_boundary() {
        let mut stream = Vec::new();
        encode(b"whole", &mut stream).unwrap();
        for cut in 1..stream.len() {
            let mut decoder = Decoder::new();
            decoder.push(&stream[..cut]);
            assert_eq!(decoder.next_payload(), Ok(None));
            assert!(!decoder.at_boundary());
        }
    }
}
