//! The macro that makes tests of the checks, and the list of all checks.

/// Makes a test of every check of the suite.
///
/// Takes an expression that makes a [`Fixture`](crate::store::conformance::Fixture): it is evaluated once a test, in an
/// async function, so that it may await. The tests need `tokio` with its macros.
#[macro_export]
macro_rules! conformance_suite {
    (@subject $fixture:expr, $subject:ident: $($check:ident)*) => {
        mod $subject {
            #[allow(unused_imports, reason = "what the expression names is in the parent")]
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let fixture = $fixture;
                    $crate::store::conformance::$subject::$check(&fixture).await;
                }
            )*
        }
    };
    ($fixture:expr $(,)?) => {
        $crate::conformance_suite!(@subject $fixture, submitting:
            a_run_is_invisible_until_it_is_sealed
            a_sealed_run_is_seen_as_it_was_submitted
            what_was_not_said_of_a_run_is_not_made_up
            appending_the_same_places_again_changes_nothing
            requests_come_back_page_by_page_as_they_were_written
            the_requests_of_an_open_run_are_not_read
            a_seal_that_counts_otherwise_is_refused_until_all_is_there
            a_seal_that_counts_too_few_is_refused
            a_run_of_nothing_is_refused
            sealing_again_answers_new_again
            the_same_content_is_one_run_and_the_second_draft_is_gone
            two_producers_that_seal_the_same_content_at_once_make_one_run
            a_key_that_stands_for_other_content_is_a_conflict
            after_a_finished_run_the_same_content_is_a_new_one_that_names_it
            after_a_cancelled_run_the_same_content_is_a_new_one_that_names_it
            a_key_that_is_not_to_be_used_again_stands_for_its_run_for_ever
            an_id_that_is_in_use_is_taken
            a_discarded_run_is_forgotten
            a_sealed_run_is_not_discarded
            an_open_run_expires_an_hour_after_its_last_append_and_not_before
            a_run_that_was_opened_and_left_empty_expires_too
            a_sealed_run_does_not_expire
            a_sealed_run_takes_no_more_requests
            a_run_of_several_chunks_is_sealed_and_worked_whole
        );
        $crate::conformance_suite!(@subject $fixture, resolving:
            one_worker_at_a_time_resolves_a_run
            taking_ones_own_stewardship_again_renews_it
            a_renewed_stewardship_lives_on
            a_lapsed_stewardship_writes_nothing
            only_a_sealed_run_is_resolved
            a_run_with_an_unresolved_request_is_not_resolved
            the_later_resolution_of_a_request_counts
            what_was_settled_at_the_resolve_becomes_an_outcome_at_promotion
            a_run_that_was_settled_whole_is_over_once_promoted
            duplicates_leave_the_total_and_are_listed
            a_duplicate_that_was_resolved_again_is_counted_once
            nothing_is_leased_before_it_is_promoted
            admission_numbers_grow_and_stay
            a_run_is_admitted_only_once_it_is_resolved
            promotion_goes_in_chunks_and_says_what_is_pending
        );
    };
}
