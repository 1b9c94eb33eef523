//! The JSON that several endpoints answer with or read.

use serde_json::{Map, Value, json};

use super::account::Account;
use super::answers::PendingAnswer;
use super::directory::Seat;
use crate::message::{Call, Reply};

/// An error as Zoom words it.
pub(super) fn error(status: u16, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({"code": code, "message": message}))
}

/// 400/300 about one field.
pub(super) fn invalid(field: &str, message: &str) -> Reply {
    Reply::json(
        400,
        &json!({
            "code": 300,
            "message": "Validation Failed.",
            "errors": [{"field": field, "message": message}],
        }),
    )
}

/// The body of a call, which must be a JSON object.
pub(super) fn json_object(call: &Call) -> Result<Map<String, Value>, Reply> {
    if call.content_type().as_deref() != Some("application/json") {
        return Err(error(415, 300, "Content type must be application/json."));
    }
    match serde_json::from_slice(&call.body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(error(400, 300, "Request Body should be a valid JSON object.")),
    }
}

/// The reply about a user whom nobody knows.
pub(super) fn unknown_user(account: &Account, name: &str) -> Reply {
    if account.settings.rules.unknown_user_code == 1010 {
        return error(400, 1010, "User not exist or not belong to this account.");
    }
    error(404, account.settings.rules.unknown_user_code, &format!("User does not exist: {name}."))
}

/// The reply to a change of a user who was invited and has not come; `success` where it is made believe.
pub(super) fn pending_user(account: &Account, name: &str, success: Reply) -> Reply {
    match account.settings.rules.pending {
        PendingAnswer::NotFound => error(404, 1001, &format!("User does not exist: {name}.")),
        PendingAnswer::Refused => error(400, 1010, "User not exist or not belong to this account."),
        PendingAnswer::Ignored => success,
    }
}

/// The users that `members` of a body names, by id or e-mail address.
pub(super) fn members(account: &Account, body: &Map<String, Value>) -> Result<Vec<Seat>, Reply> {
    let listed = body.get("members").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| invalid("members", "Invalid field."))?;
    if listed.is_empty() || listed.len() > 30 {
        return Err(invalid("members", "A maximum of 30 members can be added at once."));
    }
    let find = |member: &Value| {
        let name = member.get("id").or_else(|| member.get("email")).and_then(Value::as_str);
        let name = name.ok_or_else(|| invalid("members", "Invalid field."))?;
        let seat = account.directory.find(name);
        let seat = seat.filter(|&seat| account.directory.get(seat).is_some_and(|user| user.id.is_some()));
        seat.ok_or_else(|| unknown_user(account, name))
    };
    listed.iter().map(find).collect()
}
