#![no_main]

use elenchus_core::format::Format;
use elenchus_fuzz::reads_or_refuses;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reads_or_refuses(bytes, Format::Jsonl));
