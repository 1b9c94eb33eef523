//! UTF-16 that was cut in the middle of a character.

use std::io::{self, Read};

/// Passes bytes on, and fails at the end of UTF-16 that ends in the middle of a character: what decodes it tells of that or
/// not, depending on how the bytes came, and the last user would be another one.
pub(super) struct Whole<R> {
    reader: R,
    /// The last two bytes so far, the newest last, and how many bytes there were.
    last: [u8; 2],
    count: u64,
    /// How two bytes make a unit, once the mark at the beginning has told.
    unit: Option<fn([u8; 2]) -> u16>,
}

impl<R: Read> Whole<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, last: [0; 2], count: 0, unit: None }
    }

    fn see(&mut self, byte: u8) {
        self.last = [self.last[1], byte];
        self.count += 1;
        if self.count == 2 {
            self.unit = match self.last {
                [0xff, 0xfe] => Some(u16::from_le_bytes),
                [0xfe, 0xff] => Some(u16::from_be_bytes),
                _ => None,
            };
        }
    }

    fn is_cut(&self) -> bool {
        // The first half of a pair of units, with nothing behind it.
        self.unit
            .is_some_and(|unit| !self.count.is_multiple_of(2) || (0xd800..0xdc00).contains(&unit(self.last)))
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        if read == 0 && !into.is_empty() && self.is_cut() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "it is UTF-16 and ends in the middle of a character, so it is not the whole file; get it again",
            ));
        }
        if self.count < 2 || self.unit.is_some() {
            let bytes = into.get(..read).unwrap_or_default();
            // Only the beginning and the end count.
            let begin = bytes.len().min(2);
            let end = bytes.len().saturating_sub(2).max(begin);
            bytes[..begin].iter().for_each(|byte| self.see(*byte));
            self.count += (end - begin) as u64;
            bytes[end..].iter().for_each(|byte| self.see(*byte));
        }
        Ok(read)
    }
}
