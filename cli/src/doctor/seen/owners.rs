//! Owners and modes of the paths of a queue, and the users of this system.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::doctor::layout::{Layout, Queue};

/// The purpose of a path in its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::doctor) enum Role {
    /// The queue directory of qmail.
    Root,
    /// `lock`, or `public`: the directory of the trigger.
    TriggerHome,
    Trigger,
    /// `todo` and its numbered directories, or `maildrop`.
    Entries,
}

#[derive(Clone, Debug)]
pub(in crate::doctor) struct Place {
    pub(in crate::doctor) path: PathBuf,
    pub(in crate::doctor) role: Role,
    pub(in crate::doctor) user: u32,
    pub(in crate::doctor) group: u32,
    /// The permission bits, and those for set-id and sticky.
    pub(in crate::doctor) mode: u32,
}

#[derive(Debug, Default)]
pub(in crate::doctor) struct Owners {
    pub(in crate::doctor) places: Vec<Place>,
    pub(in crate::doctor) users: Users,
}

/// The users and groups of this system, as far as they are in its files.
#[derive(Debug, Default)]
pub(in crate::doctor) struct Users {
    users: HashMap<String, u32>,
    groups: HashMap<String, u32>,
    user_names: HashMap<u32, String>,
    group_names: HashMap<u32, String>,
}

pub(super) fn look(queue: &Queue, users: Users) -> Owners {
    let mut owners = Owners { places: Vec::new(), users };
    if queue.layout == Layout::Qmail {
        owners.add(&queue.root, Role::Root);
    }
    if let Some(home) = queue.trigger.parent() {
        owners.add(home, Role::TriggerHome);
    }
    owners.add(&queue.trigger, Role::Trigger);
    for directory in &queue.directories {
        owners.add(directory, Role::Entries);
    }
    owners
}

impl Owners {
    fn add(&mut self, path: &Path, role: Role) {
        // A numbered link is a directory of the queue; a trigger that is a link is not a trigger.
        let metadata = match role {
            Role::Trigger => path.symlink_metadata(),
            _ => path.metadata(),
        };
        if let Ok(metadata) = metadata {
            self.places.push(Place {
                path: path.into(),
                role,
                user: metadata.uid(),
                group: metadata.gid(),
                mode: metadata.permissions().mode() & 0o7777,
            });
        }
    }
}

impl Users {
    pub(super) fn read() -> Users {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Users::parse(&text("/etc/passwd"), &text("/etc/group"))
    }

    /// Parses passwd(5) and group(5).
    pub(in crate::doctor) fn parse(passwd: &str, group: &str) -> Users {
        let entries = |text: &str| {
            let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
            let entry =
                |fields: Vec<&str>| Some((fields[0].to_owned(), fields.get(2)?.parse().ok()?));
            fields.filter_map(entry).collect::<Vec<(String, u32)>>()
        };
        let (users, groups) = (entries(passwd), entries(group));
        // The first name of a number is the one that ls(1) prints.
        let names = |entries: &[(String, u32)]| {
            entries.iter().rev().map(|(name, id)| (*id, name.clone())).collect()
        };
        Users {
            user_names: names(&users),
            group_names: names(&groups),
            users: users.into_iter().collect(),
            groups: groups.into_iter().collect(),
        }
    }

    pub(in crate::doctor) fn user(&self, name: &str) -> Option<u32> {
        self.users.get(name).copied()
    }

    pub(in crate::doctor) fn group(&self, name: &str) -> Option<u32> {
        self.groups.get(name).copied()
    }

    pub(in crate::doctor) fn user_name(&self, id: u32) -> String {
        self.user_names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    pub(in crate::doctor) fn group_name(&self, id: u32) -> String {
        self.group_names.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}
