//! The operations as the script reads them: one stream of numbers, and their texts.
//!
//! Each drawn operation is, in the order of calls: nanoseconds since the call before, events of the log
//! since the call before, a byte of flags (outcome in bits 0–1, role in bits 2–3, bit 4 set if it has an
//! end), nanoseconds until its end (if it has one), process, lane, function, key plus one (zero: no key).
//! Numbers are LEB128; the stream is base64. About twelve bytes an operation, before its text.

use super::put;
use crate::report::escape::{base64, json_for_script, shorten};
use crate::report::story::Story;
use serde_json::json;

/// The data block.
pub fn render(out: &mut String, story: &Story) {
    let (stream, keys) = encode(story);
    let bands: Vec<_> = story
        .faults
        .iter()
        .filter(|fault| fault.until > fault.from)
        .map(|fault| {
            let (kind, target) =
                (shorten(&fault.fault, NAME_CHARS_MAX), shorten(&fault.target, NAME_CHARS_MAX));
            json!([kind, fault.from, fault.until, target, fault.hit])
        })
        .collect();
    let leaders: Vec<_> = story
        .leaders
        .iter()
        .map(|l| json!([l.time, shorten(&l.node, NAME_CHARS_MAX), shorten(&l.term, NAME_CHARS_MAX)]))
        .collect();
    let functions: Vec<String> =
        story.operations.functions.iter().map(|name| shorten(name, NAME_CHARS_MAX)).collect();
    let lanes: Vec<String> = (0..story.operations.lanes).map(|lane| story.lane_name(lane)).collect();
    let anomalies: Vec<Vec<u32>> = story
        .anomalies
        .iter()
        .map(|told| told.anomaly.operations.iter().take(CALLS_MAX).map(|exhibit| exhibit.call).collect())
        .collect();
    let series = &story.series;
    let data = json!({
        "end": story.end,
        "total": story.operations.all.len(),
        "count": story.drawn.len(),
        "functions": functions,
        "keys": keys,
        "lanes": lanes,
        "concurrency": story.concurrency,
        "nodes": story.nodes,
        "bands": bands,
        "leaders": leaders,
        "anomalies": anomalies,
        "series": { "step": series.step, "ended": series.ended, "latency": series.latency, "open": series.open },
        "texts": story.texts,
    });
    put!(
        out,
        "<script type=\"application/json\" id=\"data\">{}</script>\n",
        json_for_script(&data.to_string())
    );
    put!(out, "<script type=\"text/plain\" id=\"stream\">{}</script>\n", base64(&stream));
}

/// At most this many operations of an anomaly are found in the timeline.
const CALLS_MAX: usize = 1_000;
/// Names are cut to this length, and what cannot be seen in them is replaced.
const NAME_CHARS_MAX: usize = 80;

/// The stream, and the names of the keys that occur in it.
fn encode(story: &Story) -> (Vec<u8>, Vec<&str>) {
    let operations = &story.operations;
    let mut stream = Vec::with_capacity(story.drawn.len() * 14);
    let mut keys: Vec<&str> = Vec::new();
    let mut renumbered: Vec<Option<u32>> = vec![None; operations.keys.len()];
    let (mut time, mut index) = (0u64, 0u32);
    for &at in &story.drawn {
        let op = &operations.all[at as usize];
        // Times of a foreign history may run backwards; the stream's do not.
        let called = op.called.max(time);
        push(&mut stream, called - time);
        push(&mut stream, u64::from(op.call - index));
        (time, index) = (called, op.call);
        let took = op.took();
        stream.push(op.outcome as u8 | (op.role as u8) << 2 | u8::from(took.is_some()) << 4);
        took.into_iter().for_each(|took| push(&mut stream, took));
        push(&mut stream, u64::from(op.process));
        push(&mut stream, u64::from(op.lane));
        push(&mut stream, u64::from(op.f));
        let key = op.key.map_or(0, |key| {
            *renumbered[key as usize].get_or_insert_with(|| {
                keys.push(&operations.keys[key as usize]);
                keys.len() as u32
            })
        });
        push(&mut stream, u64::from(key));
    }
    (stream, keys)
}

/// Unsigned LEB128.
fn push(stream: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        stream.push(n as u8 | 0x80);
        n >>= 7;
    }
    stream.push(n as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_leb128() {
        let mut stream = Vec::new();
        [0, 127, 128, 624_485].into_iter().for_each(|n| push(&mut stream, n));
        assert_eq!(stream, [0, 0x7f, 0x80, 0x01, 0xe5, 0x8e, 0x26]);
    }
}
