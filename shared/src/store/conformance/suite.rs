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
            a_seal_told_again_after_its_draft_was_replaced_names_the_run_again
            a_wrong_count_is_refused_before_the_key_is_looked_at
        );
        $crate::conformance_suite!(@subject $fixture, submitting_whole:
            a_run_submitted_in_one_go_is_as_one_that_was_opened_filled_and_sealed
            the_same_run_submitted_again_is_new_again_and_told_once
            the_same_content_submitted_in_one_go_is_one_run_and_told_once
            a_key_for_good_gives_back_its_run_after_it_is_over
            of_many_that_submit_the_same_at_once_one_makes_the_run
            what_is_refused_leaves_nothing_behind
            an_id_that_is_in_use_is_taken_for_a_run_in_one_go_too
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
            numbers_are_given_in_the_order_of_the_seals_and_stay
            a_run_is_admitted_only_once_it_is_resolved
            promotion_goes_in_chunks_and_says_what_is_pending
            a_resolve_that_was_finished_is_finished_when_asked_again
            a_place_without_a_request_is_not_resolved
            an_admission_is_told_again_while_the_run_is_being_cancelled
            a_run_of_duplicates_alone_is_over_once_admitted
            promotion_and_cancel_count_jobs_and_no_duplicates
        );
        $crate::conformance_suite!(@subject $fixture, planning:
            what_was_resolved_comes_back_page_by_page_as_it_was_written
            what_is_not_resolved_yet_is_left_out
            who_was_changed_stays_plannedned
            a_plan_of_several_chunks_is_read_whole
            what_is_to_be_restored_comes_with_the_request_wherever_it_is_read
            the_terms_of_a_run_are_kept_to_the_letter
            a_note_takes_the_place_of_the_one_of_its_kind
            nothing_is_noted_on_a_run_that_is_over_or_not_seen
        );
        $crate::conformance_suite!(@subject $fixture, confirming:
            a_plan_that_is_applied_goes_on_once_its_users_were_resolved_again
            a_confirmed_run_outweighs_what_was_sealed_before_its_confirmation
            who_has_drifted_is_settled_when_it_is_resolved_again
            the_same_word_again_changes_nothing
            an_approval_is_noted_beside_the_word_to_apply
            a_run_that_is_no_plan_can_be_approved_but_not_applied
            only_a_resolved_run_can_be_confirmed
            a_confirmation_ends_a_resolving_that_is_under_way
        );
        $crate::conformance_suite!(@subject $fixture, capping:
            a_user_counts_once_a_day_whatever_run_counts_it
            what_is_too_much_is_not_counted_at_all
            the_same_run_again_counts_nothing_twice
            each_day_and_each_account_has_a_count_of_its_own
            one_run_counts_at_a_time_until_it_is_admitted
            a_run_that_is_over_counts_no_more
            a_run_that_is_not_heard_of_lets_the_next_one_count
            a_run_that_took_back_lets_the_next_one_count
            what_was_counted_is_taken_back_in_chunks
            whom_two_runs_count_stays_counted_when_one_takes_back
            only_a_resolved_run_counts_its_users
        );
        $crate::conformance_suite!(@subject $fixture, standing_still:
            a_run_is_leased_for_an_hour_and_not_a_moment_longer
            a_lease_keeps_a_run_from_standing_still
            the_status_says_since_when_a_run_stands_still
            a_paused_run_that_is_resumed_late_is_resolved_again_before_it_goes_on
            a_run_of_an_account_that_was_held_is_resolved_again_before_it_goes_on
            a_job_to_run_alone_stands_still_with_its_run
            a_run_that_stood_still_is_neither_admitted_nor_promoted
            a_run_that_stood_still_holds_up_no_other
            a_steward_that_dies_leaves_the_run_standing_and_the_next_begins_anew
            a_run_that_goes_on_is_not_resolved_again
            a_steward_who_has_found_nothing_out_changes_nothing
            what_is_in_flight_is_waited_for
            a_run_that_stood_still_can_be_cancelled_while_it_is_resolved_again
        );
        $crate::conformance_suite!(@subject $fixture, resolving_again:
            what_remains_is_listed_in_pages
            a_user_is_renewed_for_the_next_lease
            what_was_there_before_our_own_doing_stays
            who_is_settled_leaves_the_queue_wherever_the_job_stands
            who_is_settled_before_the_queue_is_filled_has_an_outcome_at_promotion
            the_run_is_over_where_nothing_is_left
            who_is_settled_decides_about_nobody
            a_user_that_has_got_an_id_is_claimed_by_it
            what_is_finished_or_was_settled_before_stays
            nobody_is_a_duplicate_of_another_once_resolved
            file_order_holds_after_a_run_was_resolved_again
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
            what_came_back_is_leased_in_file_order
            a_lease_is_filled_with_what_stands_behind_another_action
        );
        $crate::conformance_suite!(@subject $fixture, sharing:
            a_flood_of_urgent_work_leaves_bulk_one_lease_in_ten
            normal_and_bulk_take_turns_in_the_share_of_the_others
            the_share_is_counted_over_all_workers
            the_share_is_counted_in_leases_whatever_their_size
            without_urgent_work_normal_comes_strictly_before_bulk
            without_other_work_all_is_urgent
            others_that_may_not_start_take_no_share
            what_urgent_work_does_not_need_goes_to_the_others
            an_urgent_job_takes_the_next_lease
            who_asks_for_urgent_jobs_alone_is_given_nothing_else
            who_asks_for_urgent_jobs_alone_hears_when_the_next_comes_due
            who_asks_for_urgent_jobs_alone_does_not_wait_for_others_that_run_alone
            others_that_were_leased_uncontested_have_had_their_share
            what_must_run_alone_has_a_share_as_well
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
            the_next_due_time_is_of_jobs_that_the_ask_may_be_given
        );
        $crate::conformance_suite!(@subject $fixture, finishing:
            an_outcome_is_kept_to_the_letter
            every_outcome_can_be_an_end
            a_finished_job_is_not_leased_again
            a_run_is_over_when_its_last_job_is
            two_hundred_jobs_of_one_lease_end_one_by_one
            jobs_that_no_report_names_go_back_untouched
            every_attempt_is_listed_in_order_the_one_that_ended_it_last
            an_outcome_counts_the_attempts_that_are_listed
            a_report_on_a_job_of_another_lease_changes_nothing_of_it
            a_job_that_was_handed_back_has_no_attempt
            a_report_beyond_the_lease_or_given_twice_writes_nothing
            a_retry_spends_an_attempt_even_where_none_was_recorded
            whoever_ended_a_job_is_named
            an_outcome_s_times_are_those_of_the_first_and_the_last_attempt_listed
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
            an_idle_worker_is_given_it_before_other_work_of_its_priority
            a_job_to_run_alone_that_is_not_due_is_not_counted
            who_asks_for_one_run_counts_its_jobs_to_run_alone
            a_job_that_waits_to_run_alone_is_cancelled_with_its_run
            a_paused_run_has_no_job_waiting_to_run_alone
        );
        $crate::conformance_suite!(@subject $fixture, one_user:
            two_jobs_on_one_user_are_never_in_flight_at_once
            a_busy_user_holds_up_nobody_else
            two_jobs_of_one_run_on_one_user_are_not_in_flight_at_once
            users_without_an_id_are_told_apart_by_their_address
            ids_that_differ_in_case_are_two_users
            the_newest_run_wins_at_the_lease
            a_newer_run_supersedes_its_own_users_alone
            the_newest_run_wins_before_a_retry
            the_newest_run_wins_after_a_lapse
            a_newer_run_that_is_over_still_wins
            a_paused_older_job_is_superseded_when_it_goes_on
            the_later_sealed_is_the_newer_run
            an_older_run_that_is_admitted_late_undoes_nothing
            an_older_run_that_enters_the_queue_late_takes_no_claim
            a_held_run_supersedes_nothing
            a_cancelled_run_supersedes_nothing
            a_run_being_cancelled_supersedes_nothing
            what_a_run_did_before_it_was_cancelled_still_counts
            what_a_cancelled_run_had_in_flight_counts_if_it_was_done
            what_a_cancelled_run_had_in_flight_does_not_count_if_it_came_back
            a_cancel_gives_the_user_back_to_the_newest_run_that_is_left
            a_newer_run_without_that_user_changes_nothing_for_an_older_one
            of_many_runs_on_the_same_users_only_the_newest_is_worked
            only_run_does_not_lift_the_lock_on_a_user
        );
        $crate::conformance_suite!(@subject $fixture, steering:
            a_paused_run_is_not_leased_until_it_is_resumed
            a_paused_run_holds_up_no_other
            a_job_that_goes_back_to_a_paused_run_waits_with_it
            a_run_paused_before_its_queue_is_filled_stays_paused
            a_cancel_goes_in_chunks_and_leaves_what_is_in_flight
            a_run_can_be_cancelled_at_any_step_after_the_seal
            a_run_being_cancelled_is_not_promoted
            a_cancel_ends_the_resolving
            a_cancel_does_not_wait_for_duplicates
            a_job_in_flight_of_a_cancelled_run_keeps_the_outcome_that_it_got
            a_job_of_a_cancelled_run_is_not_tried_again
            a_lapsed_job_of_a_cancelled_run_ends_as_cancelled
            a_job_that_no_report_names_of_a_cancelled_run_ends_as_cancelled
            a_run_that_is_over_can_not_be_steered
            a_held_account_is_not_leased_until_it_is_released
            a_hold_with_a_time_ends_by_itself
            a_later_hold_replaces_an_earlier_one
            a_hold_is_of_one_account_alone
            a_hold_keeps_what_comes_later_too
            a_hold_is_all_that_is_told_of_a_held_account
        );
        $crate::conformance_suite!(@subject $fixture, ending:
            every_job_that_nobody_holds_ends_as_the_ending_says
            the_state_says_how_a_run_was_ended
            the_first_ending_stands
            a_cancel_is_the_ending_of_a_person
            what_comes_back_from_a_worker_ends_as_the_ending_says
            a_run_can_be_ended_before_it_is_resolved
            a_run_that_expired_supersedes_nothing
            a_run_that_has_finished_is_not_ended
        );
        $crate::conformance_suite!(@subject $fixture, reopening:
            jobs_that_did_not_end_as_wished_are_tried_again
            a_run_is_opened_again_chunk_by_chunk
            the_attempts_stay_and_the_budget_begins_anew
            what_was_there_before_our_own_doing_is_known_when_it_is_tried_again
            who_was_settled_at_the_resolve_can_be_looked_up_again
            who_is_tried_again_may_turn_out_a_duplicate
            what_was_a_duplicate_may_turn_out_a_job_when_a_run_is_opened_again
            a_run_keeps_its_number_when_it_is_opened_again
            what_is_tried_again_decides_about_nobody_until_it_is_in_the_queue
            a_cancelled_run_can_be_opened_again
            a_run_that_was_opened_again_can_be_ended_and_opened_once_more
            of_the_notes_the_plan_and_the_word_to_apply_stay
            only_a_run_that_is_over_is_opened_again
            a_run_that_was_opened_again_is_a_run_like_any_other
        );
        $crate::conformance_suite!(@subject $fixture, pruning:
            what_ended_before_then_is_forgotten_the_oldest_first
            what_is_not_over_is_never_forgotten
            a_large_run_is_forgotten_in_chunks
            attempts_are_forgotten_with_their_jobs
            the_key_of_a_forgotten_run_is_free_again
            a_key_that_stands_for_a_newer_run_stays
            a_forgotten_run_still_wins_over_an_older_one_that_is_not_over
            the_audit_and_the_list_of_the_protected_stay
        );
        $crate::conformance_suite!(@subject $fixture, protecting:
            an_entry_is_kept_as_it_was_added
            an_entry_takes_the_place_of_the_one_with_its_pattern
            an_entry_is_taken_off_once
            every_answer_to_a_lease_names_the_version_in_force
            the_lists_of_two_accounts_are_apart
            many_who_protect_at_once_lose_nothing
        );
        $crate::conformance_suite!(@subject $fixture, accounts:
            the_same_user_id_in_two_accounts_is_two_users
            the_same_key_in_two_accounts_is_two_keys
            a_worker_of_one_account_is_given_nothing_of_another
            unfinished_runs_are_listed_by_account_and_runs_of_all
            a_cancel_in_one_account_leaves_the_other_alone
        );
        $crate::conformance_suite!(@subject $fixture, quotas:
            a_quota_is_drawn_up_to_its_cap_and_not_over_it
            drawing_nothing_only_looks
            many_who_draw_at_once_never_get_more_than_the_cap
            calls_given_back_can_be_drawn_again
            midnight_utc_frees_the_whole_day
            what_is_given_back_after_midnight_does_not_lengthen_the_new_day
            a_rolling_window_frees_hour_by_hour
            an_hour_given_back_whole_holds_up_nothing
            labels_and_accounts_have_quotas_of_their_own
            what_was_drawn_is_known_to_another_handle
            what_is_given_back_of_long_ago_stays_away
        );
        $crate::conformance_suite!(@subject $fixture, pulses:
            a_pulse_is_seen_as_it_was_told
            the_last_pulse_of_a_worker_replaces_the_one_before
            pulses_come_by_the_names_of_the_workers
            a_pulse_is_gone_when_it_is_not_told_again
            the_pulses_of_two_accounts_are_apart
        );
        $crate::conformance_suite!(@subject $fixture, tokens:
            what_is_sealed_comes_back_byte_for_byte
            of_many_who_want_to_refresh_one_gets_the_right
            the_holder_of_a_claim_is_not_given_it_twice
            a_claim_lapses_by_time_and_its_token_comes_too_late
            a_token_that_comes_late_does_not_replace_its_successor
            a_claim_given_up_is_free_at_once
            giving_up_a_lapsed_claim_leaves_the_next_one_alone
            an_expired_token_is_gone_and_generations_grow_on
            a_token_that_was_refused_is_replaced_once
            the_tokens_of_two_accounts_are_apart
        );
        $crate::conformance_suite!(@subject $fixture, seeing:
            an_empty_store_answers_every_question
            a_run_that_there_is_not_is_named_by_whoever_is_asked
            an_open_run_is_no_run_to_others
            what_a_run_has_cost_is_summed_up
            the_counters_say_where_every_job_is
            the_newest_runs_come_first_and_no_more_than_asked
            unfinished_runs_come_in_the_order_in_which_they_are_worked
            outcomes_come_in_pages_that_can_be_resumed_anywhere
            an_outcome_that_was_read_does_not_change
            the_time_is_that_of_the_stores_clock
            another_handle_sees_the_same
            unfinished_runs_that_are_not_admitted_come_by_priority
        );
        $crate::conformance_suite!(@subject $fixture, listing:
            accounts_are_those_that_had_a_sealed_run
            an_account_whose_runs_were_all_forgotten_is_still_one
            pages_of_runs_together_are_all_runs_in_their_order
            runs_that_were_opened_at_once_are_told_apart_by_pages_too
            open_runs_are_on_no_page_and_begin_none
            a_page_tells_of_each_run_what_the_run_tells_itself
            runs_that_ended_come_in_the_order_in_which_they_ended
            runs_that_ended_at_once_come_by_their_ids
            a_run_that_is_tried_again_has_not_ended_until_it_ends_again
            a_forgotten_run_is_not_among_those_that_ended
            the_last_entry_of_the_audit_is_known_sealed_or_not
        );
        $crate::conformance_suite!(@subject $fixture, claiming:
            a_key_is_claimed_by_one_submission_at_a_time
            of_many_that_claim_a_key_at_once_one_gets_it
            a_claim_lapses_unless_it_is_renewed
            a_claim_that_is_given_up_is_free_at_once
            a_claim_says_which_run_was_sealed_under_the_key
            a_claim_keeps_nobody_from_sealing
        );
        $crate::conformance_suite!(@subject $fixture, posting:
            a_message_comes_back_as_it_was_posted_and_is_due_at_once
            a_message_that_was_posted_before_is_passed_over_whatever_became_of_it
            two_who_post_the_same_at_once_post_it_once
            a_message_is_tried_by_one_at_a_time
            the_longest_due_are_taken_first_and_no_more_than_asked
            a_right_that_lapses_leaves_the_message_as_if_it_had_not_been_tried
            a_right_that_lapsed_still_counts_while_nobody_else_has_it
            a_right_to_what_has_come_to_its_end_writes_nothing
            a_try_that_failed_counts_and_the_next_comes_at_its_time
            what_is_delivered_or_given_up_on_is_tried_no_more
            the_outbox_is_read_newest_first_by_state
            what_was_given_up_on_can_be_tried_again
            what_came_to_its_end_is_remembered_for_its_time_and_then_forgotten
            sweeping_goes_in_chunks
        );
        $crate::conformance_suite!(@subject $fixture, auditing:
            entries_come_back_as_they_were_told
            the_numbers_have_no_gaps_whoever_tells
            seals_go_on_where_the_head_is
            who_knows_another_head_seals_nothing
            of_two_who_seal_at_once_one_does
            a_chunk_is_sealed_in_one_step_and_the_chain_holds
        );
        $crate::conformance_suite!(@subject $fixture, counters:
            whatever_is_done_in_whatever_order_every_job_ends_once
        );
    };
}
