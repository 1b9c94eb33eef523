//! A window that slides over the text: always one whole row in sight, never the whole file.

use std::io::{self, Read};

/// The longest row, in bytes after decoding to UTF-8: 64 KiB. An address has 254 characters, so a longer row is a
/// quote that was never closed, or no table at all.
pub(super) const MAX_ROW: usize = 64 * 1024;

/// Bytes held at a time: large enough that moving the rest of a row to the front costs little.
const CAPACITY: usize = 4 * MAX_ROW;

/// What is in sight before a row is looked for: the longest row, and the line break behind it.
const IN_SIGHT: usize = MAX_ROW + 2;

/// A window that slides over the text. Once [`Window::top_up`] has returned, it shows at least [`IN_SIGHT`] bytes, or
/// all that is left.
pub(super) struct Window<R> {
    reader: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    at_end: bool,
    line: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; CAPACITY].into_boxed_slice(),
            start: 0,
            end: 0,
            at_end: false,
            line: 1,
        }
    }

    /// Reads on where less than a row's length is in sight.
    pub(super) fn top_up(&mut self) -> io::Result<()> {
        if self.at_end || self.end - self.start >= IN_SIGHT {
            return Ok(());
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // Whole windows, however little a pipe yields at a time: a row in sight is then never scanned twice.
        while self.end < self.buffer.len() {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.at_end = true;
                    break;
                }
                Ok(read) => self.end = (self.end + read).min(self.buffer.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What is in sight.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The line on which [`Window::bytes`] begins, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Moves past bytes in which so many lines end.
    pub(super) fn advance(&mut self, bytes: usize, lines: u64) {
        self.start = (self.start + bytes).min(self.end);
        self.line += lines;
    }

    /// Moves past the rest of a line, however long it is.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
        loop {
            self.top_up()?;
            let bytes = self.bytes();
            if let Some(end) = line_end(bytes, self.at_end) {
                self.advance(end.next, u64::from(end.next > end.content));
                return Ok(());
            }
            // A carriage return in last place stays: what follows it decides whether it ends the line alone.
            let passed = bytes.len() - usize::from(bytes.last() == Some(&b'\r'));
            self.advance(passed, 0);
        }
    }
}

/// Where a line ends, and where the next begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineEnd {
    /// Length of the line's content.
    pub(super) content: usize,
    /// Where the next line begins; equal to `content` where the text ends without a line break.
    pub(super) next: usize,
}

/// The end of the first line of `bytes`: at LF, CR LF, or CR alone (what old Macs wrote). `None` where more text is
/// needed to tell.
pub(super) fn line_end(bytes: &[u8], at_end: bool) -> Option<LineEnd> {
    match bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        Some(content) => {
            let length = line_break(bytes, content);
            let undecided = bytes[content] == b'\r' && content + 1 == bytes.len() && !at_end;
            (!undecided).then_some(LineEnd { content, next: content + length })
        }
        None => at_end.then_some(LineEnd { content: bytes.len(), next: bytes.len() }),
    }
}

/// Length of the line break at `at`: 2 for CR LF, 1 for LF or CR alone, 0 where there is none.
pub(super) fn line_break(bytes: &[u8], at: usize) -> usize {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => 2,
        (Some(b'\n' | b'\r'), _) => 1,
        _ => 0,
    }
}

/// How many lines end within `bytes`.
pub(super) fn lines_in(bytes: &[u8]) -> u64 {
    let mut lines = 0;
    let mut at = 0;
    while at < bytes.len() {
        let length = line_break(bytes, at);
        lines += u64::from(length > 0);
        at += length.max(1);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Yields one byte at a time, as a slow pipe may.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            into[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn lines_end_at_lf_crlf_and_cr_alone() {
        let cases: [(&[u8], usize, usize); 5] =
            [(b"a\nb", 1, 2), (b"a\r\nb", 1, 3), (b"a\rb", 1, 2), (b"a", 1, 1), (b"a\r", 1, 2)];
        for (bytes, content, next) in cases {
            assert_eq!(line_end(bytes, true), Some(LineEnd { content, next }), "{bytes:?}");
        }
        assert_eq!(line_end(b"a\r", false), None);
        assert_eq!(lines_in(b"a\r\nb\rc\n\nd"), 4);
    }

    #[test]
    fn a_window_shows_a_whole_row_however_little_the_reader_yields() {
        let text = vec![b'x'; MAX_ROW + 10];
        let mut window = Window::new(Trickle(&text));
        window.top_up().unwrap();
        assert_eq!(window.bytes().len(), text.len());
    }

    #[test]
    fn an_endless_line_is_skipped_without_being_held() {
        let mut text = vec![b'x'; 10 * CAPACITY - 1];
        text.extend(b"\r\nnext");
        let mut window = Window::new(&text[..]);
        window.skip_line().unwrap();
        window.top_up().unwrap();
        assert_eq!((window.bytes(), window.line()), (&b"next"[..], 2));
    }
}
