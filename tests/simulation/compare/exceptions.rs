//! The calls of which some or all results are not compared.

/// Only some file systems accept `O_DIRECT` on a regular file.
pub(crate) const DIRECT_FILE: &str = "O_DIRECT on something else than a FIFO";
/// The simulation keeps no contents of regular files.
pub(crate) const CONTENTS: &str = "the bytes of a regular file";
/// The time stamps of a pipe without a name do not change. fstat(2) does not distinguish it from a FIFO.
pub(crate) const PIPE_TIMES: &str = "the time stamps of a FIFO by its descriptor";
/// At the end of a directory of ext4, the position and the size of the buffer overflow together.
pub(crate) const READ_DIRECTORY: &str = "read(2) of a directory with room for more than 0 bytes";
/// linkat(2) with `AT_EMPTY_PATH` is simulated for regular files.
pub(crate) const LINK_OPEN: &str = "linkat(2) of an open descriptor that is not a regular file";
/// The kernel may share anonymous inodes.
pub(crate) const ANONYMOUS: &str = "fchmod(2) and the identity of an anonymous inode";
/// The number of links of a directory is 1 on btrfs.
pub(crate) const DIRECTORY_LINKS: &str = "the link count of a directory";

/// All exceptions. Each must occur.
pub(crate) const EXCEPTIONS: [&str; 7] =
    [DIRECT_FILE, CONTENTS, PIPE_TIMES, READ_DIRECTORY, LINK_OPEN, ANONYMOUS, DIRECTORY_LINKS];
