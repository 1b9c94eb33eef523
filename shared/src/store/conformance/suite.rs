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
        $crate::conformance_suite!(@subject $fixture, leasing:
            a_lease_holds_all_that_is_known_of_its_jobs
            a_leased_job_is_leased_to_nobody_else
            file_order_holds_within_a_run
            no_more_is_leased_than_was_asked_for
            the_tokens_of_leases_differ
            urgent_comes_before_normal_and_normal_before_bulk
            an_urgent_run_overtakes_a_bulk_run_under_way
            of_two_runs_of_one_priority_the_older_is_worked_first
            a_job_that_comes_due_again_keeps_its_place_before_newer_runs
            a_changed_priority_counts_from_the_next_lease_on
            a_priority_changed_before_the_queue_is_filled_counts_there
            actions_are_not_mixed_in_one_lease
            runs_are_not_mixed_in_one_lease
            a_batch_takes_two_hundred_jobs
            who_asks_for_one_run_gets_nothing_of_another
            two_workers_that_lease_at_once_share_the_jobs
        );
        $crate::conformance_suite!(@subject $fixture, waiting:
            a_retry_spends_an_attempt_and_keeps_its_time
            a_snooze_spends_no_attempt_and_keeps_its_time
            the_next_due_time_is_the_earliest_and_absent_where_none_waits
            a_waiting_job_holds_up_nobody
            a_time_that_has_passed_already_is_due_at_once
            only_a_try_whose_reply_was_lost_may_have_applied
            who_waits_for_work_notices_a_seal
            who_waits_in_another_process_notices_a_seal
            who_waits_for_work_notices_a_resume
            waiting_for_work_ends_by_itself
        );
        $crate::conformance_suite!(@subject $fixture, finishing:
            an_outcome_is_kept_to_the_letter
            every_outcome_can_be_an_end
            a_finished_job_is_not_leased_again
            a_run_is_over_when_its_last_job_is
            two_hundred_jobs_of_one_lease_end_one_by_one
            jobs_that_no_report_names_go_back_untouched
            every_attempt_is_listed_in_order_the_one_that_ended_it_last
            a_job_that_was_handed_back_has_no_attempt
        );
        $crate::conformance_suite!(@subject $fixture, lapsing:
            a_lease_holds_until_its_time_and_no_longer
            a_lease_can_be_finished_until_its_time
            a_lapsed_lease_writes_nothing
            a_slow_worker_does_not_overwrite_the_truth
            a_lapsed_lease_is_not_revived_by_a_later_one_of_the_same_worker
            a_renewed_lease_lives_on
            a_renewed_lease_lapses_at_its_new_time
            a_lapsed_job_runs_again_and_its_attempt_is_recorded_as_lost
            all_jobs_of_a_lapsed_batch_run_again
            a_retry_after_a_lost_attempt_counts_on
            a_lapse_is_reclaimed_by_any_ask_of_the_account
            a_seat_is_given_back_when_it_is_dropped
            a_seat_taken_after_a_death_reclaims_only_where_there_is_but_one
        );
        $crate::conformance_suite!(@subject $fixture, dying:
            after_one_death_a_job_is_leased_like_any_other
            after_two_deaths_a_job_is_not_given_to_a_busy_worker
            after_two_deaths_a_job_is_all_that_an_idle_worker_is_given
            the_innocent_are_leased_while_one_waits_to_run_alone
            a_job_alone_in_one_process_stops_no_other
            each_job_of_a_batch_that_died_twice_is_leased_alone
            a_job_that_was_handed_back_still_runs_alone
            a_death_alone_is_counted_too
            a_job_that_waits_to_run_alone_is_cancelled_with_its_run
            a_paused_run_has_no_job_waiting_to_run_alone
        );
    };
}
