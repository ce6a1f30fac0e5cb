//! libpullcord: [pullcord](https://docs.rs/pullcord) for C, shared and static. The header is
//! `include/pullcord.h`, which cbindgen makes of `api.rs`; `README.md` tells how to install and use it.
//!
//! All `unsafe` code is needed by C itself: the exported names, and the pointers that a caller passes.
//! The library starts no thread and installs no signal handler. No panic leaves it.

#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod api;
mod error;
mod handles;
mod open_queue;
mod options;
mod waiting;

pub use api::*;
