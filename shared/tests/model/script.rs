//! How a sequence of operations is made: chosen at random, most of them with something to do.

use proptest::{collection::vec, option, prelude::*};
use usher_shared::{Action, Priority};

use super::ops::{CameTo, Found, Moment, Op, Step, Told, Wish};

fn priority() -> impl Strategy<Value = Priority> {
    prop_oneof![2 => Just(Priority::Normal), 1 => Just(Priority::Urgent), 1 => Just(Priority::Bulk)]
}

/// Few users, so that runs share them.
fn wish() -> impl Strategy<Value = Wish> {
    (0..6_u8, prop::bool::weighted(0.2), prop::bool::weighted(0.3)).prop_map(|(user, by_id, activate)| {
        let action = if activate { Action::Activate } else { Action::Deactivate };
        Wish { user, by_id, action }
    })
}

fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        4 => Just(Found::User),
        1 => Just(Found::Nobody),
        1 => Just(Found::Protected),
        1 => Just(Found::Duplicate),
    ]
}

fn told() -> impl Strategy<Value = Told> {
    let (began, due) = (-3..4_i8, prop_oneof![2 => Just(0_i8), 1 => -20..1_i8, 3 => 1..60_i8]);
    prop_oneof![
        4 => began.clone().prop_map(|began| Told::Applied { began }),
        1 => Just(Told::Rejected),
        1 => any::<bool>().prop_map(|poisoned| Told::Untried { poisoned }),
        3 => (began, due.clone(), any::<bool>())
            .prop_map(|(began, due, called)| Told::Retried { began, due, called }),
        1 => due.clone().prop_map(|due| Told::RetriedUntried { due }),
        3 => due.clone().prop_map(|due| Told::Throttled { due }),
        1 => due.prop_map(|due| Told::Returned { due }),
        1 => Just(Told::Unnamed),
    ]
}

fn moment() -> impl Strategy<Value = (Moment, i8)> {
    let exact = prop_oneof![1 => any::<u8>().prop_map(Moment::Lapse), 2 => Just(Moment::Due)];
    prop_oneof![
        1 => (1..100_u16).prop_map(|tenths| (Moment::Later(tenths), 0)),
        3 => (1..9_u16).prop_map(|tenths| (Moment::Later(tenths), 0)),
        2 => (exact, -1..2_i8),
    ]
}

/// A branch office's account beside the main one, now and then.
fn branch() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.1)
}

fn queue() -> impl Strategy<Value = Op> {
    (branch(), priority(), vec(wish(), 1..8), vec(found(), 0..3))
        .prop_map(|(branch, priority, wishes, found)| Op::Queue { branch, priority, wishes, found })
}

fn plan() -> impl Strategy<Value = Op> {
    (branch(), priority(), vec(wish(), 1..6), vec(found(), 0..3))
        .prop_map(|(branch, priority, wishes, found)| Op::Plan { branch, priority, wishes, found })
}

fn putting_in() -> impl Strategy<Value = Op> {
    let run = any::<u8>;
    let key = || option::weighted(0.5, 0..3_u8);
    prop_oneof![
        1 => (branch(), priority()).prop_map(|(branch, priority)| Op::Open { branch, priority }),
        2 => (run(), 0..6_u8, vec(wish(), 0..4))
            .prop_map(|(run, first, wishes)| Op::Append { run, first, wishes }),
        2 => (run(), key(), prop::bool::weighted(0.8), any::<bool>(), prop::bool::weighted(0.1))
            .prop_map(|(run, key, digest, again, miscount)| Op::Seal { run, key, digest, again, miscount }),
        1 => run().prop_map(|run| Op::Discard { run }),
        1 => Just(Op::Expire),
        2 => (branch(), priority(), key(), vec(wish(), 1..5))
            .prop_map(|(branch, priority, key, wishes)| Op::Submit { branch, priority, key, wishes }),
        5 => queue(),
        3 => plan(),
    ]
}

fn resolving() -> impl Strategy<Value = Op> {
    let any_one = any::<u8>;
    prop_oneof![
        3 => (any_one(), any_one(), 0..60_u8)
            .prop_map(|(run, client, tenths)| Op::TakeSteward { run, client, tenths }),
        1 => (any_one(), 0..60_u8).prop_map(|(steward, tenths)| Op::RenewSteward { steward, tenths }),
        2 => (any_one(), 0..6_u8, vec(found(), 0..4))
            .prop_map(|(steward, from, found)| Op::Resolve { steward, from, found }),
        2 => any_one().prop_map(|steward| Op::ResolveRest { steward }),
        3 => any_one().prop_map(|steward| Op::FinishResolving { steward }),
        3 => any_one().prop_map(|run| Op::Admit { run }),
        4 => (any_one(), 1..8_u8).prop_map(|(run, limit)| Op::Promote { run, limit }),
    ]
}

fn lease() -> impl Strategy<Value = Op> {
    let counts = (
        prop_oneof![1 => Just(0_u8), 20 => 1..4_u8, 2 => 4..15_u8],
        prop_oneof![2 => Just(1_u8), 1 => 1..5_u8],
    );
    let flags = (prop::bool::weighted(0.1), any::<bool>(), branch());
    let tenths = prop_oneof![1 => 0..10_u8, 6 => 10..160_u8];
    (counts, flags, any::<u8>(), tenths, option::weighted(0.1, any::<u8>())).prop_map(
        |((leases, batch), (urgent, idle, branch), client, tenths, only)| Op::Lease {
            branch,
            client,
            leases,
            batch,
            tenths,
            only,
            urgent,
            idle,
        },
    )
}

