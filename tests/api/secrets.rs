//! No token and nobody's name is in the log, even where everything is logged.

use serde_json::json;

use crate::{
    served::{BOTH, Served, place},
    support::{Kind, is_private},
};

#[test]
fn nothing_that_a_caller_keeps_secret_is_logged_or_stored() {
    for kind in BOTH {
        let (place, tokens) = place(kind, 5);
        let served = Served::start(&place, &["--work", "--log", "trace"]);
        let all = [&tokens.submit, &tokens.all, &tokens.other, &tokens.read];
        let strange = "usher_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for token in all.into_iter().map(String::as_str).chain([strange, "usher_typo-in-it"]) {
            served.post(
                token,
                "/v1/accounts/zoom-main/deactivate",
                &json!({"user": "ann.secret@corp.example"}),
            );
            served.rows(
                token,
                "text/csv",
                "account=zoom-main&action=deactivate",
                "email\nann.secret@corp.example\n",
            );
            served.get(token, "/v1/runs?account=zoom-main");
            served.get(token, &format!("/v1/{token}"));
        }
        served.signal("TERM");
        let (_, log) = served.end();
        assert!(log.contains("TRACE") && log.contains("/v1/runs"), "everything is logged: {log}");
        let mut secrets: Vec<String> = all.iter().map(|token| token[6..].to_owned()).collect();
        secrets.extend([strange[6..].to_owned(), "typo-in-it".to_owned()]);
        for secret in &secrets {
            let found = log.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(found, None, "a token is logged");
        }
        if kind == Kind::Redis {
            continue;
        }
        for entry in std::fs::read_dir(place.path("data")).unwrap() {
            let path = entry.unwrap().path();
            assert!(is_private(&path), "{}", path.display());
            let bytes = std::fs::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!secrets.iter().any(|secret| text.contains(secret.as_str())), "{}", path.display());
        }
    }
}
