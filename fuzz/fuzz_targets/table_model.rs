#![no_main]

use elenchus_checkers::models::table::Table;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = Table::parse(text) {
        assert!(error.line >= 1 && error.column >= 1 && !error.what.is_empty(), "{error}");
    }
});
