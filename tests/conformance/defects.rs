//! What developers do wrong, sentence by sentence.

/// Writes the defects once: their names, the sentence that each breaks, and what a developer did wrong.
macro_rules! defects {
    ($($sentence:literal { $($(#[doc = $what:literal])+ $defect:ident,)+ })+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Defect {
            $($($(#[doc = $what])+ $defect,)+)+
        }

        /// Every defect with the sentence that it breaks.
        pub(crate) const DEFECTS: &[(&str, Defect)] = &[$($(($sentence, Defect::$defect),)+)+];
    };
}

defects! {
    "G1" {
        /// After `close` every session is absent.
        ClosedIsAbsent,
        /// What can't be read is taken for nothing.
        DamagedIsAbsent,
        /// A server that is down is taken for an empty one.
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
        /// A flag is set for the length of a load, and nobody takes it back if the load is dropped.
        LoadHoldsFlag,
        /// The same with a lock.
        LockHoldsFlag,
        /// The same with an unlock.
        UnlockHoldsFlag,
        /// The same with an owner's epoch.
        EpochHoldsFlag,
    }
    "G4" {
        /// The backend has its own clock, and the harness a manual one.
        ReadsAnotherClock,
        /// Expired is "later than the expiry".
        ExpiryOffByOne,
        /// A touch finds expired sessions.
        TouchRevivesExpired,
        /// An hour is taken off each life: expired too early.
        ExpiresEarly,
    }
    "G5" {
        /// A write that is too large takes the stored record with it.
        OversizeDestroys,
        /// A remove during an outage is done, and answered with an error that says it is not.
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
        /// An update is sent again, over whatever is there by then.
        UpdateSentAgainOver,
        /// A touch that was not answered is said not to have happened.
        TouchSaidUndone,
        /// A remove is sent again, and finds nothing.
        RemoveSentAgain,
        /// An end is sent again, and finds nothing.
        EndSentAgain,
        /// A rename is sent again, and finds its own record in the way.
        RenameSentAgain,
        /// A lease whose answer was lost is taken for another's.
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
        /// A removed session is loaded from the bin.
        LoadsRemoved,
    }
    "L3" {
        /// A load tells another version than the write did.
        LoadsAnotherVersion,
    }
    "L4" {
        /// A touch is answered and not done.
        ForgetsTouch,
        /// The absolute limit is not looked at.
        UncappedExpiry,
        /// A create stores an expiry past the absolute limit, and only a load caps it.
        CreateCapsAtLoad,
        /// The same with an update.
        UpdateCapsAtLoad,
        /// The same with a touch.
        TouchCapsAtLoad,
        /// The expiry is cut to whole seconds.
        CutsExpiryToSeconds,
        /// The expiry is rounded up to whole seconds, and nobody says so.
        RoundsExpiryToSeconds,
    }
    "L5" {
        /// An update leaves the last use as it is.
        UpdateLeavesUse,
        /// A touch moves the expiry only.
        TouchLeavesUse,
        /// A rename takes the last use along.
        RenameLeavesUse,
    }
    "L6" {
        /// The epoch with a record is the record's own.
        EpochOfTheRecord,
    }
    "C1" {
        /// Create is an upsert.
        CreateReplaces,
    }
    "C2" {
        /// Between the look and the insert, another may come.
        CreateNotAtomic,
    }
    "C3" {
        /// A removed id stays taken.
        RemovedStaysTaken,
    }
    "U1" {
        /// Update is an upsert.
        UpdateCreates,
    }
    "U2" {
        /// The version is not looked at.
        UpdateIgnoresVersion,
    }
    "U3" {
        /// Between the look at the version and the write, another may write.
        UpdateNotAtomic,
    }
    "U4" {
        /// The version is made from the contents.
        VersionIsContents,
    }
    "U5" {
        /// Between the look and the write, a remove may come.
        UpdateRevives,
    }
    "T1" {
        /// A touch gives a new version.
        TouchChangesVersion,
    }
    "T2" {
        /// A touch makes an empty session where there is none.
        TouchCreates,
        /// A touch reads and writes back, and a remove may come in between.
        TouchRevives,
    }
    "T3" {
        /// A touch carries on for ever.
        TouchBeyondLimit,
    }
    "T4" {
        /// The expiry is what the last touch says.
        TouchShortens,
    }
    "R1" {
        /// An update that was under way brings the session back.
        UpdateRevivesRemoved,
        /// A lease is written back with its record, and a remove may come in between.
        LockRevives,
    }
    "R2" {
        /// A remove is always answered "true".
        RemoveAlwaysTrue,
    }
    "R3" {
        /// Two removes both see the record.
        RemoveNotAtomic,
    }
    "R4" {
        /// A leased session is not removed.
        RemoveRespectsLease,
        /// A leased session is removed when its lease has ended.
        RemoveWaitsForLease,
        /// A remove reads the record first, and fails where it can't.
        RemoveReadsFirst,
    }
    "X1" {
        /// An end only says so.
        ForgetsEnd,
        /// An end is undone by a touch that was under way.
        EndLosesToTouch,
    }
    "X2" {
        /// An end takes whatever is there.
        EndIgnoresVersion,
        /// An end of nothing succeeds.
        EndAlwaysEnds,
    }
    "X3" {
        /// An end is a load and a remove.
        EndByRemoving,
        /// An end is a load and a remove, and says that it has ended what was gone already.
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
        /// A rename writes the tombstone whatever came in between.
        RenameLosesUpdates,
    }
    "F1" {
        /// Whatever is held is still the same.
        RefreshAlwaysSame,
    }
    "E1" {
        /// An owner without an epoch has epoch 0.
        EpochZero,
    }
    "E2" {
        /// Two that find none both make one.
        EnsureNotAtomic,
    }
    "E3" {
        /// An epoch lives as long as the first session that asked for it.
        EnsureNeverExtends,
        /// An epoch is extended by a touch: of two, the shorter may come last.
        EnsureExtendsByTouch,
        /// Idle epochs are deleted like idle sessions.
        IdleEpochsDeleted,
    }
    "E4" {
        /// A renewal is answered and not done.
        RenewDoesNothing,
    }
    "M1" {
        /// Looking at a session counts as a use.
        MetadataTouches,
    }
    "I1" {
        /// A page begins where the last one ended, counted in ids: who removes one, hides another.
        IdsByOffset,
        /// A page begins at a bucket of a table whose size follows the number of sessions.
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
        /// What was under way is written back after a clear.
        UpdateRevivesCleared,
        /// A clear lists the ids, then removes one after the other: a session that is renamed meanwhile is missed.
        ClearsOneByOne,
    }
    "W1" {
        /// A sweep does not count what it deleted.
        SweepCountsNothing,
        /// A sweep takes everything that is a day old at most.
        SweepRemovesLive,
    }
    "W2" {
        /// Idle counts from the recorded use, whatever the throttle.
        IdleIgnoresThrottle,
        /// Idle counts from the creation.
        IdleIgnoresUse,
    }
    "O1" {
        /// Owners are compared by their beginning.
        OwnersByPrefix,
        /// Owners are compared without regard to case.
        OwnersIgnoreCase,
        /// The owner is a pattern.
        OwnersByPattern,
        /// The owner's column has 64 bytes.
        OwnersCutShort,
        /// Only the first page of an owner's sessions is read.
        ListsOnePage,
        /// Sessions that became the owner's by an update are not listed.
        ListsCreatedOnly,
    }
    "K1" {
        /// Whoever asks gets the lease.
        EveryoneHolds,
        /// Between the look at the lease and its taking, another may take it.
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
        /// A lease is kept beside its session, and stays when that expires.
        LeaseOutlivesSession,
    }
    "K4" {
        /// Anybody may unlock.
        AnyoneUnlocks,
    }
    "K5" {
        /// A waiter is never woken.
        WaiterSleeps,
    }
    "D1" {
        /// A flush is a use of every session.
        FlushTouches,
    }
    "D2" {
        /// The second close finds nothing to close.
        SecondCloseFails,
    }
}
