//! Whether a directory's changes can all be seen from here.

/// Where the changes of a file system come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Locality {
    /// From this kernel only: a watch sees every one of them.
    Local,
    /// From other hosts or another program too, which a watch does not see. Its name is given.
    Remote(String),
    /// Not known: a watch may miss some. Its name is given.
    Unknown(String),
}
