//! The real code on a simulated kernel: `ci/simulate` builds it.
//!
//! | file | contents |
//! |---|---|
//! | `history` | a configuration, and the events that happen |
//! | `world` | performs the events: writers, administrators, faults |
//! | `run` | the program around the queue |
//! | `oracle` | the guarantees, and the failures |
//! | `in_place` | files that are written in the directories of the queue |
//! | `memory` | how much memory the queue holds |
//! | `more` | an enumeration for the configurations that came later |
//! | `random` | the enumeration, and random histories |
//! | `explore` | runs many, and reports |
//! | `printed` | what is printed while histories run |
//! | `shrink` | makes a failing history short |
//! | `named` | the histories that are tests |
//! | `idle` | an idle queue, call by call |
//! | `watching` | directories that come and go, and a watch that fails |
//! | `mutants` | rules of the queue that are switched off, and found to be missing |
//! | `strategies` | the older strategies in the same world |
//! | `compare` | the simulated kernel beside the one of this system |

#[cfg(all(
    pullcord_sim,
    target_os = "linux",
    not(any(pullcord_sim = "bsd", pullcord_sim = "none"))
))]
mod compare;
#[cfg(pullcord_sim)]
mod explore;
#[cfg(pullcord_sim)]
mod history;
#[cfg(pullcord_sim)]
mod idle;
#[cfg(pullcord_sim)]
mod in_place;
#[cfg(pullcord_sim)]
mod memory;
#[cfg(pullcord_sim)]
mod more;
#[cfg(pullcord_sim)]
mod mutants;
#[cfg(pullcord_sim)]
mod named;
#[cfg(pullcord_sim)]
mod oracle;
#[cfg(pullcord_sim)]
mod printed;
#[cfg(pullcord_sim)]
mod random;
#[cfg(pullcord_sim)]
mod rng;
#[cfg(pullcord_sim)]
mod run;
#[cfg(pullcord_sim)]
mod shrink;
#[cfg(pullcord_sim)]
mod strategies;
#[cfg(pullcord_sim)]
mod watching;
#[cfg(pullcord_sim)]
mod world;

#[cfg(not(pullcord_sim))]
fn main() {
    println!("the simulation is a build of its own: run ci/simulate");
}

#[cfg(pullcord_sim)]
#[global_allocator]
static COUNTING: memory::Counting = memory::Counting;

#[cfg(pullcord_sim)]
fn main() -> std::process::ExitCode {
    simulation::main()
}

#[cfg(pullcord_sim)]
mod simulation {
    use std::process::ExitCode;
    use std::thread;
    use std::time::Duration;

    use libtest_mimic::{Arguments, Trial};

    use crate::explore::{self, Source};
    use crate::{idle, mutants, named, run, shrink, strategies, watching};

    pub(crate) fn main() -> ExitCode {
        // A panic is a failure of the history, and is reported with it.
        std::panic::set_hook(Box::new(|_| {}));
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let mode = arguments.first().map(String::as_str);
        match mode {
            Some("--explore") => explore(&arguments[1..]),
            Some("--compare") => compare(&arguments[1..]),
            Some("--replay") => replay(arguments.get(1).map_or("", String::as_str)),
            _ => {
                let _ = std::panic::take_hook();
                libtest_mimic::run(&Arguments::from_args(), trials()).exit_code()
            }
        }
    }

    fn trials() -> Vec<Trial> {
        let mut trials = named::trials();
        trials.extend(idle::trials());
        trials.extend(watching::trials());
        trials.extend(strategies::trials());
        trials.extend(mutants::trials());
        trials.push(Trial::test("explored_histories_pass", || {
            std::panic::set_hook(Box::new(|_| {}));
            let (seed, most) = (mutants::explored::SEED, mutants::explored::HISTORIES);
            // Other tests print meanwhile.
            let is_well = explore::report(seed, Duration::MAX, most, processors(), false);
            let _ = std::panic::take_hook();
            if is_well { Ok(()) } else { Err("see above".into()) }
        }));
        trials
    }

