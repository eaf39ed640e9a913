//! Rules for texts that only people read. They are bounded, so that no record grows without end, and
//! hold no control characters, so that they can be shown in a terminal.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::Error;

const MAX_NAME_CHARACTERS: usize = 200;
const MAX_TEXT_CHARACTERS: usize = 2000;
const MAX_LABELS: usize = 64;
const MAX_LABEL_NAME_BYTES: usize = 63;
const MAX_LABEL_CHARACTERS: usize = 255;
const MAX_METADATA_BYTES: usize = 16 * 1024;
const MAX_METADATA_DEPTH: usize = 16;

/// A name: one line, not empty.
pub(crate) fn name(pointer: &str, text: &str) -> Result<(), Error> {
    if text.trim().is_empty() || !is_line(text, MAX_NAME_CHARACTERS) {
        let detail = "write 1 to 200 characters, on one line and not only spaces";
        return Err(Error::invalid(pointer, detail));
    }
    Ok(())
}

/// A description: may be empty.
pub(crate) fn description(pointer: &str, text: &str) -> Result<(), Error> {
    if is_line(text, MAX_TEXT_CHARACTERS) {
        Ok(())
    } else {
        Err(Error::invalid(pointer, "write at most 2000 characters, on one line"))
    }
}

pub(crate) fn labels(labels: &BTreeMap<String, String>) -> Result<(), Error> {
    if labels.len() > MAX_LABELS {
        return Err(Error::invalid("/labels", "at most 64 labels fit"));
    }
    for (name, value) in labels {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if !(1..=MAX_LABEL_NAME_BYTES).contains(&name.len()) || !name.bytes().all(plain) {
            let detail = "a label's name is 1 to 63 letters, digits, `-`, `_`, `.` and `/`";
            return Err(Error::invalid("/labels", detail));
        }
        if !is_line(value, MAX_LABEL_CHARACTERS) {
            let pointer = format!("/labels/{}", crate::merge::escaped(name));
            return Err(Error::invalid(pointer, "write at most 255 characters, on one line"));
        }
    }
    Ok(())
}

pub(crate) fn metadata(metadata: &Map<String, Value>) -> Result<(), Error> {
    let bytes = serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_METADATA_BYTES {
        return Err(Error::invalid("/metadata", "at most 16 KiB of JSON fit"));
    }
    if !metadata.values().all(|value| is_shallow(value, MAX_METADATA_DEPTH)) {
        return Err(Error::invalid("/metadata", "objects and lists may be nested 16 deep"));
    }
    Ok(())
}

/// Metadata is stored inside a record, and a record inside an audit entry: what a parser of JSON just
/// accepts by itself would be too deep to be read back there.
fn is_shallow(value: &Value, levels: usize) -> bool {
    match (value, levels) {
        (Value::Array(_) | Value::Object(_), 0) => false,
        (Value::Array(values), _) => values.iter().all(|value| is_shallow(value, levels - 1)),
        (Value::Object(members), _) => members.values().all(|value| is_shallow(value, levels - 1)),
        _ => true,
    }
}

fn is_line(text: &str, characters: usize) -> bool {
    text.chars().count() <= characters && !text.chars().any(is_unseen)
}

/// Controls, and what turns text round or takes no place: nobody could see that two names differ.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{061C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}'
                | '\u{FFF0}'..='\u{FFFB}' | '\u{FFFE}' | '\u{FFFF}' | '\u{E0000}'..='\u{E007F}')
}
