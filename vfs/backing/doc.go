// Package backing is the directory on the real disk that becomes the desktop.
//
// The backing directory is the state. What is native is an ordinary entry; what
// is not is a placeholder that says so itself, by a mark: an extended attribute
// (see Mark) that holds a file's content or the tree of a directory that is not
// listed yet. A placeholder file has its final size (a hole), owner, mode and
// times, so that renaming, deleting or re-owning it is doing so to a file.
//
// Beside the backing directory lies a state directory (see Side) with what does
// not fit into a mark: content of very long files, logs of the present ranges of
// partly filled files, and one extra name for each hard-linked file of which not
// all names are listed. It can say nothing that the marks contradict: whatever
// has no mark is native.
//
// # Crashes
//
// A directory is listed in place: entries are created, then its mark goes. Until
// then nobody could see into it, and listing is idempotent, so a crash leaves it
// listed or to be listed again. Small files are written whole by that, and a
// journal may keep their names and lose their bytes: where there are such, the
// mark first becomes one that says in which boot the directory was listed, and
// goes after the next sync. Found after a power cut, it has those files written
// once more that nobody changed. (Building it aside and renaming it over the
// placeholder would change the directory's inode number between a caller's
// lstat and its open, which find and tar take for an attack.)
//
// A file's mark goes after its bytes are verified and durable. A range of a
// partly filled file is recorded after its bytes are durable, or with the id of
// this boot: after a power cut such a record is void, after the death of the
// process it is not.
//
// A file shorter than its mark's content was truncated: what was cut off is not
// to be fetched any more.
package backing
