//! Limits of this process that stand in a workload's way.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of descriptors as far as it takes, or as far as is allowed. Returns how many of
/// the wanted ones may be open then.
pub(crate) fn allow_descriptors(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = wanted as u64;
    let within = |limit: Option<u64>| limit.map_or(wanted, |limit| limit.min(wanted));
    let set = |current, maximum| {
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum }).is_ok()
    };
    let allowed =
        if within(current) == wanted || set(wanted, maximum.map(|maximum| maximum.max(wanted))) {
            wanted
        } else if set(within(maximum), maximum) {
            within(maximum)
        } else {
            within(current)
        };
    allowed as usize
}
