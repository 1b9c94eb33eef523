//! The server's own TLS.

use usher_redis_server::Certificates;

use crate::{
    served::{Served, place, serve_lines},
    support::Kind,
};

#[test]
fn callers_speak_tls_to_a_server_with_a_certificate_over_either_version_of_http() {
    let (place, tokens) = place(Kind::Sqlite, 1);
    let certificates = Certificates::new();
    let (cert, key) = certificates.server();
    serve_lines(&place, &format!("tls_cert_file = {cert:?}\ntls_key_file = {key:?}"));
    let ca = std::fs::read(certificates.ca()).unwrap();
    let ca = reqwest::Certificate::from_pem(&ca).unwrap();
    let served = Served::start_with(&place, &[], |client| client.tls_certs_only([ca.clone()]));
    assert!(served.base.starts_with("https://"), "{}", served.base);
    served.get(&tokens.read, "/healthz").status(200);
    let http1 = reqwest::Client::builder().no_proxy().tls_certs_only([ca]).http1_only().build().unwrap();
    let asked = |client: &reqwest::Client| {
        served.block_on(async { client.get(format!("{}/healthz", served.base)).send().await })
    };
    assert_eq!(asked(&http1).unwrap().version(), reqwest::Version::HTTP_11);
    assert_eq!(asked(&served.client).unwrap().version(), reqwest::Version::HTTP_2);
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    assert!(asked(&stranger).is_err(), "the authority is not one that everybody knows");
}

#[test]
fn a_certificate_that_can_not_be_used_is_named_with_its_file() {
    let (place, _tokens) = place(Kind::Sqlite, 1);
    let certificates = Certificates::new();
    let ((cert, key), (_, strange)) = (certificates.server(), certificates.client());
    let base = std::fs::read_to_string(place.path("usher.toml")).unwrap();
    let text = place.file("text.pem", "no certificate\n");
    let missing = place.path("missing.pem");
    for (cert, key, says) in [
        (&missing, &key, "serve.tls_cert_file"),
        (&cert, &missing, "serve.tls_key_file"),
        (&text, &key, "no certificate in PEM"),
        (&cert, &text, "no private key in PEM"),
        (&cert, &strange, "can't be used"),
    ] {
        place.file(
            "usher.toml",
            format!("{base}\n[serve]\ntls_cert_file = {cert:?}\ntls_key_file = {key:?}\n"),
        );
        place.usher(&["serve", "--listen", "127.0.0.1:0"]).code(4).says(says).says(".pem");
    }
}
