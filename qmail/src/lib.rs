//! [pullcord](https://docs.rs/pullcord) for C, in one library, `libpullcord_qmail`:
//!
//! - *the relink*: `trigger_set`, `trigger_selprep`, `trigger_pulled` and `triggerpull`, the
//!   functions that a qmail takes from `trigger.o` and `triggerpull.o`. Linked in their place, they
//!   cure it of its spin. For who administers one: `docs/qmail.md`.
//! - *the C API* for other programs, in `include/pullcord.h`, made from the source by cbindgen.
//!
//! `cargo build --release -p pullcord-qmail` makes `libpullcord_qmail.a` and the shared library, and
//! says which system libraries the first has to be linked with.
//!
//! All `unsafe` code is what C itself asks for: the exported names, and the pointers that come in.
//! No thread is started and no signal touched; nothing panics across the boundary.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod api;
mod boundary;
mod errors;
mod handles;
mod pace;
mod relink;
mod trigger;

cfg_if::cfg_if! {
    if #[cfg(any(target_os = "linux", target_os = "android"))] {
        #[path = "timer/timerfd.rs"]
        mod timer;
    } else if #[cfg(any(
        target_os = "freebsd",
        target_os = "netbsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_vendor = "apple",
    ))] {
        #[path = "timer/kqueue.rs"]
        mod timer;
    } else {
        #[path = "timer/absent.rs"]
        mod timer;
    }
}

pub use api::*;
pub use relink::{trigger_pulled, trigger_selprep, trigger_set, triggerpull};
