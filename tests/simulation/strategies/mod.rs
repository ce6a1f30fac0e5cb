//! The strategies that `pullcord storm` compares, in the simulated world.

mod enumeration;
mod errors;
mod named;
mod program;

use libtest_mimic::Trial;

/// All tests of the strategies.
pub(crate) fn trials() -> Vec<Trial> {
    let named = named::trials().into_iter().chain(enumeration::trials());
    named.chain(errors::trials()).collect()
}
