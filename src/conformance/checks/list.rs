//! The list of checks.

use super::{
    at_once, clear, clocks, create, dropped, end, epoch, expiry, failing, history, lease, listing, load, metadata,
    order, owners, refresh, remove, rename, shutdown, sweep, touch, tracked, unanswered, update, usage,
};
use crate::conformance::check::Check;

/// Lists every check once: its module, its name and its sentences. The list of checks and the tests that
/// [`tests!`](super::tests) generates are both made from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_checks {
    ($callback:path, $argument:expr) => {
        $callback! { $argument;
            clocks::g4_the_store_reads_the_harness_clock ["G4"]
            failing::g1_closed_is_not_absent ["G1"]
            failing::g1_damaged_is_not_absent ["G1"]
            failing::g1_unavailable_is_not_absent ["G1"]
            order::g2_two_at_once_are_one_after_the_other ["G2"]
            dropped::g3_a_dropped_create_is_whole_or_nothing ["G3"]
            dropped::g3_a_dropped_update_is_whole_or_nothing ["G3"]
            dropped::g3_a_dropped_touch_is_whole_or_nothing ["G3"]
            dropped::g3_a_dropped_remove_is_whole_or_nothing ["G3"]
            dropped::g3_a_dropped_rename_is_whole_or_nothing ["G3"]
            dropped::g3_a_dropped_load_holds_nothing ["G3"]
            dropped::g3_a_dropped_lock_ends_at_its_time ["G3"]
            dropped::g3_a_dropped_unlock_holds_nothing ["G3"]
            dropped::g3_a_dropped_epoch_call_is_whole_or_nothing ["G3"]
            expiry::g4_expired_is_absent_for_every_method ["G4"]
            expiry::g4_it_lives_until_its_time ["G4"]
            failing::g5_a_refused_record_changes_nothing ["G5"]
            failing::g5_an_outage_changes_nothing ["G5"]
            failing::g5_damage_stays_as_it_is ["G5"]
            unanswered::g6_an_unanswered_create_happens_once ["G6"]
            unanswered::g6_an_unanswered_update_happens_once ["G6"]
            unanswered::g6_an_unanswered_update_never_comes_again ["G6"]
            unanswered::g6_an_unanswered_touch_happens_once ["G6"]
            unanswered::g6_an_unanswered_remove_happens_once ["G6"]
            unanswered::g6_an_unanswered_end_happens_once ["G6"]
            unanswered::g6_an_unanswered_rename_happens_once ["G6"]
            unanswered::g6_an_unanswered_lock_is_the_holders ["G6"]
            load::l1_every_record_comes_back ["L1"]
            load::l1_sessions_are_kept_apart ["L1"]
            history::l1_a_long_history_is_as_in_the_model ["L1" "L2" "C1" "C3" "U1" "U2" "T2" "R2" "N2" "F1"]
            load::l2_what_is_not_there_is_none ["L2"]
            load::l3_the_version_is_the_one_that_was_answered ["L3"]
            usage::l4_the_expiry_is_the_last_one_set ["L4"]
            usage::l4_milliseconds_count ["L4"]
            usage::l4_the_expiry_is_capped ["L4"]
            usage::l4_the_cap_is_stored ["L4"]
            usage::l5_the_last_use_is_the_last_one_told ["L5"]
            create::c1_create_never_replaces ["C1"]
            create::c2_one_of_two_creates_wins ["C2"]
            create::c3_a_freed_id_is_as_new ["C3"]
            update::u1_update_never_creates ["U1"]
            update::u2_another_version_is_a_conflict ["U2"]
            update::u3_one_of_two_updates_wins ["U3"]
            update::u3_no_increment_is_lost ["U3"]
            update::u4_every_version_is_new ["U4"]
            update::u5_a_remove_beats_an_update ["U5"]
            touch::t1_record_and_version_stay ["T1"]
            touch::t2_touch_never_creates ["T2"]
            touch::t2_a_remove_beats_a_touch ["T2"]
            touch::t3_the_absolute_limit_holds ["T3"]
            touch::t4_nothing_gets_earlier ["T4"]
            remove::r1_nothing_brings_it_back ["R1"]
            remove::r1_a_remove_beats_a_lock ["R1"]
            remove::r2_true_if_it_was_there ["R2"]
            remove::r3_one_of_two_removes_is_true ["R3"]
            remove::r4_a_lease_is_not_waited_for ["R4"]
            remove::r4_damage_is_removed ["R4"]
            at_once::a1_a_create_at_once_is_a_create ["A1"]
            at_once::a1_an_update_at_once_is_an_update ["A1"]
            at_once::a1_a_load_at_once_is_a_load ["A1"]
            at_once::a2_no_answer_has_done_nothing ["A2"]
            end::x1_nothing_brings_it_back ["X1"]
            end::x2_a_refused_end_changes_nothing ["X2"]
            end::x3_one_of_end_and_update_wins ["X3"]
            end::x3_one_of_end_and_rename_wins ["X3"]
            end::x3_one_of_two_ends_wins ["X3"]
            end::x4_a_lease_is_not_waited_for ["X4"]
            rename::n1_record_and_tombstone ["N1"]
            rename::n2_a_refused_rename_changes_nothing ["N2"]
            rename::n3_a_remove_beats_a_rename ["N3"]
            rename::n4_one_of_rename_and_update_wins ["N4"]
            rename::n4_one_of_two_renames_wins ["N4"]
            refresh::f1_refresh_tells_what_changed ["F1"]
            load::l6_the_epoch_with_a_record_is_the_present_one ["L6"]
            tracked::l7_what_is_tracked_stops_being_current ["L7"]
            tracked::l7_a_load_beside_a_change_does_not_miss_it ["L7"]
            tracked::f2_what_was_written_stops_being_current ["F2"]
            tracked::f2_a_write_beside_a_change_does_not_miss_it ["F2"]
            epoch::e1_no_epoch_is_none ["E1"]
            epoch::e2_one_epoch_for_all ["E2"]
            epoch::e3_it_lives_as_long_as_asked ["E3"]
            epoch::e3_the_longest_of_two_counts ["E3"]
            epoch::e3_sweeping_leaves_it ["E3"]
            epoch::e4_a_renewed_epoch_is_another ["E4"]
            metadata::m1_looking_is_no_use ["M1"]
            listing::i1_a_walk_names_every_session ["I1"]
            listing::i1_a_table_that_grows_and_shrinks ["I1"]
            listing::i2_only_live_sessions_are_named ["I2"]
            listing::i3_the_count_is_the_number_of_ids ["I3"]
            clear::i4_clear_leaves_nothing ["I4"]
            clear::i4_a_clear_beats_an_update ["I4"]
            clear::i4_a_clear_beats_a_rename ["I4"]
            sweep::w1_expired_are_swept ["W1"]
            sweep::w2_idle_are_deleted ["W2"]
            owners::o1_the_sessions_of_an_owner ["O1"]
            owners::o1_owners_that_look_alike ["O1"]
            owners::o1_more_than_a_page ["O1"]
            lease::k1_one_holder_at_a_time ["K1"]
            lease::k1_one_of_two_lockers_wins ["K1"]
            lease::k2_a_lease_is_a_new_version ["K2"]
            lease::k2_a_lease_beside_an_update ["K2"]
            lease::k3_a_lease_ends ["K3"]
            lease::k3_a_lease_ends_with_an_expired_session ["K3"]
            lease::k4_only_the_holder_unlocks ["K4"]
            lease::k5_a_waiter_goes_on ["K5"]
            shutdown::d1_a_flush_changes_nothing ["D1"]
            shutdown::d2_closing_twice_is_fine ["D2"]
        }
    };
}

macro_rules! list {
    ($argument:expr; $($module:ident::$check:ident [$($sentence:literal)*])*) => {
        /// Every check, in the order of the contract's sentences.
        #[must_use]
        pub fn checks() -> &'static [Check] {
            const CHECKS: &[Check] = &[
                $(Check::new(stringify!($check), &[$($sentence),*], |bench| Box::pin($module::$check(bench))),)*
            ];
            CHECKS
        }
    };
}

__conformance_checks!(list, ());
