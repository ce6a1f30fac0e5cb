//! Rules of the library that a test can switch off in its thread: without the rule, the simulation
//! must find the defect that the rule prevents.

use std::cell::Cell;

/// A rule that is switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The trigger's reader holds no write end.
    WithoutWriteEnd,
    /// A directory that could not be read does not stay dirty.
    Forgetful,
    /// The trigger is drained after the scan, not before it.
    DrainedLate,
    /// A directory is clean after the scan has read it, not before the scan opens it.
    CleanedLate,
    /// An event is skipped if the scan has returned its name, instead of the reverse.
    ScanFirst,
    /// A directory is watched after the first scan has opened it.
    WatchedLate,
    /// The watch is not read after each batch of directory entries.
    NotAbsorbed,
    /// After an overflow, the scan still skips the names that the watch had reported.
    OverflowForgiven,
    /// The same after something else was found in the place of a directory.
    LossForgiven,
    /// A directory that is found in the place of another is not read if it cannot be watched.
    LossUnread,
    // The reasons to end a wait.
    /// The timeout forgets the next attempt after a failure.
    RetryNotAwaited,
    /// The timeout forgets the next comparison of all paths.
    VerificationNotAwaited,
    /// The timeout forgets the requeued entries and those that wait for their quiet time.
    AppointmentNotAwaited,
    /// The timeout forgets the directories of the next round.
    DirtyNotAwaited,
    /// The timeout forgets the directories that are read later.
    DelayNotAwaited,
    /// The timeout forgets the rescan.
    RescanNotAwaited,
    /// A round of scans does not go on by itself in the next turn.
    RoundNotAwaited,
    /// Events that were read and not handled do not bring the next turn.
    EventsNotAwaited,
    /// A comparison of all paths does not go on by itself in the next turn.
    PassNotAwaited,
    /// The trigger is not waited for, though a directory has no reliable watch.
    PullsNotAwaited,
    /// The trigger is not waited for, though an entry is not finished.
    UnfinishedNotAwaited,
    /// The descriptors are registered edge-triggered.
    EdgeTriggered,
    /// A descriptor that was replaced is not registered again.
    ReplacedKept,
    /// The timer of a receiver is not set for an earlier time.
    TimerKept,
    // The order and the times of reads.
    /// A pull does not make directories without a watch dirty.
    PullIgnored,
    /// A pull does not make directories dirty that have unfinished entries.
    UnfinishedNotPulled,
    /// A drain that finds the trigger empty counts as a pull.
    EmptyIsPull,
    /// Directories without trigger and watch are not polled.
    NotPolled,
    /// A scan during which removals may have hidden entries is not followed by another one.
    NotFollowedUp,
    /// Such scans follow each other without an end.
    FollowUpsEndless,
    /// A trigger that was opened anew does not count as pulled.
    ReopenedUnread,
    /// An overflow of the watch has no effect.
    OverflowIgnored,
    /// After an overflow the directories are not read.
    OverflowUnread,
    /// After an overflow a directory is not watched anew if its numbers are the same.
    OverflowUnarmed,
    /// A part of a split queue that the watch reports is not added.
    PartNotReported,
    /// A part of a split queue that a scan finds is not added.
    PartNotScanned,
    /// Reported, requeued and scanned entries do not take turns.
    KindsFixed,
    // The entries that are returned.
    /// A scan that a failing read ends counts as complete.
    PartialScanComplete,
    /// A scan counts as complete although it could not look at an entry.
    FailedLookForgotten,
    /// A reported entry that cannot be looked at is dropped, and its directory not read.
    FailedLookIgnored,
    /// The names that the watch reports during a scan are not left out of the scan.
    ReportNotNoted,
    /// A scan returns requeued entries.
    RequeuedScanned,
    /// A report of a requeued entry does not cancel its appointment.
    AppointmentKept,
    /// A new file of the name of a requeued or returned entry counts as that entry.
    VersionNotCompared,
    /// The same time stamp proves that a file was not replaced.
    TickTrusted,
    /// It is not noted that a directory has an unfinished entry.
    UnfinishedForgotten,
    /// A reported entry is returned although it is not finished.
    UnfinishedReturned,
    /// A name that begins with a dot is an entry.
    HiddenReturned,
    /// A directory inside `todo` is an entry.
    DirectoryReturned,
    /// The trigger is an entry.
    TriggerReturned,
    /// An entry that is written in place is returned at the end of its wait, though it was written to meanwhile.
    QuietNotCompared,
    /// A scan returns an entry that was just written in place.
    YoungScanned,
    /// A close makes an entry ready although it must be quiet.
    CloseTrusted,
    /// A close does not make an entry ready although it need not be quiet.
    CloseIgnored,
    /// The next round is awaited while a scan waits for its entries to become quiet.
    BlockedRoundAwaited,
    /// Pulls are taken while a scan waits for its entries to become quiet.
    DrainedBlocked,
    // The target of a path.
    /// The directories are not compared with their paths.
    DirectoryNotCompared,
    /// The inode numbers of files are not compared.
    InodeNotCompared,
    /// The device numbers of files are not compared.
    DeviceNotCompared,
    /// A directory with the same numbers is not watched anew, though its watch has ended.
    SameNumbersTrusted,
    /// The report that a watch has ended has no effect.
    WatchLossIgnored,
    /// If a watch turns out to be of another directory, its own directory is not watched anew.
    MovedWatchIgnored,
    /// One directory by two paths is read by both.
    AliasWatched,
    /// A second path of a directory is never compared again.
    AliasForEver,
    /// The trigger is not compared with its path.
    TriggerNotCompared,
    /// A trigger that was passed as a descriptor counts as replaced.
    DescriptorCompared,
    /// The watch is relied on where other hosts change the file system.
    RemoteTrusted,
    // Failures.
    /// A failed operation is tried again at once, however often it fails.
    NoBackOff,
    /// A descriptor that the notifier refused is not registered again.
    RegistrationForgotten,
    /// After the watch itself was opened anew, the directories are not watched anew.
    ReopenedUnarmed,
    /// A directory that could not be watched is not tried again.
    WatchFailureForgotten,
    /// A time of the caller that goes back has no effect.
    JumpIgnored,
    // How much is done, and reported.
    /// The work of a turn has no bound.
    BudgetIgnored,
    /// A round of scans has no price.
    NotPaced,
    /// A round that found nothing has no least price.
    EmptyRoundCheap,
    /// A round that found an entry costs little, however many pulls there were.
    PullsNotCompared,
    /// A pull is taken although its scan cannot follow yet.
    DrainedUnpaced,
    /// A batch during which the process was frozen is charged as a whole.
    FreezeCharged,
    /// A problem is reported each time.
    WarningRepeated,
}

thread_local! {
    static ACTIVE: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Switches one rule off in this thread, or all on again.
pub fn set_mutant(mutant: Option<Mutant>) {
    ACTIVE.set(mutant);
}

/// Returns whether this rule is switched off in this thread.
#[inline]
pub fn mutant(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}
