//! The mistakes of store developers, by the sentence that they break.

/// Defines the defects in one place: their names, the sentence that each breaks, and the developer's mistake.
macro_rules! defects {
    ($($sentence:literal { $($(#[doc = $what:literal])+ $defect:ident,)+ })+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Defect {
            $($($(#[doc = $what])+ $defect,)+)+
        }

        /// Every defect, with the sentence that it breaks.
        pub(crate) const DEFECTS: &[(&str, Defect)] = &[$($(($sentence, Defect::$defect),)+)+];
    };
}

defects! {
    "G1" {
        /// After `close` every session is absent.
        ClosedIsAbsent,
        /// A record that can't be read is reported as absent.
        DamagedIsAbsent,
        /// A server that is down is treated as an empty one.
        OutageIsAbsent,
    }
    "G2" {
        /// An update writes the record first and the version a moment later.
        TornUpdate,
    }
    "G3" {
        /// An update is a remove and an insert.
        UpdateByRemoving,
        /// A touch is a remove and an insert.
        TouchByRemoving,
        /// A create inserts an empty record and fills it in.
        CreateInTwoSteps,
        /// A remove empties the record, then takes it away.
        RemoveInTwoSteps,
        /// A rename leaves the tombstone first.
        TombstoneFirst,
        /// A load sets a flag while it runs, and nothing clears the flag if the load is dropped.
        LoadHoldsFlag,
        /// The same with `acquire`.
        LockHoldsFlag,
        /// The same with `release`.
        UnlockHoldsFlag,
        /// The same with an owner's epoch.
        EpochHoldsFlag,
    }
    "G4" {
        /// The backend has its own clock, and the harness a manual one.
        ReadsAnotherClock,
        /// A record counts as expired only if the time is later than its expiry.
        ExpiryOffByOne,
        /// A touch finds expired sessions.
        TouchRevivesExpired,
        /// Each life is cut by an hour, so sessions expire too early.
        ExpiresEarly,
    }
    "G5" {
        /// A write that is too large takes the stored record with it.
        OversizeDestroys,
        /// A remove during an outage is carried out, but answered with an error that says it was not.
        OutageRemovesAnyway,
        /// An update that meets damaged bytes removes them, and fails.
        UpdateDropsDamaged,
        /// An update writes over damaged bytes, whatever version it expects.
        UpdateIgnoresVersionOfDamaged,
    }
    "G6" {
        /// A create is sent again, and finds its own record in the way.
        CreateSentAgain,
        /// An update is sent again, and finds its own version in the way.
        UpdateSentAgain,
        /// An update is sent again, over whatever is stored by then.
        UpdateSentAgainOver,
        /// A touch without an answer is reported as not done.
        TouchSaidUndone,
        /// A remove is sent again, and finds nothing.
        RemoveSentAgain,
        /// An end is sent again, and finds nothing.
        EndSentAgain,
        /// A rename is sent again, and finds its own record in the way.
        RenameSentAgain,
        /// A lease whose answer was lost is taken for another holder's.
        LockTakenForAnothers,
    }
    "L1" {
        /// The owner is not stored.
        LosesOwner,
        /// A sealed record comes back as a plain one.
        LosesKind,
        /// Values end at their first zero byte.
        CutsAtZero,
        /// Sessions share a slot if their ids begin with the same nibble.
        SharesSlots,
    }
    "L2" {
        /// A removed session is still loaded.
        LoadsRemoved,
    }
    "L3" {
        /// A load returns another version than the write did.
        LoadsAnotherVersion,
    }
    "L4" {
        /// A touch reports success but does nothing.
        ForgetsTouch,
        /// The absolute limit is ignored.
        UncappedExpiry,
        /// A create stores an expiry past the absolute limit, and only a load caps it.
        CreateCapsAtLoad,
        /// The same with an update.
        UpdateCapsAtLoad,
        /// The same with a touch.
        TouchCapsAtLoad,
        /// The expiry is cut to whole seconds.
        CutsExpiryToSeconds,
        /// The expiry is rounded up to whole seconds, but the harness doesn't declare it.
        RoundsExpiryToSeconds,
    }
    "L5" {
        /// An update leaves the last use as it is.
        UpdateLeavesUse,
        /// A touch moves only the expiry.
        TouchLeavesUse,
        /// A rename keeps the last use of the old session.
        RenameLeavesUse,
    }
    "L6" {
        /// The epoch returned with a record is the record's own.
        EpochOfTheRecord,
    }
    "L7" {
        /// A loaded record stays current, even if it changes.
        TrackedForever,
    }
    "F2" {
        /// A version that the store has written stays current, even if it changes.
        WrittenIsTrackedForever,
    }
    "C1" {
        /// Create is an upsert.
        CreateReplaces,
    }
    "C2" {
        /// Another create may come between the check and the insert.
        CreateNotAtomic,
    }
    "C3" {
        /// A removed id can't be used again.
        RemovedStaysTaken,
    }
    "U1" {
        /// Update is an upsert.
        UpdateCreates,
    }
    "U2" {
        /// The version is ignored.
        UpdateIgnoresVersion,
    }
    "U3" {
        /// Another write may come between the check of the version and the write.
        UpdateNotAtomic,
    }
    "U4" {
        /// The version is computed from the contents.
        VersionIsContents,
    }
    "U5" {
        /// A remove may come between the check and the write.
        UpdateRevives,
    }
    "T1" {
        /// A touch changes the version.
        TouchChangesVersion,
    }
    "T2" {
        /// A touch creates an empty session if there is none.
        TouchCreates,
        /// A touch reads and writes back, and a remove may come in between.
        TouchRevives,
    }
    "T3" {
        /// A touch extends a session without limit.
        TouchBeyondLimit,
    }
    "T4" {
        /// The expiry is always that of the last touch.
        TouchShortens,
    }
    "R1" {
        /// An update that was under way brings the session back.
        UpdateRevivesRemoved,
        /// A lease is written back with its record, and a remove may come in between.
        LockRevives,
    }
    "R2" {
        /// A remove always returns `true`.
        RemoveAlwaysTrue,
    }
    "R3" {
        /// Two removes both see the record.
        RemoveNotAtomic,
    }
    "R4" {
        /// A leased session is not removed.
        RemoveRespectsLease,
        /// A leased session is removed only when its lease has ended.
        RemoveWaitsForLease,
        /// A remove reads the record first, and fails if it can't.
        RemoveReadsFirst,
    }
    "A1" {
        /// A create at once is an upsert.
        ReplacesAtOnce,
        /// An update at once ignores the version.
        IgnoresVersionAtOnce,
        /// A load at once finds what has expired.
        LoadsExpiredAtOnce,
    }
    "A2" {
        /// A create at once stores the record, and then does not answer.
        DeclinesAfterCreate,
        /// An update at once replaces the record, and then does not answer.
        DeclinesAfterUpdate,
    }
    "X1" {
        /// An end reports success but does nothing.
        ForgetsEnd,
        /// An end is undone by a touch that was under way.
        EndLosesToTouch,
    }
    "X2" {
        /// An end removes whatever is stored.
        EndIgnoresVersion,
        /// An end of an absent session succeeds.
        EndAlwaysEnds,
    }
    "X3" {
        /// An end is a load and a remove.
        EndByRemoving,
        /// An end is a load and a remove, and reports success for a session that was already gone.
        EndsTwice,
    }
    "X4" {
        /// An end waits until the lease is given back.
        EndWaitsForLease,
    }
    "N1" {
        /// The old id is simply removed.
        RenameWithoutTombstone,
        /// A rename stores its own tombstone instead of the given one.
        RenameOwnTombstone,
    }
    "N2" {
        /// A rename replaces what is under the new id.
        RenameReplaces,
        /// A rename that is refused leaves the new id behind.
        RenameLeavesTarget,
    }
    "N3" {
        /// A rename that fails writes the old record back.
        RenameRollsBack,
    }
    "N4" {
        /// A rename writes the tombstone over whatever came in between.
        RenameLosesUpdates,
    }
    "F1" {
        /// The held record always counts as unchanged.
        RefreshAlwaysSame,
    }
    "E1" {
        /// An owner without an epoch has epoch 0.
        EpochZero,
    }
    "E2" {
        /// Two calls that find no epoch both create one.
        EnsureNotAtomic,
    }
    "E3" {
        /// An epoch lives as long as the first session that asked for it.
        EnsureNeverExtends,
        /// An epoch is extended by a touch: of two, the one with the shorter time may come last.
        EnsureExtendsByTouch,
        /// Idle epochs are deleted like idle sessions.
        IdleEpochsDeleted,
    }
    "E4" {
        /// A renewal reports success but does nothing.
        RenewDoesNothing,
    }
    "M1" {
        /// Reading the metadata counts as a use.
        MetadataTouches,
    }
    "I1" {
        /// A page begins at an offset in ids: if one is removed, another is missed.
        IdsByOffset,
        /// A page begins at a bucket of a table whose size depends on the number of sessions.
        IdsByBucket,
    }
    "I2" {
        /// Whatever is stored is named.
        IdsNameEverything,
    }
    "I3" {
        /// Whatever is stored is counted.
        CountsEverything,
    }
    "I4" {
        /// Only sessions are cleared.
        ClearLeavesEpochs,
        /// A write that was under way is stored after a clear.
        UpdateRevivesCleared,
        /// A clear lists the ids, then removes one after the other, so it misses a session that is renamed in the
        /// meantime.
        ClearsOneByOne,
    }
    "W1" {
        /// A sweep doesn't count what it deletes.
        SweepCountsNothing,
        /// A sweep removes live sessions as well.
        SweepRemovesLive,
    }
    "W2" {
        /// Idleness counts from the recorded use, ignoring the throttle.
        IdleIgnoresThrottle,
        /// Idleness counts from the creation.
        IdleIgnoresUse,
    }
    "O1" {
        /// Owners are compared by prefix.
        OwnersByPrefix,
        /// Owners are compared case-insensitively.
        OwnersIgnoreCase,
        /// The owner is used as a pattern.
        OwnersByPattern,
        /// The owner's column has 64 bytes.
        OwnersCutShort,
        /// Only the first page of an owner's sessions is read.
        ListsOnePage,
        /// Sessions that became the owner's by an update are not listed.
        ListsCreatedOnly,
    }
    "K1" {
        /// Everybody gets the lease.
        EveryoneHolds,
        /// Another caller may take the lease between the check and the write.
        LockNotAtomic,
    }
    "K2" {
        /// A lease leaves the version as it is.
        LockKeepsVersion,
        /// A lease is written back with its record, and an update may come in between.
        LockLosesUpdate,
    }
    "K3" {
        /// A lease ends only when it is given back.
        LeaseForEver,
        /// A lease is stored apart from its session, and stays when that expires.
        LeaseOutlivesSession,
    }
    "K4" {
        /// Any caller can unlock.
        AnyoneUnlocks,
    }
    "K5" {
        /// A waiter is never woken.
        WaiterSleeps,
    }
    "D1" {
        /// A flush counts as a use of every session.
        FlushTouches,
    }
    "D2" {
        /// A second close fails, since nothing is left to close.
        SecondCloseFails,
    }
}
