//! Whether a run is approved by another person: each way in which it is not has its own words, with what to do.

use std::time::Duration;

use usher_shared::{
    PlanNote, RunStatus, Timestamp,
    config::{ApprovalConfig, Role, Submitter},
    identity::{TokenKey, approval_text, submission_text},
};

use super::Rules;

/// How far ahead of the store's clock an approver's may be.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// `Ok` where the run is approved; else what is missing, for people.
pub(super) fn standing(
    run: &RunStatus,
    plan: &PlanNote,
    config: &ApprovalConfig,
    rules: &Rules,
    now: Timestamp,
) -> Result<(), String> {
    let (id, account) = (&run.run.id, &run.run.account);
    let submitter = submitter(run, config, rules)?;
    let again = format!("`usher approve {id}` again");
    let Some(approval) = &run.notes.approval else {
        return Err(asked_for(run, rules, submitter.as_ref()));
    };
    let by = &approval.by;
    let Some(token) = rules.tokens.get(by) else {
        return Err(format!(
            "it was approved with a token named {by}, which the workers' usher.toml does not have: add [tokens.{by}] \
             there, or have somebody else `usher approve {id}`"
        ));
    };
    if !token.allows(Role::Approve, account) {
        return Err(format!(
            "it was approved by {by}, whose token may not approve for account {account}: give it the role in \
             [tokens.{by}], or have somebody else `usher approve {id}`"
        ));
    }
    if approval.plan != plan.hash {
        return Err(format!(
            "{by} approved the plan {}, and this run's is {}: look at it, then {again}",
            approval.plan.short(),
            plan.hash.short()
        ));
    }
    let text = approval_text(id, &approval.plan, by, approval.at);
    if !token.key.verifies(&text, &approval.signature) {
        return Err(format!(
            "the approval in the name of {by} is not signed by {by}'s token: {again}, and ask who wrote this one"
        ));
    }
    if approval.at > now.after(SKEW) {
        return Err(format!(
            "{by}'s approval is dated {}, which is still to come: set the clock of {by}'s machine, then {again}",
            approval.at
        ));
    }
    let valid = Duration::from_secs_f64(config.valid_hours.clamp(0.0, 1e6) * 3600.0);
    if now.since(approval.at) > valid {
        return Err(format!(
            "{by}'s approval of {} was good for {} hours and is too old: {again}",
            approval.at, config.valid_hours
        ));
    }
    let own = submitter.is_some_and(|(name, key)| name == *by || key == token.key);
    if own || names(&run.run.asked_by, by) {
        return Err(format!(
            "{by} asked for this run, and nobody approves a run of their own: have another person `usher approve {id}`"
        ));
    }
    Ok(())
}

/// Who asked, where a token proves it; an error where it has to be proved, and is not.
fn submitter(
    run: &RunStatus,
    config: &ApprovalConfig,
    rules: &Rules,
) -> Result<Option<(String, TokenKey)>, String> {
    let proved = proved(run, rules);
    match (config.submitter, proved) {
        (Submitter::Anyone, proved) => Ok(proved.ok()),
        (Submitter::Token, Ok(proved)) => Ok(Some(proved)),
        (Submitter::Token, Err(why)) => Err(format!(
            "it can't be approved, because {why}, and accounts.{}.approval.submitter asks for that: cancel it and submit \
             it again with a personal token",
            run.run.account
        )),
    }
}

/// The token that proves who asked, or why none does.
pub(super) fn proved(run: &RunStatus, rules: &Rules) -> Result<(String, TokenKey), String> {
    let new = &run.run;
    let Some(proof) = &new.terms.proof else {
        return Err("no token proves who asked for it".to_owned());
    };
    let by = &proof.by;
    let Some(token) = rules.tokens.get(by) else {
        return Err(format!(
            "it was asked for with a token named {by}, which the workers' usher.toml does not have"
        ));
    };
    if !token.allows(Role::Submit, &new.account) && !token.allows(Role::Approve, &new.account) {
        return Err(format!("the token of {by} may not submit for account {}", new.account));
    }
    let text = submission_text(&new.id, &new.account, by, new.created_at);
    if !token.key.verifies(&text, &proof.signature) {
        return Err(format!("the proof that {by} asked for it is not signed by {by}'s token"));
    }
    Ok((by.clone(), token.key))
}

/// Nobody has approved it yet.
fn asked_for(run: &RunStatus, rules: &Rules, submitter: Option<&(String, TokenKey)>) -> String {
    let new = &run.run;
    let may = rules.tokens.iter().filter(|(name, token)| {
        token.allows(Role::Approve, &new.account)
            && submitter.is_none_or(|(own, _)| own != *name)
            && !names(&new.asked_by, name)
    });
    let names: Vec<&str> = may.map(|(name, _)| name.as_str()).collect();
    let id = &new.id;
    if names.is_empty() {
        return format!(
            "another person has to approve it, and the workers' usher.toml has no token but the submitter's that may: add \
             one, then `usher approve {id}`"
        );
    }
    format!("`usher approve {id}` by another person lets it go on ({} may)", names.join(", "))
}

/// Whether `cli:bob@host` or `token:bob` names bob.
fn names(asked_by: &str, name: &str) -> bool {
    let person = asked_by.split_once(':').map_or(asked_by, |(_, person)| person);
    let login = person.split_once('@').map_or(person, |(login, _)| login);
    [person, login].iter().any(|known| known.eq_ignore_ascii_case(name))
}
