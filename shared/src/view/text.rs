//! What others wrote, made safe for where it is shown.

/// What a vendor said may hold escape sequences; a terminal must not obey them.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A cell that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, "CSV Injection"). Line breaks
/// and other control characters become spaces, so that a row stays a row in every tool.
#[must_use]
pub fn no_formula(text: &str) -> String {
    let clean = printable(text);
    let first = text.chars().next();
    if matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\n' | '＝' | '＋' | '－' | '＠')) {
        format!("'{clean}")
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_starts_a_formula() {
        let cases = [
            ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("+1", "'+1"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "' =1"),
            ("\r\n=1", "'  =1"),
            ("ann@corp.example", "ann@corp.example"),
            ("two\nlines", "two lines"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(no_formula(text), expected);
        }
    }
}
