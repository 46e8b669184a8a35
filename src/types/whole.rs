//! Whole numbers of JSON, however they are written: it knows no integers, and some languages write
//! `1.0` for 1.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

/// From here on not every whole number has a double of its own (RFC 8259 §6).
const EXACT_MAX: f64 = (1u64 << 53) as f64;

/// A number without a fraction that fits a `T`; `1`, `1.0` and `1e0` are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole<T>(pub T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(WholeVisitor(PhantomData)).map(Whole)
    }
}

/// The whole number that a double stands for, if it stands for one.
pub fn whole_of(number: f64) -> Option<u64> {
    let is_whole = number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&number);
    is_whole.then_some(number as u64)
}

struct WholeVisitor<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for WholeVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(type_name::<T>())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        let refuse = |_| E::invalid_value(Unexpected::Unsigned(number), &self);
        T::try_from(number).map_err(refuse)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        match whole_of(number) {
            Some(number) => self.visit_u64(number),
            None => Err(E::invalid_type(Unexpected::Float(number), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
        let Whole(number) = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(number)
    }

    #[test]
    fn a_number_is_whole_however_it_is_written() {
        for text in ["96", "96.0", "9.6e1", "960e-1"] {
            assert_eq!(read::<u8>(text), Ok(96), "{text}");
        }
        assert_eq!((read::<u32>("-0.0"), read::<u64>("9007199254740992.0")), (Ok(0), Ok(1 << 53)));
        assert_eq!(read::<u64>("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn what_is_not_is_named() {
        for (text, said) in [
            ("1.5", "floating point `1.5`, expected u8"),
            ("1e300", "expected u8"),
            ("256.0", "integer `256`, expected u8"),
            ("-1", "integer `-1`, expected u8"),
            ("-1.0", "floating point `-1.0`, expected u8"),
            ("\"1\"", "string \"1\", expected u8"),
            ("1e999", "out of range"),
            ("null", "null, expected u8"),
        ] {
            let error = read::<u8>(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
