//! Rules that the simulation switches off, to prove that it finds the defect that follows. In every
//! other build all rules are on: the macro is the constant `false` there.

/// Whether the rule that this mutant (`sim::Mutant`) lacks is switched off.
#[cfg(pullcord_sim)]
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($mutant:ident) => {
        $crate::sim::mutant($crate::sim::Mutant::$mutant)
    };
}

/// Always false: this build has no mutants.
#[cfg(not(pullcord_sim))]
#[doc(hidden)]
#[macro_export]
macro_rules! mutant {
    ($mutant:ident) => {
        false
    };
}
