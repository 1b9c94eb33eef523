//! What a call needs the caller's token to be allowed. A handler gets its caller through one of these, so none can forget.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use http::request::Parts;
use usher_shared::config::Role;

use super::Caller;
use crate::{
    Api,
    problem::{Kind, Problem},
};

/// A caller whose token has the role `R`. First among a handler's arguments, it is checked before anything else is read.
#[derive(Clone, Debug)]
pub struct As<R>(pub Caller, PhantomData<R>);

/// A role, as a type.
pub trait Needs: Send + Sync + 'static {
    /// The role.
    const ROLE: Role;
}

/// Submit runs, plan, apply, undo.
#[derive(Clone, Copy, Debug)]
pub struct ToSubmit;
/// Pause, resume, cancel, retry, set the priority.
#[derive(Clone, Copy, Debug)]
pub struct ToOperate;
/// Approve what others submitted.
#[derive(Clone, Copy, Debug)]
pub struct ToApprove;
/// Read runs and outcomes, and follow them.
#[derive(Clone, Copy, Debug)]
pub struct ToRead;

impl Needs for ToSubmit {
    const ROLE: Role = Role::Submit;
}
impl Needs for ToOperate {
    const ROLE: Role = Role::Operate;
}
impl Needs for ToApprove {
    const ROLE: Role = Role::Approve;
}
impl Needs for ToRead {
    const ROLE: Role = Role::Read;
}

impl<R: Needs> FromRequestParts<Api> for As<R> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        // Only a route outside of `authenticate` has none.
        let caller = parts.extensions.get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::new(Kind::Unauthenticated, "this call needs a token"))?;
        if caller.rights().roles.contains(&R::ROLE) {
            Ok(Self(caller, PhantomData))
        } else {
            Err(Problem::lacks(caller.name(), R::ROLE))
        }
    }
}
