//! Looking at all that usher stands on: the machine, the store, the vendors. What is found is judged by pure functions; a
//! part that is broken keeps no other from being looked at.

pub mod account;
pub mod clocks;
mod guards;
pub mod machine;
pub mod shown;
pub mod store;

use usher_shared::{Diagnosis, Level};

use crate::exit::Exit;

/// What was found about one part.
#[derive(Debug)]
pub struct Section {
    /// `machine`, `store`, or `account NAME`.
    pub part: String,
    /// What of it: an address, a provider.
    pub of: String,
    /// What was found, in the order in which it was looked at.
    pub diagnoses: Vec<Diagnosis>,
    /// The exit code of its worst failure.
    pub exit: Exit,
}

impl Section {
    /// A section without findings yet.
    pub fn new(part: impl Into<String>, of: impl Into<String>) -> Self {
        Self { part: part.into(), of: of.into(), diagnoses: vec![], exit: Exit::Success }
    }

    /// Adds a finding; a failure of it is a matter of configuration.
    pub fn add(&mut self, diagnosis: Diagnosis) {
        self.add_with(diagnosis, Exit::Configuration);
    }

    /// Adds a finding, and the exit code that its failure deserves.
    pub fn add_with(&mut self, diagnosis: Diagnosis, failed: Exit) {
        if diagnosis.level == Level::Failure {
            self.exit = worse(self.exit, failed);
        }
        self.diagnoses.push(diagnosis);
    }

    /// How many findings are of this level.
    pub fn count(&self, level: Level) -> u64 {
        self.diagnoses.iter().filter(|diagnosis| diagnosis.level == level).count() as u64
    }
}

/// The exit code of all sections.
pub fn exit(sections: &[Section]) -> Exit {
    sections.iter().fold(Exit::Success, |worst, section| worse(worst, section.exit))
}

/// A wrong configuration is told before something that does not answer.
fn worse(one: Exit, other: Exit) -> Exit {
    match (one, other) {
        (Exit::Configuration, _) | (_, Exit::Configuration) => Exit::Configuration,
        (Exit::Success, other) => other,
        (one, _) => one,
    }
}