fn ending() -> impl Strategy<Value = Op> {
    let wrong = || prop::bool::weighted(0.05);
    prop_oneof![
        5 => (any::<u8>(), prop::bool::weighted(0.1), vec(told(), 0..5), wrong(), wrong()).prop_map(
            |(lease, ended, told, foreign, double)| Op::Finish { lease, ended, told, foreign, double }
        ),
        1 => (any::<u8>(), prop::bool::weighted(0.1), 0..80_u8)
            .prop_map(|(lease, ended, tenths)| Op::Renew { lease, ended, tenths }),
    ]
}

fn steering() -> impl Strategy<Value = Op> {
    let run = any::<u8>;
    prop_oneof![
        1 => run().prop_map(|run| Op::Pause { run }),
        3 => run().prop_map(|run| Op::Resume { run }),
        2 => (run(), 0..4_u8).prop_map(|(run, limit)| Op::Cancel { run, limit }),
        3 => (run(), priority()).prop_map(|(run, priority)| Op::SetPriority { run, priority }),
        1 => (branch(), option::weighted(0.8, 0..30_u8)).prop_map(|(branch, tenths)| Op::Hold { branch, tenths }),
        2 => branch().prop_map(|branch| Op::Release { branch }),
        1 => any::<u8>().prop_map(|client| Op::Crash { client }),
    ]
}

fn guarding() -> impl Strategy<Value = Op> {
    let any_one = any::<u8>;
    prop_oneof![
        1 => (any_one(), any::<bool>()).prop_map(|(run, held)| Op::Note { run, held }),
        1 => (any_one(), any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(run, apply, again)| Op::Confirm { run, apply, again }),
        2 => (any_one(), any::<bool>(), vec(found(), 0..4))
            .prop_map(|(run, apply, found)| Op::GoOn { run, apply, found }),
        2 => (any_one(), 0..2_u8, vec(0..8_u8, 0..5), 0..4_u8)
            .prop_map(|(run, day, users, cap)| Op::Reserve { run, day, users, cap }),
        1 => (any_one(), 0..2_u8).prop_map(|(run, day)| Op::Unreserve { run, day }),
        1 => (branch(), 0..4_u8).prop_map(|(branch, user)| Op::Protect { branch, user }),
        1 => (branch(), 0..4_u8).prop_map(|(branch, user)| Op::Unprotect { branch, user }),
        3 => any_one().prop_map(|run| Op::Tell { run }),
        2 => (0..3_u8, prop::bool::weighted(0.2)).prop_map(|(count, wrong)| Op::SealAudit { count, wrong }),
    ]
}

fn once_more() -> impl Strategy<Value = Op> {
    let run = any::<u8>;
    prop_oneof![
        2 => (run(), 0..4_u8, any::<bool>()).prop_map(|(run, limit, late)| Op::End { run, limit, late }),
        2 => (run(), 0..4_u8, 0..6_u8).prop_map(|(run, from, count)| Op::Reopen { run, from, count }),
        4 => (run(), vec(found(), 0..4)).prop_map(|(run, found)| Op::Retry { run, found }),
        3 => prop_oneof![Just(0_u8), 0..100_u8].prop_map(|tenths| Op::Prune { tenths }),
    ]
}

fn serving() -> impl Strategy<Value = Op> {
    let (client, key) = (any::<u8>, || 0..3_u8);
    let came_to = prop_oneof![
        2 => Just(CameTo::Delivered),
        2 => (-5..30_i8).prop_map(CameTo::Failed),
        2 => Just(CameTo::GivenUp),
    ];
    prop_oneof![
        3 => (branch(), priority(), option::weighted(0.7, key()), vec(wish(), 1..5))
            .prop_map(|(branch, priority, key, wishes)| Op::SubmitWhole { branch, priority, key, wishes }),
        2 => (branch(), key(), client(), 0..60_u8)
            .prop_map(|(branch, key, client, tenths)| Op::ClaimKey { branch, key, client, tenths }),
        1 => (branch(), key(), client()).prop_map(|(branch, key, client)| Op::ReleaseKey { branch, key, client }),
        3 => vec(0..3_u8, 1..4).prop_map(|messages| Op::Post { messages }),
        5 => (client(), 0..4_u8, 0..8_u8)
            .prop_map(|(client, limit, tenths)| Op::TakeDeliveries { client, limit, tenths }),
        5 => (client(), came_to).prop_map(|(delivery, came_to)| Op::FinishDelivery { delivery, came_to }),
        3 => (0..3_u8).prop_map(|message| Op::Repost { message }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        3 => putting_in(),
        2 => resolving(),
        7 => lease(),
        8 => ending(),
        2 => steering(),
        2 => guarding(),
        2 => once_more(),
        3 => serving(),
        4 => moment().prop_map(|(to, off)| Op::Pass { to, off }),
    ];
    (op, prop::bool::weighted(0.1), any::<u8>()).prop_map(|(op, twice, by)| Step { op, twice, by })
}

/// A sequence of operations, most of which begin with something to do.
pub fn script() -> impl Strategy<Value = Vec<Step>> {
    let first = prop_oneof![3 => queue(), 1 => plan()].prop_map(|op| Step { op, twice: false, by: 0 });
    (vec(first, 0..3), vec(step(), 1..90)).prop_map(|(first, then)| [first, then].concat())
}
