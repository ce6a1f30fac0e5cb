//! Rules that the simulation switches off, to prove that it finds the defect that follows. In every
//! other build all rules are on: the macro is the constant `false` there.

/// Whether the rule that this mutant (`pullcord_platform::sim::Mutant`) lacks is switched off.
#[cfg(pullcord_sim)]
macro_rules! mutant {
    ($mutant:ident) => {
        pullcord_platform::sim::mutant(pullcord_platform::sim::Mutant::$mutant)
    };
}

/// Always false: this build has no mutants.
#[cfg(not(pullcord_sim))]
macro_rules! mutant {
    ($mutant:ident) => {
        false
    };
}
