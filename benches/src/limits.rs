//! Raises the limits of this process that a workload would exceed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of descriptors to `wanted`, or as far as the system allows. Returns how many of
/// the wanted descriptors may be open afterwards.
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