    fn processors() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }

    fn explore(arguments: &[String]) -> ExitCode {
        let (mut seconds, mut seed, mut threads) = (60, 1, processors());
        let mut most = u64::MAX;
        let mut words = arguments.iter();
        while let Some(option) = words.next() {
            let number = words.next().and_then(|word| word.parse::<u64>().ok());
            match (&option[..], number) {
                ("--seconds", Some(number)) => seconds = number,
                ("--seed", Some(number)) => seed = number,
                ("--threads", Some(number)) => threads = number as usize,
                ("--histories", Some(number)) => most = number,
                _ => {
                    eprintln!("usage: [--seconds N] [--histories N] [--seed S] [--threads T]");
                    return ExitCode::from(2);
                }
            }
        }
        let is_well = explore::report(seed, Duration::from_secs(seconds), most, threads, true);
        if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Compares the simulated kernel with the real one on every available file system.
    #[cfg(all(target_os = "linux", not(any(pullcord_sim = "bsd", pullcord_sim = "none"))))]
    fn compare(arguments: &[String]) -> ExitCode {
        use crate::compare::{compare_everywhere, look_at_arrivals};

        let number = |at: usize, otherwise: u64| {
            let word = arguments.get(at).and_then(|word| word.parse::<u64>().ok());
            word.unwrap_or(otherwise)
        };
        let (scripts, seed) = (number(0, 2_000) as usize, number(1, 1));
        let directory = std::env::temp_dir();
        let _ = std::panic::take_hook();
        // A write without a reader then fails, as in the library.
        // SAFETY: no pointers.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
        for found in look_at_arrivals(&directory) {
            println!("{found}");
        }
        let reports = match compare_everywhere(seed, scripts, &directory) {
            Ok(reports) => reports,
            Err(difference) => {
                println!("{difference}");
                return ExitCode::FAILURE;
            }
        };
        reports.reports.iter().for_each(|report| println!("{report}"));
        reports.left_out.iter().for_each(|what| println!("left out: {what}"));
        let total = reports.total();
        let (uncalled, unmade) = (total.uncalled(), total.unmade_exceptions());
        // A short run or a run with parts left out does not reach all of them.
        if scripts >= 1_000
            && total.left_out.is_empty()
            && !(uncalled.is_empty() && unmade.is_empty())
        {
            println!(
                "called by no script: {uncalled:?}; exceptions that did not occur: {unmade:?}"
            );
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }

    #[cfg(not(all(target_os = "linux", not(any(pullcord_sim = "bsd", pullcord_sim = "none")))))]
    fn compare(_: &[String]) -> ExitCode {
        eprintln!("left out: only the simulated Linux is compared, and only on Linux");
        ExitCode::SUCCESS
    }

    /// Runs one history again, `single:N`, `pair:N`, `more:N` or `random:N`, and prints each of its calls.
    fn replay(which: &str) -> ExitCode {
        let (stream, number) = which.split_once(':').unwrap_or(("", ""));
        let source = match (stream, number.parse::<u64>()) {
            ("fault", Ok(number)) => Source::Fault(number as usize),
            ("single", Ok(number)) => Source::Single(number as usize),
            ("pair", Ok(number)) => Source::Pair(number as usize),
            ("more", Ok(number)) => Source::More(number as usize),
            ("random", Ok(number)) => Source::Random(number),
            _ => {
                eprintln!("usage: --replay fault:N, single:N, pair:N, more:N or random:N");
                return ExitCode::from(2);
            }
        };
        let history = source.history();
        let outcome = run::run(&history, true);
        outcome.log.iter().for_each(|line| println!("{line}"));
        println!("{history}");
        let Some(failure) = outcome.failure else {
            println!("no failure");
            return ExitCode::SUCCESS;
        };
        let short = shrink::shrink(&history, &failure);
        println!("{failure}; shortened, with its calls:");
        run::run(&short, true).log.iter().for_each(|line| println!("{line}"));
        println!("{short}");
        ExitCode::FAILURE
    }
}
