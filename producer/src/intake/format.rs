//! The forms in which rows can come.

use std::{fmt, str::FromStr};

use usher_shared::UnknownWord;

/// The forms in which rows can come. Told apart by content; a caller can force one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Fields between commas, a header above them.
    Csv,
    /// Fields between semicolons, a header above them: what Excel calls CSV where the comma is the decimal sign.
    Semicolon,
    /// Fields between tabs, a header above them.
    Tsv,
    /// One JSON object or string a line.
    JsonLines,
    /// One user a line, with or without a header.
    List,
}

impl Format {
    /// Every form, in the order in which they are listed to people.
    pub const ALL: [Self; 5] = [Self::Csv, Self::Semicolon, Self::Tsv, Self::JsonLines, Self::List];

    /// The word used on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Semicolon => "semicolon",
            Self::Tsv => "tsv",
            Self::JsonLines => "jsonl",
            Self::List => "list",
        }
    }

    /// What stands between two fields of a row; `None` where a row has one field, or none at all.
    pub(super) fn delimiter(self) -> Option<u8> {
        match self {
            Self::Csv => Some(b','),
            Self::Semicolon => Some(b';'),
            Self::Tsv => Some(b'\t'),
            Self::JsonLines | Self::List => None,
        }
    }
}

impl FromStr for Format {
    type Err = UnknownWord;
    /// Takes the word in any case, and `ndjson` or `txt` for what others call `jsonl` and `list`.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text.trim().to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "semicolon" => Ok(Self::Semicolon),
            "tsv" => Ok(Self::Tsv),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            "list" | "txt" => Ok(Self::List),
            _ => Err(UnknownWord::new(text, "a format", "csv, semicolon, tsv, jsonl or list")),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_reads_back_from_its_own_word_and_an_unknown_one_names_the_choices() {
        for format in Format::ALL {
            assert_eq!(format.to_string().to_uppercase().parse(), Ok(format));
        }
        let error = "xlsx".parse::<Format>().unwrap_err().to_string();
        assert_eq!(error, "\"xlsx\" is not a format: use csv, semicolon, tsv, jsonl or list");
    }
}
