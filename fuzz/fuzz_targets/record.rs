//! Records from a byte store: any bytes are read or refused, and what was read is written as the same bytes.
#![no_main]

use session_layer::record::Record;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(record) = Record::from_bytes(data) else { return };
    assert_eq!(record.to_bytes(), data);
    assert_eq!(record.encoded_len(), data.len());
    let _ = (record.absolute_limit(), record.expires_at(record.created_at()));
    for (key, value) in record.entries().iter() {
        assert_eq!(record.entries().get(key), Some(value));
    }
});
