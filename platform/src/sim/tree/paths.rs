//! From a path to a place.

use super::*;

/// The paths that were resolved last, and where they led. They hold until the next change: one that
/// does not lead to a regular file, until something else than a regular file changes.
#[derive(Debug)]
pub(super) struct KnownPaths(Vec<Option<Known>>);

impl Default for KnownPaths {
    fn default() -> KnownPaths {
        KnownPaths((0..COUNT).map(|_| None).collect())
    }
}

#[derive(Debug)]
struct Known {
    version: u64,
    shape: u64,
    caller: Caller,
    start: Place,
    follow: bool,
    /// The path, and how many of these bytes it has.
    bytes: [u8; MOST],
    length: usize,
    result: Result<Spot, Errno>,
}

/// How many bytes a path has that is remembered, and how many such paths there are: one for each length
/// and last byte, modulo this.
const MOST: usize = 40;
const COUNT: usize = 64;

impl Tree {
    /// The place that is on top of all mounts here.
    pub(super) fn across_mounts(&self, place: Place, entry: Option<u64>) -> Spot {
        let mut spot = Spot { place, entry };
        'mounted: loop {
            for (number, mount) in self.mounts.iter().enumerate().rev() {
                let is_here = |on: Spot| {
                    // A directory has one entry, which does not change.
                    on.place == spot.place
                        && (on.entry == spot.entry || self.is_directory(on.place.ino))
                };
                if mount.attached && mount.on.is_some_and(is_here) {
                    let place = Place { mount: number, ino: mount.root };
                    spot = Spot { place, entry: mount.entry };
                    continue 'mounted;
                }
            }
            return spot;
        }
    }

    pub(super) fn parent(&self, mut place: Place) -> Result<Place, Errno> {
        loop {
            let mount = &self.mounts[place.mount];
            if place.ino != mount.root {
                // A directory that was moved out of a bind mount has no parent there.
                let is_connected = self.is_inside(place.ino, mount.root);
                let parent = Place { ino: self.inodes[place.ino].parent, ..place };
                return if is_connected { Ok(parent) } else { Err(ENOENT) };
            }
            match mount.on {
                Some(on) if mount.attached => place = on.place,
                _ => return Ok(place),
            }
        }
    }

    /// The path of a directory, as getcwd(3) returns it.
    pub(in crate::sim) fn path_of(&self, mut place: Place) -> Result<Vec<u8>, Errno> {
        let mut path = Vec::new();
        loop {
            let mount = &self.mounts[place.mount];
            match mount.on {
                Some(on) if place.ino == mount.root => place = on.place,
                None if place.ino == mount.root => break,
                _ => {
                    let parent = self.parent(place)?;
                    let mut entries = self.entries(parent.ino).iter();
                    let entry = entries.find(|entry| entry.ino == place.ino).ok_or(ENOENT)?;
                    path.splice(..0, entry.name.iter().copied());
                    path.insert(0, b'/');
                    place = parent;
                }
            }
        }
        Ok(if path.is_empty() { b"/".to_vec() } else { path })
    }

    /// The place that `path` leads to from `start`.
    pub(in crate::sim) fn resolve(
        &self,
        caller: Caller,
        start: Place,
        path: &[u8],
        follow: bool,
    ) -> Result<Place, Errno> {
        Ok(self.resolve_spot(caller, start, path, follow)?.place)
    }

    /// The same, with the entry that led to it.
    pub(in crate::sim) fn resolve_spot(
        &self,
        caller: Caller,
        start: Place,
        path: &[u8],
        follow: bool,
    ) -> Result<Spot, Errno> {
        let length = path.len();
        let Some(last) = path.last().filter(|_| length <= MOST) else {
            return self.walk(caller, start, path, follow, &mut 0);
        };
        let mut known = self.known_paths.borrow_mut();
        let known = &mut known.0[(length * 16 + usize::from(*last)) % COUNT];
        let found = known.as_ref().filter(|it| {
            (it.version == self.version || it.shape == self.shape && self.is_no_file(it.result))
                && it.bytes[..it.length] == *path
                && (it.caller, it.start, it.follow) == (caller, start, follow)
        });
        if let Some(found) = found {
            return found.result;
        }
        let result = self.walk(caller, start, path, follow, &mut 0);
        let mut bytes = [0; MOST];
        bytes[..length].copy_from_slice(path);
        let (version, shape) = (self.version, self.shape);
        *known = Some(Known { version, shape, caller, start, follow, bytes, length, result });
        result
    }

    fn is_no_file(&self, result: Result<Spot, Errno>) -> bool {
        result.is_ok_and(|spot| !self.is_file(spot.place.ino))
    }

    /// Where open(2) with `O_CREAT` creates the file that `path` leads to: the directory and the
    /// name there, behind the symbolic links that it follows. `None` if it would create none.
    pub(in crate::sim) fn resolve_absent<'p>(
        &'p self,
        caller: Caller,
        mut start: Place,
        mut path: &'p [u8],
        follow: bool,
    ) -> Result<Option<(Place, &'p [u8])>, Errno> {
        for _ in 0..=40 {
            if path.is_empty() {
                return Err(ENOENT);
            }
            let (parent, name) = self.resolve_parent(caller, start, path)?;
            if matches!(name, b"" | b"." | b"..") {
                return Ok(None);
            }
            if path.ends_with(b"/") {
                return Err(EISDIR);
            }
            match self.look_up(parent.ino, name) {
                Ok(entry) => match &self.inodes[entry.ino].node {
                    Node::Link(target) if follow => (start, path) = (parent, target),
                    _ => return Ok(None),
                },
                Err(ENOENT) if !self.is_removed(parent.ino) => return Ok(Some((parent, name))),
                Err(errno) => return Err(errno),
            }
        }
        Err(ELOOP)
    }

    pub(super) fn look_up(&self, directory: Ino, name: &[u8]) -> Result<&Entry, Errno> {
        if self.is_removed(directory) {
            return Err(ENOENT);
        }
        if name.len() > 255 {
            return Err(ENAMETOOLONG);
        }
        self.find(directory, name).ok_or(ENOENT)
    }

    pub(super) fn walk(
        &self,
        caller: Caller,
        start: Place,
        path: &[u8],
        follow: bool,
        links: &mut u32,
    ) -> Result<Spot, Errno> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        if path.len() >= 4096 {
            return Err(ENAMETOOLONG);
        }
        let mut spot = Spot { place: start, entry: None };
        if path[0] == b'/' {
            spot = self.across_mounts(self.root(), None);
        }
        let mut rest = without_slashes(path);
        let wants_directory = path.ends_with(b"/");
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
            let component = &rest[..end];
            rest = without_slashes(&rest[end..]);
            let is_last = rest.is_empty();
            let place = spot.place;
            if !self.is_directory(place.ino) {
                return Err(ENOTDIR);
            }
            if !self.may(caller, place.ino, 0o100) {
                return Err(EACCES);
            }
            match component {
                b"." => continue,
                b".." => {
                    spot = self.across_mounts(self.parent(place)?, None);
                    continue;
                }
                _ => {}
            }
            let Entry { ino: child, id, .. } = *self.look_up(place.ino, component)?;
            match &self.inodes[child].node {
                Node::Link(target) if !is_last || follow || wants_directory => {
                    *links += 1;
                    if *links > 40 {
                        return Err(ELOOP);
                    }
                    spot = self.walk(caller, place, target, true, links)?;
                }
                _ => spot = self.across_mounts(Place { ino: child, ..place }, Some(id)),
            }
        }
        if wants_directory && !self.is_directory(spot.place.ino) {
            return Err(ENOTDIR);
        }
        Ok(spot)
    }

    /// The directory that the last component of `path` is in, and that component: of any length,
    /// `.` or `..`, or nothing if `path` is the root.
    pub(super) fn resolve_parent<'p>(
        &self,
        caller: Caller,
        start: Place,
        path: &'p [u8],
    ) -> Result<(Place, &'p [u8]), Errno> {
        if path.is_empty() {
            return Err(ENOENT);
        }
        if path.len() >= 4096 {
            return Err(ENAMETOOLONG);
        }
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = &path[..end];
        let cut = path.iter().rposition(|byte| *byte == b'/');
        let (parent, name) = match cut {
            None => (&b"."[..], path),
            Some(0) => (&b"/"[..], &path[1..]),
            Some(cut) => (&path[..cut], &path[cut + 1..]),
        };
        let place = self.resolve(caller, start, parent, true)?;
        if !self.is_directory(place.ino) {
            return Err(ENOTDIR);
        }
        if !self.may(caller, place.ino, 0o100) {
            return Err(EACCES);
        }
        Ok((place, name))
    }

    /// The directory and the name of an entry to be made. `path` may end with a slash if a
    /// directory is made.
    pub(super) fn resolve_new<'p>(
        &self,
        caller: Caller,
        start: Place,
        path: &'p [u8],
        is_directory: bool,
    ) -> Result<(Place, &'p [u8]), Errno> {
        let (parent, name) = self.resolve_parent(caller, start, path)?;
        if matches!(name, b"" | b"." | b"..") {
            return Err(EEXIST);
        }
        match self.look_up(parent.ino, name) {
            Ok(_) => Err(EEXIST),
            Err(ENOENT) if path.ends_with(b"/") && !is_directory => Err(ENOENT),
            Err(ENOENT) if !self.is_removed(parent.ino) => Ok((parent, name)),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn is_mount_point(&self, entry: &Entry) -> bool {
        let is_here = |on: Spot| {
            on.place.ino == entry.ino
                && (on.entry == Some(entry.id) || self.is_directory(entry.ino))
        };
        self.mounts.iter().any(|mount| mount.attached && mount.on.is_some_and(is_here))
    }
}

/// The path without the slashes that it begins with.
fn without_slashes(path: &[u8]) -> &[u8] {
    let begin = path.iter().position(|byte| *byte != b'/').unwrap_or(path.len());
    &path[begin..]
}
