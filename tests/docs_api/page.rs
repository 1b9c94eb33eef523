//! docs/api.md as a list of what stands in its fences.

use std::{fs, path::Path};

/// A fenced block.
#[derive(Clone, Debug)]
pub struct Block {
    /// The heading above it.
    pub heading: String,
    /// The word after the fence.
    pub language: String,
    /// What stands in it.
    pub text: String,
    /// The line of its fence.
    pub line: usize,
}

/// A file of this project.
pub fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All blocks of a page, in their order.
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut heading) = (vec![], String::new());
    let mut open: Option<Block> = None;
    for (line, text) in (1..).zip(page.lines()) {
        match (&mut open, text.strip_prefix("```")) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => block.text += &format!("{text}\n"),
            (None, Some(language)) => {
                let (heading, language) = (heading.clone(), language.to_owned());
                open = Some(Block { heading, language, text: String::new(), line });
            }
            (None, None) => {
                if let Some(title) = text.strip_prefix("## ") {
                    title.clone_into(&mut heading);
                }
            }
        }
    }
    assert!(open.is_none(), "the last fence is never closed");
    blocks
}
