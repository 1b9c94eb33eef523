//! Rows, sent page by page: a run of a million users needs no more memory than one of ten.

use std::future::Future;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::header;
use serde::Serialize;
use usher_shared::store::StoreError;

use super::accept::Form;

/// Rows for a body, read page by page.
pub trait Pages: Send + 'static {
    /// One row.
    type Row: Send + Sync;

    /// The next page; `None` at the end. One that is empty is not the last.
    fn page(&mut self) -> impl Future<Output = Result<Option<Vec<Self::Row>>, StoreError>> + Send;
}

/// Sends all rows in this form; `write` appends a page of them. What breaks off in the middle is cut off, so that nobody takes
/// it for the whole.
pub fn streamed<P: Pages>(
    form: Form,
    head: Vec<u8>,
    pages: P,
    write: impl Fn(&[P::Row], &mut Vec<u8>) -> std::io::Result<()> + Send + Sync + 'static,
) -> Response {
    let written = stream::try_unfold((Some(head), pages, write), async |(head, mut pages, write)| {
        if let Some(head) = head.filter(|head| !head.is_empty()) {
            return Ok(Some((Bytes::from(head), (None, pages, write))));
        }
        while let Some(page) = pages.page().await.inspect_err(broke_off)? {
            let mut text = Vec::with_capacity(page.len() * 200);
            write(&page, &mut text).inspect_err(broke_off)?;
            if !text.is_empty() {
                return Ok(Some((Bytes::from(text), (None, pages, write))));
            }
        }
        Ok::<_, axum::BoxError>(None)
    });
    let kind = match form {
        Form::Csv => "text/csv; charset=utf-8; header=present",
        form => form.media_type(),
    };
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(written)).into_response()
}

fn broke_off(error: &impl std::fmt::Display) {
    tracing::warn!(%error, "rows broke off");
}

/// Appends values, a line of JSON each.
pub fn lines<T: Serialize>(rows: impl Iterator<Item = T>, to: &mut Vec<u8>) -> std::io::Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *to, &row)?;
        to.push(b'\n');
    }
    Ok(())
}
