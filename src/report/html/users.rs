//! The table of all users.

use std::{fmt::Write as _, io::Write};

use usher_shared::{OutcomeRow, ResolvedUser, Status, UserState};

use super::{
    charts::tone,
    text::{Text, moment},
};
use crate::{exit::Failure, report::Rows};

const HEAD: &str = "<div class=\"scroll\"><table class=\"users\"><thead><tr><th scope=\"col\" class=\"line\">line</th>\
<th scope=\"col\" class=\"user\">user</th><th scope=\"col\" class=\"act\">action</th><th scope=\"col\" class=\"out\">outcome</th>\
<th scope=\"col\" class=\"code\">code</th><th scope=\"col\" class=\"said\">message</th><th scope=\"col\" class=\"was\">before</th>\
<th scope=\"col\" class=\"tries\">tries</th><th scope=\"col\" class=\"when\">last try (UTC)</th></tr></thead><tbody>\n";

/// Writes the rows as they come, so that a run of a million needs no more memory than one of ten. Returns how many there were.
pub async fn write(rows: &mut Rows, to: &mut (dyn Write + Send)) -> Result<u64, Failure> {
    let mut written = 0;
    to.write_all(HEAD.as_bytes())?;
    let mut text = String::new();
    while let Some(page) = rows.page().await? {
        text.clear();
        for row in &page {
            user(row, &mut text);
        }
        to.write_all(text.as_bytes())?;
        written += page.len() as u64;
    }
    to.write_all(b"</tbody></table></div>\n")?;
    Ok(written)
}

fn user(row: &OutcomeRow, text: &mut String) {
    let when =
        row.last_attempt_at.map(|at| moment(at).trim_end_matches(" UTC").to_owned()).unwrap_or_default();
    let before = row.resolved.as_ref().map(|user| before(&user.before)).unwrap_or_default();
    // Writing into a String can't fail.
    let _ = writeln!(
        text,
        "<tr><td class=\"num\">{}</td><td>{}{}</td><td>{}</td><td class=\"{}\">{}</td><td>{}</td><td>{}</td><td>{}</td>\
         <td class=\"num\">{}</td><td>{}</td></tr>",
        row.line,
        Text(row.user.as_str()),
        also(row),
        row.action,
        tone(row.outcome),
        row.outcome,
        Text(row.code.as_deref().unwrap_or_default()),
        Text(row.message.as_deref().unwrap_or_default()),
        Text(&before),
        row.attempts,
        when,
    );
}

/// What the vendor calls the user, where the file says something else.
fn also(row: &OutcomeRow) -> String {
    let named = |name: &&str| !name.is_empty() && !name.eq_ignore_ascii_case(row.user.as_str());
    let names = |user: &ResolvedUser| [user.email.clone().unwrap_or_default(), user.id.clone()];
    let names = row.resolved.as_ref().map(names).unwrap_or_default();
    let mut text = String::new();
    for name in names.iter().map(String::as_str).filter(named) {
        let _ = write!(text, "<small>{}</small>", Text(name));
    }
    text
}

/// `active, licence 2, role 2, 3 groups`
fn before(state: &UserState) -> String {
    let status = match state.status {
        Status::Active => "active",
        Status::Inactive => "inactive",
        Status::Pending => "pending",
    };
    let license = state.license.as_deref().map(|license| format!(", licence {license}")).unwrap_or_default();
    let role = state.role.as_deref().map(|role| format!(", role {role}")).unwrap_or_default();
    let groups = match state.groups.len() {
        0 => String::new(),
        1 => ", 1 group".to_owned(),
        more => format!(", {more} groups"),
    };
    format!("{status}{license}{role}{groups}")
}
