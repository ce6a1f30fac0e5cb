//! The relink archive, `libpullcord_qmail.a`: `trigger_set`, `trigger_selprep`, `trigger_pulled`,
//! `trigger_clear` and `triggerpull`, the functions that a qmail takes from `trigger.o` and `triggerpull.o`. Linked in their
//! place, they cure it of its spin. The page for administrators is `docs/qmail.md`. The C API is another
//! library: `pullcord-capi`.
//!
//! All `unsafe` code is needed by C itself: the exported names, and the pointers that a caller passes.
//! The library starts no thread and installs no signal handler. No panic leaves it.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod ffi;
mod relink;
mod scan_pacer;
mod trigger;
mod turns;

pub use relink::{trigger_clear, trigger_pulled, trigger_selprep, trigger_set, triggerpull};
