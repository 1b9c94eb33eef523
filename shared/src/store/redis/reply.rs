//! What scripts reply: values, or a code that refuses.

use redis::{RedisResult, Value};

use super::{error, state};
use crate::{RunId, RunPhase, store::StoreError};

/// Why a script refused, by the codes in lua/lib_base.lua.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Lapsed,
    NoRun,
    WrongPhase,
    Taken,
    Incomplete,
    Conflict,
    NoJob,
    StoodStill,
}

impl Refusal {
    fn of(code: i64) -> Option<Self> {
        Some(match code {
            -1 => Self::Lapsed,
            -2 => Self::NoRun,
            -3 => Self::WrongPhase,
            -4 => Self::Taken,
            -5 => Self::Incomplete,
            -6 => Self::Conflict,
            -7 => Self::NoJob,
            -8 => Self::StoodStill,
            _ => return None,
        })
    }
}

/// A script's reply after its code.
#[derive(Debug)]
pub(super) struct Reply {
    /// 0, or what the script's contract says; for a refusal the code as it came.
    pub code: i64,
    rest: Vec<Value>,
}

impl Reply {
    /// Reads a reply; an error of the server or the connection is sorted.
    pub(super) fn read(reply: RedisResult<Value>) -> Result<Self, StoreError> {
        let mut values = array(reply.map_err(error::sort)?)?.into_iter();
        let code = values.next().as_ref().map_or_else(|| Err(odd("an empty reply")), int)?;
        Ok(Self { code, rest: values.collect() })
    }

    /// The refusal, where this is one.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        Refusal::of(self.code)
    }

    /// An integer after the code.
    pub(super) fn int(&self, at: usize) -> Result<i64, StoreError> {
        self.rest.get(at).map_or_else(|| Err(odd("a short reply")), int)
    }

    /// A count after the code.
    pub(super) fn count(&self, at: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(at)?).map_err(|_| odd("a negative count"))
    }

    /// A text after the code.
    pub(super) fn text(&self, at: usize) -> Result<String, StoreError> {
        self.rest.get(at).map_or_else(|| Err(odd("a short reply")), text)
    }

    /// What comes after the code.
    pub(super) fn into_rest(self) -> Vec<Value> {
        self.rest
    }

    /// The refusals that any call on a run can meet. `wanted` ends the sentence of a wrong phase.
    pub(super) fn of_run(self, run: &RunId, wanted: &'static str) -> Result<Self, StoreError> {
        match self.refusal() {
            None => Ok(self),
            Some(Refusal::NoRun) => Err(StoreError::NoSuchRun(run.clone())),
            Some(Refusal::WrongPhase) => {
                Err(StoreError::WrongPhase { run: run.clone(), phase: phase(&self.text(0)?)?, wanted })
            }
            Some(Refusal::StoodStill) => {
                let wanted = "it stood still, so its users are resolved again before it goes on";
                Err(StoreError::WrongPhase { run: run.clone(), phase: phase(&self.text(0)?)?, wanted })
            }
            Some(Refusal::Lapsed) => Err(StoreError::LeaseLapsed(format!("run {run}"))),
            Some(Refusal::Taken) => Err(StoreError::IdTaken(run.clone())),
            // Only what is being resolved is asked for by its place.
            Some(Refusal::NoJob) => {
                Err(StoreError::WrongPhase { run: run.clone(), phase: RunPhase::Sealed, wanted })
            }
            Some(Refusal::Incomplete | Refusal::Conflict) => Err(odd("a refusal of another script")),
        }
    }
}

/// A reply that fits no contract.
pub(super) fn odd(problem: &str) -> StoreError {
    StoreError::Corrupt("a script's reply".into(), problem.into())
}

/// The phase that a stored letter stands for.
pub(super) fn phase(letter: &str) -> Result<RunPhase, StoreError> {
    state::phase(letter.bytes().next().unwrap_or_default())
        .map_err(|flaw| StoreError::Corrupt("a run's phase".into(), flaw))
}

/// A value as an integer.
pub(super) fn int(value: &Value) -> Result<i64, StoreError> {
    match value {
        Value::Int(number) => Ok(*number),
        other => text(other)?.parse().map_err(|_| odd("text where a number belongs")),
    }
}

/// A value as text.
pub(super) fn text(value: &Value) -> Result<String, StoreError> {
    match value {
        Value::BulkString(bytes) => {
            String::from_utf8(bytes.clone()).map_err(|_| odd("text that is not UTF-8"))
        }
        Value::SimpleString(text) => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        _ => Err(odd("no text where text belongs")),
    }
}

/// A value as text, borrowed.
pub(super) fn str(value: &Value) -> Result<&str, StoreError> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).map_err(|_| odd("text that is not UTF-8")),
        Value::SimpleString(text) => Ok(text),
        _ => Err(odd("no text where text belongs")),
    }
}

/// A value as text, or `None` for nil.
pub(super) fn maybe(value: &Value) -> Result<Option<&str>, StoreError> {
    if matches!(value, Value::Nil) { Ok(None) } else { str(value).map(Some) }
}

/// A value as it is, or `None` for nil.
pub(super) fn bytes(value: &Value) -> Result<Option<&[u8]>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        _ => Err(odd("no text where text belongs")),
    }
}

/// A value as an array.
pub(super) fn array(value: Value) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(odd("no list where a list belongs")),
    }
}
