//! The system calls that the library makes, and the errors that their man pages name.

use super::libc::{
    EACCES, EAGAIN, EBUSY, EINTR, EINVAL, EIO, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENODEV, ENOENT,
    ENOMEM, ENOSPC, ENOSYS, ENOTDIR, ENXIO, EOVERFLOW, EPERM, EPIPE, EROFS, ESTALE,
};
use super::tree::Errno;

macro_rules! calls {
    ($($call:ident $name:literal [$($errno:ident)*],)*) => {
        /// A system call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[allow(missing_docs)]
        pub enum Call { $($call,)* }

        impl Call {
            /// All of them.
            pub const ALL: &[Call] = &[$(Call::$call,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Call::$call => $name,)* }
            }

            /// The errors that can be injected: those of its man page, but for those that only a
            /// defect of the caller can cause (`EBADF`, `EFAULT`).
            pub const fn errors(self) -> &'static [Errno] {
                match self { $(Call::$call => &[$($errno,)*],)* }
            }

            /// The names of the errors, in the same order.
            pub const fn error_names(self) -> &'static [&'static str] {
                match self { $(Call::$call => &[$(stringify!($errno),)*],)* }
            }
        }
    };
}

calls! {
    // Not ENOENT: it is not a failure: the name does not exist.
    Open "open" [EMFILE ENFILE ENOMEM EACCES EIO ENOTDIR EINTR ESTALE EOVERFLOW ELOOP ENAMETOOLONG ENXIO EPERM EROFS ENOSPC],
    Close "close" [],
    // Not EAGAIN: that says that there is nothing to read.
    Read "read" [EIO EINTR ENOMEM EINVAL],
    Write "write" [EAGAIN EINTR EIO EPIPE ENOSPC],
    Getdents "getdents64" [EIO ENOENT ENOMEM ENOTDIR EINVAL ESTALE EINTR],
    Fstat "fstat" [EIO ENOMEM EOVERFLOW ESTALE EACCES],
    Fstatat "fstatat" [EACCES EIO ELOOP ENAMETOOLONG ENOMEM ENOTDIR EOVERFLOW ESTALE],
    Statfs "statfs" [EACCES EINTR EIO ELOOP ENAMETOOLONG ENOMEM ENOSYS ENOTDIR EOVERFLOW ESTALE],
    Fcntl "fcntl" [EMFILE EINTR],
    Ioctl "ioctl" [EINVAL EIO ENOMEM],
    Pipe "pipe2" [EMFILE ENFILE],
    InotifyInit "inotify_init1" [EMFILE ENFILE ENOMEM],
    InotifyAdd "inotify_add_watch" [ENOSPC ENOMEM EACCES ENOTDIR EIO ELOOP ENAMETOOLONG ESTALE],
    InotifyRemove "inotify_rm_watch" [EINVAL],
    EpollCreate "epoll_create1" [EMFILE ENFILE ENOMEM],
    EpollCtl "epoll_ctl" [ENOMEM ENOSPC],
    EpollWait "epoll_wait" [EINTR ENOMEM],
    EpollPwait2 "epoll_pwait2" [EINTR ENOMEM ENOSYS EPERM],
    Select "select" [EINTR ENOMEM],
    Kqueue "kqueue" [EMFILE ENFILE ENOMEM],
    Kevent "kevent" [EINTR ENOMEM],
    Fdopendir "fdopendir" [ENOMEM EMFILE],
    Readdir "readdir" [EIO ENOENT ENOMEM EOVERFLOW ESTALE],
    TimerCreate "timerfd_create" [EMFILE ENFILE ENOMEM ENODEV],
    // A timer that exists can be set.
    TimerSet "timerfd_settime" [],
    Dup "dup3" [EMFILE EBUSY EINTR],
    Truncate "ftruncate" [EIO EINTR],
    Poll "poll" [EINTR ENOMEM],
}

impl Call {
    /// Returns whether the call waits: then it counts as a wake-up once it returns.
    pub const fn waits(self) -> bool {
        matches!(self, Call::EpollWait | Call::EpollPwait2 | Call::Select | Call::Poll)
    }
}
