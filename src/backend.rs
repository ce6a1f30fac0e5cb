//! Choosing a backend: which exist here, which is best, and opening one by name.

use std::env;
use std::fmt;
use std::io;
use std::str::FromStr;

use pullcord_platform::{BACKENDS, BackendInfo};

use crate::Notifier;

/// The kernel facilities that a [`Notifier`] can be made of.
///
/// ```
/// use pullcord::Backend;
///
/// assert!(Backend::Select.is_available(), "select(2) is everywhere");
/// let notifier = Backend::best().open()?;
/// # drop(notifier);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// epoll(7): Linux and Android. Costs the same however many descriptors wait.
    Epoll,
    /// kqueue(2): FreeBSD, NetBSD, OpenBSD, DragonFly, macOS. Costs the same however many wait.
    Kqueue,
    /// select(2): everywhere. Every wait costs in proportion to the highest descriptor, and none
    /// of its own is used.
    Select,
}

impl Backend {
    /// All backends, of every system.
    pub const ALL: [Backend; 3] = [Backend::Epoll, Backend::Kqueue, Backend::Select];

    /// The environment variable that [`Backend::from_env`] reads.
    pub const ENV_VAR: &'static str = "PULLCORD_BACKEND";

    /// The one to use where nothing speaks for another: the first of [`Backend::available`].
    pub fn best() -> Backend {
        Backend::available().next().unwrap_or(Backend::Select)
    }

    /// Those that exist on this system, best first.
    pub fn available() -> impl Iterator<Item = Backend> {
        BACKENDS.iter().filter_map(|info| info.name.parse().ok())
    }

    /// Whether it is available on this system.
    pub fn is_available(self) -> bool {
        self.info().is_some()
    }

    /// Opens a notifier over it.
    ///
    /// # Errors
    ///
    /// `Unsupported` if it does not exist here, with a list of those that do; else those of
    /// epoll_create1(2) or kqueue(2): `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn open(self) -> io::Result<Box<dyn Notifier>> {
        match self.info() {
            Some(info) => (info.open)(),
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{self} does not exist on {}; use {}", env::consts::OS, available_names()),
            )),
        }
    }

    /// Returns the backend of this name.
    ///
    /// # Errors
    ///
    /// Fails with `InvalidInput` if no backend has this name, and with `Unsupported` if it is not
    /// available on this system. Both messages list the available names.
    pub fn from_name(name: &str) -> io::Result<Backend> {
        let backend: Backend = name.parse()?;
        if backend.is_available() { Ok(backend) } else { backend.open().map(|_| backend) }
    }

    /// Returns the backend that the environment variable `PULLCORD_BACKEND` names. Returns the best
    /// one if the variable is not set, or empty.
    ///
    /// # Errors
    ///
    /// As [`Backend::from_name`].
    pub fn from_env() -> io::Result<Backend> {
        match env::var_os(Backend::ENV_VAR).filter(|name| !name.is_empty()) {
            None => Ok(Backend::best()),
            Some(name) => Backend::from_name(&name.to_string_lossy()),
        }
    }

    /// Returns its name: `epoll`, `kqueue` or `select`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Backend::Epoll => "epoll",
            Backend::Kqueue => "kqueue",
            Backend::Select => "select",
        }
    }

    /// Whether the kernel reports edges. If not, [`Mode::Edge`](crate::Mode::Edge) is reported as
    /// level.
    pub const fn has_native_edge(self) -> bool {
        !matches!(self, Backend::Select)
    }

    /// Whether it can be used inside another event loop: whether [`Notifier::pollable_fd`] returns a
    /// descriptor.
    pub const fn has_pollable_fd(self) -> bool {
        !matches!(self, Backend::Select)
    }

    /// Whether a library plays the kernel's part here, as libkqueue does on Linux for those who work on
    /// pullcord: its results prove little about the kernel's own.
    pub fn is_emulated(self) -> bool {
        self.info().is_some_and(|info| info.emulated)
    }

    fn info(self) -> Option<&'static BackendInfo> {
        BACKENDS.iter().find(|info| info.name == self.as_str())
    }
}

/// The names of those that exist here, for an error message.
fn available_names() -> String {
    Backend::available().map(Backend::as_str).collect::<Vec<_>>().join(" or ")
}

/// The [best](Backend::best) one.
impl Default for Backend {
    fn default() -> Backend {
        Backend::best()
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Backend {
    type Err = io::Error;

    /// By name, whether it exists here or not.
    fn from_str(name: &str) -> io::Result<Backend> {
        Backend::ALL.into_iter().find(|backend| backend.as_str() == name).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("there is no backend {name:?}; use {}", available_names()),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_exist_here_is_refused_with_those_that_do() {
        let available: Vec<Backend> = Backend::available().collect();
        for absent in Backend::ALL.into_iter().filter(|backend| !available.contains(backend)) {
            assert!(!absent.is_available() && !absent.is_emulated(), "{absent}");
            let Err(error) = absent.open() else { panic!("{absent} was opened") };
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            for present in Backend::available() {
                assert!(error.to_string().contains(present.as_str()), "{error}");
            }
        }
        let error = "devpoll".parse::<Backend>().unwrap_err();
        assert!(error.to_string().contains("devpoll") && error.to_string().contains("select"));
    }

    #[test]
    fn a_backend_is_chosen_by_its_name_if_it_is_available() {
        for backend in Backend::ALL {
            let chosen = Backend::from_name(backend.as_str());
            if backend.is_available() {
                assert_eq!(chosen.unwrap(), backend);
            } else {
                assert_eq!(chosen.unwrap_err().kind(), io::ErrorKind::Unsupported);
            }
        }
        assert_eq!(Backend::from_name("devpoll").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn the_best_is_first_and_select_is_always_there() {
        assert_eq!(Backend::available().next(), Some(Backend::best()));
        assert_eq!(Backend::default(), Backend::best());
        assert!(Backend::Select.is_available());
        let own = Backend::available().filter(|backend| !backend.is_emulated()).count();
        assert!(own <= 2, "one of the system's own, and select");
        assert!(!Backend::best().is_emulated());
    }
}
