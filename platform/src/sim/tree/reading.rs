//! Reading a directory, as each kind of file system does it.

use super::*;

impl Tree {
    /// A cursor before the first entry.
    pub(in crate::sim) fn open_directory(&self, ino: Ino) -> Cursor {
        let horizon = self.next_entry;
        Cursor { ino, dots: false, position: 0, begun: false, horizon }
    }

    /// The next entries, at most `room`, for which `fits` says so.
    pub(in crate::sim) fn read_directory(
        &mut self,
        cursor: &mut Cursor,
        room: usize,
        mut fits: impl FnMut(&Listed) -> bool,
    ) -> Result<usize, Errno> {
        if self.is_removed(cursor.ino) {
            return Err(ENOENT);
        }
        let kind = self.kind_of_system(cursor.ino);
        if !cursor.begun && kind != FsKind::Btrfs {
            cursor.horizon = self.next_entry;
        }
        cursor.begun = true;
        let mut count = 0;
        if !cursor.dots {
            for name in [&b"."[..], b".."] {
                let number = self.inodes[cursor.ino].number;
                count += usize::from(fits(&Listed { name, number, kind: 4 }));
            }
            cursor.dots = true;
        }
        let Node::Directory(entries) = &self.inodes[cursor.ino].node else {
            return Err(ENOTDIR);
        };
        let is_new = |entry: &Entry| entry.arrived > cursor.horizon;
        let key = |(at, entry): (usize, &Entry)| -> Option<u64> {
            match kind {
                FsKind::Ext4 => Some(entry.hash | 1),
                FsKind::Xfs => (!is_new(entry) || entry.hash % 64 == 0).then_some(entry.slot + 1),
                FsKind::Btrfs => (!is_new(entry)).then_some(entry.arrived),
                FsKind::Tmpfs => (!is_new(entry)).then_some(u64::MAX - entry.arrived),
                FsKind::Unknown | FsKind::Renumbering => Some(entry.arrived),
                FsKind::Remote => Some(at as u64 + 1),
            }
        };
        let ahead = |pair: (usize, &Entry)| key(pair).filter(|key| *key > cursor.position);
        let mut found: Vec<(u64, usize)> = entries
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| Some((ahead((at, entry))?, at)))
            .collect();
        // Few of many are returned at a time.
        if found.len() > 2 * room {
            found.select_nth_unstable(room);
            found.truncate(room);
        }
        found.sort_unstable();
        let mut position = cursor.position;
        for (key, at) in found.into_iter().take(room) {
            let entry = &entries[at];
            let inode = &self.inodes[entry.ino];
            let known = !matches!(kind, FsKind::Unknown | FsKind::Renumbering);
            let listed = Listed {
                name: &entry.name,
                number: inode.number,
                kind: if known { (inode.mode >> 12) as u8 } else { 0 },
            };
            if !fits(&listed) {
                break;
            }
            (position, count) = (key, count + 1);
        }
        cursor.position = position;
        Ok(count)
    }
}
