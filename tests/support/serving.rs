//! `usher serve` in a workplace, listening on a port of its own.

use std::{
    fs::{self, File},
    process::Child,
};

use super::support::{Workplace, wait_until};

/// A server that is listening; killed by its own id when dropped.
pub struct Serving {
    child: Child,
    /// Where: `http://127.0.0.1:PORT`.
    pub url: String,
}

impl Serving {
    /// Starts it with these words after `usher serve`.
    pub fn start(place: &Workplace, more: &[&str]) -> Self {
        let words = [&["serve", "--listen", "127.0.0.1:0"], more].concat();
        let log = place.path("serve.log");
        let mut command = place.command(&words);
        let child = command.stdout(File::create(place.path("serve.out")).unwrap());
        let mut child = child.stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut address = None;
        wait_until("the server to listen", || {
            let said = fs::read_to_string(&log).unwrap();
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "usher serve ended with {ended:?}: {said}");
            address = said.lines().filter(|line| line.contains("serving until")).find_map(address_in);
            address.is_some()
        });
        Self { child, url: address.unwrap() }
    }
}

/// `http://127.0.0.1:40123` of `address=http://127.0.0.1:40123` among the words of a line.
fn address_in(line: &str) -> Option<String> {
    line.split_whitespace().find_map(|word| word.strip_prefix("address=")).map(str::to_owned)
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
