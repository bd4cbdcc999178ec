//! Bytes as hexadecimal text.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    let digit = |n: u8| char::from_digit(n.into(), 16).expect("four bits are one digit");
    to.serialize_str(&bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    let digit =
        |byte: u8| char::from(byte).to_digit(16).map(|n| n as u8).ok_or_else(|| D::Error::custom("not hexadecimal"));
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(D::Error::custom("half a byte")) };
    pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?)).collect()
}
