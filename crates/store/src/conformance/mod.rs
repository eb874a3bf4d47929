//! What every database behind [`Store`] has to promise, as tests.
//!
//! A database joins with a [`Database`] and one line, `store::conformance_suite!(…)`, which makes a test of each promise.

pub mod approvals;
pub mod authenticity;
pub mod callers;
pub mod changes;
pub mod commits;
pub mod data_keys;
pub mod integrations;
pub mod key_tests;
pub mod life;
pub mod meddling;
pub mod operations;
pub mod rows;
pub mod sample;
mod seal;
pub mod tenancy;
pub mod transactions;
pub mod usage;

use async_trait::async_trait;

pub use self::seal::TestSeal;
use crate::Store;

/// A database of one test's own, empty at first.
#[async_trait]
pub trait Database: Send + Sync {
    /// Opens it, again if need be; what was opened before has been dropped.
    async fn open(&self) -> Box<dyn Store>;

    /// Runs one statement on the closed database, as somebody would who can write to it and is bound by none of its rules.
    async fn tamper(&self, sql: &str);
}

/// Makes one `#[tokio::test]` of each promise. The expression makes a fresh [`Database`].
#[macro_export]
macro_rules! conformance_suite {
    ($fresh:expr) => {
        $crate::conformance_suite! { @ $fresh;
            rows::what_was_written_is_read_back
            rows::a_listing_is_complete_in_pages_of_any_size
            rows::an_id_that_was_deleted_is_never_given_out_again
            rows::a_key_version_is_recorded_once
            rows::a_key_configuration_moves_one_epoch_at_a_time
            rows::nothing_belongs_to_a_workspace_that_is_not_there
            data_keys::a_data_key_is_born_pending_with_its_own_wrapping
            data_keys::a_data_key_wrapped_under_an_old_configuration_is_not_stored
            data_keys::a_data_key_id_is_taken_once
            data_keys::of_many_racing_to_be_active_one_wins
            data_keys::activation_says_the_same_when_asked_again
            data_keys::a_retired_key_leaves_its_place_to_the_next
            data_keys::each_protection_has_its_own_active_key
            data_keys::another_apps_data_key_is_not_there
            data_keys::a_deleted_app_gets_no_data_key
            key_tests::tests_are_read_back_newest_first
            key_tests::a_test_is_added_once
            key_tests::a_forged_test_is_refused
            transactions::a_transaction_happens_as_a_whole
            transactions::a_dropped_transaction_never_happened
            transactions::a_refused_step_leaves_the_others
            transactions::nobody_else_sees_a_transaction_before_its_commit
            transactions::a_transaction_nobody_waits_for_is_rolled_back
            transactions::a_transaction_that_wrote_nothing_moves_nothing
            commits::a_command_that_fails_fails_alone
            commits::every_acknowledged_command_of_a_crowd_is_there_afterwards
            commits::the_revision_only_rises
            commits::audit_chains_have_no_gaps
            changes::every_change_that_decides_is_told_by_revision
            changes::what_decides_nothing_is_not_told
            changes::a_forged_row_hides_no_other_change
            operations::an_operation_is_read_back_as_it_moves
            operations::a_workspace_has_one_open_operation
            operations::an_added_wrapping_is_the_current_one
            operations::a_wrapping_is_added_only_where_it_belongs
            operations::what_is_under_which_version_is_counted
            operations::a_successor_takes_the_place_of_the_active_key
            operations::a_switch_happens_with_its_operation
            operations::an_edited_operation_is_refused
            usage::counts_add_up
            usage::a_flush_counts_once
            usage::counts_stay_with_their_key
            usage::old_hours_go_and_sums_stay
            usage::a_credential_is_read_back
            usage::forged_counts_and_credentials_are_refused
            callers::a_caller_is_read_back
            callers::a_change_of_callers_is_told_by_revision
            callers::a_callers_name_is_given_out_once
            callers::forged_callers_are_refused
            authenticity::an_edited_row_is_refused
            authenticity::a_row_under_another_name_is_refused
            authenticity::exchanged_codes_are_refused
            authenticity::a_deleted_row_shows
            authenticity::an_older_row_put_back_shows
            authenticity::a_shortened_chain_shows
            authenticity::a_forged_row_stops_nobody_else
            life::a_life_is_read_back_in_every_state
            life::a_life_changes_one_step_at_a_time
            life::undecided_dates_are_found_soonest_first
            life::staged_data_keys_go_out_of_use_together
            life::a_selection_is_kept_app_by_app
            life::a_forged_life_or_selection_is_refused
            approvals::what_awaits_approval_is_read_back_as_it_moves
            approvals::a_data_key_is_destroyed_by_two_people_and_time
            approvals::leaving_and_tenants_are_kept
            integrations::credentials_are_read_back_as_they_change
            integrations::credentials_change_one_step_at_a_time
            integrations::forged_credentials_are_refused
            tenancy::directories_and_proofs_are_kept
            tenancy::a_key_is_proven_once
            tenancy::a_forged_proof_is_refused
        }
    };
    (@ $fresh:expr; $($file:ident :: $promise:ident)*) => {
        $(
            #[tokio::test]
            async fn $promise() {
                $crate::conformance::$file::$promise(&$fresh).await;
            }
        )*
    };
}
