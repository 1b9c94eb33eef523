//! Accounts are islands: nothing of one shows in another.

use super::{
    Fixture,
    samples::{Submission, account, ask, other_account},
    steps::Steps,
};
use crate::{
    Outcome, RunPhase,
    store::{LeaseAsk, Sealed},
};

pub async fn the_same_user_id_in_two_accounts_is_two_users(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let here = steps.queue(&Submission::of(&["one@corp.example"]).activating()).await;
    let there = steps.queue(&Submission::of(&["one@corp.example"]).to(other_account())).await;
    let of_here = steps.lease_one("w1").await;
    let of_there = steps.lease(&LeaseAsk { account: other_account(), ..ask("w1") }).await.leases.remove(0);
    assert_eq!((&of_here.run, &of_there.run), (&here, &there));
    steps.apply(of_here).await;
    steps.apply(of_there).await;
    for run in [here, there] {
        assert_eq!(steps.only_outcome(&run).await.outcome, Outcome::Applied);
    }
}

pub async fn the_same_key_in_two_accounts_is_two_keys(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let here = Submission::of_size(1).keyed("ticket-7", "d1", false);
    let there = Submission::of_size(2).keyed("ticket-7", "d2", false).to(other_account());
    for submission in [here, there] {
        let (run, seal) = steps.draft(&submission).await;
        assert_eq!(steps.seal(&run, &seal).await, Sealed::New { previous: None });
        let (again, seal) = steps.draft(&submission).await;
        assert_eq!(steps.seal(&again, &seal).await, Sealed::Existing(run));
    }
}

pub async fn a_worker_of_one_account_is_given_nothing_of_another(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let run = steps.queue(&Submission::of_size(3).to(other_account())).await;
    let leased = steps.lease_nothing("w1").await;
    assert_eq!((leased.next_due, leased.alone_waiting), (None, 0));
    assert!(steps.lease(&LeaseAsk { only_run: Some(run.clone()), ..ask("w1") }).await.leases.is_empty());
    assert_eq!(steps.status(&run).await.counters.queued, 3);
}

pub async fn unfinished_runs_are_listed_by_account_and_runs_of_all(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let here = steps.submit(&Submission::of_size(1)).await;
    let there = steps.submit(&Submission::of_size(1).to(other_account())).await;
    let of = async |account| {
        let unfinished = steps.store.unfinished(&account).await.unwrap();
        unfinished.into_iter().map(|status| status.run.id).collect::<Vec<_>>()
    };
    assert_eq!(of(account()).await, std::slice::from_ref(&here));
    assert_eq!(of(other_account()).await, std::slice::from_ref(&there));
    assert_eq!(of("nobodys".parse().unwrap()).await, []);
    assert_eq!(steps.store.runs(None, 10).await.unwrap().len(), 2);
}

pub async fn a_cancel_in_one_account_leaves_the_other_alone(fixture: &impl Fixture) {
    let steps = Steps::new(fixture);
    let here = steps.queue(&Submission::of_size(2)).await;
    let there = steps.queue(&Submission::of_size(2).to(other_account())).await;
    assert_eq!(steps.cancel(&there, 10).await, 0);
    assert_eq!(steps.status(&there).await.phase, RunPhase::Cancelled);
    assert_eq!(steps.work_to_the_end("w1").await, [(here.clone(), 0), (here, 1)]);
}
