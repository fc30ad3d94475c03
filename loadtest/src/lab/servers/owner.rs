//! The user and the folders of servers that must not run as root.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use anyhow::bail;
use nix::unistd::{User, geteuid};

/// The user that a server runs as if we are root: its package's user, or `nobody`. `None` if we are not root.
pub(super) fn unprivileged(user: &str) -> anyhow::Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in [user, "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    bail!("it must not run as root, and this machine has neither a user {user} nor nobody")
}

/// Makes that user the folder's owner. The parent folder stays ours; the server may only pass through it.
pub(super) fn hand_over(folder: &Path, user: &User) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::set_permissions(above, fs::Permissions::from_mode(0o711))?;
    }
    give(folder, user)
}

/// Makes that user the owner of a file or folder.
pub(super) fn give(path: &Path, user: &User) -> io::Result<()> {
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}
