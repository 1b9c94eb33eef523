//! A vendor that means ill, or is none: whatever it writes to whatever it is asked, the call ends in time, little of it is read, the
//! token goes nowhere else, and what it means stands in the table here. Never "applied", never "not found" on rubbish.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test file")]

mod hostile;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use hostile::{Act, Question, Vendor, answer};
use usher_shared::{Action, ResolvedUser, Status, UserState, Verdict};
use usher_worker::provider::{Page, Provider, Reply, zoom::ZoomProvider};

/// Of the calls that are to run into it.
const SHORT: Duration = Duration::from_millis(1_500);
/// No call takes so long, however busy the machine.
const FAR_TOO_LONG: Duration = Duration::from_secs(60);
const MIB: usize = 1024 * 1024;

fn user() -> ResolvedUser {
    let before = UserState { status: Status::Active, license: None, role: None, groups: vec![] };
    ResolvedUser { id: "KDcu".into(), email: None, before }
}

async fn change(provider: &ZoomProvider) -> Reply {
    provider.apply(Action::Deactivate, &[&user()]).await.remove(0)
}

async fn look_up(provider: &ZoomProvider) -> Result<Option<ResolvedUser>, Reply> {
    provider.look_up(&"KDcu".parse().unwrap()).await
}

async fn list(provider: &ZoomProvider) -> Result<Page, Reply> {
    provider.list(&provider.listings()[0]).await
}

