//! Servers that are not to run as root, and folders that are theirs.

use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use anyhow::bail;
use nix::unistd::{User, geteuid};

/// Who a server runs as if we are root: its package's user, or nobody. None if we are not.
pub(super) fn unprivileged(user: &str) -> anyhow::Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    for name in [user, "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(user));
        }
    }
    bail!("it is not to run as root, and here is neither a user {user} nor nobody")
}

/// Hands a folder of ours over. The one above stays ours; its server may only pass through.
pub(super) fn hand_over(folder: &Path, user: &User) -> io::Result<()> {
    if let Some(above) = folder.parent() {
        fs::set_permissions(above, fs::Permissions::from_mode(0o711))?;
    }
    give(folder, user)
}

/// Makes a file or folder theirs.
pub(super) fn give(path: &Path, user: &User) -> io::Result<()> {
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}
