//! The page's receiver: it gets a message, and believes no other.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    page::{self, Block},
    python,
    serving::Serving,
    shape::differs,
    shell::Shell,
    support::{Kind, Workplace, wait_until},
    typed::{people, usher},
};

/// The page's Python program, running; killed by its own id when dropped.
struct Receiver {
    child: Child,
    out: std::path::PathBuf,
    port: u16,
}

impl Receiver {
    fn start(dir: &Path, program: &Block) -> Self {
        let (file, out) = (dir.join("receiver.py"), dir.join("receiver.out"));
        fs::write(&file, &program.text).unwrap();
        let mut python = Command::new(python::programs("api.txt").join("python3"));
        python.arg(file).current_dir(dir).env("WEBHOOK_SECRET_FILE", "tickets.secret").env("PORT", "0");
        python.stdin(Stdio::null()).stdout(File::create(&out).unwrap());
        let child = python.stderr(File::create(dir.join("receiver.err")).unwrap()).spawn().unwrap();
        let mut receiver = Self { child, out, port: 0 };
        wait_until("the receiver to listen", || {
            let lines = receiver.lines();
            let port = lines.first().and_then(|line| line.strip_prefix("listening on port ")?.parse().ok());
            receiver.port = port.unwrap_or(0);
            let ended = receiver.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(dir.join("receiver.err")).unwrap());
            receiver.port != 0
        });
        receiver
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.out).unwrap().lines().map(str::to_owned).collect()
    }

    /// Each message that it printed.
    fn messages(&self) -> Vec<Value> {
        self.lines()[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_receiver_of_the_page_gets_a_signed_message_once_and_believes_no_other() {
    let place = Workplace::new(Kind::Sqlite, people());
    let dir = place.dir.path();
    let blocks: Vec<Block> = page::blocks(&page::read("docs/api.md"));
    let blocks: Vec<&Block> = blocks.iter().filter(|block| block.heading == "Webhooks").collect();
    let [make, lines, program, message] = blocks.as_slice() else { panic!("four examples: {blocks:?}") };

    let shell = Shell::new(dir.to_owned(), &[usher()], "");
    let printed = shell.types(make);
    let at_home = printed.replace(dir.to_str().unwrap(), "/etc/usher");
    assert_eq!(at_home.trim(), lines.text.trim(), "docs/api.md, line {}", lines.line);

    let receiver = Receiver::start(dir, program);
    let printed = printed.replace(":8000/", &format!(":{}/", receiver.port));
    let config = fs::read_to_string(place.path("usher.toml")).unwrap();
    let words = ["token", "new", "hr-portal", "--role", "submit", "--role", "read", "-o", "hr-portal.token"];
    let token = place.usher(&words).succeeded().out;
    place.file("usher.toml", format!("{config}{token}\n{printed}"));
    let served = Serving::start(&place, &["--work"]);

    let shell = Shell::new(dir.to_owned(), &[usher()], &served.url);
    let text = "printf 'Authorization: Bearer %s\\n' \"$(cat hr-portal.token)\" >auth\n\
        curl -sS -H @auth --json '{\"user\": \"mai.ndiaye20@corp.example\"}' \"$USHER_URL/v1/accounts/zoom-main/deactivate\"";
    let block = Block { heading: String::new(), language: "bash".to_owned(), text: text.to_owned(), line: 0 };
    let answer: Value = serde_json::from_str(&shell.types(&block)).unwrap();

    wait_until("a message", || !receiver.messages().is_empty());
    let messages = receiver.messages();
    let shown: Value = serde_json::from_str(&message.text).unwrap();
    assert_eq!(differs(&shown, &messages[0]), None, "docs/api.md, line {}: {messages:?}", message.line);
    assert_eq!(messages[0]["data"]["run"], answer["run"]);

    let forged = format!(
        "curl -sS -o forged.html -w '%{{http_code}}' -H 'webhook-id: x' -H \"webhook-timestamp: $(date +%s)\" \
         -H 'webhook-signature: v1,AAAA' --json '{{}}' http://127.0.0.1:{}/usher",
        receiver.port
    );
    let forged = Block { text: forged, ..block };
    assert_eq!(shell.types(&forged), "401");
    assert_eq!(receiver.messages().len(), 1);
}