/// What an answer comes to: the verdict, and usher's or the vendor's code.
type Meaning = (Verdict, &'static str);

const BROKEN: Meaning = (Verdict::Transient, "transport");
const LATE: Meaning = (Verdict::Transient, "timeout");
const ENDLESS: Meaning = (Verdict::Transient, "body_too_long");
const REDIRECT: Meaning = (Verdict::Transient, "redirect");

struct Case {
    name: &'static str,
    act: Act,
    /// Of a change.
    change: Meaning,
    look_up: Meaning,
    list: Meaning,
}

impl Case {
    fn look_up(self, look_up: Meaning) -> Self {
        Self { look_up, ..self }
    }
}

fn case(name: &'static str, act: Act, change: Meaning, question: Meaning) -> Case {
    Case { name, act, change, look_up: question, list: question }
}

fn say(status: &str, body: &[u8]) -> Act {
    Act::Say(answer(status, "", body))
}

fn raw(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

/// Of a status that is not Zoom's way to answer: the code is the status itself.
fn foreign(name: &'static str, status: &'static str) -> Case {
    let meaning = (Verdict::Transient, &status[..3]);
    case(name, say(status, b""), meaning, meaning)
}

/// 258 MB of zeros in 1.6 MB of gzip: a literal zero, then copies of it, 258 at a time, in deflate's fixed code.
fn gzip_bomb() -> Vec<u8> {
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut bits, mut count) = (0_u8, 0);
    let mut put = |bit: bool| {
        bits |= u8::from(bit) << count;
        count += 1;
        if count == 8 {
            bytes.push(bits);
            (bits, count) = (0, 0);
        }
    };
    // The last block, with the fixed code; the literal.
    for bit in "110".chars().chain("00110000".chars()) {
        put(bit == '1');
    }
    for _ in 0..1_000_000 {
        // A length of 258, a distance of 1.
        for bit in "11000101".chars().chain("00000".chars()) {
            put(bit == '1');
        }
    }
    for _ in 0..16 {
        put(false);
    }
    bytes
}

fn cases() -> Vec<Case> {
    let chunked =
        |status: &str| format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n").into_bytes();
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let deep = format!("{{\"code\":1001,\"message\":{}", "[".repeat(10_000));
    let whole_deep = format!("{{\"code\":1001,\"message\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let nobody = br#"{"code":1001,"message":"User does not exist"}"#;
    let transient = |code| (Verdict::Transient, code);
    let both = |name, act, meaning| case(name, act, meaning, meaning);
    vec![
        // Bodies.
        both("10 MB of text", say("200 OK", &vec![b' '; 10 * MIB]), ENDLESS),
        both("10 MB of an error", say("400 Bad Request", &vec![b'x'; 10 * MIB]), ENDLESS),
        both("chunks without an end", Act::Pour(chunked("200 OK"), chunk.clone()), ENDLESS),
        both("an error without an end", Act::Pour(chunked("404 Not Found"), chunk), ENDLESS),
        both("a body that drips", Act::Drip(chunked("200 OK"), b"1\r\n \r\n"), LATE),
        both("an error that drips", Act::Drip(chunked("404 Not Found"), b"1\r\n{\r\n"), LATE),
        case("no UTF-8", say("200 OK", b"{\"users\":\"\xff\xfe"), transient("not_json"), transient("body")),
        case(
            "no UTF-8 in a whole object",
            say("200 OK", b"{\"id\":\"KDcu\xff\",\"status\":\"active\"}"),
            transient("not_json"),
            transient("body"),
        )
        .look_up((Verdict::Rejected, "incomplete")),
        both("no UTF-8 in an error", say("404 Not Found", b"\xff\xfe\x00{"), transient("404")),
        case(
            "a page for a change",
            Act::Say(answer("200 OK", "content-type: text/html\r\n", b"<html>ok</html>")),
            transient("not_json"),
            transient("body"),
        ),
        both(
            "an error as a picture",
            Act::Say(answer("404 Not Found", "content-type: image/png\r\n", b"\x89PNG")),
            transient("404"),
        ),
        case(
            "JSON 10,000 levels deep",
            say("200 OK", whole_deep.as_bytes()),
            transient("not_json"),
            transient("body"),
        ),
        both("an error 10,000 levels deep", say("404 Not Found", whole_deep.as_bytes()), transient("404")),
        both("deep and broken off", say("404 Not Found", deep.as_bytes()), transient("404")),
        both("a number too large to be one", say("404 Not Found", b"{\"code\":1e999999}"), transient("404")),
        both(
            "a code larger than any",
            say("400 X", b"{\"code\":99999999999999999999999}"),
            (Verdict::Rejected, "1e+23"),
        ),
        both(
            "an error that says two things",
            say("404 Not Found", b"{\"code\":300,\"code\":1001}"),
            transient("404"),
        ),
        case(
            "a page that says two things",
            say("200 OK", b"{\"users\":[],\"code\":1,\"users\":[]}"),
            transient("contradiction"),
            transient("body"),
        ),
        case(
            "a gzip bomb",
            Act::Say(answer("200 OK", "content-encoding: gzip\r\n", &gzip_bomb()[..60_000])),
            transient("not_json"),
            transient("body"),
        ),
        case(
            "a whole gzip bomb",
            Act::Say(answer("200 OK", "content-encoding: gzip\r\n", &gzip_bomb())),
            ENDLESS,
            transient("body"),
        )
        .look_up(ENDLESS),
        both(
            "an error in gzip",
            Act::Say(answer("404 Not Found", "content-encoding: gzip\r\n", &gzip_bomb()[..60_000])),
            transient("404"),
        ),
        // Statuses.
        case("204 with a body", say("204 No Content", b"<html>"), transient("not_zoom"), transient("status")),
        case("an empty 200", say("200 OK", b""), (Verdict::Applied, ""), transient("body")),
        both("299", say("299 Odd", b"{}"), transient("status")),
        both("202", say("202 Accepted", b""), transient("status")),
        both("300", say("300 Multiple Choices", b""), REDIRECT),
        both("304", raw("HTTP/1.1 304 Not Modified\r\n\r\n"), REDIRECT),
        both("306", say("306 Switch Proxy", b""), REDIRECT),
        foreign("418", "418 I'm a teapot"),
        foreign("499", "499 Client Closed Request"),
        foreign("600", "600 Odd"),
        foreign("999", "999 Odd"),
        both("000", say("000 Odd", b""), BROKEN),
        both("12", raw("HTTP/1.1 12 Odd\r\n\r\n"), BROKEN),
        both("1e2", raw("HTTP/1.1 1e2 Odd\r\n\r\n"), BROKEN),
        case(
            "fifty interim answers and a good one",
            raw(&("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(25)
                + "HTTP/1.1 204 No Content\r\n\r\n")),
            (Verdict::Applied, ""),
            transient("status"),
        ),
        both("interim answers without an end", Act::Drip(vec![], b"HTTP/1.1 100 Continue\r\n\r\n"), LATE),
        both(
            "interim answers without an end, fast",
            Act::Pour(vec![], b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100)),
            LATE,
        ),
        both(
            "another protocol",
            raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
            transient("101"),
        ),
        // What is no HTTP/1.1.
        both("no status line", raw("SSH-2.0-OpenSSH_9.9\r\n"), BROKEN),
        both("HTTP/0.9", raw("<html>hello</html>"), BROKEN),
        both("the preface of HTTP/2", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), BROKEN),
        both("a frame of HTTP/2", Act::Say(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec()), BROKEN),
        both("an alert of TLS", Act::Say(b"\x15\x03\x01\x00\x02\x02\x0a".to_vec()), BROKEN),
        both("not a word", raw(""), BROKEN),
        both("silence", Act::Hang, LATE),
        // Heads.
        both("a head that drips", Act::Drip(b"HTTP/1.1 204 No Content\r\nx: ".to_vec(), b"y"), LATE),
        both(
            "a head without an end",
            Act::Pour(b"HTTP/1.1 204 No Content\r\nx: ".to_vec(), vec![b'y'; 0x10000]),
            BROKEN,
        ),
        both(
            "5,000 headers",
            raw(&format!("HTTP/1.1 204 No Content\r\n{}\r\n", "a: b\r\n".repeat(5_000))),
            BROKEN,
        ),
        both(
            "a header of 1 MB",
            raw(&format!("HTTP/1.1 204 No Content\r\nx: {}\r\n\r\n", "y".repeat(MIB))),
            BROKEN,
        ),
        both(
            "a header in a header",
            raw("HTTP/1.1 429 X\r\nretry-after: 5\rx: y\r\ncontent-length: 0\r\n\r\n"),
            BROKEN,
        ),
        both("NUL in a header", raw("HTTP/1.1 204 No Content\r\nx: a\0b\r\n\r\n"), BROKEN),
        both("a header without a name", raw("HTTP/1.1 204 No Content\r\n: y\r\n\r\n"), BROKEN),
        // Lengths that lie, connections that break.
        both("half a status line", Act::Break(b"HTTP/1.1 20".to_vec()), BROKEN),
        both("half a head", Act::Break(b"HTTP/1.1 204 No Content\r\nx:".to_vec()), BROKEN),
        both(
            "half a body",
            Act::Break(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"id\":\"KDcu\"".to_vec()),
            transient("body_broken"),
        ),
        both(
            "half an error",
            Act::Break(
                [&b"HTTP/1.1 404 Not Found\r\ncontent-length: 500\r\n\r\n"[..], &nobody[..20]].concat(),
            ),
            transient("body_broken"),
        ),
        both(
            "less than announced",
            raw("HTTP/1.1 404 Not Found\r\ncontent-length: 500\r\n\r\n{\"code\":1001"),
            transient("body_broken"),
        ),
        both(
            "more than announced",
            Act::Say([&b"HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n"[..], nobody].concat()),
            transient("404"),
        ),
        both(
            "two lengths",
            raw("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\ncontent-length: 45\r\n\r\n"),
            BROKEN,
        ),
        both("a negative length", raw("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), BROKEN),
        both(
            "a chunk longer than any",
            raw("HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}"),
            transient("body_broken"),
        ),
        both(
            "a chunk that is no number",
            raw("HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}"),
            transient("body_broken"),
        ),
        // What a wrong content type does not change: these are Zoom's words.
        both(
            "Zoom's own answer as HTML",
            Act::Say(answer(
                "400 X",
                "content-type: text/html\r\n",
                br#"{"code":300,"message":"Validation Failed."}"#,
            )),
            (Verdict::Rejected, "300"),
        ),
    ]
}

fn check(case: &str, reply: &Reply, expected: Meaning) {
    assert_eq!((reply.verdict, reply.code.as_deref().unwrap_or_default()), expected, "{case}: {reply:?}");
    let said = reply.message.as_deref().unwrap_or_default();
    assert!(said.chars().count() <= 500 && !said.contains(char::is_control), "{case}: {said:?}");
    // What is tried again says in words why.
    assert!(reply.verdict != Verdict::Transient || !said.is_empty(), "{case}: {reply:?}");
    assert!(!said.contains("t0ken") && !said.contains("s3cret"), "{case}: {said}");
}

async fn try_out(case: Case) {
    let Case { name, act, change: of_change, look_up: of_look_up, list: of_list } = case;
    let drips = [of_change, of_list].contains(&LATE);
    let vendor = Vendor::of(act).await;
    let provider = vendor.provider(if drips { SHORT } else { FAR_TOO_LONG });
    // On a busy machine even a good answer may be too late for the short calls.
    let mut tries = 0;
    while let Err(reply) = provider.access().await {
        tries += 1;
        assert!(reply.code.as_deref() == Some("timeout") && tries < 40, "{name}: {reply:?}");
    }
    let began = Instant::now();
    let reply = change(&provider).await;
    check(name, &reply, of_change);
    let lost = reply.verdict == Verdict::Transient && !matches!(reply.http, Some(300..500));
    assert_eq!(reply.may_have_applied, lost, "{name}: {reply:?}");
    let found =
        [(look_up(&provider).await.map(drop), of_look_up), (list(&provider).await.map(drop), of_list)];
    for (found, expected) in found {
        let reply = found.expect_err(name);
        check(name, &reply, expected);
        assert!(!reply.may_have_applied, "{name}: asking changes nobody");
    }
    assert!(began.elapsed() < FAR_TOO_LONG, "{name} took {:?}", began.elapsed());
    // The limits are 64 KiB of an error or a change, 8 MiB of a page; the rest is what sockets hold.
    // Interim answers are dropped one by one, so that how many come in a call's time says nothing of what is kept.
    let kept = !name.starts_with("interim");
    assert!(!kept || vendor.written() < 48 * MIB as u64, "{name}: {} bytes were taken", vendor.written());
    let mut asked = vendor.asked();
    asked.retain(|asked| !asked.starts_with("POST"));
    assert_eq!(asked.len(), 3, "{name}: one call for each question, none again: {asked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_back_has_the_meaning_that_stands_in_the_table() {
    let mut tried = tokio::task::JoinSet::new();
    for case in cases() {
        tried.spawn(try_out(case));
    }
    let mut failed = Vec::new();
    while let Some(ended) = tried.join_next().await {
        failed.extend(
            ended
                .err()
                .and_then(|error| error.try_into_panic().ok())
                .map(|panic| panic.downcast::<String>().map_or_else(|_| "a panic".to_owned(), |text| *text)),
        );
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[tokio::test]
async fn no_redirect_is_followed_to_another_host_nor_to_itself_and_no_secret_goes_there() {
    let elsewhere = Vendor::of(Act::Say(answer("204 No Content", "", b""))).await;
    for status in [300, 301, 302, 303, 305, 307, 308] {
        for to in [
            format!("http://127.0.0.1:{}/v2/users/x/status", elsewhere.port),
            "/v2/users/x/status".to_owned(),
        ] {
            let redirect = Act::Say(answer(
                &format!("{status} X"),
                &format!("location: {to}\r\nrefresh: 0; url={to}\r\n"),
                b"",
            ));
            let all = [Question::Change, Question::LookUp, Question::List]
                .map(|question| (question, redirect.clone()));
            let vendor = Vendor::start(all.into()).await;
            let provider = vendor.provider(FAR_TOO_LONG);
            check(&to, &change(&provider).await, REDIRECT);
            check(&to, &look_up(&provider).await.unwrap_err(), REDIRECT);
            check(&to, &list(&provider).await.unwrap_err(), REDIRECT);
            assert_eq!(vendor.asked().len(), 4, "{:?}", vendor.asked());

            let vendor = Vendor::start(HashMap::from([(Question::Token, redirect)])).await;
            let reply = change(&vendor.provider(FAR_TOO_LONG)).await;
            check(&to, &reply, REDIRECT);
            assert!(!reply.may_have_applied && vendor.asked().len() == 1, "{:?}", vendor.asked());
        }
    }
    assert!(elsewhere.asked().is_empty(), "{:?}", elsewhere.asked());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_token_nobody_is_asked_anything_and_nobody_is_failed() {
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let long = format!("{{\"access_token\":\"{}\"}}", "t".repeat(100 * 1024));
    let cases = [
        ("10 MB", say("200 OK", &vec![b'x'; 10 * MIB])),
        ("no end", Act::Pour(endless.clone(), chunk)),
        ("drips", Act::Drip(endless, b"1\r\n{\r\n")),
        ("silence", Act::Hang),
        ("a page", say("200 OK", b"<html>t0ken-value</html>")),
        ("no UTF-8", say("200 OK", b"{\"access_token\":\"t\xff\"}")),
        ("a line end in it", say("200 OK", br#"{"access_token":"a\r\nx: y"}"#)),
        ("a list", say("200 OK", br#"["t0ken-value",3600]"#)),
        ("two of them", say("200 OK", br#"{"access_token":"t0ken-value","access_token":"u"}"#)),
        ("too long", say("200 OK", long.as_bytes())),
        ("deep", say("200 OK", format!("{{\"x\":{}", "[".repeat(10_000)).as_bytes())),
        ("a refusal that is no JSON", say("401 Unauthorized", b"<html>s3cret")),
        ("202", say("202 Accepted", br#"{"access_token":"t0ken-value"}"#)),
        ("SSH", raw("SSH-2.0-OpenSSH_9.9\r\n")),
        (
            "broken off",
            Act::Break(
                b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"access_token\":\"t0ken-value\"".to_vec(),
            ),
        ),
    ];
    let mut tried = tokio::task::JoinSet::new();
    for (name, act) in cases {
        tried.spawn(async move {
            let vendor = Vendor::start(HashMap::from([(Question::Token, act)])).await;
            let reply = change(&vendor.provider(SHORT)).await;
            assert_eq!(
                (reply.verdict, reply.halt, reply.may_have_applied),
                (Verdict::Transient, None, false),
                "{name}: {reply:?}"
            );
            let said = reply.message.as_deref().unwrap_or_default();
            assert!(
                !said.is_empty() && !said.contains("t0ken") && !said.contains("s3cret"),
                "{name}: {said}"
            );
            assert!(
                vendor.asked().iter().all(|asked| asked.starts_with("POST")),
                "{name}: {:?}",
                vendor.asked()
            );
            assert!(vendor.written() < 24 * MIB as u64, "{name}");
        });
    }
    while let Some(ended) = tried.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn an_answer_to_a_question_that_was_not_asked_is_nobody_s() {
    // Behind each answer stands a success that nobody asked for: the next call must not take it for its own.
    let two = [answer("404 Not Found", "", b"gone"), answer("204 No Content", "", b"")].concat();
    let vendor = Vendor::of(Act::Keep(two)).await;
    let provider = vendor.provider(FAR_TOO_LONG);
    for _ in 0..20 {
        check("a second answer", &change(&provider).await, (Verdict::Transient, "404"));
        vendor.seen.closed.notified().await;
    }
    // Each on a connection of its own, but for the first, which the token's call opened.
    assert_eq!(vendor.asked().len(), 21);
}

#[tokio::test]
async fn a_look_up_that_is_answered_about_somebody_else_changes_nobody() {
    let other = br#"{"id":"other","email":"bob@corp.example","status":"active","role_id":"2"}"#;
    let vendor = Vendor::of(Act::Keep(answer("200 OK", "", other))).await;
    let provider = vendor.provider(FAR_TOO_LONG);
    for asked in ["KDcu", "OTHER", "ann@corp.example"] {
        let reply = provider.look_up(&asked.parse().unwrap()).await.unwrap_err();
        check(asked, &reply, (Verdict::Rejected, "other_user"));
    }
    for asked in ["other", "Bob@Corp.Example"] {
        assert_eq!(provider.look_up(&asked.parse().unwrap()).await.unwrap().unwrap().id, "other", "{asked}");
    }
}

#[tokio::test]
async fn nothing_is_asked_for_in_a_packed_form() {
    let vendor = Vendor::of(Act::Say(answer("204 No Content", "", b""))).await;
    assert_eq!(change(&vendor.provider(FAR_TOO_LONG)).await.verdict, Verdict::Applied);
    for head in vendor.seen.heads.lock().unwrap().iter() {
        assert!(!head.to_lowercase().contains("accept-encoding"), "{head}");
    }
}
