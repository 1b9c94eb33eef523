//! Text that came from a file, a person or a vendor, made harmless in a page.

use std::fmt;

use jiff::tz::TimeZone;
use usher_shared::Timestamp;

/// Shows a text as text, in an element or in a quoted attribute: nothing in it is read as markup. Control characters become spaces,
/// and those that turn the direction of writing, with which one name can be made to look like another, become visible.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => f.write_char(' ')?,
                '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// `2026-11-21 16:07:11 UTC`: one time zone for everybody who reads it.
pub fn moment(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.as_millis()) {
        Ok(moment) => moment.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        // Further away than calendars reach.
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_markup_and_none_turns_the_line_around() {
        let cases = [
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            (r#"" onload='x' a="&amp;"#, "&quot; onload=&#39;x&#39; a=&quot;&amp;amp;"),
            ("a\u{0}b\u{1b}[2J\r\nc", "a b [2J  c"),
            ("moc.live\u{202e}@nna", "moc.live\u{fffd}@nna"),
            ("Zoë Núñez 李", "Zoë Núñez 李"),
        ];
        for (text, expected) in cases {
            assert_eq!(Text(text).to_string(), expected);
        }
    }

    #[test]
    fn moments_are_told_to_the_second() {
        assert_eq!(moment(Timestamp::from_millis(1_795_176_000_999)), "2026-11-20 12:00:00 UTC");
    }
}
